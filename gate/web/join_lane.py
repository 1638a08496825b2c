"""The join lane: plain joins of newcomers, before the parser runs and without a task.

Owns what a plain join is: `POST /_gate/join/{room}` without a body, from this site, showing no ticket or pass of the
room, in a room where people wait. Whoever shows a pre-ticket gets a place from the store call that others share
(`store/joins.py`), anyone else a pre-ticket. What is told is `told.py`'s; every other join takes the ordinary way.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from typing import NamedTuple

from gate.core.errors import Reason, RefusalError
from gate.core.fetch import is_foreign
from gate.core.meter import Count, Meter, Timing
from gate.core.recent import Recent
from gate.core.room import Mode
from gate.core.target import NAMESPACE, parse_host
from gate.core.tokens import PreTicket
from gate.store.connection import StoreUnavailableError
from gate.store.rooms import Dealt
from gate.web.cookies import parse_cookies
from gate.web.desk import Desk
from gate.web.lanes import Client
from gate.web.plain import pairs_of
from gate.web.retry import outage_seconds
from gate.web.sight import Sight
from gate.web.told import Told, tell_limited, tell_new, tell_pending

# How the head of a join begins.
JOIN = f"POST {NAMESPACE}join/".encode()
_LINE = re.compile(re.escape(JOIN) + rb"([a-z0-9-]{1,40}) HTTP/1\.1\r\n")
_HEAD_BYTES_MAX = 8_000
_HEAD_END = b"\r\n\r\n"
_COOKIE = b"\r\nCookie: "
_COOKIE_VALUE = re.compile(rb"[\t\x20-\x7e]*")
_KNOWN_MAX = 1_024
# Headers that a plain join may have once, and those that it has not: tokens of another kind of client, a form.
_READ = frozenset(b"host origin sec-fetch-site x-forwarded-proto x-forwarded-for content-length".split())
_MATTERS = _READ | frozenset(b"cookie gate-ticket gate-pass gate-client content-type early-data".split())
_RESULTS: dict[int, str] = {202: "pending", 200: "dealt", 429: "refused"}
_FETCH_NAMES = ((b"origin", "Origin"), (b"sec-fetch-site", "Sec-Fetch-Site"))


class JoinLane:
    """One process's join lane."""

    def __init__(
        self,
        desks: Mapping[str, Desk],
        sight: Sight,
        meter: Meter,
        *,
        head_bytes: int,
        headers: int,
    ) -> None:
        self._desks = desks
        self._sight = sight
        self._head_bytes = min(head_bytes, _HEAD_BYTES_MAX)
        self._headers_max = headers
        self._loop = asyncio.get_running_loop()
        self._outbox: list[tuple[Client, bytes, bool]] = []
        self._known: Recent[bytes, _Said] = Recent(_KNOWN_MAX)
        self.closed = False
        self._counters = {
            name: {label: meter.counter(Count.JOINS, name, label) for label in ("pending", "dealt", "refused")}
            for name in desks
        }
        self._count_limited = meter.counter(Count.DECISIONS, "", Reason.RATE_LIMITED)
        self.took = meter.observer(Timing.JOIN)

    def take(self, data: bytes, client: Client) -> "bytes | Joining | None":
        """A pre-ticket at once, or a place when the store has answered; None: not a plain join."""
        form = _LINE.match(data)
        desk = self._desks.get(form[1].decode()) if form is not None else None
        line = desk.line if desk is not None else None
        if form is None or desk is None or line is None or line.mode is Mode.CLOSED:
            return None
        if desk.room.guards_joins:
            return None
        if data.find(_HEAD_END) != len(data) - len(_HEAD_END):
            return None
        head, cookie = _cut_cookie(data[form.end() - 2 :])
        said = None if self.closed or len(data) > self._head_bytes else self._read(head)
        if said is None or cookie is None:
            return None
        scheme = self._sight.scheme_of(client.peer, client.scheme, said.proto)
        jar, cookies = desk.jar(scheme), parse_cookies((cookie,))
        if jar.values(cookies, "ticket") or jar.values(cookies, "pass"):
            return None
        pre = desk.pretickets.first(jar.values(cookies, "pre"))
        if pre is None:
            return self._tell(tell_pending(desk, scheme), desk)
        if desk.joins.may_admit():
            return None
        share = self._sight.join_share(client.peer, said.forwarded_for)
        if not desk.may_join(share):
            self._count_limited()
            return self._tell(tell_limited(), desk)
        try:
            return Joining(self, desk, scheme, pre, data, client, share)
        except RefusalError:
            desk.give_back(share)
            return None  # too many wait for the store: the ordinary way says so

    def answer(self, client: Client, told: Told, desk: Desk) -> None:
        """Answer who was under way, together with all who shared the store's call.

        One after another without work in between: each write that finds its reader asleep costs as much as the answer.
        """
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append((client, self._tell(told, desk), self.closed))

    def _flush(self) -> None:
        answers, self._outbox = self._outbox, []
        for client, answer, _ in answers:
            client.send(answer)
        for client, _, close in answers:
            client.finished(close=close)

    def _tell(self, told: Told, desk: Desk) -> bytes:
        """The whole answer, counted."""
        self._counters[desk.room.name][_RESULTS[told.status]]()
        return told.render(close=self.closed)

    def _read(self, head: bytes) -> "_Said | None":
        """What a head without cookies says of who asks; None: the join is not plain.

        Remembered by its bytes: without its cookies a browser's head is like any other's of its make.
        """
        known = self._known.get(head)
        if known is None:
            known = _read(head, self._headers_max)
            if known is not None:
                self._known.put(head, known)
        return known


