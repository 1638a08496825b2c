"""The release loop: about ten times a second, for each room, one store call that is both write and snapshot.

`Ticker.run` sleeps, `Ticker.tick` does one turn. Every gate ticks; the store's compare-and-set lets one win.
Never decides how much is released: that is `core/release.py`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import asdict, replace

from gate.core.line import Line
from gate.core.record import Note, compose
from gate.core.release import plan, settle
from gate.core.room import Mode, Room
from gate.loop import heed_end
from gate.store.connection import StoreUnavailableError
from gate.store.owed import Owed
from gate.store.room_settings import Settings, changed_since, configured, current
from gate.store.rooms import RoomStore

TICK_SECONDS = 0.1
_RACES_MAX = 20
_SKEW_SECONDS = 5.0
CONFIGURATION = "configuration"
log = logging.getLogger("gate.ticker")


class LostRaceError(Exception):
    """Other gates wrote first, every time; nothing was changed."""


class Ticker:
    """Keeps the rooms of one gate moving and their snapshots fresh."""

    def __init__(
        self, store: RoomStore, rooms: tuple[Room, ...], now: Callable[[], float], owed: Owed | None = None
    ) -> None:
        self._store = store
        self._owed = Owed(store) if owed is None else owed
        self._rooms = rooms
        self._now = now
        self._away: set[str] = set()
        self._skewed = False
        self._mending: set[str] = set()
        self._changing: dict[str, asyncio.Lock] = {}

    async def run(self) -> None:
        """Tick until cancelled. A turn that fails is told once and tried again."""
        # Each room by itself: one on a node that is silent holds up no other.
        await asyncio.gather(*(self._run(room) for room in self._rooms))

    async def _run(self, room: Room) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._guarded(room)
            heed_end()
            due = max(due + TICK_SECONDS, loop.time())
            await asyncio.sleep(due - loop.time())

    async def tick(self, room: Room) -> None:
        """One turn of one room."""
        live = self._store.live
        line = live.line(room.name)
        if line is None or not live.is_open(room.name):
            line = await self._apply_configured(room, await self._heal(room))
        advance = plan(line, self._now(), lease=room.lease)
        if advance.era != line.serving.number and live.knows_more(room.name):
            await self._heal(room)  # before an era is left behind, the store hears of all who are in it
            return
        await self._store.advance(line, advance if advance.changes(line, room.lease) else None)
        if live.lacks(room.name):
            await self.mend(room)
        else:
            self._mending.discard(room.name)
        with contextlib.suppress(StoreUnavailableError):  # told with the next tick, if it is more than one write
            await self._owed.pay(room.name)
        line = live.line(room.name) or line
        if live.deny_list_is_stale(room.name):
            live.set_denied(room.name, await self._store.denied(room.name), line.denied_revision)

    async def mend(self, room: Room) -> None:
        """Where this gate knows more than the store's last answer said, tell it.

        Raises:
            StoreUnavailableError: it is away.
        """
        live = self._store.live
        if live.lacks(room.name) and room.name not in self._mending:
            self._mending.add(room.name)  # told once, however often it takes
            log.warning("store lost numbers", extra={"room": room.name})
        if live.lacks(room.name) or live.knows_more(room.name):
            await self._heal(room)

    async def _heal(self, room: Room) -> Line:
        """Open the room with all that this gate knows: places, operators' last word, who was revoked."""
        ruled = self._store.live.ruled(room.name)
        settings, revision = (current(ruled), ruled.revision) if ruled else (configured(room), 0)
        line = await self._store.open(room, settings, revision)
        self._owed.deny_again(room.name, self._store.live.denied_here(room.name), self._now())
        return line

    async def change(self, room: Room, amend: Callable[[Settings], Settings], *, actor: str, seed: str = "") -> Line:
        """Set rate, burst, mode, limit and message, settling what the old values still owe; the line after it.

        `amend` is given the settings in force at each try and says what they shall be; `actor` goes on record.

        Raises:
            StoreUnavailableError: the store is away; nothing was changed.
            LostRaceError: other gates wrote first, every time.
        """
        # One at a time in this process; other gates are raced by compare-and-set.
        async with self._changing.setdefault(room.name, asyncio.Lock()):
            return await self._change(room, amend, actor, seed)

    async def _change(self, room: Room, amend: Callable[[Settings], Settings], actor: str, seed: str) -> Line:
        for _ in range(_RACES_MAX):
            await self.mend(room)
            line = self._store.live.line(room.name) or await self._store.open(room, configured(room))
            now = current(line)
            wanted = amend(now)
            settled = settle(
                line,
                self._now(),
                rate=wanted.release_rate,
                burst=wanted.burst,
                mode=Mode(wanted.mode),
                lease=room.lease,
            )
            fields = [*wanted.fields(), *(["seed", seed] if seed else [])]
            if await self._store.advance(line, settled, fields, self._note(line, actor, now, wanted)):
                return self._store.live.line(room.name) or line
        raise LostRaceError

    def _note(self, line: Line, actor: str, old: Settings, new: Settings) -> Note | None:
        before, after = asdict(old), asdict(new)
        changed = [key for key in before if before[key] != after[key]]
        if not changed and actor == CONFIGURATION:
            return None
        return compose(
            line.record,
            time=self._now(),
            actor=actor,
            act="change",
            before={key: before[key] for key in changed},
            after={key: after[key] for key in changed},
        )

    async def _apply_configured(self, room: Room, line: Line) -> Line:
        """What has changed in the configuration since the room last took it speaks; all else leaves ops' word."""
        seed = configured(room).seed()
        if line.seed == seed:
            return line
        changed = changed_since(line.seed, configured(room))
        return await self.change(room, lambda now: replace(now, **changed), actor=CONFIGURATION, seed=seed)

    async def _guarded(self, room: Room) -> None:
        try:
            await self.tick(room)
        except Exception as error:  # the loop goes on, whatever one turn met
            if not isinstance(error, (StoreUnavailableError, LostRaceError)):
                log.exception("fault", exc_info=error)
            if self._store.live.fails(room.name):
                self._store.live.run_ahead(room.name, self._now(), room.lease)
            if room.name not in self._away and self._store.live.store_away(room.name):
                self._away.add(room.name)
                log.warning("store away", extra={"room": room.name, "cause": str(error) or "lost race"})
        else:
            self._mind_clock()
            if room.name in self._away:
                self._away.discard(room.name)
                log.info("store back", extra={"room": room.name})

    def _mind_clock(self) -> None:
        """Nothing here goes by this machine's own clock, but logs do: where it is far off, that is told once."""
        skewed = abs(self._store.clock_skew) > _SKEW_SECONDS
        if skewed and not self._skewed:
            log.warning("clock skewed", extra={"seconds": round(self._store.clock_skew, 1)})
        self._skewed = skewed

    async def leave_mark(self) -> None:
        """Tell the store that this writer goes in good order."""
        with contextlib.suppress(StoreUnavailableError):
            for room in self._rooms:
                await self._store.mark(room.name)
