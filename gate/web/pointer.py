"""The pointer document: one shared answer for everybody who waits, the same bytes until something changes.

Made anew when anything but time changes, else once a second; a poll makes no store trip.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from gate.core.line import Line
from gate.core.release import plan
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
            body = orjson.dumps(document(line, self._room))
            etag = f'"{hashlib.blake2b(body, digest_size=9).hexdigest()}"'
            made = self._made = _Made(stamp, line.time, body, etag)
        return made


def document(line: Line, room: Room) -> dict[str, Any]:
    """The pointer document of a line, as of the moment it was read."""
    due = plan(line, line.time, lease=room.lease)
    # `at` such that rate * (t - at) is what is owed: an idle hour banks at most the cap, for readers too.
    at = line.time - (due.owed + due.released) / line.release_rate if line.releases else line.time
    upcoming = line.eras[1:]
    return {
        "room": line.room,
        "generation": line.generation,
        "era": line.serving.number,
        "mode": line.mode.value,
        "now_serving": line.now_serving,
        "issued": line.serving.last,
        "eras": [[era.number, era.last] for era in upcoming],
        "hold_until": upcoming[0].hold_until if upcoming else None,
        "release_rate": line.release_rate if line.releases else 0,
        "resume_rate": line.release_rate,
        "time": round(line.time, 3),
        "at": round(at, 3),
        "lease_until": round(line.time + room.lease, 3),
        "poll": {"min": room.poll.minimum, "max": room.poll.maximum, "fraction": room.poll.fraction},
        "message": line.message,
    }
