"""What a request is, before anything is done with it: who calls, where it falls, what it shows, what follows.

Owns the collecting of facts; `core/decision.py` judges them, `gatekeeper.py` enacts, `relay.py` remembers what may
be remembered. Both ask here, so that there is one judgement.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

from aiohttp import web

from gate.core import decision as d
from gate.core.fetch import SAFE_METHODS, Kind, classify, is_crawler, is_websocket
from gate.core.line import Line
from gate.core.meter import Count, Meter
from gate.core.room import Network, Room
from gate.core.target import Route, route
from gate.web.caller import Caller, identify, join_share, scheme_of
from gate.web.cookies import parse_cookies
from gate.web.desk import Desk
from gate.web.holdings import Holdings
from gate.web.plain import Asking, PlainRequest
from gate.web.sharing import Sharing
from gate.web.shown import Shown, show


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose word on addresses and schemes counts."""

    proxies: tuple[Network, ...]
    public_scheme: str


R = TypeVar("R", web.BaseRequest, PlainRequest)


@dataclass(frozen=True, slots=True)
class Visit(Generic[R]):
    """A request for a room's URL, and what it shows."""

    request: R
    caller: Caller
    desk: Desk
    holdings: Holdings
    facts: d.Facts
    line: Line | None

    def decide(self) -> d.Decision:
        """What to do with it, now."""
        return d.decide(self.facts, self.desk.room, self.line, self.desk.now())


class Sight:
    """The eyes of one process."""

    def __init__(self, rooms: tuple[Room, ...], desks: dict[str, Desk], trust: Trust, meter: Meter) -> None:
        self._rooms = rooms
        self._desks = desks
        self._trust = trust
        self._sharing = {name: Sharing(meter.counter(Count.PASS_MULTI_IP, name)) for name in desks}

    def away_for(self) -> float:
        """Seconds for which the store has been silent, of the room that it is silent longest about."""
        return max((desk.away_for for desk in self._desks.values()), default=0.0)

    def identify(self, request: Asking) -> Caller:
        """Who calls, and for what. Raises RefusalError."""
        return identify(request, self._trust.proxies, self._trust.public_scheme)

    def scheme_of(self, peer: str, scheme: str, forwarded: str) -> str:
        """The scheme that a visitor sees; `forwarded` is what X-Forwarded-Proto says, or nothing."""
        return scheme_of(peer, scheme, forwarded, self._trust.proxies, self._trust.public_scheme)

    def join_share(self, peer: str, forwarded_for: str) -> str:
        """The network that a join counts for; `forwarded_for` is what X-Forwarded-For says, or nothing."""
        return join_share(peer, forwarded_for, self._trust.proxies)

    def route(self, caller: Caller, method: str) -> Route:
        """Where it falls. Raises RefusalError."""
        return route(self._rooms, caller.host, caller.target.path, method, caller.address)

    def see(self, request: R, caller: Caller, room: Room, *, bypassed: bool) -> Visit[R]:
        """Collect the facts of one request for a room's URL."""
        desk = self._desks[room.name]
        cookies = parse_cookies(request.headers.getall("Cookie", []))
        holdings = desk.read(show(request, cookies, desk.jar(caller.scheme), caller.network), request.method)
        if holdings.admission is not None:
            self._sharing[room.name].note(holdings.admission.identity, caller.network)
        kind = classify(request.method, request.headers)
        # Parts of a page may come along with another room's pass; what changes something, or a tunnel, may not.
        part = kind is Kind.PART and request.method in SAFE_METHODS and not is_websocket(request.headers)
        elsewhere = part and holdings.admission is None and self._admitted_elsewhere(caller, cookies, desk)
        facts = d.Facts(
            kind=kind,
            method=request.method,
            bypassed=bypassed,
            crawler=is_crawler(request.headers),
            early_data=request.headers.get("Early-Data") == "1",
            admission=holdings.admission,
            ticket=holdings.ticket,
            elsewhere_admitted=elsewhere,
            showed_bad=holdings.showed_bad,
            outage_open=desk.opens_in_outage,
        )
        return Visit(request, caller, desk, holdings, facts, desk.line)

    def _admitted_elsewhere(self, caller: Caller, cookies: dict[str, list[str]], here: Desk) -> bool:
        return any(
            desk.admits(Shown(tuple(desk.jar(caller.scheme).values(cookies, "pass")), network=caller.network))
            for desk in self._desks.values()
            if desk is not here
        )
