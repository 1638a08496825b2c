"""`gate watch`: the rooms live on a terminal, with what was done to them as it happens."""

import time
from collections import deque
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gate.commands import words
from gate.commands.admin_client import AdminClient, room_path, with_admin
from gate.commands.status import table

_BARS = "▁▂▃▄▅▆▇█"
_EVENTS_SHOWN = 8
_WIDTH = 48
_DRAWN = (("waiting", "waiting"), ("joins", "joins/s"), ("measured", "released/s"), ("claims", "claims/s"))


class _Screen:
    """What is known so far, and how it looks."""

    def __init__(self, only: str | None) -> None:
        self._only = only
        self._columns: list[str] = []
        self._samples: dict[str, deque[list[float]]] = {}
        self._log: deque[Text] = deque(maxlen=_EVENTS_SHOWN)
        self._gate: dict[str, Any] = {}

    def hear(self, name: str, document: dict[str, Any]) -> None:
        """Take in one event."""
        if name == "history":
            self._columns = document["columns"]
            self._samples = {room: deque(rows, maxlen=900) for room, rows in document["rooms"].items()}
        elif name == "gate":
            self._gate = document
            for room, sample in document["samples"].items():
                rows = self._samples.setdefault(room, deque(maxlen=900))
                if not rows or sample[0] > rows[-1][0]:
                    rows.append(sample)
        elif name == "log" and self._only in (None, document["room"]):
            said = words.change(document["before"], document["after"])
            line = f"{words.moment(document['time'])}  {document['room']}  {document['actor']}  {document['act']}  "
            self._log.append(Text(line, style="dim").append(said, style="default"))

    def draw(self) -> Group:
        """The whole screen."""
        rooms = [room for room in self._gate.get("rooms", []) if self._only in (None, room["room"])]
        panels = [Panel(self._lines(room["room"]), title=room["room"], title_align="left") for room in rooms]
        log = Group(*self._log) if self._log else Text("nothing was done yet", style="dim")
        return Group(table(rooms), *panels, self._service(), Panel(log, title="log", title_align="left"))

    def _lines(self, room: str) -> Table:
        found = Table.grid(padding=(0, 2))
        rows = list(self._samples.get(room, ()))[-_WIDTH:]
        for column, label in _DRAWN:
            values = [row[self._columns.index(column)] for row in rows] if self._columns else []
            now = f"{values[-1]:,.6g}" if values else ""
            found.add_row(Text(label, style="dim"), Text(sparkline(values), style="cyan"), now)
        return found

    def _service(self) -> Text:
        if not self._gate:
            return Text("connecting …", style="dim")
        service, workers = self._gate["service"], self._gate["workers"]
        store = "store up" if self._gate["store"]["up"] else f"STORE AWAY {self._gate['store']['silent']:.0f} s"
        times = [service.get("origin_p50"), service.get("origin_p95")]
        origin = " / ".join("?" if ms is None else f"{ms:g}" for ms in times)
        text = Text(
            f"{store} · origin p50/p95 {origin} ms, {service.get('origin_errors', 0):g} errors/s · "
            f"{workers['serving']} of {workers['wanted']} workers"
        )
        text.stylize("dim" if self._gate["store"]["up"] else "bold red")
        return text


def sparkline(values: list[float]) -> str:
    """Bars from 0 to the highest of the values."""
    most = max(values, default=0)
    if most <= 0:
        return _BARS[0] * len(values)
    return "".join(_BARS[min(int(value / most * len(_BARS)), len(_BARS) - 1)] for value in values)


@click.command()
@click.argument("room", required=False)
@click.option("--seconds", type=click.FloatRange(0), help="End by itself after so long; else Ctrl-C ends it.")
@with_admin
def command(client: AdminClient, room: str | None, seconds: float | None) -> None:
    """Watch the line live, with everything that is done to it.

    \b
    Example:
      gate watch sale
    """
    client.get(room_path(room) if room else "/api/gate")  # who cannot be asked is told before the screen is taken
    screen, console = _Screen(room), Console()
    for name in [room] if room else [each["room"] for each in client.get("/api/rooms")["rooms"]]:
        head = client.get(room_path(name))["log_head"] or {"number": 0}
        for entry in client.get(room_path(name, f"/log?after={max(head['number'] - _EVENTS_SHOWN, 0)}"))["entries"]:
            screen.hear("log", {"room": name, **entry})
    ends = time.monotonic() + seconds if seconds is not None else None
    try:
        with Live(screen.draw(), console=console, screen=console.is_terminal, auto_refresh=False) as live:
            while ends is None or time.monotonic() < ends:
                for name, document in client.events():
                    screen.hear(name, document)
                    live.update(screen.draw(), refresh=True)
                    if ends is not None and time.monotonic() >= ends:
                        break
                time.sleep(0.5)  # the gate let us go: a reload, or we were too slow
    except KeyboardInterrupt:
        pass
    except TimeoutError:
        raise click.ClickException("the gate fell silent") from None
