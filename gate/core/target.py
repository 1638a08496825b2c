"""What a request's target means: every reading that some origin might take of it must come to the same answer.

DESIGN. A gate that decides on `/open/..;/book` as "open" while the origin reads `/book` has a hole. Rewriting
the target would close it and break sites that use such spellings in earnest. So the bytes go on as sent, but
only if every reading of the path (decoded once or twice, overlong UTF-8 shortened, `;` cut, `\\` as `/`, `//`
merged, dots resolved, trailing dots and spaces trimmed, letters folded) falls to the same room and the same open
rule; if two readings differ the request is refused. The query never takes part. RFC 9112 section 3.2, RFC 3986
section 6.
"""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from gate.core.errors import Reason, RefusalError
from gate.core.room import Address, Room, find_room

NAMESPACE = "/_gate/"

# RFC 3986's characters and those that browsers send raw; anything else, above all space, control and non-ASCII
# bytes and the fragment's '#', is read differently by different servers.
_TARGET = re.compile(r"[!$%&'()*+,\-./0-9:;=?@A-Z\[\\\]^_`a-z{|}~\"<>]+")
_PLAIN_PATH = re.compile(r"(?:/[a-z0-9_~-]+(?:\.[a-z0-9_~-]+)*)*/?")
_ABSOLUTE = re.compile(r"(https?)://([^/?#]*)(.*)", re.IGNORECASE)
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.IGNORECASE)
_PORT_MAX = 65_535
# Encoded once or twice. Some readers end a path there, or overlook it at its end.
_CONTROL = re.compile(r"%(?:25)?(?:[01][0-9a-f]|7f)", re.IGNORECASE)
_SLASHES = re.compile(r"/{2,}")
_PARAMETERS = re.compile(r";[^/]*")
_OVERLONG = re.compile("[\xc0\xc1][\x80-\xbf]|\xe0[\x80\x81][\x80-\xbf]|\xf0\x80[\x80\x81][\x80-\xbf]")
_TRAILING = re.compile(r"[. ]+(?=/|$)")


@dataclass(frozen=True, slots=True)
class Target:
    """A target in origin-form: `raw` is what the origin is sent, `path` is `raw` without its query."""

    raw: str
    path: str


@dataclass(frozen=True, slots=True)
class Route:
    """Where every reading of a target falls: the gate's own namespace, an open rule, a room, or none of them."""

    own: bool
    room: Room | None
    bypassed: bool


@functools.lru_cache(maxsize=1_024)
def parse_host(value: str | None) -> str:
    """The host a request names, lower case and without port.

    Raises:
        RefusalError: `bad-request` where it is missing or not a host (RFC 9112 section 3.2).
    """
    form = _HOST.fullmatch(value or "")
    if form is None or int(form[1] or 0) > _PORT_MAX:
        raise RefusalError(Reason.BAD_REQUEST, "The Host header is missing or is not a host.")
    host = (value or "").lower()
    return (host[: form.start(1) - 1] if form[1] else host).rstrip(".")


def parse_target(raw: str, host: str, method: str) -> Target:
    """The target in origin-form.

    Raises:
        RefusalError: `bad-request` for bytes no URL has, for an absolute-form that names another host, for a
            fragment or an encoded control character, and for anything that is neither origin-form nor `OPTIONS *`.
    """
    if not _TARGET.fullmatch(raw):
        raise RefusalError(Reason.BAD_REQUEST, "The target has a character that must be percent-encoded.")
    absolute = _ABSOLUTE.fullmatch(raw)
    if absolute:
        if parse_host(absolute[2]) != host:
            raise RefusalError(Reason.BAD_REQUEST, "The target names another host than the Host header.")
        raw = absolute[3] if absolute[3].startswith("/") else "/" + absolute[3]
    if raw == "*" and method == "OPTIONS":
        return Target("*", "/")
    if not raw.startswith("/"):
        raise RefusalError(Reason.BAD_REQUEST, "The target must be a path.")
    path = raw.partition("?")[0]
    if _CONTROL.search(path):
        raise RefusalError(Reason.BAD_REQUEST, "The path has an encoded control character.")
    return Target(raw, path)


def readings(path: str) -> frozenset[str]:
    """Every path that some origin might take this one for, itself among them."""
    if _PLAIN_PATH.fullmatch(path):
        return frozenset((path,))
    once = _decode(path)
    found = {path, once, _decode(once)}
    for read in _VARIANTS:
        found |= {read(known) for known in found}
    return frozenset(found)


def route(rooms: tuple[Room, ...], host: str, path: str, method: str, client: Address | None) -> Route:
    """Where a request falls, by every reading of its path.

    Raises:
        RefusalError: `bad-request` if two readings fall to different rooms, open rules or namespaces.
    """
    routes = {
        _route_one(rooms, host, reading, method, client, fold=fold)
        for reading in readings(path)
        for fold in (False, True)
    }
    if len(routes) != 1:
        raise RefusalError(Reason.BAD_REQUEST, "The path can be read in more than one way.")
    return routes.pop()


def _route_one(
    rooms: tuple[Room, ...], host: str, path: str, method: str, client: Address | None, *, fold: bool
) -> Route:
    probe = path.lower() if fold else path
    if probe.startswith(NAMESPACE) or probe == NAMESPACE[:-1]:
        return Route(own=True, room=None, bypassed=False)
    room = find_room(rooms, host, path, fold=fold)
    bypassed = room is not None and room.bypasses(path, method, client, fold=fold)
    return Route(own=False, room=room, bypassed=bypassed)


def _decode(path: str) -> str:
    return unquote_to_bytes(path.encode("latin-1")).decode("latin-1") if "%" in path else path


def _shorten(path: str) -> str:
    """Letters in more bytes than UTF-8 allows, as lax decoders read them: `%c0%ae` is a dot to them."""
    return _OVERLONG.sub(lambda form: _shortest(form[0]), path)


def _shortest(text: str) -> str:
    code = 0
    for byte in text.encode("latin-1"):
        code = code << 6 | byte & 0x3F
    return chr(code & 0x7F)


def _resolve_dots(path: str) -> str:
    """RFC 3986 section 5.2.4, without merging slashes."""
    kept: list[str] = []
    segments = path.split("/")
    for index, segment in enumerate(segments):
        last = index + 1 == len(segments)
        if segment == "..":
            if len(kept) > 1:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
        if last and segment in (".", ".."):
            kept.append("")
    return "/".join(kept)


# The order matters: parameters and queries are cut before dots are resolved (`/open/..;/book`), backslashes
# are slashes before slashes are merged.
_VARIANTS: tuple[Callable[[str], str], ...] = (
    _shorten,
    lambda path: path.partition("?")[0].partition("#")[0],
    lambda path: _PARAMETERS.sub("", path),
    lambda path: path.replace("\\", "/"),
    lambda path: _SLASHES.sub("/", path),
    _resolve_dots,
    lambda path: _SLASHES.sub("/", path),
    lambda path: _TRAILING.sub("", path),
    lambda path: path if path.startswith("/") else "/" + path,
)
