"""What operators do to a room, on this gate's ticker and store; every act goes on record with its actor."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

from gate.core.errors import Reason, RefusalError
from gate.core.line import Line
from gate.core.place import GUEST_ERA, Place
from gate.core.record import Note, compose
from gate.core.release import settle
from gate.core.room import Room
from gate.store.connection import StoreUnavailableError
from gate.store.room_settings import Settings
from gate.store.rooms import RecordPage, RoomStore
from gate.ticker import LostRaceError, Ticker

_RACES_MAX = 20
MakeLink = Callable[[str, Place, float, str], dict[str, Any]]
"""Room, place, life (seconds), path: the document of a guest's link."""


class RoomOperations:
    """The admin API's hands."""

    def __init__(
        self, rooms: tuple[Room, ...], store: RoomStore, ticker: Ticker, now: Callable[[], float], make_link: MakeLink
    ) -> None:
        self._rooms = {room.name: room for room in rooms}
        self._store = store
        self._ticker = ticker
        self._now = now
        self._make_link = make_link
        self._guests: dict[tuple[str, int], int] = {}

    def rooms(self) -> tuple[str, ...]:
        """All rooms' names."""
        return tuple(self._rooms)

    def line(self, room: str) -> Line | None:
        """A room's line as last heard."""
        return self._store.live.line(room)

    async def change(
        self, room: str, amend: Callable[[Settings], Settings], *, actor: str, revision: int | None
    ) -> Line:
        """Set what operators may set, settling the release first.

        Raises:
            RefusalError: `revision-stale` if the room is not at `revision` any more.
            StoreUnavailableError: the store is away; nothing was changed.
        """

        def checked(now: Settings) -> Settings:
            line = self.line(room)
            if revision is not None and line is not None and line.revision != revision:
                raise RefusalError(Reason.REVISION_STALE)
            return amend(now)

        try:
            return await self._ticker.change(self._rooms[room], checked, actor=actor)
        except LostRaceError as error:
            raise RefusalError(Reason.REVISION_STALE, "others changed it at the same time; look again") from error

    async def advance(self, room: str, by: int, *, actor: str) -> Line:
        """Move the pointer by up to `by` places within the era being served, past the rate."""
        async for line in self._tries(room):
            # What is earned by now is paid first, as a tick would, so that it is not paid again after.
            lease, rate = self._rooms[room].lease, line.release_rate
            paid = settle(line, self._now(), rate=rate, burst=line.burst, mode=line.mode, lease=lease)
            last = next(era.last for era in line.eras if era.number == paid.era)
            target = min(paid.now_serving + by, last)
            moved = replace(paid, now_serving=target, released=paid.released + target - paid.now_serving)
            before, after = {"now_serving": paid.now_serving}, {"now_serving": target}
            note = self._compose(line, actor, "advance", before, after)
            if await self._store.advance(line, moved, (), note):
                return self.line(room) or line
        raise self._lost(room)

    async def reset(self, room: str, *, actor: str) -> Line:
        """A new generation: an empty line, every old ticket and pass dead."""
        async for line in self._tries(room):
            generation = max(line.generation + 1, int(self._now() * 1000))
            before = {"generation": line.generation, "issued": line.visitors, "served": line.let_in}
            note = self._compose(line, actor, "reset", before, {"generation": generation})
            if await self._store.reset(room, generation, note):
                return self.line(room) or line
        raise self._lost(room)

    async def link(self, room: str, *, actor: str, life: float, next_path: str) -> dict[str, Any]:
        """A link that sets a pass, for staff and press: a place before all others, outside the line, counted."""
        async for line in self._tries(room):
            # A store that came back lower does not make this process give a guest another's place.
            number = max(line.guests, self._guests.get((room, line.generation), 0)) + 1
            place = Place(line.generation, GUEST_ERA, number)
            note = self._compose(line, actor, "admit", {"guests": line.guests}, {"guests": place.position})
            if await self._store.note(line, note, raises="guests"):
                self._guests[room, line.generation] = number
                return self._make_link(room, place, life, next_path)
        raise self._lost(room)

    async def record(self, room: str, *, after: int, limit: int) -> RecordPage:
        """A part of the room's record, oldest first, from entry `after` on."""
        return await self._store.record(room, after=after, limit=limit)

    def _lost(self, room: str) -> Exception:
        """Why nothing was done: the store was never heard, or others were first every time."""
        if self.line(room) is None:
            return StoreUnavailableError("never heard")
        return RefusalError(Reason.REVISION_STALE, "others changed it at the same time; look again")

    async def _tries(self, room: str) -> AsyncIterator[Line]:
        """The line as it is now, each time another gate was first; none while the store was never heard."""
        for _ in range(_RACES_MAX):
            await self._ticker.mend(self._rooms[room])
            line = self.line(room)
            if line is None:
                return
            yield line

    def _compose(self, line: Line, actor: str, act: str, before: dict[str, Any], after: dict[str, Any]) -> Note:
        return compose(line.record, time=self._now(), actor=actor, act=act, before=before, after=after)
