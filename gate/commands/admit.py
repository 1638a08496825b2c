"""`gate admit`: past the line, for staff and press."""

import click

from gate.commands import words
from gate.commands.admin_client import AdminClient, room_path, with_admin
from gate.values import seconds


@click.command()
@click.argument("room")
@click.option("--life", default="24 h", show_default=True, help="How long the link is good for.")
@click.option("--next", "path", default="/", show_default=True, help="The page it leads to.")
@with_admin
def command(client: AdminClient, room: str, life: str, path: str) -> None:
    """Print a link that sets a pass: for staff and press, outside the line, counted and on record.

    Whoever has the link is let in; all who use the same link share one pass.

    \b
    Example:
      gate admit sale --life 2h
    """
    try:
        lasts = seconds(60, 30 * 86_400)(life)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--life") from None
    made = client.post(room_path(room, "/admit"), {"life": lasts, "next": path})
    click.echo(made["url"])
    click.echo(f"guest {made['guest']} of {room}, until {words.moment(made['expires'])}", err=True)
