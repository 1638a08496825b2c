"""A crowd that costs little: joins, polls of the pointer, and steady traffic whose latency hides no stall.

Everything is kept as raw bytes while it runs and decoded afterwards. All times are monotonic seconds.
"""

import asyncio
import base64
import json
import math
import time
from collections import deque
from typing import NamedTuple

from tests.faults.httpwire import Connection, Crew, head_of, parse, retry_after

_PATIENCE_SECONDS = 10.0


class Ticket(NamedTuple):
    """A place that somebody was given: `began` at the first request, `asked` at the one that spent the number."""

    connection: int
    url: str
    began: float
    asked: float
    answered: float
    generation: int
    era: int
    position: int
    nonce: str

    @property
    def place(self) -> tuple[int, int, int]:
        """Where in line."""
        return self.generation, self.era, self.position


class JoinCrowd(Crew):
    """Newcomers, one after another on each connection: `rate` a second in all, or as fast as answers come.

    With a `rate` and no connection free, newcomers queue, so that the rate is made up for later. After any answer
    but 202 and 200 a newcomer gives up and the next one comes; `obeys` makes its connection first wait as told.
    """

    def __init__(
        self,
        urls: list[str],
        room: str,
        *,
        connections: int = 16,
        rate: float | None = None,
        obeys: bool = False,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        super().__init__(urls, connections, patience)
        self._rate, self._obeys = rate, obeys
        self._pre, self._ticket = f"gate_pre_{room}=".encode(), f"gate_ticket_{room}=".encode()
        ask = f"POST /_gate/join/{room}"
        self._first = {url: head_of(ask, url, "Content-Length: 0") for url in urls}
        self._began = [0.0] * connections
        self._asked = [0.0] * connections
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._ending = False
        self._offering: asyncio.Task[None] | None = None
        self.raw: list[tuple[int, str, float, float, float, bytes]] = []
        self.offered = 0

    def answered(self, connection: Connection, status: int, head: bytes, body: bytes) -> None:
        now, index = time.monotonic(), connection.index
        self.note(status, body)
        if status == 202 and not self._asked[index] and (pre := _cookie(head, self._pre)):
            self._asked[index] = now
            request = self._first[connection.url]
            return connection.send(request[:-2] + b"Cookie: " + self._pre + pre + b"\r\n\r\n", now)
        if status == 200 and (ticket := _cookie(head, self._ticket)):
            self.raw.append((index, connection.url, self._began[index], self._asked[index], now, ticket))
        elif status in (200, 202):
            self.errors[f"{status} without what was hoped for"] += 1
        elif self._obeys:
            connection.pause_seconds = retry_after(head)
        return None

    def idle(self, connection: Connection) -> None:
        """The next newcomer, if one is due."""
        if self._ending:
            return
        if self._rate is None:
            self.offered += 1
            self._join(connection, time.monotonic())
        elif self._due:
            self._join(connection, self._due.popleft())
        else:
            self._idle.append(connection)

    def _join(self, connection: Connection, began: float) -> None:
        self._began[connection.index], self._asked[connection.index] = began, 0.0
        connection.send(self._first[connection.url], time.monotonic())

    def _offer(self, due: float) -> None:
        """One more newcomer, who takes a free connection or queues."""
        self.offered += 1
        while self._idle and not self._due:
            connection = self._idle.popleft()
            if connection.is_free:
                return self._join(connection, due)
        self._due.append(due)
        return None

    async def __aenter__(self) -> "JoinCrowd":
        await super().__aenter__()
        if self._rate is not None:
            self._offering = asyncio.create_task(self.pace(self._rate, self._offer, lambda: self._ending))
        return self

    async def __aexit__(self, *error: object) -> None:
        """Let the last ones get their places."""
        self._ending = True
        await self.drain()
        if self._offering is not None:
            await self._offering
        await super().__aexit__(*error)

    def tickets(self) -> list[Ticket]:
        """All places given, in the order of the answers. Signatures are not looked at."""
        return [Ticket(*rest, *_place(token)) for *rest, token in self.raw]


class Seen(NamedTuple):
    """A pointer document as somebody saw it."""

    asked: float
    answered: float
    url: str
    generation: int
    era: int
    now_serving: int
    issued: int
    eras: list[list[int]]

    @property
    def pointer(self) -> tuple[int, int, int]:
        """What may never go back."""
        return self.generation, self.era, self.now_serving


class PollWatch(Crew):
    """Polls the pointer at every URL, each so often on a connection of its own; late answers delay the next poll."""

    def __init__(
        self, urls: list[str], room: str, *, every_ms: float = 50.0, patience: float = _PATIENCE_SECONDS
    ) -> None:
        super().__init__(urls, len(urls), patience)
        self._every = every_ms / 1_000
        self._request = {url: head_of(f"GET /_gate/now/{room}", url) for url in urls}
        self._asked = [0.0] * len(urls)
        self.seen: list[Seen] = []

    def answered(self, connection: Connection, status: int, _head: bytes, body: bytes) -> None:
        now, asked = time.monotonic(), self._asked[connection.index]
        self.note(status, body)
        said = parse(body) if status == 200 else None
        if said is not None:
            numbers = (said[name] for name in ("generation", "era", "now_serving", "issued", "eras"))
            self.seen.append(Seen(asked, now, connection.url, *numbers))
        elif status == 200:
            self.errors["200 without a document"] += 1
        connection.pause_seconds = max(asked + self._every - now, 0.001)

    def idle(self, connection: Connection) -> None:
        """The next poll."""
        now = self._asked[connection.index] = time.monotonic()
        connection.send(self._request[connection.url], now)


class Done(NamedTuple):
    """One request: when it was due, how long from then to its answer, and the status (0: lost)."""

    due: float
    seconds: float
    status: int


class Steady(Crew):
    """Given requests in turn at a fixed rate, whatever becomes of them; latency counts from when each was due."""

    def __init__(
        self, url: str, requests: list[bytes], *, rate: float, connections: int = 16, patience: float = 5.0
    ) -> None:
        super().__init__([url], connections, patience)
        self._requests, self._rate = requests, rate
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._under_way = [0.0] * connections
        self._sent = 0
        self._ending = False
        self._offering: asyncio.Task[None] | None = None
        self.done: list[Done] = []

    def answered(self, connection: Connection, status: int, _head: bytes, body: bytes) -> None:
        due = self._under_way[connection.index]
        self.done.append(Done(due, time.monotonic() - due, status))
        self.note(status, body)

    def failed(self, connection: Connection, why: str) -> None:
        """A request that was under way is lost; the next one is not this one again."""
        super().failed(connection, why)
        if why.endswith(", asked"):
            due = self._under_way[connection.index]
            self.done.append(Done(due, time.monotonic() - due, 0))

    def idle(self, connection: Connection) -> None:
        if self._due and not self._ending:
            self._ask(connection)
        else:
            self._idle.append(connection)

    def _ask(self, connection: Connection) -> None:
        self._under_way[connection.index] = self._due.popleft()
        connection.send(self._requests[self._sent % len(self._requests)], time.monotonic())
        self._sent += 1

    def _offer(self, due: float) -> None:
        self._due.append(due)
        while self._idle:
            connection = self._idle.popleft()
            if connection.is_free:
                return self._ask(connection)
        return None

    async def __aenter__(self) -> "Steady":
        await super().__aenter__()
        self._offering = asyncio.create_task(self.pace(self._rate, self._offer, lambda: self._ending))
        return self

    async def __aexit__(self, *error: object) -> None:
        """Wait for the last answers; whoever was never sent counts as lost."""
        self._ending = True
        assert self._offering is not None
        await self._offering
        await self.drain()
        now = time.monotonic()
        self.done += [Done(due, now - due, 0) for due in self._due]
        await super().__aexit__(*error)

    def percentile(self, share: float, *, since: float = 0.0, until: float = math.inf) -> float:
        """The latency (seconds) that this share of all requests due then did not exceed; lost ones never end."""
        chosen = [one for one in self.done if since <= one.due < until]
        times = sorted(one.seconds if one.status else math.inf for one in chosen)
        return times[max(math.ceil(share * len(times)) - 1, 0)] if times else math.nan


def _cookie(head: bytes, name: bytes) -> bytes:
    """A cookie's value, if the answer sets one."""
    start = head.find(b": " + name)
    if start < 0:
        return b""
    start += 2 + len(name)
    return head[start : head.find(b";", start)]


def _place(token: bytes) -> tuple[int, int, int, str]:
    body = token.split(b".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)))
    return claims["gen"], claims["era"], claims["pos"], claims["nonce"]
