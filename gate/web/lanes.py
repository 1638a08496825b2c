"""The lanes: what is answered, or sent on, before the parser runs and without a task. One read, one whole request.

Owns which lane a read is offered to, and what a lane may do with a visitor's connection. A lane takes only what
leaves nothing to interpret; everything else takes the ordinary way (`gatekeeper.py`), which does the same or refuses.
"""

from dataclasses import dataclass
from typing import Protocol

from gate.core.errors import RefusalError


class Client(Protocol):
    """A visitor's connection, as a lane sees it."""

    peer: str
    scheme: str

    def send(self, data: bytes, more: "bytes | memoryview" = b"") -> None:
        """Send these bytes."""

    def finished(self, *, close: bool) -> None:
        """The answer is whole; the next request may come."""

    def broken_off(self) -> None:
        """There will be no more of an answer that was begun."""

    def take_ordinary_way(self, head: bytes, verdict: RefusalError | None) -> None:
        """Nothing was answered. `verdict`: how it is to be answered; None: as if no lane had seen it."""


class UnderWay(Protocol):
    """A request that a lane has taken and not yet answered whole."""

    def leave(self) -> None:
        """The visitor has gone."""

    def pause(self) -> None:
        """The visitor is slower than the answer."""

    def resume(self) -> None:
        """The visitor has caught up."""


class Lane(Protocol):
    """One lane. Once `closed` it takes nothing more, and the answers that are under way end their connections."""

    closed: bool

    def take(self, data: bytes, client: Client) -> bytes | UnderWay | None:
        """The answer to the one request that `data` is, or what is under way; None: not for this lane."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """All lanes of one process, by how a request begins; the last has every other GET."""

    by_start: tuple[tuple[bytes, Lane], ...]
    otherwise: Lane

    def take(self, data: bytes, client: Client) -> bytes | UnderWay | None:
        """Offer a read to its lane."""
        for start, lane in self.by_start:
            if data.startswith(start):
                return lane.take(data, client)
        return self.otherwise.take(data, client)

    def close(self) -> None:
        """From now on everything takes the ordinary way."""
        for lane in (*(lane for _, lane in self.by_start), self.otherwise):
            lane.closed = True
