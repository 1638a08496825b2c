"""The kinds of values that settings have: each parser takes what TOML or the environment gave and returns a value.

A parser raises ValueError whose text says what is allowed; it never repeats what was given.
"""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gate.core.fetch import METHODS
from gate.core.rate import parse_rate
from gate.core.room import Network

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|d)?\s*")
_UNIT_SECONDS = {None: 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_ROOM_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_DOT_SEGMENT = re.compile(r"/\.\.?(?:/|$)")
_HOST = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9])?")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})?")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_TEXT_LENGTH_MAX = 500
_STORE_URL = re.compile(
    r"rediss?://[^\s/]*.*|unix://\S+|rediss?\+sentinel://[^\s/]+/[^\s/?]+.*|rediss?\+cluster://[^\s/]+.*"
)

rate = parse_rate


def seconds(least: float, most: float) -> Callable[[Any], float]:
    """A duration: a number of seconds, or "10 min", "24h"."""

    def parse(raw: Any) -> float:
        allowed = f'a duration such as 15, "90 s", "10 min" or "24 h", from {least:g} s to {most:,.0f} s'
        form = None if isinstance(raw, bool) else _DURATION.fullmatch(str(raw).lower())
        value = float(form[1]) * _UNIT_SECONDS[form[2]] if form else -1.0
        if not least <= value <= most:
            raise ValueError(allowed)
        return value

    return parse


def count(least: int, most: int) -> Callable[[Any], int]:
    """A whole number."""

    def parse(raw: Any) -> int:
        whole = isinstance(raw, int) and not isinstance(raw, bool)
        if not whole and not (isinstance(raw, str) and re.fullmatch(r"\d{1,15}", raw)):
            raise ValueError(f"a whole number from {least} to {most}")
        if not least <= int(raw) <= most:
            raise ValueError(f"a whole number from {least} to {most}" if least != most else f"{least}")
        return int(raw)

    return parse


def number(least: float, most: float) -> Callable[[Any], float]:
    """A number."""

    def parse(raw: Any) -> float:
        try:
            value = float("nan") if isinstance(raw, bool) else float(raw)
        except (TypeError, ValueError):
            value = float("nan")
        if not least <= value <= most:
            raise ValueError(f"a number from {least:g} to {most:g}")
        return value

    return parse


def optional(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same, where an empty text stands for "not set"."""
    return lambda raw: None if raw == "" else parse(raw)


def choice(*allowed: str | int) -> Callable[[Any], str | int]:
    """One of a few."""

    def parse(raw: Any) -> str | int:
        for value in allowed:
            if raw == value or (isinstance(raw, str) and raw == str(value)):
                return value
        raise ValueError("one of " + ", ".join(str(value) or '""' for value in allowed))

    return parse


def texts(raw: Any) -> tuple[str, ...]:
    """A list of texts; from the environment, separated by commas."""
    if isinstance(raw, str):
        return tuple(part.strip() for part in raw.split(",") if part.strip())
    if not isinstance(raw, (list, tuple)) or not all(isinstance(part, str) for part in raw):
        raise ValueError("a list of texts")
    return tuple(raw)


def paths(raw: Any) -> tuple[str, ...]:
    """A list of path patterns."""
    found = texts(raw)
    if not all(path.startswith("/") and path.isascii() and not set(path) & set("?#;\\% ") for path in found):
        raise ValueError(
            'a list of paths that begin with "/" and have no query, "%", ";" or space; "*" at the end only'
        )
    if any("*" in path[:-1] or "//" in path or _DOT_SEGMENT.search(path) for path in found):
        raise ValueError('a list of plain paths; "*" at the end only, no "//", "/./" and "/../"')
    return found


def hosts(raw: Any) -> tuple[str, ...]:
    """A list of host patterns, lower case."""
    found = tuple(host.lower() for host in texts(raw))
    if not all(_HOST.fullmatch(host) for host in found):
        raise ValueError('a list of hosts without port, such as "shop.example" or "*.shop.example"')
    return found


def networks(raw: Any) -> tuple[Network, ...]:
    """A list of networks or addresses."""
    try:
        return tuple(ipaddress.ip_network(text) for text in texts(raw))
    except ValueError:
        raise ValueError('a list of networks or addresses, such as "10.0.0.0/8" or "2001:db8::1"') from None


def bypass(raw: Any) -> tuple[dict[str, Any], ...]:
    """Open rules: one table or a list of tables with paths, methods, networks, at least one of them."""
    allowed = 'a list of tables such as {paths = ["/robots.txt"], methods = ["GET"], networks = ["10.0.0.0/8"]}'
    if isinstance(raw, str):  # from the environment: paths
        raw = [{"paths": raw}]
    rules = [raw] if isinstance(raw, dict) else raw
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise ValueError(allowed)
    return tuple(_bypass_rule(rule, allowed) for rule in rules)


def _bypass_rule(rule: dict[str, Any], allowed: str) -> dict[str, Any]:
    if not rule or rule.keys() - {"paths", "methods", "networks"}:
        raise ValueError(allowed)
    methods = frozenset(method.upper() for method in texts(rule.get("methods", ())))
    if methods - METHODS or not any(rule.values()):
        raise ValueError(allowed + "; methods as RFC 9110 registers them")
    return {
        "paths": paths(rule.get("paths", ())),
        "methods": methods,
        "networks": networks(rule.get("networks", ())),
    }


def path(raw: Any) -> str:
    """One path, with or without a query."""
    if not isinstance(raw, str) or not re.fullmatch(r"/[\x21-\x7e]*", raw) or "#" in raw:
        raise ValueError('a path that begins with "/", without spaces and "#"')
    return raw


def workers(raw: Any) -> int:
    """A number of processes; 0 stands for `auto`, one a core."""
    if raw == "auto":
        return 0
    try:
        return count(1, 256)(raw)
    except ValueError:
        raise ValueError('a whole number from 1 to 256, or "auto" for one a core') from None


def boolean(raw: Any) -> bool:
    """Yes or no."""
    if isinstance(raw, bool):
        return raw
    if str(raw).lower() in ("true", "1", "yes", "false", "0", "no"):
        return str(raw).lower() in ("true", "1", "yes")
    raise ValueError("true or false")


def listen(raw: Any) -> tuple[str, int]:
    """HOST:PORT; port 0 lets the system choose."""
    host, colon, port = str(raw).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isdigit() or int(port) > 65_535:  # noqa: PLR2004  (TCP's own bound)
        raise ValueError('HOST:PORT, such as "127.0.0.1:8080", "[::]:8080" or ":8080"')
    return host or "0.0.0.0", int(port)  # noqa: S104  (asked for by an empty host)


def url(raw: Any) -> str:
    """The origin's address."""
    allowed = "http:// or https://, a host and perhaps a port; no user, path, query or fragment"
    try:
        parts = urlsplit(str(raw))
        bad = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        raise ValueError(allowed) from None
    if bad or parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(allowed)
    return f"{parts.scheme}://{parts.netloc}"


def optional_url(raw: Any) -> str:
    """The same, or empty for "said elsewhere"."""
    return url(raw) if raw else ""


def optional_endpoint(raw: Any) -> str:
    """An address that is asked as it stands, with its path; empty for "the usual one"."""
    text = str(raw or "")
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.fragment):
        raise ValueError("http:// or https://, a host, perhaps a port and a path; no user and no fragment")
    return text


