"""What both listeners of a gate stand on: keys, store, snapshot, ticker, counts. Built once a process."""

from dataclasses import dataclass

from gate.core.line import Line
from gate.core.meter import Meter
from gate.core.readiness import Readiness
from gate.keyfile import load_or_make
from gate.keywatch import KeyWatch
from gate.settings import Config
from gate.store.active import ActivePasses
from gate.store.backends import StoreTls
from gate.store.connection import Connection
from gate.store.live import Live
from gate.store.owed import Owed
from gate.store.rooms import RoomStore
from gate.ticker import Ticker

_FRESH_MS = 60_000


@dataclass(frozen=True, slots=True)
class Known:
    """What a process of this machine's gate hands to another: the rooms' lines, and the time tokens are judged in."""

    lines: tuple[Line, ...]
    steady: float


@dataclass(frozen=True, slots=True)
class Parts:
    """One process's own parts; `config` is what they were built from."""

    config: Config
    meter: Meter
    keys: KeyWatch
    connection: Connection
    live: Live
    store: RoomStore
    ticker: Ticker
    active: ActivePasses
    owed: Owed

    def known(self) -> Known:
        """What a successor needs to serve before it has heard the store, which may be away."""
        lines = (self.live.line(room.name) for room in self.config.rooms)
        return Known(tuple(line for line in lines if line is not None), self.connection.clock.steady_offset)

    def begin(self, known: Known) -> None:
        """Go on where another process is."""
        names = {room.name for room in self.config.rooms}
        for line in known.lines:
            if line.room in names:
                self.live.seed(line)
        if known.lines:
            self.connection.clock.begin(known.steady)

    def readiness(self) -> Readiness:
        """Whether visitors may be sent here: not before every room was heard of once."""
        names = [room.name for room in self.config.rooms]
        if any(self.live.line(name) is None for name in names):
            return Readiness.NOT_READY
        return Readiness.DEGRADED if any(self.live.store_away(name) for name in names) else Readiness.READY


def make_parts(config: Config, store_url: str, meter: Meter | None = None) -> Parts:
    """The parts of one process, nothing started. `store_url` names a running store.

    Raises:
        KeyFileError: the key ring cannot be used.
    """
    meter = meter or Meter(room.name for room in config.rooms)
    ring = load_or_make(config.keys_file, config.algorithm)
    connection, live = Connection(store_url, tls=StoreTls.of(config.store), meter=meter), Live()
    fresh = connection.clock.now() * 1000 - ring.created_ms < _FRESH_MS
    store = RoomStore(
        connection,
        live,
        first_generation=ring.created_ms,
        fresh=fresh,
        record_life=config.store["record_life"],
    )
    owed = Owed(store)
    return Parts(
        config=config,
        meter=meter,
        keys=KeyWatch(config.keys_file, ring, config.tokens["remembered"]),
        connection=connection,
        live=live,
        store=store,
        ticker=Ticker(store, config.rooms, connection.clock.now, owed),
        owed=owed,
        active=ActivePasses(connection, config.rooms),
    )