class _Said(NamedTuple):
    """What a head says of who asks, if that counts."""

    proto: str
    forwarded_for: str


def _read(head: bytes, headers_max: int) -> _Said | None:
    pairs = pairs_of(head[2:], but=_MATTERS)
    if pairs is None or len(pairs) >= headers_max:
        return None
    said: dict[bytes, str] = {}
    for name, value in pairs:
        key = name.lower()
        if key in _MATTERS:
            if key in said or key not in _READ:
                return None
            said[key] = value.decode()
    authority = said.get(b"host", "")
    try:
        parse_host(authority)
    except RefusalError:
        return None
    if said.get(b"content-length", "0") != "0" or _is_foreign(said, authority):
        return None
    return _Said(said.get(b"x-forwarded-proto", ""), said.get(b"x-forwarded-for", ""))


def _cut_cookie(head: bytes) -> tuple[bytes, str | None]:
    """A head (with the line end before it) without its one `Cookie` line, and that line's value; None: not plain."""
    start = head.find(_COOKIE)
    if start < 0:
        return head, ""
    end = head.find(b"\r\n", start + len(_COOKIE))
    value = head[start + len(_COOKIE) : end]
    return head[:start] + head[end:], value.decode() if _COOKIE_VALUE.fullmatch(value) else None


def _is_foreign(said: dict[bytes, str], authority: str) -> bool:
    shown = {name: said[key] for key, name in _FETCH_NAMES if key in said}
    return bool(shown) and is_foreign(shown, authority)


class Joining:
    """One newcomer whose number the store is asked for."""

    __slots__ = ("_asked", "_began", "_client", "_data", "_desk", "_lane", "_scheme", "_share")

    def __init__(
        self, lane: JoinLane, desk: Desk, scheme: str, pre: PreTicket, data: bytes, client: Client, share: str
    ) -> None:
        self._share = share
        self._lane, self._desk, self._scheme, self._data, self._client = lane, desk, scheme, data, client
        self._began = time.perf_counter()
        self._asked = desk.joins.begin(pre)
        self._asked.add_done_callback(self._answered)

    def leave(self) -> None:
        """The visitor has gone, and spends no number unless the store has been asked already."""
        self._asked.cancel()

    def pause(self) -> None:
        """One small answer waits for nobody."""

    def resume(self) -> None:
        """Nor has it to be told that it may go on."""

    def _answered(self, asked: "asyncio.Future[Dealt | None]") -> None:
        if asked.cancelled():
            return None
        error = asked.exception()
        dealt = None if error else asked.result()
        if dealt is None:
            known = error is None or isinstance(error, StoreUnavailableError)
            away = RefusalError(Reason.STORE_UNAVAILABLE, retry_after=outage_seconds(self._desk.away_for))
            return self._client.take_ordinary_way(self._data, away if known else RefusalError(Reason.INTERNAL))
        self._lane.took(time.perf_counter() - self._began)
        if dealt.position <= 0:
            self._desk.give_back(self._share)
        if dealt.position == 0:
            return self._client.take_ordinary_way(self._data, None)
        if dealt.position < 0:
            told = tell_pending(self._desk, self._scheme, retry_after=1)
        else:
            told = tell_new(self._desk, self._scheme, dealt.place, dealt.nonce)
        return self._lane.answer(self._client, told, self._desk)
