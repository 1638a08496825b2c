"""`gate hold`, `gate resume`, `gate close`: whether the line moves, and whether it takes newcomers."""

import click

from gate.commands import words
from gate.commands.admin_client import AdminClient, room_path, with_admin


def _set(client: AdminClient, room: str, mode: str) -> None:
    before = client.get(room_path(room))
    after = client.patch(room, mode=mode)
    click.echo(f"{room}: {before['mode']} → {after['mode']}; {_MEANING[mode].format(**after)}")
    if mode == "auto" and after["waiting"]:
        last = words.duration(words.last_wait(after, after["release_rate"]))
        click.echo(f"The last person in line: about {last}.")


_MEANING = {
    "hold": "nobody is let in, {waiting:,} keep their places, newcomers may join.",
    "auto": "{waiting:,} wait.",
    "closed": "no newcomers; {waiting:,} in line are still let in.",
}


@click.command()
@click.argument("room")
@with_admin
def hold(client: AdminClient, room: str) -> None:
    """Let nobody in; everybody keeps their place.

    \b
    Example:
      gate hold sale
    """
    _set(client, room, "hold")


@click.command()
@click.argument("room")
@with_admin
def resume(client: AdminClient, room: str) -> None:
    """Let the line move again, at the rate it has (mode auto).

    \b
    Example:
      gate resume sale
    """
    _set(client, room, "auto")


@click.command()
@click.argument("room")
@with_admin
def close(client: AdminClient, room: str) -> None:
    """Take no newcomers; those in line are still let in. `gate resume` opens the room again.

    \b
    Example:
      gate close sale
    """
    _set(client, room, "closed")
