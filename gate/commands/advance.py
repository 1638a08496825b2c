"""`gate advance`: let some in by hand."""

import click

from gate.commands.admin_client import AdminClient, room_path, with_admin


@click.command()
@click.argument("room")
@click.argument("number", type=click.IntRange(1))
@with_admin
def command(client: AdminClient, room: str, number: int) -> None:
    """Let NUMBER of those in line in at once, past the rate; never more than wait.

    \b
    Example:
      gate advance sale 50
    """
    before = client.get(room_path(room))
    after = client.post(room_path(room, "/advance"), {"by": number})
    let_in = after["served"] - before["served"]
    click.echo(f"{room}: {let_in:,} let in; {after['waiting']:,} wait.")