def store_url(raw: Any) -> str:
    """A store's address; empty for the embedded one."""
    text = str(raw or "")
    if text and not _STORE_URL.fullmatch(text):
        raise ValueError(
            "redis://HOST:PORT, rediss://HOST:PORT, unix:///PATH, redis+sentinel://HOST:PORT,.../SERVICE, "
            "redis+cluster://HOST:PORT,... or empty for the embedded store"
        )
    return text


def verify(raw: Any) -> bool | str:
    """Certificate checking: on, off, or against a file of authorities."""
    if isinstance(raw, bool):
        return raw
    if str(raw).lower() in ("true", "false"):
        return str(raw).lower() == "true"
    return file(raw)


def file(raw: Any) -> str:
    """A file that exists; empty for none."""
    if raw and not Path(str(raw)).is_file():
        raise ValueError("the path of a file that exists")
    return str(raw)


def image(raw: Any) -> str:
    """An image file that pages may show; empty for none."""
    if raw and Path(str(raw)).suffix.lower() not in (".svg", ".png", ".webp", ".jpg", ".jpeg"):
        raise ValueError("the path of an image: svg, png, webp or jpg")
    return file(raw)


def page(raw: Any) -> str:
    """An HTML file in UTF-8; empty for none."""
    path = file(raw)
    try:
        if path:
            Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ValueError("the path of a readable HTML file in UTF-8") from None
    return path


def room_name(raw: Any) -> str:
    """A room's name: part of cookies, keys and URLs."""
    if not isinstance(raw, str) or not _ROOM_NAME.fullmatch(raw):
        raise ValueError("1 to 40 of a to z, 0 to 9 and -, with a letter or digit at both ends")
    return raw


def domain(raw: Any) -> str:
    """A cookie's domain; empty for the host only."""
    text = str(raw).lower().removeprefix(".")
    if text and (not _HOST.fullmatch(text) or "." not in text or text.startswith("*")):
        raise ValueError("a domain such as shop.example, or empty")
    return text


def colour(raw: Any) -> str:
    """A colour; empty for ours."""
    if raw and not _COLOUR.fullmatch(str(raw)):
        raise ValueError("#RRGGBB")
    return str(raw)


def localized(raw: Any) -> dict[str, str]:
    """A text, or a table of texts by language; the key "" is for every other language."""
    table = raw if isinstance(raw, dict) else {"": raw}
    fine = all(
        isinstance(text, str) and len(text) <= _TEXT_LENGTH_MAX and (not key or _LANGUAGE.fullmatch(key))
        for key, text in table.items()
    )
    if not fine:
        raise ValueError(f"a text of at most {_TEXT_LENGTH_MAX} characters, or a table of such by language (de, pt-BR)")
    return dict(table)
