"""The command `gate`: finds the verb's file and hands over. Exit 2 with one line a fault where input is wrong."""

from importlib import import_module

import click

from gate import __version__

_VERBS = {
    "serve": "Run the gate before a site.",
    "demo": "A box office, a gate before it and a crowd, in one go.",
    "check": "Say everything that is wrong with a configuration.",
    "keys": "List or rotate the keys that sign tickets and passes.",
}


class _Verbs(click.Group):
    def list_commands(self, _context: click.Context) -> list[str]:
        """The verbs, in the order a newcomer meets them."""
        return list(_VERBS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Load a verb's file only when it is asked for."""
        if name not in _VERBS:
            return None
        command: click.Command = import_module(f"gate.commands.{name}").command
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gate")
def main() -> None:
    """A virtual waiting room before any site: the line lives in the visitors' browsers."""
