"""The admin API: rooms read, changed, advanced and reset, by whoever bears the token.

Every change goes through `Operations`, which settles the release before it sets anything (law 4).
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol

import orjson
from aiohttp import web

from gate.admin.auth import shows_token
from gate.core.errors import Reason, RefusalError, problem_document
from gate.core.line import Line
from gate.core.place import Place
from gate.core.rate import parse_rate
from gate.core.room import Mode
from gate.store.connection import StoreUnavailableError
from gate.store.rooms import Settings

log = logging.getLogger("gate.admin")
_MESSAGE_LENGTH_MAX = 500
_BURST_MAX = 1e9
_COUNT_MAX = 2**40
_JSON = {"Content-Type": "application/json", "Cache-Control": "no-store", "Server": "gate"}


class Operations(Protocol):
    """What operators may do to a room; made by `app.py`."""

    def rooms(self) -> tuple[str, ...]:
        """All rooms' names."""

    def line(self, room: str) -> Line | None:
        """A room's line as last heard."""

    def ready(self) -> bool:
        """Whether this gate can serve."""

    async def change(self, room: str, amend: Callable[[Settings], Settings], *, revision: int | None) -> Line:
        """Set what operators may set; RefusalError `revision-stale` if the room has moved on."""

    async def advance(self, room: str, by: int) -> Line:
        """Move the pointer by hand, past the rate; counted apart."""

    async def reset(self, room: str) -> Line:
        """A new generation."""


def make_admin(operations: Operations, token: str) -> web.Application:
    """The admin listener's application."""
    app = web.Application(middlewares=[_answer_refusals, _ask_for_token(token)], client_max_size=64 * 1024)
    api = _Api(operations)
    app.router.add_get("/livez", api.livez)
    app.router.add_get("/readyz", api.readyz)
    app.router.add_get("/api/rooms", api.list_rooms)
    app.router.add_get("/api/rooms/{room}", api.show)
    app.router.add_patch("/api/rooms/{room}", api.change)
    app.router.add_post("/api/rooms/{room}/advance", api.advance)
    app.router.add_post("/api/rooms/{room}/reset", api.reset)
    return app


def room_document(line: Line) -> dict[str, Any]:
    """A room as operators see it."""
    oldest = None
    if line.waiting and line.now_serving < line.serving.last:
        first = Place(line.generation, line.serving.number, line.now_serving + 1)
        oldest = round(max(line.time - line.joined_at(first), 0))
    return {
        "room": line.room,
        "mode": line.mode.value,
        "generation": line.generation,
        "era": line.serving.number,
        "revision": line.revision,
        "release_rate": line.release_rate,
        "burst": line.burst,
        "max_issued": line.max_issued,
        "message": line.message,
        "issued": line.issued,
        "now_serving": line.now_serving,
        "served": line.issued - line.waiting,
        "waiting": line.waiting,
        "claimed": line.claimed,
        "oldest_wait": oldest,
    }


