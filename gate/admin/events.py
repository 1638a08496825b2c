"""Events as they happen: one stream for whoever watches (server-sent events, WHATWG HTML section 9.2).

A watcher first hears `history` (the last quarter of an hour, by room) and then, once a second and at once after
every change, `gate` (all rooms and the service), and `log` for every entry of a record. A watcher who cannot keep
up is let go: it comes back and hears `history` again.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from gate.core.errors import Reason, RefusalError

_WATCHERS_MAX = 100
_BEHIND_MAX = 50
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
    "Server": "gate",
}


class Events:
    """All watchers of this process."""

    def __init__(self) -> None:
        self._watchers: dict[asyncio.Queue[bytes | None], web.Request] = {}

    def send(self, name: str, document: Any) -> None:
        """Tell every watcher."""
        if not self._watchers:
            return
        event = encode(name, document)
        for queue in tuple(self._watchers):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                # It does not read; only an end of its connection gets its handler out of a write.
                transport = self._watchers.pop(queue).transport
                if transport is not None:
                    transport.abort()

    def close(self) -> None:
        """Let all go."""
        for queue in self._watchers:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(None)

    async def stream(
        self, request: web.Request, first: list[bytes], still_good: Callable[[], bool]
    ) -> web.StreamResponse:
        """Answer one watcher until it goes, or we do, or its token is good no more.

        Raises:
            RefusalError: `rate-limited` where too many watch already.
        """
        if len(self._watchers) >= _WATCHERS_MAX:
            raise RefusalError(Reason.RATE_LIMITED, "too many watch already", retry_after=10)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_BEHIND_MAX)
        self._watchers[queue] = request
        try:
            answer = web.StreamResponse(headers=_HEADERS)
            await answer.prepare(request)
            await answer.write(b"retry: 1000\n\n" + b"".join(first))
            while (event := await queue.get()) is not None and still_good():
                await answer.write(event)
        except ConnectionError:
            pass  # the watcher has gone
        finally:
            self._watchers.pop(queue, None)
        return answer


def encode(name: str, document: Any) -> bytes:
    """One event on the wire; JSON has no line breaks."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(document) + b"\n\n"
