"""Whole requests down both ways of one real gate: with the lanes, and with all of them shut. No difference is allowed.

The gate, its store and its origin are real; only the client's socket is memory, so that a million requests take minutes
and every byte arrives exactly where the test cuts.
"""

import asyncio
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.fuzz.grammar import PASS, PRE, TICKET, request
from tests.web.both_ways import without_time
from tests.web.test_join_lane import shape

_STEADY_TURNS, _ORIGIN_SECONDS = 12, 0.25
# A pre-ticket's text or a token's, wherever it is said.
_TOKEN = re.compile(rb"eyJ[\w-]+\.[\w-]+\.[\w-]+|[A-Za-z0-9_-]{6,32}\.[a-z0-9]{8}\.\d{10}\.\d{1,9}\.[A-Za-z0-9_-]{22}")
_PACKED = (b"vary", b"content-encoding", b"content-length")


class Memory(asyncio.Transport):
    """A client's connection that is memory."""

    def __init__(self, protocol):
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.protocol, self.written, self.closed = protocol, b"", False

    def write(self, data):
        """What the client gets."""
        self.written += data

    def writelines(self, pieces):
        """The same."""
        self.written += b"".join(pieces)

    def is_closing(self):
        """Whether it is over."""
        return self.closed

    def close(self):
        """End it."""
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    def get_write_buffer_size(self):
        """Read at once."""
        return 0

    def pause_reading(self):
        """It never reads by itself."""

    resume_reading = pause_reading


async def exchange(server, parts) -> bytes:
    """What a client gets that sends these parts."""
    protocol = server()
    memory = Memory(protocol)
    protocol.connection_made(memory)
    for part in parts:
        if memory.closed:
            break
        protocol.data_received(part)
        await _settle(protocol, memory, turns=2)
    await _settle(protocol, memory, turns=_STEADY_TURNS)
    memory.close()
    await asyncio.sleep(0)
    return memory.written


async def _settle(protocol, memory, turns):
    """Until nothing more happens: no lane and no handler at work, nothing written for some turns of the loop."""
    steady, size, ends = 0, -1, time.monotonic() + _ORIGIN_SECONDS
    while steady < turns and not memory.closed:
        await asyncio.sleep(0)
        busy = protocol._under_way is not None or (protocol._current_request is not None and not _waits(protocol))
        steady = 0 if (busy and time.monotonic() < ends) or len(memory.written) != size else steady + 1
        size = len(memory.written)


def _waits(protocol) -> bool:
    """Whether the handler waits for bytes that the client has not sent."""
    payload = protocol._payload_parser or protocol._current_request.content
    return getattr(payload, "_waiter", None) is not None


@dataclass
class Tally:
    """What a run did and found."""

    requests: int = 0
    mutants: int = 0
    by_lane: int = 0
    statuses: Counter = field(default_factory=Counter)
    findings: list = field(default_factory=list)


class Differ:
    """Sends what the grammar makes, cut at offsets, both ways, and compares."""

    def __init__(self, running, room, dice, tokens):
        self._server, self._room, self._dice, self._tokens = running.gate.front._runner.server, room, dice, tokens
        self._lanes = self._server._lanes
        self.tally = Tally()

    async def try_one(self, cuts) -> None:
        """One request: whole, and in two at each of some offsets, each by both ways; `cuts` chooses the offsets."""
        form = request(self._dice, self._room)
        self.tally.mutants += 1
        for cut in (None, *cuts(len(form))):
            fast = await self._ask(form, cut, lanes=True)
            slow = await self._ask(form, cut, lanes=False)
            if fast != slow:
                self.tally.findings.append((cut, form, fast, slow))

    async def _ask(self, form, cut, *, lanes):
        self._server._lanes = self._watch if lanes else (lambda _data, _client: None)
        data = form
        for mark, make in self._tokens.items():
            if mark in data:
                data = data.replace(mark, make().encode())
        place = cut if cut is None or data is form else min(cut * len(data) // len(form), len(data) - 1)
        got = await exchange(self._server, [data] if place is None else [data[:place], data[place:]])
        self.tally.requests += 1
        self.tally.statuses.update(re.findall(rb"HTTP/1\.[01] (\d{3})", got))
        if re.search(rb"HTTP/1\.[01] 500 |Traceback", got):
            self.tally.findings.append((cut, form, b"a fault of ours", got))
        return told(got)

    def _watch(self, data, client):
        found = self._lanes(data, client)
        self.tally.by_lane += found is not None
        return found


def told(got: bytes) -> bytes:
    """What was answered, less what differs from one visitor to the next; what the origin saw in no order."""
    try:
        answers = shape(got)
    except ValueError:
        answers = without_time(got.replace(b"application/json", b"text/plain"))
    return _TOKEN.sub(b"<token>", repr([_plain(*answer) for answer in answers]).encode())


def _plain(status, headers, *rest):
    body = rest[-1]
    if headers.get(b"content-type", [b""])[0].startswith(b"text/html"):  # packed from the second time on
        body = b"<page>"
        headers = {name: values for name, values in headers.items() if name not in _PACKED}
    elif isinstance(body, bytes) and body.startswith(b'{"method":'):  # what the origin saw
        seen = json.loads(body)
        body = {**seen, "headers": sorted((name.lower(), value) for name, value in seen["headers"])}
        headers = {name: values for name, values in headers.items() if name != b"content-length"}
    return status, sorted(headers.items()), rest[:-1], body


MARKS = (PRE, TICKET, PASS)
