"""The gate's cookies: their names, how they are read and how they are set.

Reading looks at every `Cookie` line and tries up to four values of a name, since a neighbour on the same domain
may have set another; aiohttp's own parser sees one line and keeps the last. Setting follows RFC 6265bis.
"""

from collections.abc import Sequence

from gate.core.room import Room

VALUES_MAX = 4


class CookieJar:
    """The cookies of one room under one public scheme."""

    def __init__(self, room: Room, secure: bool) -> None:
        prefix = ("__Secure-" if room.cookie_domain else "__Host-") if secure else ""
        self._names = {kind: f"{prefix}gate_{kind}_{room.name}" for kind in ("ticket", "pass", "pre")}
        attributes = ["", "Path=/", "HttpOnly", f"SameSite={room.same_site.capitalize()}"]
        if room.cookie_domain:
            attributes.append(f"Domain={room.cookie_domain}")
        if secure or room.same_site == "none":
            attributes.append("Secure")
        self._attributes = "; ".join(attributes)

    def name(self, kind: str) -> str:
        """`gate_pass_default`, prefixed where the connection is secure."""
        return self._names[kind]

    def set(self, kind: str, value: str, life_seconds: float) -> str:
        """A `Set-Cookie` value."""
        return f"{self._names[kind]}={value}; Max-Age={max(int(life_seconds), 0)}{self._attributes}"

    def clear(self, kind: str) -> str:
        """A `Set-Cookie` value that removes it."""
        return f"{self._names[kind]}=; Max-Age=0{self._attributes}"

    def values(self, cookies: dict[str, list[str]], kind: str) -> Sequence[str]:
        """What a request shows under this name."""
        return cookies.get(self._names[kind], ())


def parse_cookies(lines: Sequence[str]) -> dict[str, list[str]]:
    """Our cookies of all `Cookie` lines: name to at most four different values, in order."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if "gate_" not in line:
            continue
        for pair in line.split(";"):
            name, equals, value = pair.strip().partition("=")
            if equals and "gate_" in name:
                values = found.setdefault(name, [])
                value = value.strip('"')
                if len(values) < VALUES_MAX and value not in values:
                    values.append(value)
    return found
