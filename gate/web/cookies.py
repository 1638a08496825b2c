"""The gate's cookies: their names, how they are read and how they are set.

Reading looks at every `Cookie` line and tries up to four values of a name, since a neighbour on the same domain
may have set another; aiohttp's own parser sees one line and keeps the last. Setting follows RFC 6265bis.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gate.core.room import Room

VALUES_MAX = 4


@dataclass(frozen=True, slots=True)
class CookieJar:
    """The cookies of one room under one public scheme."""

    room: Room
    secure: bool

    def name(self, kind: str) -> str:
        """`gate_pass_default`, prefixed where the connection is secure."""
        plain = f"gate_{kind}_{self.room.name}"
        if not self.secure:
            return plain
        return f"__Secure-{plain}" if self.room.cookie_domain else f"__Host-{plain}"

    def set(self, kind: str, value: str, life_seconds: float) -> str:
        """A `Set-Cookie` value."""
        parts = [f"{self.name(kind)}={value}", f"Max-Age={max(int(life_seconds), 0)}", *self._attributes()]
        return "; ".join(parts)

    def clear(self, kind: str) -> str:
        """A `Set-Cookie` value that removes it."""
        return "; ".join([f"{self.name(kind)}=", "Max-Age=0", *self._attributes()])

    def values(self, cookies: dict[str, list[str]], kind: str) -> Sequence[str]:
        """What a request shows under this name."""
        return cookies.get(self.name(kind), ())

    def _attributes(self) -> list[str]:
        found = ["Path=/", "HttpOnly", f"SameSite={self.room.same_site.capitalize()}"]
        if self.room.cookie_domain:
            found.append(f"Domain={self.room.cookie_domain}")
        if self.secure or self.room.same_site == "none":
            found.append("Secure")
        return found


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
