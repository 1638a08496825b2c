"""How long a client may take: for a request's head, for each stretch of its body, and to take an answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# A body is looked at so often; a phone in a tunnel may be silent for less.
WINDOW_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds for a head and for an answer that is stuck, and the least bytes a second of a body (0: any)."""

    head: float = 15.0
    body_rate: float = 1_024.0
    write: float = 30.0


class BodyPace:
    """Watches one body from its head to its end (mod_reqtimeout's minimum rate, and no total).

    A stretch counts only where somebody waited for the body at its end: while the origin is slow, or the gate is
    asking for a connection, the client is not to blame. `late` is told of the body
    that is too slow, once.
    """

    __slots__ = ("_late", "_least", "_loop", "_payload", "_received", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, payload: Any, deadlines: Deadlines, late: Callable[[Any], None]
    ) -> None:
        self._loop, self._payload, self._late, self._received = loop, payload, late, 0
        self._least = deadlines.body_rate * WINDOW_SECONDS
        self._timer = loop.call_later(WINDOW_SECONDS, self._look)

    def note(self, size: int) -> None:
        """So many bytes have come."""
        self._received += size

    def end(self) -> None:
        """The connection is gone."""
        self._timer.cancel()

    def _look(self) -> None:
        payload = self._payload
        if payload.is_eof() or payload.exception() is not None:
            return
        if payload._waiter is not None and self._received < self._least:  # noqa: SLF001  (who waits is nowhere else told)
            self._late(payload)
            return
        self._received = 0
        self._timer = self._loop.call_later(WINDOW_SECONDS, self._look)
