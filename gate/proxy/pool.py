"""Connections to the origin, kept open and used again; who asks when all are busy waits.

Owns how many there are, how long each may stay silent, and the one retry: a connection that the origin closed while
it idled had nothing answered and nothing changed. Only GET is asked here (`origin.py` does the rest).
"""

import asyncio
import contextlib
import ssl
from collections import deque
from urllib.parse import urlsplit

from gate.core.recent import Recent
from gate.proxy.connection import Exchange, Failure, OriginConnection
from gate.proxy.heads import AnswerHead, read_head
from gate.proxy.limits import Limits, origin_tls

# Time-outs are looked for this often, so they come late by at most this much.
_SWEEP_SECONDS = 0.25
_HEADS_MAX, _HEAD_BYTES_MAX = 2_048, 4_096


class Pool:
    """The connections of one process to one origin. `clock` is the event loop's, as of the last sweep."""

    def __init__(self, url: str, limits: Limits, verify: bool | str) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if secure else 80)
        self._tls: ssl.SSLContext | None = origin_tls(verify) if secure else None
        self._limits = limits
        self.first_byte, self.read = limits.first_byte, limits.read
        self.clock = 0.0
        self._open = 0
        self._idle: deque[OriginConnection] = deque()
        self._busy: set[OriginConnection] = set()
        self._waiting: deque[tuple[bytes, Exchange]] = deque()
        self._dials: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._heads: Recent[bytes, AnswerHead] = Recent(_HEADS_MAX)

    def ask(self, request: bytes, exchange: Exchange) -> None:
        """Send a GET's head, and tell `exchange` of the answer."""
        if self._sweeper is None:
            loop = asyncio.get_running_loop()
            self.clock, self._sweeper = loop.time(), loop.call_later(_SWEEP_SECONDS, self._sweep)
        if self._idle:
            connection = self._idle.pop()
            self._busy.add(connection)
            connection.ask(request, exchange)
        else:
            self.ask_anew(request, exchange)

    def ask_anew(self, request: bytes, exchange: Exchange) -> None:
        """The same on a new connection, or when one is free."""
        if exchange.gone:
            return
        if self._open < self._limits.pool:
            self._open += 1
            task = asyncio.get_running_loop().create_task(self._dial(request, exchange))
            self._dials.add(task)
            task.add_done_callback(self._dials.discard)
        else:
            self._waiting.append((request, exchange))

    def leave(self, exchange: Exchange) -> None:
        """Nobody waits for this answer any more."""
        exchange.gone = True
        if exchange.connection is not None:
            exchange.connection.close()

    async def close(self) -> None:
        """Close every connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._waiting.clear()
        for task in tuple(self._dials):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for connection in (*self._idle, *self._busy):
            connection.close()

    def head(self, raw: bytes) -> AnswerHead:
        """The head in `raw`, remembered by its bytes. Raises OddAnswerError."""
        known = self._heads.get(raw)
        if known is None:
            known = read_head(raw)
            if len(raw) <= _HEAD_BYTES_MAX:
                self._heads.put(raw, known)
        return known

    def release(self, connection: OriginConnection) -> None:
        """A connection is free: for whoever waits, else to idle."""
        while self._waiting:
            request, exchange = self._waiting.popleft()
            if not exchange.gone:
                return connection.ask(request, exchange)
        self._busy.discard(connection)
        connection.idle_since, connection.has_idled = self.clock, True
        self._idle.append(connection)
        return None

    def drop(self, connection: OriginConnection) -> None:
        """A connection is no more; there may be another in its place."""
        self._open -= 1
        self._busy.discard(connection)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)
        self._dial_next()

    def _dial_next(self) -> None:
        while self._waiting and self._open < self._limits.pool:
            self.ask_anew(*self._waiting.popleft())

    async def _dial(self, request: bytes, exchange: Exchange) -> None:
        try:
            async with asyncio.timeout(self._limits.connect):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: OriginConnection(self), self._host, self._port, ssl=self._tls
                )
        except OSError as error:  # TimeoutError is one too
            self._open -= 1
            if not exchange.gone:
                exchange.failed(Failure.LATE if isinstance(error, TimeoutError) else Failure.UNREACHABLE)
            self._dial_next()
            return
        if connection.is_dead:  # it said something before it was asked
            if not exchange.gone:
                exchange.failed(Failure.ODD)
            return
        self._busy.add(connection)
        if exchange.gone:
            self.release(connection)
        else:
            connection.ask(request, exchange)

    def _sweep(self) -> None:
        """Move the clock, and end what is too late or has idled for too long."""
        loop = asyncio.get_running_loop()
        self.clock = loop.time()
        for connection in [connection for connection in self._busy if connection.deadline < self.clock]:
            connection.expire()
        while self._idle and self._idle[0].idle_since + self._limits.idle < self.clock:
            self._idle[0].close()
        at_work = self._open or self._waiting
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep) if at_work else None
