"""One connection to the origin: a request's head goes out, an answer comes back, and the next may follow.

Owns where an answer stands. Its head is read whole by `heads.py`; a body of known length is counted and handed on as
it came. Only after an answer that was whole to the byte may the connection be used again (`pool.py`).
"""

import asyncio
import contextlib
import math
import re
from enum import Enum, auto
from typing import Protocol, cast

from gate.proxy.heads import HEAD_BYTES_MAX, AnswerHead, Chunks, Framing, OddAnswerError

_SWITCHING_PROTOCOLS = 101
_HEAD_END = b"\r\n\r\n"
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")


class Failure(Enum):
    """Why an answer did not come, or not whole."""

    UNREACHABLE = auto()
    LATE = auto()
    ODD = auto()
    """It came, but not as one that can be read here."""


class Exchange(Protocol):
    """Who asked. Told of `answered` and pieces of `body` until one is `last`, or of `failed` at any time, once."""

    connection: "OriginConnection | None"
    gone: bool
    """Nobody waits for the answer any more."""

    def answered(self, head: AnswerHead, data: bytes, start: int, *, last: bool) -> None:
        """The head is here; the body begins at `data[start:]`."""

    def body(self, data: bytes, *, last: bool) -> None:
        """More of the body."""

    def failed(self, failure: Failure) -> None:
        """No answer, or no more of it."""


class Keeper(Protocol):
    """What a connection needs of its pool. Times in the event loop's seconds."""

    clock: float
    first_byte: float
    read: float

    def head(self, raw: bytes) -> AnswerHead:
        """Read a head; raises OddAnswerError."""

    def release(self, connection: "OriginConnection") -> None:
        """The connection is free."""

    def drop(self, connection: "OriginConnection") -> None:
        """The connection is no more."""

    def ask_anew(self, request: bytes, exchange: Exchange) -> None:
        """Ask on a new connection: this one was closed while it idled."""


class _State(Enum):
    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    DEAD = auto()


