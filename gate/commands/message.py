"""`gate message`: a word to those who wait."""

import click

from gate.commands.admin_client import AdminClient, with_admin


@click.command()
@click.argument("room")
@click.argument("text")
@with_admin
def command(client: AdminClient, room: str, text: str) -> None:
    """Show TEXT on the waiting page, within seconds; an empty one takes it away.

    \b
    Example:
      gate message sale "Doors open at 20:00; the line moves on at ten."
    """
    after = client.patch(room, message=text)
    click.echo(
        f"{room}: shown to {after['waiting']:,} who wait: {after['message']}" if text else f"{room}: no message."
    )
