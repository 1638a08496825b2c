"""`gate rate`: how fast the line moves."""

import click

from gate.commands import words
from gate.commands.admin_client import AdminClient, room_path, with_admin
from gate.core.rate import parse_rate


@click.command()
@click.argument("room")
@click.argument("rate")
@with_admin
def command(client: AdminClient, room: str, rate: str) -> None:
    """Set how many visitors are let in: 300/s, 30/min, 0.5.

    \b
    Example:
      gate rate sale 300/s
    """
    try:
        wanted = parse_rate(rate)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="RATE") from None
    before = client.get(room_path(room))
    after = client.patch(room, release_rate=wanted)
    old, new = before["release_rate"], after["release_rate"]
    click.echo(f"{room}: {words.rate(old)} → {words.rate(new)}")
    if not words.releases(after):
        click.echo(f"The room is in mode {after['mode']}; the rate counts from `gate resume {room}` on.")
    elif after["waiting"]:
        was, now = (words.duration(words.last_wait(after, each)) for each in (old, new))
        click.echo(f"{after['waiting']:,} wait; the last person in line: about {was} → {now}.")
    else:
        click.echo("Nobody waits.")
