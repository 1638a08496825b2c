"""What the store is owed: claims judged and visits ended while it was silent, written when it is back.

A claim is judged on the line as far as the lease carries it (law 7). The pass is a pure function of its ticket, so a
claim that is written late, or twice, or lost with its process gives nobody a second admission.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import NamedTuple

from gate.core.place import GUEST_ERA, Place
from gate.core.room import Room
from gate.store.connection import StoreUnavailableError
from gate.store.rooms import RoomStore

log = logging.getLogger("gate.owed")
OWED_MAX = 20_000
# Written with each tick, so that the store is not met by everything at once when it comes back.
_AT_ONCE = 100


class _Finish(NamedTuple):
    """A visit that was ended; `deny_until` in Unix seconds where it was revoked."""

    deny_until: float | None


class Owed:
    """The writes that one process holds back for one store, by room and place, in order."""

    def __init__(self, store: RoomStore) -> None:
        self._store = store
        self._claims: dict[tuple[str, Place], None] = {}
        self._finishes: dict[tuple[str, Place], _Finish] = {}

    def __len__(self) -> int:
        return len(self._claims) + len(self._finishes)

    async def claim(self, room: Room, place: Place, now: float) -> int:
        """Mark a place as claimed, as `RoomStore.claim` says; while the store is silent by what this gate knows.

        Args:
            room: the room.
            place: the ticket's.
            now: Unix seconds of the store's clock.

        Raises:
            StoreUnavailableError: the store is silent, and the lease is over or too much is owed already.
        """
        try:
            return await self._store.claim(room.name, place)
        except StoreUnavailableError:
            line = self._store.live.line(room.name)
            if line is None or now > line.time + room.lease or place.era == GUEST_ERA:
                raise
            if place.generation != line.generation:
                return -1
            if (room.name, place) in self._finishes:
                return -2
            if not line.served(place):
                return 0
            self._keep_room()
            self._claims[room.name, place] = None
            return 1

    def deny_again(self, room: str, places: Mapping[Place, float], now: float) -> None:
        """The store has gone back: what was revoked here is told to it once more."""
        for place, until in places.items():
            if until > now and len(self) < OWED_MAX:
                self._finishes[room, place] = _Finish(until)

    async def finish(self, room: str, place: Place, *, deny_until: float | None = None) -> bool:
        """End a visit, now or when the store is back; False where it was over already.

        Raises:
            StoreUnavailableError: the store is silent, and too much is owed already.
        """
        try:
            return await self._store.finish(room, place, deny_until=deny_until)
        except StoreUnavailableError:
            if (room, place) in self._finishes:
                return False
            self._keep_room()
            self._finishes[room, place] = _Finish(deny_until)
            return True

    def has_ended(self, room: str, place: Place) -> bool:
        """Whether a visit's end is owed."""
        return (room, place) in self._finishes

    async def pay(self, room: str) -> None:
        """Write some of what is owed; the rest comes with the next ticks.

        Raises:
            StoreUnavailableError: the store is silent again; what was not written is still owed.
        """
        if not self._claims and not self._finishes:
            return
        claims = [key for key in self._claims if key[0] == room][:_AT_ONCE]
        finishes = [key for key in self._finishes if key[0] == room][:_AT_ONCE]
        if not claims and not finishes:
            return
        ends = [self._finishes[key].deny_until for key in finishes]
        await asyncio.gather(
            *(self._store.finish(room, key[1], deny_until=end) for key, end in zip(finishes, ends, strict=True))
        )
        for key in finishes:
            self._finishes.pop(key, None)
        await asyncio.gather(*(self._store.claim(room, place) for _, place in claims))
        for key in claims:
            self._claims.pop(key, None)
        log.info("owed written", extra={"room": room, "count": len(claims) + len(finishes)})

    def _keep_room(self) -> None:
        if len(self) >= OWED_MAX:
            raise StoreUnavailableError("too much is owed")
