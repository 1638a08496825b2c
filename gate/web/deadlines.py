"""How long a client may take: for a request's head, for each stretch of its body, and to take an answer.

And how much a body may be: what watches its pace sees its size too.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gate.core.errors import Reason

# A body is looked at so often; a phone in a tunnel may be silent for less.
WINDOW_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds for a head and for an answer that is stuck, the least bytes a second of a body (0: any), and its most."""

    head: float = 15.0
    body_rate: float = 1_024.0
    write: float = 30.0
    body_bytes: int = 0


def reset(transport: asyncio.Transport) -> None:
    """End a connection at once, with what the kernel still holds for it and would go on offering for minutes."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class BodyWatch:
    """Watches one body from its head to its end: a minimum rate (mod_reqtimeout's), no total time, and a size.

    A stretch counts only where somebody waited for the body at its end: while the origin is slow, or the gate is
    asking for a connection, the client is not to blame. `refuse` is told of the body and why, once.
    """

    __slots__ = ("_least", "_loop", "_most", "_payload", "_received", "_refuse", "_timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        payload: Any,
        deadlines: Deadlines,
        refuse: Callable[[Any, Reason], None],
    ) -> None:
        self._loop, self._payload, self._refuse = loop, payload, refuse
        self._least = deadlines.body_rate * WINDOW_SECONDS
        self._most = deadlines.body_bytes
        self._received = 0
        self._timer = loop.call_later(WINDOW_SECONDS, self._look)
        self.measure()

    def measure(self) -> None:
        """Some of it has come: of a chunked body nobody knew before how long it would be."""
        if self._most and self._payload.total_bytes > self._most and self._payload.exception() is None:
            self.end()
            self._refuse(self._payload, Reason.TOO_LARGE)

    def end(self) -> None:
        """The connection is gone, or the body is refused."""
        self._timer.cancel()

    def _look(self) -> None:
        payload = self._payload
        if payload.is_eof() or payload.exception() is not None:
            return
        came, self._received = payload.total_bytes - self._received, payload.total_bytes
        if payload._waiter is not None and came < self._least:  # noqa: SLF001  (who waits is nowhere else told)
            self._refuse(payload, Reason.REQUEST_TIMEOUT)
            return
        self._timer = self._loop.call_later(WINDOW_SECONDS, self._look)
