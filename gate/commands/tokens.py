"""`gate tokens`: named tokens for the admin API. A token is shown once, when it is made."""

from pathlib import Path

import click

from gate.admin.tokenfile import FILE_NAME, Scope, TokenFileError, add_token, read_tokens, remove_token
from gate.settings import admin_access


@click.group()
@click.option("--state-dir", metavar="DIR", help="The gate's state directory (GATE_STATE_DIR, ./.gate).")
@click.pass_context
def command(context: click.Context, state_dir: str | None) -> None:
    """List, add or remove named tokens; the gate follows within a second.

    \b
    Example:
      gate tokens add grafana --scope read
    """
    folder = admin_access(url=None, state_dir=state_dir).state_dir
    if not folder.is_dir():
        raise click.ClickException(
            f"{folder} is no state directory; name the gate's with --state-dir or GATE_STATE_DIR"
        )
    context.obj = folder / FILE_NAME


@command.command("list")
@click.pass_obj
def list_tokens(path: Path) -> None:
    """Show names and scopes."""
    try:
        for token in read_tokens(path):
            click.echo(f"{token.name}  {token.scope}")
    except TokenFileError as error:
        raise click.ClickException(str(error)) from None


@command.command("add")
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    default=Scope.READ.value,
    show_default=True,
    help="What it opens.",
)
@click.pass_obj
def add(path: Path, name: str, scope: str) -> None:
    """Make a token; it is printed once.

    \b
    Example:
      gate tokens add ann --scope operate
    """
    try:
        click.echo(add_token(path, name, Scope(scope)))
    except TokenFileError as error:
        raise click.ClickException(str(error)) from None


@command.command("remove")
@click.argument("name")
@click.pass_obj
def remove(path: Path, name: str) -> None:
    """Make a token good for nothing."""
    try:
        remove_token(path, name)
    except TokenFileError as error:
        raise click.ClickException(str(error)) from None
