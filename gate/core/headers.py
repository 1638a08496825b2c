"""Which headers cross the gate, and which are ours to set.

DESIGN. First everything that is hop-by-hop goes (RFC 9110 section 7.6.1): the fixed names and whatever
`Connection` names. Then every name under which a client could speak for the gate goes, in each spelling that an
origin may fold into it (`X_Forwarded_For` and `X-Forwarded-For` are one variable in CGI and WSGI). Only then
are ours set, so that `Connection: Gate-Position` cannot strip them.
"""

import re
from collections.abc import Iterable, Iterator

from gate.core.errors import Reason, RefusalError

Header = tuple[str, str]

_HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer transfer-encoding "
    "upgrade".split()
)
# Naming one of these in Connection would take away what frames or routes the message.
_NEVER_NAMED = frozenset({"host", "content-length", "transfer-encoding", "cookie", "authorization"})
# Names under which an origin learns who asks and for what; from outside they are dropped.
FORWARDED_NAMES = frozenset(
    "forwarded x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port x-forwarded-prefix "
    "x-forwarded-server x-forwarded-ssl x-forwarded-scheme x-forwarded-uri x-forwarded-method x-real-ip "
    "x-original-url x-original-uri x-original-host x-original-method x-rewrite-url x-http-method-override".split()
)
_ALWAYS_DROPPED = frozenset("x-original-url x-original-uri x-original-method x-rewrite-url x-forwarded-uri".split())
_SHARED_CACHE_NAMES = frozenset({"surrogate-control", "cdn-cache-control", "cloudflare-cdn-cache-control"})
_SHARED_DIRECTIVES = frozenset({"public", "s-maxage", "proxy-revalidate", "private"})
_TOKEN_COOKIE = re.compile(r"(?:__Host-|__Secure-)?gate_(?:ticket|pass|pre)_", re.IGNORECASE)


def read_pairs(raw_headers: Iterable[tuple[bytes, bytes]]) -> list[Header]:
    """Headers as they came: UTF-8, or Latin-1 where they are not."""
    return [(_text(key), _text(value)) for key, value in raw_headers]


def connection_names(headers: Iterable[Header]) -> frozenset[str]:
    """The names a message's `Connection` header lists, lower case."""
    named = frozenset(
        name.strip().lower() for key, value in headers if key.lower() == "connection" for name in value.split(",")
    )
    return named - {""}


def to_origin(headers: Iterable[Header], *, trusted: bool) -> Iterator[Header]:
    """The client's headers that may go on to the origin; our cookies are cut out of `Cookie`.

    Raises:
        RefusalError: `bad-request` where `Connection` names a header that frames or routes the message.
    """
    pairs = list(headers)
    named = connection_names(pairs)
    if named & {"host", "content-length", "transfer-encoding"}:
        raise RefusalError(Reason.BAD_REQUEST, "Connection names a header that must not be dropped.")
    dropped = _HOP_BY_HOP | (named - _NEVER_NAMED) | {"expect", "gate-ticket", "gate-pass", "gate-client"}
    for key, value in pairs:
        name = key.lower().replace("_", "-")
        if name in dropped or name.startswith("gate-") or name in _ALWAYS_DROPPED:
            continue
        told = name in FORWARDED_NAMES or name.startswith("x-forwarded-")
        if told and (not trusted or name != key.lower()):
            continue
        if name == "cookie":
            value = strip_own_cookies(value)  # noqa: PLW2901  (the one header that is rewritten)
            if not value:
                continue
        yield key, value


def from_origin(headers: Iterable[Header]) -> Iterator[Header]:
    """The origin's headers that may go on to the client."""
    pairs = list(headers)
    dropped = _HOP_BY_HOP | (connection_names(pairs) - _NEVER_NAMED) | {"gate-command"}
    return ((key, value) for key, value in pairs if key.lower() not in dropped)


def strip_own_cookies(value: str) -> str:
    """A `Cookie` header's value without the gate's own."""
    if "gate_" not in value.lower():
        return value
    kept = [pair.strip() for pair in value.split(";") if not _TOKEN_COOKIE.match(pair.strip())]
    return "; ".join(pair for pair in kept if pair)


def make_private(headers: Iterable[Header], *, no_store: bool) -> list[Header]:
    """An answer's headers such that no shared cache keeps it (RFC 9111 section 5.2.2).

    `no_store` is for answers that set a cookie of ours.
    """
    kept: list[Header] = []
    directives: list[str] = []
    for key, value in headers:
        name = key.lower()
        if name == "cache-control":
            directives += [part.strip() for part in value.split(",") if part.strip()]
        elif name not in _SHARED_CACHE_NAMES:
            kept.append((key, value))
    own = [part for part in directives if part.partition("=")[0].strip().lower() not in _SHARED_DIRECTIVES]
    if no_store:
        own = ["no-store"]
    return [*kept, ("Cache-Control", ", ".join(["private", *own]))]


def is_uncacheable(headers: Iterable[Header]) -> bool:
    """Whether the origin says that its answer is this visitor's alone or not to be kept."""
    text = ",".join(value for key, value in headers if key.lower() == "cache-control").lower()
    return any(word in text for word in ("no-store", "no-cache", "private"))


def forwarded_element(client: str, host: str, scheme: str) -> str:
    """One element of `Forwarded` (RFC 7239 section 4); IPv6 addresses are bracketed and quoted."""
    node = f'"[{client}]"' if ":" in client else client
    quoted = f'"{host}"' if ":" in host else host
    return f"for={node};host={quoted};proto={scheme}"


def render(first_line: str, headers: Iterable[Header]) -> bytes:
    """A message's head, UTF-8.

    Raises:
        ValueError: a name or value holds a line end (header injection).
    """
    lines = [first_line, *[f"{name}: {value}" for name, value in headers], "", ""]
    text = "\r\n".join(lines)
    if not text.count("\r") == text.count("\n") == len(lines) - 1:
        raise ValueError("a header must not hold a line end")
    return text.encode()


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