class OriginConnection(asyncio.Protocol):
    """One connection. `deadline`: when it is too late for the next byte; `idle_since`: when it was last of use."""

    __slots__ = ("_chunks", "_exchange", "_head", "_keeper", "_left", "_paused", "_request", "_rest", "_state",
                 "_transport", "deadline", "has_idled", "idle_since")  # fmt: skip

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._state = _State.IDLE
        self._request = self._rest = b""
        self._head: AnswerHead | None = None
        self._chunks: Chunks | None = None
        self._left: float = 0
        self._paused = False
        self.has_idled = False
        self.deadline = math.inf
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes, exchange: Exchange) -> None:
        """Send a request's head; the answer is told to `exchange`."""
        self._request, self._exchange, self._state = request, exchange, _State.HEAD
        self.deadline = self._keeper.clock + self._keeper.first_byte
        exchange.connection = self
        if self._transport is not None:
            self._transport.write(request)

    @property
    def is_dead(self) -> bool:
        """Whether it can be of no more use."""
        return self._state is _State.DEAD

    def data_received(self, data: bytes) -> None:
        """A piece of the answer."""
        exchange = self._exchange
        try:
            if self._state is _State.HEAD:
                self._take_head(data)
            elif self._state is _State.BODY:
                self._take_body(data)
            elif self._state is _State.IDLE:
                self.close()  # bytes that nobody asked for
        except Exception:
            # A fault of ours: whoever asked must not wait for ever. The loop logs it.
            self.close()
            if exchange is not None:
                exchange.failed(Failure.ODD)
            raise

    def connection_lost(self, exc: Exception | None) -> None:
        """The origin closed it: the end of an answer without framing, else of our hopes."""
        state, exchange = self._state, self._exchange
        if state is _State.DEAD:
            return
        unframed = self._head is not None and self._head.framing is Framing.UNTIL_CLOSE
        self._end()
        if exchange is None:
            return
        if state is _State.BODY and unframed and exc is None:
            exchange.body(b"", last=True)
        elif state is _State.HEAD and self.has_idled and not self._rest:
            self._keeper.ask_anew(self._request, exchange)
        else:
            exchange.failed(Failure.UNREACHABLE)

    def expire(self) -> None:
        """It is too late for the next byte."""
        self._fail(Failure.LATE)

    def close(self) -> None:
        """Close, whatever is under way; nobody is told."""
        transport = self._transport
        self._end()
        if transport is not None:
            transport.abort()

    def pause(self) -> None:
        """The visitor is slower than the origin."""
        self._paused, self.deadline = True, math.inf
        if self._transport is not None:
            with contextlib.suppress(RuntimeError):
                self._transport.pause_reading()

    def resume(self) -> None:
        """The visitor has caught up."""
        self._paused = False
        self._touch()
        if self._transport is not None:
            with contextlib.suppress(RuntimeError):
                self._transport.resume_reading()

    def _touch(self) -> None:
        """The next byte is due within the read time-out, unless it is we who do not read."""
        if not self._paused:
            self.deadline = self._keeper.clock + self._keeper.read

    def _take_head(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        while True:
            end = data.find(_HEAD_END) + len(_HEAD_END)
            if end < len(_HEAD_END) and len(data) <= HEAD_BYTES_MAX and not _BARE_LINE_FEED.search(data):
                self._rest = data
                return None
            if not len(_HEAD_END) <= end <= HEAD_BYTES_MAX:
                return self._fail(Failure.ODD)
            try:
                head = self._keeper.head(data[:end])
            except OddAnswerError:
                return self._fail(Failure.ODD)
            if not head.interim:
                break
            data = data[end:]
        if head.status == _SWITCHING_PROTOCOLS:
            return self._fail(Failure.ODD)
        return self._begin_body(head, data, end)

    def _begin_body(self, head: AnswerHead, data: bytes, start: int) -> None:
        self._rest = b""
        missing = start + head.length - len(data)
        match head.framing:
            case Framing.LENGTH | Framing.NONE if missing <= 0:
                whole = data[:missing] if missing else data  # what came beyond it is nobody's
                return self._finish(head, keeps=not missing).answered(head, whole, start, last=True)
            case Framing.CHUNKED:
                self._chunks = Chunks(data[:start])
            case _:
                self._left = missing if head.framing is Framing.LENGTH else math.inf
        self._head, self._state = head, _State.BODY
        self._touch()
        assert self._exchange is not None  # noqa: S101  (somebody asked)
        if self._chunks is None:
            self._exchange.answered(head, data, start, last=False)
        else:
            self._exchange.answered(head, b"", 0, last=False)
            if start < len(data) and self._state is _State.BODY:
                self._take_body(data[start:])
        return None

    def _take_body(self, data: bytes) -> None:
        self._touch()
        exchange, head = self._exchange, self._head
        assert exchange is not None  # noqa: S101  (a body has its asker)
        assert head is not None  # noqa: S101  (and its head)
        if self._chunks is not None:
            try:
                data = self._chunks.feed(data)
            except OddAnswerError:
                return self._fail(Failure.ODD)
            if not self._chunks.ended:
                if data:
                    exchange.body(data, last=False)
                return None
            keeps = not self._chunks.overran
        else:
            self._left -= len(data)
            if self._left > 0:
                return exchange.body(data, last=False)
            keeps = not self._left
            data = data if keeps else data[: int(self._left)]
        return self._finish(head, keeps=keeps).body(data, last=True)

    def _finish(self, head: AnswerHead, *, keeps: bool) -> Exchange:
        """The answer is whole: free the connection, and return who asked."""
        exchange = self._exchange
        assert exchange is not None  # noqa: S101  (somebody asked)
        exchange.connection = None
        self._exchange = self._head = self._chunks = None
        if self._paused:
            self.resume()
        self.deadline = math.inf
        if head.keeps and keeps:
            self._state = _State.IDLE
            self._keeper.release(self)
        else:
            self.close()
        return exchange

    def _fail(self, failure: Failure) -> None:
        exchange = self._exchange
        self.close()
        if exchange is not None:
            exchange.failed(failure)

    def _end(self) -> None:
        if self._state is _State.DEAD:
            return
        if self._exchange is not None:
            self._exchange.connection = None
        self._state, self._exchange, self._transport = _State.DEAD, None, None
        self._head = self._chunks = None
        self._keeper.drop(self)
