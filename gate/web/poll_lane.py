"""The poll lane: a plain poll of the pointer is answered before the parser runs, from bytes made once.

Owns what a plain poll is and the bytes of its answer; `edge.py` asks only between two requests, with one whole read
in hand. Whatever is not exactly `GET /_gate/now/{room} HTTP/1.1` with plain headers, one Host, no body, nothing
before or after it, is not answered here and takes the ordinary way, which answers the same or refuses. Every head
that is taken here is one the parser would take too: names are tokens, values hold no control characters, and lines
and counts stay within the configured limits.
"""

import re
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate

from gate.core.errors import RefusalError
from gate.core.line import Line
from gate.core.recent import Recent
from gate.core.target import NAMESPACE, parse_host
from gate.web.lanes import Client
from gate.web.plain import FIELDS, ONCE
from gate.web.pointer import PointerDocument

_HEAD_BYTES_MAX = 4_096
# Heads that were found plain are remembered whole: a client that asks again sends the same bytes.
_REMEMBERED_MAX = 4_096
# How the head of a poll begins.
POLL = f"GET {NAMESPACE}now/".encode()
_HEAD = re.compile(re.escape(POLL) + rb"([a-z0-9-]{1,40}) HTTP/1\.1\r\n" + FIELDS)
# Headers that decide something, here or in the parser; all others change no answer to a poll.
_SPECIAL = re.compile(
    rb"^(content-location|content-range|content-type|etag|max-forwards|server|user-agent|host|if-none-match|connection|content-length|transfer-encoding|te|trailer|expect|upgrade|http2-settings|proxy-connection)"
    rb":[ \t]*([^\r]*?)[ \t]*\r$",
    re.IGNORECASE | re.MULTILINE,
)

# Of which a second is refused by the parser, and one says nothing to a poll.
_HARMLESS = ONCE - {b"host", b"content-length", b"transfer-encoding"}

Plain = tuple[str, bytes | None]
"""The room asked for, and the value of If-None-Match."""


class PollLane:
    """The answers to plain polls of all rooms. `lines` gives a room's line as last heard.

    `counters` are told of each poll. Once `closed`, every poll takes the ordinary way, which says goodbye.
    """

    def __init__(
        self,
        pointers: Mapping[str, PointerDocument],
        lines: Callable[[str], Line | None],
        counters: Mapping[str, Callable[[], None]],
        *,
        head_bytes: int,
        headers: int,
    ) -> None:
        self._pointers = pointers
        self._lines = lines
        self._counters = counters
        self.closed = False
        self._bytes_max = min(head_bytes, _HEAD_BYTES_MAX)
        self._lines_max = headers + 2
        self._plain: Recent[bytes, Plain] = Recent(_REMEMBERED_MAX)
        self._made: dict[str, tuple[Line, float, bytes, bytes, bytes]] = {}

    def take(self, data: bytes, _client: Client) -> bytes | None:
        """The whole answer to `data`, if that is one plain poll of a room that is known by now; else None."""
        plain = self._plain.get(data) or self._read(data)
        if plain is None or self.closed:
            return None
        room, shown = plain
        made = self._made.get(room)
        line, now = self._lines(room), time.monotonic()
        if line is None:
            return None
        if made is None or made[0] is not line or now >= made[1]:
            made = self._make(room, line, now)
        self._counters[room]()
        _, _, full, unchanged, etag = made
        return unchanged if shown is not None and etag in shown else full

    def _read(self, data: bytes) -> Plain | None:
        """What a head asks for, if it is a plain poll."""
        if not data.startswith(POLL) or len(data) > self._bytes_max or data.count(b"\r\n") > self._lines_max:
            return None
        head = _HEAD.fullmatch(data)
        if head is None or (room := head[1].decode()) not in self._pointers:
            return None
        once: set[bytes] = set()
        shown = None
        for name, value in _SPECIAL.findall(head[2]):
            key = name.lower()
            if key in once:
                return None
            once.add(key)
            match key:
                case b"host" if _is_host(value):
                    pass
                case b"if-none-match":
                    shown = value
                case b"connection" if value.lower() == b"keep-alive":
                    pass
                case _ if key not in _HARMLESS:
                    return None
        if b"host" not in once:
            return None
        self._plain.put(data, (room, shown))
        return room, shown

    def _make(self, room: str, line: Line, now: float) -> tuple[Line, float, bytes, bytes, bytes]:
        """Both answers for a line; they hold until the line is another, or the second in `Date` is over."""
        body, headers = self._pointers[room].current(line)
        wall = time.time()
        dated = {**headers, "Date": formatdate(wall, usegmt=True)}
        shared = "".join(f"{name}: {value}\r\n" for name, value in dated.items())
        full = f"HTTP/1.1 200 OK\r\n{shared}Content-Length: {len(body)}\r\n\r\n".encode() + body
        unchanged = f"HTTP/1.1 304 Not Modified\r\n{shared}\r\n".encode()
        made = (line, now + 1 - wall % 1, full, unchanged, headers["ETag"].encode())
        self._made[room] = made
        return made


def _is_host(value: bytes) -> bool:
    try:
        parse_host(value.decode("latin-1"))
    except RefusalError:
        return False
    return True
