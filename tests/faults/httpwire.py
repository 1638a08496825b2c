"""HTTP/1.1 over one keep-alive connection, in as few steps as Python allows: bodies by Content-Length and no other."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: *(\d+) *\r\n")
_CLOSE = re.compile(rb"\r\n[Cc]onnection: *close *\r\n")
_RETRY = re.compile(rb"\r\n[Rr]etry-[Aa]fter: *(\d+) *\r\n")
_RECONNECT_SECONDS = 0.05
_BODILESS = (204, 304)

Answered = Callable[["Connection", int, bytes, bytes], None]
"""Told of each answer: its status, its head and its body."""


class FormatError(Exception):
    """An answer that this client does not take for HTTP with a Content-Length."""


class Connection(asyncio.Protocol):
    """One connection at a time to one URL, made anew when it is lost; one request at a time.

    `idle` is told when a request can be sent, `failed` when the one under way is lost (or none was) and why.
    """

    def __init__(
        self,
        url: str,
        index: int,
        *,
        answered: Answered,
        idle: Callable[["Connection"], None],
        failed: Callable[["Connection", str], None],
    ) -> None:
        parts = urlsplit(url)
        assert parts.scheme == "http" and parts.hostname and parts.port
        self.url, self.index, self.host, self.port = url, index, parts.hostname, parts.port
        self._answered, self._idle, self._failed = answered, idle, failed
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._buffer = b""
        self._why = ""
        self._is_over = False
        self.pause_seconds = 0.0
        self.sent_at: float | None = None
        self.began = 0.0
        """When the last request was sent, answered or not."""

    def open(self, after: float = 0.0) -> None:
        """Connect, and again until it works."""
        self._task = asyncio.get_running_loop().create_task(self._open(after))

    def close(self) -> None:
        """Hang up for good."""
        self._is_over = True
        if self._task:
            self._task.cancel()
        if self._transport:
            self._transport.abort()

    @property
    def is_free(self) -> bool:
        """Whether a request can be sent: one that was idle may have been lost since."""
        return self.sent_at is None and self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes, now: float) -> None:
        """Send one whole request."""
        self.sent_at = self.began = now
        assert self._transport is not None
        self._transport.write(request)

    def give_up(self, why: str) -> None:
        """Lose the connection and with it the request under way."""
        self._why = why
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._buffer, self._why = b"", ""

    def data_received(self, data: bytes) -> None:
        """Take an answer once it is whole."""
        if self._buffer:
            data = self._buffer + data
        try:
            taken = take(data)
        except FormatError as error:
            return self.give_up(f"format: {error}")
        if taken is None:
            self._buffer = data
            return None
        if self.sent_at is None:
            return self.give_up("format: an answer nobody asked for")
        status, head, body = taken
        self._buffer, self.sent_at = b"", None
        self._answered(self, status, head, body)
        if _CLOSE.search(head):
            return self.give_up("closed in good order")
        return self._free()

    def connection_lost(self, error: Exception | None) -> None:
        why = self._why or (type(error).__name__ if error else "the other side hung up")
        self._transport = None
        was_busy, self.sent_at = self.sent_at is not None, None
        if self._is_over:
            return
        self._failed(self, f"{why}{', asked' if was_busy else ', idle'}")
        self.open(_RECONNECT_SECONDS)

    def _free(self) -> None:
        """Ready for the next request, unless this one has been asked to pause or a request has gone out already."""
        if not self.is_free:
            return
        if self.pause_seconds:
            asyncio.get_running_loop().call_later(self.pause_seconds, self._free)
            self.pause_seconds = 0.0
            return
        self._idle(self)

    async def _open(self, after: float) -> None:
        await asyncio.sleep(after)
        while True:
            try:
                async with asyncio.timeout(5):
                    await asyncio.get_running_loop().create_connection(lambda: self, self.host, self.port)
            except OSError as error:
                self._failed(self, f"{type(error).__name__}, connecting")
                await asyncio.sleep(_RECONNECT_SECONDS)
            else:
                return self._free()


def take(data: bytes) -> tuple[int, bytes, bytes] | None:
    """One whole answer: status, head and body; None while it is not whole.

    Raises:
        FormatError: it is not one, or there is more than one.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if not data.startswith(b"HTTP/1."[: len(data)]):
            raise FormatError(f"no status line: {data[:40]!r}")
        return None
    if not data.startswith(b"HTTP/1.") or not data[9:12].isdigit():
        raise FormatError(f"no status line: {data[:40]!r}")
    status, head = int(data[9:12]), data[: end + 2]
    length = _LENGTH.search(head)
    if length is None and status not in _BODILESS:
        raise FormatError(f"{status} without Content-Length")
    whole = end + 4 + (int(length[1]) if length and status not in _BODILESS else 0)
    if len(data) < whole:
        return None
    if len(data) > whole:
        raise FormatError(f"{len(data) - whole} bytes after a {status}")
    return status, head, data[end + 4 :]


