"""One relayed request: the origin's answer on its way to the visitor, piece by piece as it comes.

Owns the visitor's framing (a body of unknown length is chunked) and what becomes of a failure: before the answer has
begun the ordinary way tells of it as of any other; after that only a broken connection can.
"""

from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Protocol

from gate.core.errors import Reason, RefusalError
from gate.core.headers import Header, render
from gate.proxy.connection import Failure, OriginConnection
from gate.proxy.heads import AnswerHead, Framing
from gate.web.dates import http_date
from gate.web.forwarding import Held, amend, has_command, shown_headers
from gate.web.lanes import Client
from gate.web.ways import RelayWay

# Smaller pieces are copied together and sent as one; larger ones are sent as they are.
_JOINED_BYTES_MAX = 32 * 1024
_REASONS = {Failure.LATE: Reason.ORIGIN_TIMEOUT, Failure.UNREACHABLE: Reason.ORIGIN_UNREACHABLE}
_UNSIZED = (Framing.CHUNKED, Framing.UNTIL_CLOSE)


class _Lane(Protocol):
    """What one request needs of its lane."""

    closed: bool
    first_byte: Callable[[float], None]
    overhead: Callable[[float], None]

    def leave(self, relayed: "Relayed") -> None:
        """The visitor of this one has gone."""

    def avoid(self, data: bytes) -> None:
        """The answer to this request cannot be read here: the next one like it takes the ordinary way."""

    def count_failure(self, reason: Reason) -> None:
        """The origin did not answer."""

    def obey(self, work: Coroutine[None, None, None]) -> None:
        """Do this beside everything else."""


class Relayed:
    """One request and its answer; `began` is when it came (`perf_counter`), `data` its head as it came."""

    __slots__ = (
        "_asked",
        "_began",
        "_client",
        "_close",
        "_data",
        "_is_begun",
        "_is_slow",
        "_kept",
        "_lane",
        "_unsized",
        "_way",
        "connection",
        "gone",
    )

    def __init__(self, lane: _Lane, client: Client, way: RelayWay, data: bytes, began: float) -> None:
        self._lane, self._client, self._way, self._data = lane, client, way, data
        self._began, self._asked = began, perf_counter()
        self._is_begun = self._unsized = self._close = self._is_slow = False
        # Pieces of the body that came while a command of the origin's is obeyed, and whether each is the last.
        self._kept: list[tuple[bytes, bool]] | None = None
        self.connection: OriginConnection | None = None
        self.gone = False

    def answered(self, head: AnswerHead, data: bytes, start: int, *, last: bool) -> None:
        """The head is here; the body begins at `data[start:]`."""
        heard, way = perf_counter(), self._way
        self._lane.first_byte(heard - self._asked)
        way.count()
        made = head.made.get(way.alike)
        if made is None:
            if way.held is not None and has_command(head.headers):
                self._kept = [(data[start:], last)]
                if self.connection is not None:
                    self.connection.pause()
                return self._lane.obey(self._obey(way.held, head))
            made = render_head(head, shown_headers(way.desk, head.headers))
            head.made[way.alike] = made
        self._send(self._begin(head, made), data, start, last=last)
        self._lane.overhead(perf_counter() - heard + self._asked - self._began)
        return None

    def body(self, data: bytes, *, last: bool) -> None:
        """More of the body."""
        if self._kept is not None:
            self._kept.append((data, last))
        else:
            self._send(b"", data, 0, last=last)

    def failed(self, failure: Failure) -> None:
        """No answer, or no more of it."""
        if self._is_begun or self._kept is not None:
            self.gone = True
            return self._client.broken_off()
        reason = _REASONS.get(failure)
        if reason is None:
            self._lane.avoid(self._data)
            return self._client.take_ordinary_way(self._data, None)
        self._way.count()
        self._lane.count_failure(reason)
        return self._client.take_ordinary_way(self._data, RefusalError(reason, retry_after=5))

    def leave(self) -> None:
        """The visitor has gone."""
        self._lane.leave(self)

    def pause(self) -> None:
        """The visitor is slower than the origin."""
        self._is_slow = True
        if self.connection is not None:
            self.connection.pause()

    def resume(self) -> None:
        """The visitor has caught up."""
        self._is_slow = False
        if self.connection is not None and self._kept is None:
            self.connection.resume()

    def _begin(self, head: AnswerHead, made: bytes) -> bytes:
        """The visitor's head, with what is so only for this answer."""
        self._is_begun = True
        self._unsized = head.framing in _UNSIZED
        self._close = self._lane.closed
        if not head.dated:
            made = made[:-2] + f"Date: {http_date()}\r\n\r\n".encode()
        return made[:-2] + b"Connection: close\r\n\r\n" if self._close else made

    def _send(self, before: bytes, data: bytes, start: int, *, last: bool) -> None:
        """Send the body from `start` on, after `before`."""
        size = len(data) - start
        if self._unsized:
            chunk = b"%x\r\n%b\r\n" % (size, data[start:]) if size else b""
            self._client.send(before + chunk + (b"0\r\n\r\n" if last else b""))
        elif size > _JOINED_BYTES_MAX and start:
            self._client.send(before, memoryview(data)[start:])
        else:
            self._client.send(before + data[start:] if start else data)
        if last:
            self._client.finished(close=self._close)

    async def _obey(self, held: Held, head: AnswerHead) -> None:
        """Do what the origin commands, then go on; the origin is held back meanwhile."""
        try:
            made = render_head(head, await amend(held, head.headers))
        except Exception:
            if not self.gone:
                self._lane.leave(self)
                self._client.take_ordinary_way(self._data, RefusalError(Reason.INTERNAL))
            raise
        kept, self._kept = self._kept or [], None
        if self.gone:
            return
        self._client.send(self._begin(head, made))
        for piece, last in kept:
            self._send(b"", piece, 0, last=last)
        if self.connection is not None and not self._is_slow:
            self.connection.resume()


def render_head(head: AnswerHead, headers: list[Header]) -> bytes:
    """An answer's head with these headers and the framing that follows from the origin's."""
    headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
    if head.framing is Framing.LENGTH:
        headers.append(("Content-Length", str(head.length)))
    elif head.framing in _UNSIZED:
        headers.append(("Transfer-Encoding", "chunked"))
    return render(f"HTTP/1.1 {head.status} {head.reason}", headers)
