"""`gate reset`: an empty line."""

import click

from gate.commands.admin_client import AdminClient, room_path, with_admin


@click.command()
@click.argument("room")
@click.option("--confirm", metavar="ROOM", help="The room's name once more, for scripts; asked for otherwise.")
@with_admin
def command(client: AdminClient, room: str, confirm: str | None) -> None:
    """Begin a new generation: the line is empty, every ticket and every pass dies.

    \b
    Example:
      gate reset sale
    """
    before = client.get(room_path(room))
    if confirm is None:
        click.echo(f"{room}: {before['waiting']:,} lose their place, {before['active']:,} their pass.")
        confirm = click.prompt("Type the room's name to go on", default="", show_default=False)
    if confirm != room:
        raise click.ClickException(f"not reset: the name was not {room}")
    after = client.post(room_path(room, "/reset"), {"confirm": room})
    click.echo(f"{room}: generation {before['generation']} → {after['generation']}; the line is empty.")
