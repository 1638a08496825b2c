"""The rooms' part of the admin API: read, changed, advanced, reset, invited to, previewed, and their records.

Every change goes through `Operations`, which settles the release before it sets anything (law 4) and puts the
act on record with its actor.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import orjson
from aiohttp import web

from gate.admin.bodies import Fields, number, path, read_body, read_fields, read_patch, read_revision, whole
from gate.admin.documents import record_document
from gate.admin.guards import JSON_HEADERS, OPERATOR
from gate.admin.watch import Watch
from gate.core.errors import Reason, RefusalError
from gate.core.line import Line
from gate.store.room_settings import Settings
from gate.store.rooms import RECORD_PAGE, RecordPage

log = logging.getLogger("gate.admin")
_LINK_LIFE_SECONDS = 86_400.0
_LINK_LIFE_MAX_SECONDS = 30 * 86_400.0
_ADVANCE: Fields = {"by": whole(1)}
_ADMIT: Fields = {"life": number(60, _LINK_LIFE_MAX_SECONDS), "next": path(2_048)}


class Operations(Protocol):
    """What operators may do to a room; made by `control.py`."""

    def rooms(self) -> tuple[str, ...]:
        """All rooms' names."""

    def line(self, room: str) -> Line | None:
        """A room's line as last heard."""

    async def change(
        self, room: str, amend: Callable[[Settings], Settings], *, actor: str, revision: int | None
    ) -> Line:
        """Set what operators may set; RefusalError `revision-stale` if the room has moved on."""

    async def advance(self, room: str, by: int, *, actor: str) -> Line:
        """Move the pointer by hand, past the rate; counted apart."""

    async def reset(self, room: str, *, actor: str) -> Line:
        """A new generation."""

    async def record(self, room: str, *, after: int, limit: int) -> RecordPage:
        """A part of the record."""

    async def link(self, room: str, *, actor: str, life: float, next_path: str) -> dict[str, Any]:
        """A link that sets a pass, for staff and press; counted."""


class RoomRoutes:
    """The handlers."""

    def __init__(self, operations: Operations, watch: Watch) -> None:
        self._do = operations
        self._watch = watch

    async def list_rooms(self, _request: web.Request) -> web.Response:
        """All rooms."""
        lines = [line for name in self._do.rooms() if (line := self._do.line(name)) is not None]
        return answer({"rooms": [self._watch.room(line) for line in lines]})

    async def show(self, request: web.Request) -> web.Response:
        """One room."""
        return self._show(self._line(request))

    async def change(self, request: web.Request) -> web.Response:
        """PATCH: some of the settings."""
        room = self._room(request)
        wanted = read_patch(await read_body(request))
        actor = request[OPERATOR].name
        line = await self._do.change(
            room, lambda now: replace(now, **wanted), actor=actor, revision=read_revision(request)
        )
        log.info("room changed", extra={"room": room, "actor": actor, "keys": sorted(wanted), **_head(line)})
        return await self._done(line)

    async def advance(self, request: web.Request) -> web.Response:
        """POST: let some in by hand."""
        room = self._room(request)
        by = read_fields(await read_body(request), _ADVANCE, required=frozenset({"by"}))["by"]
        actor = request[OPERATOR].name
        line = await self._do.advance(room, by, actor=actor)
        log.info("room advanced", extra={"room": room, "actor": actor, "by": by, **_head(line)})
        return await self._done(line)

    async def reset(self, request: web.Request) -> web.Response:
        """POST: a new generation, behind the room's name as confirmation."""
        room = self._room(request)
        if await read_body(request) != {"confirm": room}:
            raise RefusalError(Reason.BAD_REQUEST, f'the body must be {{"confirm": "{room}"}}')
        actor = request[OPERATOR].name
        line = await self._do.reset(room, actor=actor)
        log.warning("room reset", extra={"room": room, "actor": actor, **_head(line)})
        return await self._done(line)

    async def admit(self, request: web.Request) -> web.Response:
        """POST: a link for staff and press."""
        room = self._room(request)
        asked = read_fields(await read_body(request), _ADMIT)
        actor = request[OPERATOR].name
        life, next_path = asked.get("life", _LINK_LIFE_SECONDS), asked.get("next", "/")
        document = await self._do.link(room, actor=actor, life=life, next_path=next_path)
        log.info("guest invited", extra={"room": room, "actor": actor, "guest": document["guest"]})
        await self._watch.tell()
        return answer(document, status=201)

    async def record(self, request: web.Request) -> web.Response:
        """GET: who did what; `after` a number, at most `limit` entries."""
        room = self._room(request)
        after, limit = _query(request, "after", 0), min(_query(request, "limit", RECORD_PAGE), RECORD_PAGE)
        return answer(record_document(room, await self._do.record(room, after=after, limit=limit)))

    def _line(self, request: web.Request) -> Line:
        line = self._do.line(self._room(request))
        if line is None:
            raise RefusalError(Reason.STORE_UNAVAILABLE, retry_after=1)
        return line

    def _room(self, request: web.Request) -> str:
        room = request.match_info["room"]
        if room not in self._do.rooms():
            raise RefusalError(Reason.NOT_FOUND, "no such room")
        return room

    def _show(self, line: Line) -> web.Response:
        return answer(self._watch.room(line), etag=f'"{line.revision}"')

    async def _done(self, line: Line) -> web.Response:
        await self._watch.tell()
        return self._show(line)


def answer(document: Any, *, status: int = 200, etag: str = "") -> web.Response:
    """A JSON answer."""
    headers = {**JSON_HEADERS, "ETag": etag} if etag else JSON_HEADERS
    return web.Response(status=status, body=orjson.dumps(document), headers=headers)


def _head(line: Line) -> dict[str, str]:
    """The record's head, for the log: a copy that nobody can change in the store."""
    return {"head": str(line.record)}


def _query(request: web.Request, key: str, default: int) -> int:
    given = request.query.get(key)
    if given is None:
        return default
    if not given.isdecimal() or not given.isascii() or len(given) > 15:  # noqa: PLR2004  (more is no number of ours)
        raise RefusalError(Reason.BAD_REQUEST, f"{key} must be a whole number, 0 or more")
    return int(given)
