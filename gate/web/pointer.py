"""The pointer document as it is served: one answer for everybody who waits, the same bytes until something changes.

Made anew when anything but time changes, else once a second; a poll makes no store trip.
"""

import hashlib
from dataclasses import dataclass

import orjson
from aiohttp import web

from gate.core.line import Line
from gate.core.pointer import Pointer
from gate.core.room import Room

_HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "public, max-age=1, s-maxage=1, stale-while-revalidate=5, stale-if-error=30",
    "Access-Control-Allow-Origin": "*",
    "X-Content-Type-Options": "nosniff",
    "Server": "gate",
}
_REBUILD_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Made:
    stamp: tuple[object, ...]
    time: float
    body: bytes
    etag: str


class PointerDocument:
    """The document of one room, kept ready."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._made: _Made | None = None

    def answer(self, line: Line, if_none_match: str | None) -> web.Response:
        """200 with the document, or 304 where the caller has it already."""
        body, headers = self.current(line)
        if if_none_match is not None and headers["ETag"] in if_none_match:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers)

    def current(self, line: Line) -> tuple[bytes, dict[str, str]]:
        """The document's bytes, and the headers it leaves with."""
        made = self._current(line)
        return made.body, {**_HEADERS, "ETag": made.etag}

    def _current(self, line: Line) -> _Made:
        stamp = (line.generation, line.revision, line.now_serving, line.eras)
        made = self._made
        if made is None or made.stamp != stamp or line.time - made.time >= _REBUILD_SECONDS:
            body = orjson.dumps(Pointer.of(line, self._room).document())
            etag = f'"{hashlib.blake2b(body, digest_size=9).hexdigest()}"'
            made = self._made = _Made(stamp, line.time, body, etag)
        return made
