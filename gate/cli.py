"""The command `gate`: finds the verb's file and hands over. Exit 2 with one line a fault where input is wrong."""

import sys
from importlib import import_module
from typing import Any

import click

from gate import __version__

_VERBS = {
    "serve": ("serve:command", "Run the gate before a site."),
    "demo": ("demo:command", "A box office, a gate before it and a crowd, in one go."),
    "check": ("check:command", "Say everything that is wrong with a configuration."),
    "status": ("status:command", "Show all rooms, or one."),
    "watch": ("watch:command", "Watch the line live, with everything that is done to it."),
    "rate": ("rate:command", "Set how many visitors are let in."),
    "hold": ("modes:hold", "Let nobody in; everybody keeps their place."),
    "resume": ("modes:resume", "Let the line move again."),
    "close": ("modes:close", "Take no newcomers."),
    "advance": ("advance:command", "Let some in by hand."),
    "message": ("message:command", "Show a message on the waiting page."),
    "reset": ("reset:command", "Begin a new, empty line."),
    "preview": ("preview:command", "See the waiting page in any state."),
    "admit": ("admit:command", "A link past the line, for staff and press."),
    "log": ("log:command", "Show who did what, and check that the record is whole."),
    "simulate": ("simulate:command", "Work out beforehand what a night will look like."),
    "doctor": ("doctor:command", "Check that a deployment would work on the night."),
    "keys": ("keys:command", "List or rotate the keys that sign tickets and passes."),
    "tokens": ("tokens:command", "List, add or remove named tokens for the admin API."),
}


class _Verbs(click.Group):
    def list_commands(self, _context: click.Context) -> list[str]:
        """The verbs, in the order a newcomer meets them."""
        return list(_VERBS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Load a verb's file only when it is asked for."""
        if name not in _VERBS:
            return None
        module, _, attribute = _VERBS[name][0].partition(":")
        command: click.Command = getattr(import_module(f"gate.commands.{module}"), attribute)
        return command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a verb; whatever is wrong with its input is one line."""
        try:
            return super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.exceptions.Exit as end:
            sys.exit(end.exit_code)
        except click.Abort:
            click.echo("gate: stopped", err=True)
            sys.exit(1)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            verb = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
            hint = f"; see {verb} --help" if verb else ""
            click.echo(f"gate: {error.format_message().rstrip('.').replace(chr(10), ' ')}{hint}", err=True)
            sys.exit(error.exit_code)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _VERBS.items()])


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gate")
def main() -> None:
    """A virtual waiting room before any site: the line lives in the visitors' browsers."""
