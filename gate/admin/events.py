"""Events as they happen: one stream for whoever watches (server-sent events, WHATWG HTML section 9.2).

A watcher first hears `history` (the last quarter of an hour, by room) and then, once a second and at once after
every change, `gate` (all rooms and the service), and `log` for every entry of a record. A watcher who cannot keep
up is let go: it comes back and hears `history` again.
"""

import asyncio
import contextlib
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
        self._watchers: set[asyncio.Queue[bytes | None]] = set()

    def send(self, name: str, document: Any) -> None:
        """Tell every watcher."""
        if not self._watchers:
            return
        event = encode(name, document)
        for queue in tuple(self._watchers):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._watchers.discard(queue)
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(None)

    def close(self) -> None:
        """Let all go."""
        for queue in self._watchers:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(None)

    async def stream(self, request: web.Request, first: list[bytes]) -> web.StreamResponse:
        """Answer one watcher until it goes, or we do.

        Raises:
            RefusalError: `rate-limited` where too many watch already.
        """
        if len(self._watchers) >= _WATCHERS_MAX:
            raise RefusalError(Reason.RATE_LIMITED, "too many watch already", retry_after=10)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_BEHIND_MAX)
        self._watchers.add(queue)
        try:
            answer = web.StreamResponse(headers=_HEADERS)
            await answer.prepare(request)
            await answer.write(b"retry: 1000\n\n" + b"".join(first))
            while (event := await queue.get()) is not None:
                await answer.write(event)
        except ConnectionError:
            pass  # the watcher has gone
        finally:
            self._watchers.discard(queue)
        return answer


def encode(name: str, document: Any) -> bytes:
    """One event on the wire; JSON has no line breaks."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(document) + b"\n\n"
