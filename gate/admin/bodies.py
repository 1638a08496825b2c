"""What operators send: bodies read whole, checked whole, every fault named at once; queries likewise."""

import math
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from gate.core.errors import Reason, RefusalError
from gate.core.rate import parse_rate
from gate.core.room import Mode

MESSAGE_LENGTH_MAX = 500
BURST_MAX = 1e9
COUNT_MAX = 2**40
_DIGITS_MAX = 15
Fields = dict[str, Callable[[Any], Any]]


async def read_body(request: web.Request) -> dict[str, Any]:
    """The body, a JSON object.

    Raises:
        RefusalError: `too-large`, or `bad-request` for whatever is not one.
    """
    if request.content_type != "application/json":
        raise RefusalError(Reason.BAD_REQUEST, "the body must be application/json")
    try:
        body = orjson.loads(await request.read())
    except web.HTTPRequestEntityTooLarge:
        raise RefusalError(Reason.TOO_LARGE) from None
    except (orjson.JSONDecodeError, web.RequestPayloadError):
        body = None
    if not isinstance(body, dict):
        raise RefusalError(Reason.BAD_REQUEST, "the body must be a JSON object")
    return body


def read_fields(body: dict[str, Any], fields: Fields, *, required: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The values of the known keys; all faults together are one `bad-request`."""
    faults, wanted = [], {}
    for key, raw in body.items():
        if key not in fields:
            faults.append(f"{key[:40]}: is not a key; allowed: " + ", ".join(fields))
            continue
        try:
            wanted[key] = fields[key](raw)
        except ValueError as error:
            faults.append(f"{key}: {error}")
    faults += [f"{key}: is missing" for key in sorted(required - body.keys())]
    if faults:
        raise RefusalError(Reason.BAD_REQUEST, "; ".join(faults))
    return wanted


def read_patch(body: dict[str, Any]) -> dict[str, Any]:
    """The settings a PATCH asks for, at least one."""
    wanted = read_fields(body, PATCH)
    if not wanted:
        raise RefusalError(Reason.BAD_REQUEST, "the body must be an object with at least one key: " + ", ".join(PATCH))
    return wanted


def read_revision(request: web.Request) -> int | None:
    """The revision that `If-Match` names, or None."""
    match = request.headers.get("If-Match", "").strip()
    if match in ("", "*"):
        return None
    match = match.removeprefix("W/").strip('"')
    if not match.isdecimal() or not match.isascii() or len(match) > _DIGITS_MAX:
        raise RefusalError(Reason.BAD_REQUEST, "If-Match must be a revision, a whole number")
    return int(match)


def whole(least: int, most: int = COUNT_MAX) -> Callable[[Any], int]:
    """A whole number within bounds."""

    def read(raw: Any) -> int:
        if type(raw) is not int or not least <= raw <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return raw

    return read


def text(most: int) -> Callable[[Any], str]:
    """A text of bounded length."""

    def read(raw: Any) -> str:
        if not isinstance(raw, str) or len(raw) > most or not raw.replace("\n", "").isprintable():
            raise ValueError(f"must be a text of at most {most} characters, without control characters")
        return raw

    return read


def path(most: int) -> Callable[[Any], str]:
    """A path of the site itself."""

    def read(raw: Any) -> str:
        value = text(most)(raw)
        if not value.startswith("/") or value.startswith(("//", "/\\")) or "\n" in value:
            raise ValueError("must be a path of the site, which begins with one /")
        return value

    return read


def one_of(*allowed: str) -> Callable[[Any], str]:
    """One of a few words."""

    def read(raw: Any) -> str:
        if raw not in allowed:
            raise ValueError("must be one of " + ", ".join(allowed))
        return str(raw)

    return read


def number(least: float, most: float) -> Callable[[Any], float]:
    """A number within bounds."""

    def read(raw: Any) -> float:
        good = isinstance(raw, (int, float)) and not isinstance(raw, bool) and math.isfinite(raw)
        if not good or not least <= raw <= most:
            raise ValueError(f"must be a number from {least:g} to {most:g}")
        return float(raw)

    return read


def _read_burst(raw: Any) -> float | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not 0 <= raw <= BURST_MAX:
        raise ValueError("must be a number of visitors, 0 or more, or null")
    return float(raw)


def _read_max(raw: Any) -> int | None:
    if raw is None:
        return None
    if type(raw) is not int or not 1 <= raw <= COUNT_MAX:
        raise ValueError("must be a whole number above 0, or null")
    return raw


PATCH: Fields = {
    "release_rate": parse_rate,
    "burst": _read_burst,
    "mode": one_of(*Mode),
    "max_issued": _read_max,
    "message": text(MESSAGE_LENGTH_MAX),
}
