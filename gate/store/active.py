"""How many passes are alive: sets of places by stretch of time, estimated to a percent in a few kilobytes.

A pass that is made or renewed is put into the set of every stretch it will live in (HyperLogLog, 0.81 % standard
error, exact in practice for small numbers). Written once a second, off the hot path; losing a second of it loses
nothing that matters. A visit that is ended early counts until its pass would have run out.
"""

from collections import defaultdict

from gate.core.place import Place
from gate.core.room import Room
from gate.store import keys
from gate.store.connection import Connection

_STRETCHES = 10
_STRETCH_SECONDS_MIN = 1.0
_PENDING_MAX = 200_000


class ActivePasses:
    """The living passes of all rooms, as far as this gate has made them, and as all gates have told."""

    def __init__(self, connection: Connection, rooms: tuple[Room, ...]) -> None:
        self._connection = connection
        self._seconds = {room.name: max(room.pass_life / _STRETCHES, _STRETCH_SECONDS_MIN) for room in rooms}
        self._pending: dict[tuple[str, Place], tuple[float, float]] = {}

    def note(self, room: str, place: Place, now: float, until: float) -> None:
        """A pass of this place is alive from now until then (Unix seconds)."""
        if len(self._pending) < _PENDING_MAX:
            self._pending[room, place] = (now, until)

    async def flush(self) -> None:
        """Tell the store of all that was noted.

        Raises:
            StoreUnavailableError: the store is away; what was noted is told next time.
        """
        if not self._pending:
            return
        members: dict[tuple[str, int, int], list[str]] = defaultdict(list)
        pending, self._pending = self._pending, {}
        for (room, place), (now, until) in pending.items():
            seconds = self._seconds[room]
            for bucket in range(int(now / seconds), int(until / seconds) + 1):
                members[room, place.generation, bucket].append(f"{place.era}:{place.position}")
        commands: list[tuple[str | float, ...]] = []
        for (room, generation, bucket), places in members.items():
            key = keys.active_key(room, generation, bucket)
            ends = int((bucket + 2) * self._seconds[room]) + 1
            commands += [("PFADD", key, *places), ("EXPIREAT", key, ends)]
        try:
            await self._connection.commands(commands)
        except BaseException:
            self._pending = {**pending, **self._pending}
            raise

    async def count(self, room: str, generation: int, now: float) -> int:
        """How many passes of a room are alive now.

        Raises:
            StoreUnavailableError: the store is away.
        """
        bucket = int(now / self._seconds[room])
        return int(await self._connection.command("PFCOUNT", keys.active_key(room, generation, bucket)))