class _Api:
    def __init__(self, operations: Operations) -> None:
        self._do = operations

    async def livez(self, _request: web.Request) -> web.Response:
        """The process lives."""
        return web.Response(text="ok\n", headers={"Server": "gate"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """The gate can serve."""
        ready = self._do.ready()
        return web.Response(
            status=200 if ready else 503, text="ok\n" if ready else "not ready\n", headers={"Server": "gate"}
        )

    async def list_rooms(self, _request: web.Request) -> web.Response:
        """All rooms."""
        lines = [line for name in self._do.rooms() if (line := self._do.line(name)) is not None]
        return _json({"rooms": [room_document(line) for line in lines]})

    async def show(self, request: web.Request) -> web.Response:
        """One room."""
        line = self._do.line(self._room(request))
        if line is None:
            raise RefusalError(Reason.STORE_UNAVAILABLE)
        return _json(room_document(line))

    async def change(self, request: web.Request) -> web.Response:
        """PATCH: some of the settings."""
        room = self._room(request)
        wanted = _read_patch(await _body(request))
        match = request.headers.get("If-Match", "").strip('" ')
        if match and not match.isdigit():
            raise RefusalError(Reason.BAD_REQUEST, "If-Match must be a revision, a whole number")
        line = await self._do.change(room, lambda now: replace(now, **wanted), revision=int(match) if match else None)
        log.info("room changed", extra={"room": room, "keys": sorted(wanted)})
        return _json(room_document(line))

    async def advance(self, request: web.Request) -> web.Response:
        """POST: let some in by hand."""
        body = await _body(request)
        by = body.get("by")
        if set(body) != {"by"} or type(by) is not int or not 1 <= by <= _COUNT_MAX:
            raise RefusalError(Reason.BAD_REQUEST, 'the body must be {"by": N}, N a whole number above 0')
        room = self._room(request)
        line = await self._do.advance(room, by)
        log.info("room advanced", extra={"room": room, "by": by})
        return _json(room_document(line))

    async def reset(self, request: web.Request) -> web.Response:
        """POST: a new generation, behind the room's name as confirmation."""
        room = self._room(request)
        if await _body(request) != {"confirm": room}:
            raise RefusalError(Reason.BAD_REQUEST, f'the body must be {{"confirm": "{room}"}}')
        line = await self._do.reset(room)
        log.warning("room reset", extra={"room": room})
        return _json(room_document(line))

    def _room(self, request: web.Request) -> str:
        room = request.match_info["room"]
        if room not in self._do.rooms():
            raise RefusalError(Reason.NOT_FOUND)
        return room


def _read_patch(body: dict[str, Any]) -> dict[str, Any]:
    """The settings a PATCH asks for; every fault is named at once."""
    faults, wanted = [], {}
    for key, raw in body.items():
        if key not in _PATCH:
            faults.append(f"{key[:40]}: is not a key; allowed: " + ", ".join(_PATCH))
            continue
        try:
            wanted[key] = _PATCH[key](raw)
        except ValueError as error:
            faults.append(f"{key}: {error}")
    if faults or not wanted:
        raise RefusalError(Reason.BAD_REQUEST, "; ".join(faults) or "the body must be an object with at least one key")
    return wanted


def _read_mode(raw: Any) -> str:
    if raw not in [mode.value for mode in Mode]:
        raise ValueError("must be one of " + ", ".join(Mode))
    return str(raw)


def _read_message(raw: Any) -> str:
    if not isinstance(raw, str) or len(raw) > _MESSAGE_LENGTH_MAX:
        raise ValueError(f"must be a text of at most {_MESSAGE_LENGTH_MAX} characters")
    return raw


def _read_burst(raw: Any) -> float | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not 0 <= raw <= _BURST_MAX:
        raise ValueError("must be a number of visitors, 0 or more, or null")
    return float(raw)


def _read_max(raw: Any) -> int | None:
    if raw is None:
        return None
    if type(raw) is not int or not 1 <= raw <= _COUNT_MAX:
        raise ValueError("must be a whole number above 0, or null")
    return raw


_PATCH: dict[str, Callable[[Any], Any]] = {
    "release_rate": parse_rate,
    "burst": _read_burst,
    "mode": _read_mode,
    "max_issued": _read_max,
    "message": _read_message,
}


async def _body(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise RefusalError(Reason.BAD_REQUEST, "the body must be application/json")
    try:
        body = orjson.loads(await request.read())
    except web.HTTPRequestEntityTooLarge:
        raise RefusalError(Reason.TOO_LARGE) from None
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise RefusalError(Reason.BAD_REQUEST, "the body must be a JSON object")
    return body


def _json(document: dict[str, Any]) -> web.Response:
    headers = dict(_JSON)
    if "revision" in document:
        headers["ETag"] = f'"{document["revision"]}"'
    return web.Response(body=orjson.dumps(document), headers=headers)


def _problem(reason: Reason, detail: str = "") -> web.Response:
    headers = {**_JSON, "Content-Type": "application/problem+json"}
    if reason is Reason.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(status=reason.status, body=orjson.dumps(problem_document(reason, detail)), headers=headers)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusalError as error:
        return _problem(error.reason, error.detail)
    except StoreUnavailableError:
        return _problem(Reason.STORE_UNAVAILABLE)
    except web.HTTPException as error:
        return _problem(Reason.METHOD_NOT_ALLOWED if error.status == 405 else Reason.NOT_FOUND)  # noqa: PLR2004


def _ask_for_token(token: str) -> Any:
    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/api") and not shows_token(request, token):
            raise RefusalError(Reason.UNAUTHORIZED)
        return await handler(request)

    return ask
