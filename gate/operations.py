"""What operators do to a room, on this gate's ticker and store: change, advance, reset."""

from collections.abc import Callable

from gate.core.errors import Reason, RefusalError
from gate.core.line import Line
from gate.core.release import Advance
from gate.core.room import Room
from gate.store.connection import StoreUnavailableError
from gate.store.live import Live
from gate.store.rooms import RoomStore, Settings
from gate.ticker import LostRaceError, Ticker

_RACES_MAX = 20


class RoomOperations:
    """The admin API's hands."""

    def __init__(
        self, rooms: tuple[Room, ...], store: RoomStore, live: Live, ticker: Ticker, ready: Callable[[], bool]
    ) -> None:
        self._rooms = {room.name: room for room in rooms}
        self._store = store
        self._live = live
        self._ticker = ticker
        self._ready = ready

    def rooms(self) -> tuple[str, ...]:
        """All rooms' names."""
        return tuple(self._rooms)

    def line(self, room: str) -> Line | None:
        """A room's line as last heard."""
        return self._live.line(room)

    def ready(self) -> bool:
        """Whether this gate can serve."""
        return self._ready()

    async def change(self, room: str, amend: Callable[[Settings], Settings], *, revision: int | None) -> Line:
        """Set what operators may set, settling the release first.

        Raises:
            RefusalError: `revision-stale` if the room is not at `revision` any more.
        """

        def checked(now: Settings) -> Settings:
            line = self._live.line(room)
            if revision is not None and line is not None and line.revision != revision:
                raise RefusalError(Reason.REVISION_STALE)
            return amend(now)

        try:
            return await self._ticker.change(self._rooms[room], checked)
        except LostRaceError as error:
            raise StoreUnavailableError("lost every race") from error

    async def advance(self, room: str, by: int) -> Line:
        """Move the pointer by up to `by` places within the era being served, past the rate."""
        for _ in range(_RACES_MAX):
            line = self._live.line(room)
            if line is None:
                break
            target = min(line.now_serving + by, line.serving.last)
            moved = Advance(line.serving.number, target, target - line.now_serving, line.at, 0.0)
            if await self._store.advance(line, moved):
                return self._live.line(room) or line
        raise StoreUnavailableError("lost every race")

    async def reset(self, room: str) -> Line:
        """A new generation: an empty line, every old ticket and pass dead."""
        return await self._store.reset(room)
