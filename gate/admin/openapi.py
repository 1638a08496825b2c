"""The admin API's description (OpenAPI 3.1). `tests/admin/test_documents.py` holds it to the routes and the answers."""

from typing import Any

from gate import __version__
from gate.admin.bodies import BURST_MAX, COUNT_MAX, MESSAGE_LENGTH_MAX
from gate.admin.pages import PREVIEW_STATES
from gate.core.errors import Reason
from gate.core.room import Mode

Schema = dict[str, Any]
_NUMBER: Schema = {"type": "number"}
_WHOLE: Schema = {"type": "integer", "minimum": 0}
_TEXT: Schema = {"type": "string"}
_OBJECT: Schema = {"type": "object"}
_MODE: Schema = {"enum": [mode.value for mode in Mode]}
_HEAD: Schema = {
    "type": ["object", "null"],
    "required": ["number", "hash"],
    "properties": {"number": _WHOLE, "hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
    "additionalProperties": False,
}


def _exactly(**properties: Schema) -> Schema:
    """An object with all of these and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_ROOM = _exactly(
    room=_TEXT,
    mode=_MODE,
    generation=_WHOLE,
    era=_WHOLE,
    revision=_WHOLE,
    release_rate={"type": "number", "exclusiveMinimum": 0, "description": "visitors a second"},
    burst=_maybe(_NUMBER),
    max_issued=_maybe(_WHOLE),
    message=_TEXT,
    issued=_WHOLE,
    now_serving=_WHOLE,
    served=_WHOLE,
    waiting=_WHOLE,
    claimed=_WHOLE,
    guests=_WHOLE,
    active=_WHOLE,
    measured_rate=_NUMBER,
    joins_per_second=_NUMBER,
    claims_per_second=_NUMBER,
    oldest_wait={**_maybe(_WHOLE), "description": "seconds"},
    log_head=_HEAD,
)
_ENTRY = _exactly(
    number=_WHOLE,
    time=_maybe(_NUMBER),
    actor=_maybe(_TEXT),
    act=_maybe(_TEXT),
    before=_maybe(_OBJECT),
    after=_maybe(_OBJECT),
    hash=_TEXT,
    text={**_TEXT, "description": "what `hash` is the SHA-256 of; holds the hash of the entry before as `previous`"},
)
_SCHEMAS: dict[str, Schema] = {
    "Room": _ROOM,
    "Rooms": _exactly(rooms={"type": "array", "items": {"$ref": "#/components/schemas/Room"}}),
    "Change": {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {
            "release_rate": {"type": ["string", "number"], "examples": ["500/s", "30/min", 0.5]},
            "burst": {"type": ["number", "null"], "minimum": 0, "maximum": BURST_MAX},
            "mode": _MODE,
            "max_issued": {"type": ["integer", "null"], "minimum": 1, "maximum": COUNT_MAX},
            "message": {"type": "string", "maxLength": MESSAGE_LENGTH_MAX},
        },
    },
    "Advance": _exactly(by={"type": "integer", "minimum": 1, "maximum": COUNT_MAX}),
    "Reset": _exactly(confirm={"type": "string", "description": "the room's name"}),
    "Admit": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "life": {"type": "number", "minimum": 60, "description": "seconds the link is good for; default a day"},
            "next": {"type": "string", "description": "the path it leads to"},
        },
    },
    "Link": _exactly(room=_TEXT, guest=_WHOLE, url=_TEXT, expires=_WHOLE),
    "Preview": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"state": {"enum": list(PREVIEW_STATES)}, "ahead": _WHOLE, "language": _TEXT},
    },
    "PreviewLink": _exactly(
        url=_TEXT, states={"type": "array", "items": _TEXT}, languages={"type": "array", "items": _TEXT}
    ),
    "Record": _exactly(
        room=_TEXT,
        since=_HEAD,
        head=_HEAD,
        entries={"type": "array", "items": {"$ref": "#/components/schemas/Entry"}},
        more={"type": "boolean"},
    ),
    "Entry": _ENTRY,
    "Gate": _exactly(
        time=_NUMBER,
        ready={"type": "boolean"},
        workers=_exactly(serving=_WHOLE, wanted=_WHOLE, restarts=_WHOLE),
        store=_exactly(up={"type": "boolean"}, silent=_NUMBER, skew=_NUMBER),
        service=_OBJECT,
        canary=_OBJECT,
        rooms={"type": "array", "items": {"$ref": "#/components/schemas/Room"}},
        samples={"type": "object", "additionalProperties": {"type": "array", "items": _NUMBER}},
    ),
    "Problem": {
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"enum": [reason.value for reason in Reason]},
            "title": _TEXT,
            "status": _WHOLE,
            "detail": _TEXT,
        },
    },
}


def _json(name: str) -> Schema:
    return {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}


def _problems(*reasons: Reason) -> dict[str, Schema]:
    every = (Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.MISDIRECTED, Reason.RATE_LIMITED, *reasons)
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    by_status: dict[str, list[str]] = {}
    for reason in every:
        by_status.setdefault(str(reason.status), []).append(reason.value)
    return {status: {"description": ", ".join(slugs), "content": content} for status, slugs in by_status.items()}


def _operation(
    summary: str,
    answers: Schema,
    *problems: Reason,
    body: str = "",
    status: int = 200,
    parameters: tuple[Schema, ...] = (),
) -> Schema:
    found: Schema = {
        "summary": summary,
        "responses": {str(status): {"description": "done", **answers}, **_problems(*problems)},
    }
    if body:
        found["requestBody"] = {"required": True, **_json(body)}
    return {**found, "parameters": list(parameters)} if parameters else found


_ROOM_NAME = {"name": "room", "in": "path", "required": True, "schema": _TEXT}
_IF_MATCH = {"name": "If-Match", "in": "header", "schema": _TEXT, "description": "the revision that is to be changed"}
_AFTER = {"name": "after", "in": "query", "schema": _WHOLE}
_LIMIT = {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 1_000}}
_GONE, _AWAY = Reason.NOT_FOUND, Reason.STORE_UNAVAILABLE
_BAD = (Reason.BAD_REQUEST, Reason.TOO_LARGE, _GONE, _AWAY)


def _paths() -> dict[str, Schema]:
    show, room = _json("Room"), "/api/rooms/{room}"
    any_json = {"content": {"application/json": {"schema": _OBJECT}}}
    stream = {"content": {"text/event-stream": {"schema": _TEXT}}}
    return {
        "/api/openapi.json": {"get": _operation("This description.", any_json)},
        "/api/gate": {"get": _operation("All rooms and the service.", _json("Gate"))},
        "/api/events": {
            "get": _operation("Events: `history`, then `gate` each second and at every change, and `log`.", stream)
        },
        "/api/rooms": {"get": _operation("All rooms.", _json("Rooms"))},
        room: {
            "parameters": [_ROOM_NAME],
            "get": _operation("One room; its ETag is the revision.", show, _GONE, _AWAY),
            "patch": _operation(
                "Change settings; in force in every gate within 200 ms.",
                show, *_BAD, Reason.REVISION_STALE, body="Change", parameters=(_IF_MATCH,),
            ),
        },
        f"{room}/advance": {
            "parameters": [_ROOM_NAME],
            "post": _operation("Let some in by hand, past the rate.", show, *_BAD, body="Advance"),
        },
        f"{room}/reset": {
            "parameters": [_ROOM_NAME],
            "post": _operation("A new generation: every ticket and pass dies.", show, *_BAD, body="Reset"),
        },
        f"{room}/admit": {
            "parameters": [_ROOM_NAME],
            "post": _operation("A link that sets a pass; counted.", _json("Link"), *_BAD, body="Admit", status=201),
        },
        f"{room}/preview": {
            "parameters": [_ROOM_NAME],
            "post": _operation(
                "A link to the waiting page in any state.", _json("PreviewLink"), *_BAD, body="Preview", status=201
            ),
        },
        f"{room}/log": {
            "parameters": [_ROOM_NAME],
            "get": _operation(
                "Who did what: the record, chained by hash.",
                _json("Record"), Reason.BAD_REQUEST, _GONE, _AWAY, parameters=(_AFTER, _LIMIT),
            ),
        },
    }  # fmt: skip


def description() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "gate: admin API", "version": __version__, "license": {"name": "MIT", "identifier": "MIT"}},
        "security": [{"token": []}],
        "paths": _paths(),
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`read` to look, `operate` to change"}
            },
        },
    }
