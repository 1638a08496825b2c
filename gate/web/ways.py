"""Remembered judgements: for a head of headers seen before, how its requests go on to the origin.

Owns that memory, bounded in bytes. The judgement itself is `sight.py`'s, and only those outcomes are remembered that
leave us nothing to set: a good pass, an open rule, mode `off`, no room. Each use looks again at what may have changed
since (`_holds`): keys, mode, generation, the deny list, the time. A request in any other case gets None, which is
not a refusal: it takes the ordinary way.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from gate.core import decision as d
from gate.core.errors import RefusalError
from gate.core.headers import Header, render
from gate.core.meter import Count, Meter, Way
from gate.core.recent import Recent
from gate.core.room import Mode, Room
from gate.core.tokens import Pass
from gate.web.caller import Caller
from gate.web.desk import Desk
from gate.web.forwarding import Held, gate_headers, origin_headers
from gate.web.holdings import Vouched
from gate.web.plain import PlainRequest, pairs_of
from gate.web.sight import Sight, Visit

_BYTES_MAX = 32 * 1024 * 1024
# What a head costs beside its own bytes, which are kept twice: as they came, and as the origin gets them.
_HEAD_BYTES_MORE = 1_000
_PATHS_MAX = 20_000


@dataclass(slots=True, eq=False)
class _Fall:
    """Where requests fall, one object for each: to a room, by an open rule or not, or to none."""

    room: Room | None
    bypassed: bool


@dataclass(slots=True, eq=False)
class RelayWay:
    """How requests with one head of headers go on to the origin."""

    after: bytes
    """What follows the target in the head for the origin."""
    alike: str
    """Ways of one such name make the same head for the visitor of the same head of the origin."""
    count: Callable[[], None]
    desk: Desk | None = None
    vouched: Vouched | None = None
    held: Held | None = None
    by_mode: bool = False


@dataclass(slots=True, eq=False)
class _Known:
    """A head of headers from one peer. `where`: what of it decides where a path falls."""

    where: object
    ways: dict[_Fall, RelayWay] = field(default_factory=dict)


class Ways:
    """What one process remembers."""

    def __init__(self, sight: Sight, rooms: tuple[Room, ...], meter: Meter, *, headers_max: int) -> None:
        self._sight = sight
        self._meter = meter
        self._headers_max = headers_max
        self._by_address = any(rule.networks for room in rooms for rule in room.bypass)
        self._known: Recent[tuple[str, bytes], _Known] = Recent(_BYTES_MAX)
        self._falls: dict[tuple[Room | None, bool], _Fall] = {}
        self._paths: Recent[tuple[object, bytes], _Fall] = Recent(_PATHS_MAX)
        self._counters: dict[tuple[str, Way], Callable[[], None]] = {}

    def find(self, peer: str, scheme: str, target: bytes, path: bytes, block: bytes) -> RelayWay | None:
        """The way of a GET for `target` (its `path` without the query) with these headers, from this peer."""
        known = self._known.get((peer, block))
        if known is not None:
            fall = self._paths.get((known.where, path))
            way = known.ways.get(fall) if fall is not None else None
            if way is not None and _holds(way):
                return way
        pairs = pairs_of(block)
        if pairs is None or len(pairs) > self._headers_max:
            return None
        try:
            return self._judge(PlainRequest(target, pairs, peer, scheme), path, block)
        except RefusalError:
            return None

    def _judge(self, request: PlainRequest, path: bytes, block: bytes) -> RelayWay | None:
        """Judge as the gatekeeper does, and remember what may be."""
        caller = self._sight.identify(request)
        where = (caller.host, caller.address) if self._by_address else caller.host
        fall = self._paths.get((where, path)) or self._fall(caller, where, path)
        if fall is None:
            return None
        room = fall.room
        way = self._of_room(request, caller, fall, room) if room else self._open(request, caller, fall)
        if way is not None:
            key = (request.remote, block)
            known = self._known.get(key)
            if known is None or known.where != where:
                known = _Known(where)
                self._known.put(key, known, 2 * len(block) + _HEAD_BYTES_MORE)
            known.ways[fall] = way
        return way

    def _fall(self, caller: Caller, where: object, path: bytes) -> _Fall | None:
        """Where a path falls, remembered; None for the gate's own namespace. Raises RefusalError."""
        route = self._sight.route(caller, "GET")
        if route.own:
            return None
        fall = self._falls.setdefault((route.room, route.bypassed), _Fall(route.room, route.bypassed))
        self._paths.put((where, path), fall)
        return fall

    def _of_room(self, request: PlainRequest, caller: Caller, fall: _Fall, room: Room) -> RelayWay | None:
        visit = self._sight.see(request, caller, room, bypassed=fall.bypassed)
        match visit.decide():
            case d.Forward(admission=None):
                by_mode = not fall.bypassed
                # Along with another room's pass is good for as long as that pass, which is not looked at again here.
                if by_mode and (visit.line is None or visit.line.mode is not Mode.OFF):
                    return None
                return self._open(request, caller, fall, visit.desk, by_mode=by_mode)
            case d.Forward(admission=Pass() as admission, standing=d.Standing.GOOD):
                return None if visit.holdings.has_ticket_cookie else self._admitted(visit, admission)
        return None

    def _open(
        self, request: PlainRequest, caller: Caller, fall: _Fall, desk: Desk | None = None, *, by_mode: bool = False
    ) -> RelayWay:
        room = fall.room.name if fall.room else ""
        after = _after(request, caller, gate_headers(desk) if desk else [])
        count = self._counter(room, Way.OPEN if room else Way.NO_ROOM)
        return RelayWay(after, f"open:{room}", count, desk, by_mode=by_mode)

    def _admitted(self, visit: Visit[PlainRequest], admission: Pass) -> RelayWay:
        desk = visit.desk
        after = _after(visit.request, visit.caller, gate_headers(desk, admission))
        count = self._counter(desk.room.name, Way.PASS)
        held = Held.of(visit.request, visit.caller, desk, admission)
        return RelayWay(after, f"pass:{desk.room.name}", count, desk, desk.passes.vouch(admission), held)

    def _counter(self, room: str, label: Way) -> Callable[[], None]:
        found = self._counters.get((room, label))
        if found is None:
            found = self._counters[room, label] = self._meter.counter(Count.DECISIONS, room, label)
        return found


def _holds(way: RelayWay) -> bool:
    """Whether the judgement that led to this way would be the same now."""
    if way.vouched is not None and way.desk is not None:
        return way.desk.passes.vouches(way.vouched)
    if not way.by_mode or way.desk is None:
        return True
    line = way.desk.line
    return line is not None and line.mode is Mode.OFF


def _after(request: PlainRequest, caller: Caller, ours: list[Header]) -> bytes:
    return render(" HTTP/1.1", origin_headers(request, caller, ours))
