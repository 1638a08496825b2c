"""`gate status`: the rooms at a glance."""

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from gate.commands import words
from gate.commands.admin_client import AdminClient, room_path, with_admin


@click.command()
@click.argument("room", required=False)
@click.option("--json", "as_json", is_flag=True, help="The documents of the API, for scripts.")
@with_admin
def command(client: AdminClient, room: str | None, as_json: bool) -> None:
    """Show all rooms, or one.

    \b
    Example:
      gate status
      gate status sale --json
    """
    rooms = [client.get(room_path(room))] if room else client.get("/api/rooms")["rooms"]
    if as_json:
        click.echo(json.dumps(rooms[0] if room else rooms, indent=1))
        return
    Console().print(table(rooms))


def table(rooms: list[dict[str, Any]]) -> Table:
    """The rooms, one a line."""
    found = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    found.add_column("room", style="bold", no_wrap=True)
    found.add_column("mode", no_wrap=True)
    for name in ("wanted", "now", "waiting", "last waits", "served", "active", "joins/s"):
        found.add_column(name, justify="right", no_wrap=True)
    for room in rooms:
        wanted = room["release_rate"]
        found.add_row(
            room["room"],
            f"[{_COLOURS.get(room['mode'], 'default')}]{room['mode']}",
            words.rate(wanted),
            f"{room['measured_rate']:.3g}/s",
            f"{room['waiting']:,}",
            words.duration(words.last_wait(room, wanted)) if words.releases(room) else "until resumed",
            f"{room['served']:,}",
            f"{room['active']:,}",
            f"{room['joins_per_second']:.3g}",
        )
    return found


_COLOURS = {"auto": "green", "hold": "yellow", "closed": "yellow", "off": "red"}
