"""What the admin side knows of the whole gate at a moment, looked at once a second and after every change.

Owns the trends, the events and the numbers for `/metrics`; changes nothing. Lines come from the snapshot, counts
from all processes' meters, active passes from the store.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import astuple, dataclass, fields
from typing import Any, Protocol

from gate.admin.documents import entry_document, room_document, service_document
from gate.admin.events import Events, encode
from gate.admin.metrics import Now, RoomNow
from gate.admin.trends import Sample, Service, Trends
from gate.core.line import Line
from gate.core.meter import Reading
from gate.core.readiness import Readiness
from gate.store.connection import StoreUnavailableError
from gate.store.live import Live
from gate.store.rooms import RecordPage

_COLUMNS = [field.name for field in fields(Sample)]
_SERVICE_COLUMNS = [field.name for field in fields(Service)]


class Fleet(Protocol):
    """The processes that serve visitors."""

    def read(self) -> Reading:
        """The counts of all of them, also of those that have died."""

    @property
    def readiness(self) -> Callable[[], Readiness]:
        """Whether visitors can be served."""

    def workers(self) -> tuple[int, int, int]:
        """How many serve, how many should, how many died and were replaced."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where everything comes from."""

    rooms: tuple[str, ...]
    live: Live
    fleet: Fleet
    now: Callable[[], float]
    skew: Callable[[], float]
    count_active: Callable[[str, int, float], Awaitable[int]]
    record: Callable[..., Awaitable[RecordPage]]
    canary: Callable[[], dict[str, float]]
    trends: Trends


class Watch:
    """The whole gate, as operators see it."""

    def __init__(self, sources: Sources) -> None:
        self.events = Events()
        self.fleet = sources.fleet
        self._sources = sources
        self._trends = sources.trends
        self._service: Service | None = None
        self._told: dict[str, int] = {}
        self._telling = asyncio.Lock()

    async def look(self) -> None:
        """Take one sample of everything and tell whoever watches."""
        now = self._sources.now()
        for name in self._sources.rooms:
            line = self._sources.live.line(name)
            if line is not None:
                self._trends.take(line, await self._active(line, now), now)
        self._service = self._trends.serve(self.fleet.read(), now)
        await self.tell()

    async def tell(self) -> None:
        """Send the present state, and what was put on record since the last time."""
        self.events.send("gate", self.gate())
        async with self._telling:  # or two at once would tell an entry twice
            for name in self._sources.rooms:
                line = self._sources.live.line(name)
                if line is not None:
                    await self._tell_record(line)

    async def _tell_record(self, line: Line) -> None:
        told = self._told.setdefault(line.room, line.record.number)
        if line.record.number == told:
            return
        try:
            page = await self._sources.record(line.room, after=told if line.record.number > told else 0)
        except StoreUnavailableError:
            return  # told when the store is back
        for entry in page.entries:
            self._told[line.room] = entry.head.number
            self.events.send("log", {"room": line.room, **entry_document(entry)})

    def room(self, line: Line) -> dict[str, Any]:
        """One room's document."""
        return room_document(line, self._trends.last(line.room))

    def gate(self) -> dict[str, Any]:
        """All rooms and the service."""
        alive, wanted, restarts = self.fleet.workers()
        lines = [line for name in self._sources.rooms if (line := self._sources.live.line(name)) is not None]
        return {
            "time": round(self._sources.now(), 3),
            "ready": self.fleet.readiness() is not Readiness.NOT_READY,
            "workers": {"serving": alive, "wanted": wanted, "restarts": restarts},
            "store": self._store(),
            "service": service_document(self._service),
            "canary": self._sources.canary(),
            "rooms": [self.room(line) for line in lines],
            "samples": {line.room: list(astuple(sample)) for line in lines if (sample := self._trends.last(line.room))},
        }

    def history(self) -> list[bytes]:
        """The first events of a new watcher."""
        rows = {name: [list(astuple(sample)) for sample in self._trends.samples(name)] for name in self._sources.rooms}
        service = {"columns": _SERVICE_COLUMNS, "rows": [list(astuple(row)) for row in self._trends.services()]}
        return [
            encode("history", {"columns": _COLUMNS, "rooms": rows, "service": service}),
            encode("gate", self.gate()),
        ]

    def now(self) -> Now:
        """The numbers for a scrape."""
        alive, wanted, restarts = self.fleet.workers()
        live = self._sources.live
        rooms = tuple(
            RoomNow(line, self._trends.last(name), live.silent_for(name))
            for name in self._sources.rooms
            if (line := live.line(name)) is not None
        )
        up, skew = self._store_up(), self._sources.skew()
        return Now(self.fleet.read(), rooms, alive, wanted, restarts, up, self._sources.canary(), skew)

    async def _active(self, line: Line, now: float) -> int:
        """Passes alive; what was known before while the store is away."""
        if not self._sources.live.store_away(line.room):
            try:
                return await self._sources.count_active(line.room, line.generation, now)
            except StoreUnavailableError:
                pass
        last = self._trends.last(line.room)
        return last.active if last else 0

    def _store(self) -> dict[str, Any]:
        return {"up": self._store_up(), "silent": self._silent(), "skew": round(self._sources.skew(), 3)}

    def _store_up(self) -> bool:
        return not any(self._sources.live.store_away(name) for name in self._sources.rooms)

    def _silent(self) -> float:
        silences = [self._sources.live.silent_for(name) for name in self._sources.rooms]
        return round(max(silences, default=0.0), 2)