def retry_after(head: bytes) -> float:
    """For how many seconds an answer asks the client to stay away."""
    found = _RETRY.search(head)
    return float(found[1]) if found else 0.0


class Crew:
    """Some connections, what has gone wrong with them, and a limit on how long an answer may take."""

    def __init__(self, urls: list[str], connections: int, patience: float) -> None:
        self.patience = patience
        self.statuses: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.bodies: dict[int, bytes] = {}
        self.connections = [
            Connection(urls[index % len(urls)], index, answered=self.answered, idle=self.idle, failed=self.failed)
            for index in range(connections)
        ]
        self._sweeping: asyncio.Task[None] | None = None

    def answered(self, connection: Connection, status: int, _head: bytes, body: bytes) -> None:
        """An answer has come."""
        raise NotImplementedError

    def idle(self, connection: Connection) -> None:
        """A connection has nothing to do."""
        raise NotImplementedError

    def failed(self, _connection: Connection, why: str) -> None:
        """A connection is lost."""
        self.errors[why] += 1

    def note(self, status: int, body: bytes) -> None:
        """Count an answer, and keep one body of each status other than 200 for whoever asks why."""
        self.statuses[status] += 1
        if status != 200:
            self.bodies.setdefault(status, body[:1_000])

    @property
    def outages(self) -> int:
        """Connections lost otherwise than by an announced `Connection: close`."""
        return sum(count for why, count in self.errors.items() if not why.startswith("closed in good order"))

    @property
    def busy(self) -> int:
        """Requests under way."""
        return sum(connection.sent_at is not None for connection in self.connections)

    async def __aenter__(self) -> Any:
        for connection in self.connections:
            connection.open()
        self._sweeping = asyncio.create_task(self._sweep())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._sweeping is not None
        self._sweeping.cancel()
        for connection in self.connections:
            connection.close()
        await asyncio.sleep(0)

    async def drain(self) -> None:
        """Until nothing is under way, or patience has ended."""
        end = time.monotonic() + self.patience
        while self.busy and time.monotonic() < end:
            await asyncio.sleep(0.01)

    async def pace(self, rate: float, due: Callable[[float], None], until: Callable[[], bool]) -> None:
        """Tell `due` the moment of each request of a schedule, in order and about when it comes, until told to end."""
        start, count = time.monotonic(), 0
        while not until():
            now = time.monotonic()
            while (moment := start + count / rate) <= now:
                count += 1
                due(moment)
            # Finer steps would cost more than what they start; and the loop's timers count whole milliseconds.
            await asyncio.sleep(min(max(moment - now, 0.001), 0.1))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(self.patience / 4, 0.25))
            oldest = time.monotonic() - self.patience
            for connection in self.connections:
                if connection.sent_at is not None and connection.sent_at < oldest:
                    connection.give_up("timeout")


def head_of(request_line: str, url: str, *lines: str) -> bytes:
    """A request without a body, as bytes."""
    return "\r\n".join([f"{request_line} HTTP/1.1", f"Host: {urlsplit(url).netloc}", *lines, "", ""]).encode()


def parse(body: bytes) -> Any:
    """A JSON document, or None."""
    try:
        return json.loads(body)
    except ValueError:
        return None
