"""What must be done with one request: a pure function of the request's facts, the line and the time.

Never does it: `web/gatekeeper.py` collects the facts, asks here, and enacts the answer. Every way by which a
request reaches the origin is a `Forward` made in this file (law 5).
"""

from dataclasses import dataclass
from enum import Enum, auto

from gate.core.errors import Reason
from gate.core.fetch import SAFE_METHODS, Kind
from gate.core.line import Line
from gate.core.place import GUEST_ERA
from gate.core.room import Mode, Room
from gate.core.tokens import LEEWAY_SECONDS, Pass, Ticket

# Search engines must not index the lobby, nor drop the page: 503 tells them to come back.
CRAWLER_STATUS = 503


class Standing(Enum):
    """What a pass is worth at one moment."""

    GOOD = auto()
    AGEING = auto()
    """Past half of its life: good, and due to be made anew."""
    EXPIRED = auto()
    """Past its life, within its grace: good once more if it is made anew."""
    LAST = auto()
    """Past its cap, within the grace: good for one unsafe request."""
    OVER = auto()


@dataclass(frozen=True, slots=True)
class Facts:
    """What a request shows. Tokens here are validly signed for the room; their age is judged in `decide`."""

    kind: Kind
    method: str
    bypassed: bool = False
    crawler: bool = False
    early_data: bool = False
    admission: Pass | None = None
    ticket: Ticket | None = None
    elsewhere_admitted: bool = False
    """Holds a good pass of another room of the same host."""
    showed_bad: Reason | None = None
    """Showed a token that proves nothing, and no better one."""
    outage_open: bool = False
    """The store is away, and the room lets newcomers in meanwhile."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Send it to the origin; with `admission`, on that pass, at that standing."""

    admission: Pass | None = None
    standing: Standing = Standing.GOOD


@dataclass(frozen=True, slots=True)
class Claim:
    """Swap this served ticket for its pass, then send it to the origin."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Let it in at once if nobody waits and there is release to spare; else do `otherwise`."""

    otherwise: "ShowPage | Refuse"


@dataclass(frozen=True, slots=True)
class LetIn:
    """Let a newcomer in without a place in line: the store is away, and the room is configured so."""


@dataclass(frozen=True, slots=True)
class ShowPage:
    """Answer with the waiting page, at the ticket's place if there is one."""

    ticket: Ticket | None = None
    form_not_sent: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with a problem document; `status` where it is not the reason's own."""

    reason: Reason
    status: int | None = None


Decision = Forward | Claim | Newcomer | LetIn | ShowPage | Refuse


def decide(facts: Facts, room: Room, line: Line | None, now: float) -> Decision:
    """What to do with a request for a room's URL; `now` in Unix seconds of the store's clock."""
    if facts.bypassed:
        return Forward()
    if facts.kind is Kind.PREFLIGHT and room.preflight == "forward":
        return Forward()
    if facts.early_data and facts.method not in SAFE_METHODS:
        return Refuse(Reason.TOO_EARLY)
    if line is None:
        return _unheard(facts, room, now)
    if line.mode is Mode.OFF:
        return Forward()
    if facts.admission is not None:
        standing = pass_standing(facts.admission, room, line, facts.method, now)
        if standing is not Standing.OVER:
            return Forward(facts.admission, standing)
    if facts.kind is Kind.PART:
        comes_along = facts.elsewhere_admitted and facts.method in SAFE_METHODS
        return Forward() if comes_along else Refuse(Reason.MUST_WAIT)
    return _without_pass(facts, line)


def pass_standing(admission: Pass, room: Room, line: Line, method: str, now: float) -> Standing:
    """What a validly signed pass is worth now."""
    if admission.place.generation != line.generation:
        return Standing.OVER
    return _by_its_times(admission, room, method, now)


def _by_its_times(admission: Pass, room: Room, method: str, now: float) -> Standing:
    """What a pass is worth by what is written in it.

    One that seems to come from the future is good: we signed it, and some clock has stepped back since.
    """
    if now <= min(admission.expires + LEEWAY_SECONDS, admission.cap):
        worn = admission.expires < admission.cap and admission.expires - now < room.pass_life / 2
        return Standing.AGEING if worn else Standing.GOOD
    if now > admission.expires + room.pass_grace:
        return Standing.OVER
    if now < admission.cap:
        return Standing.EXPIRED
    return Standing.OVER if method in SAFE_METHODS else Standing.LAST


def good_until(admission: Pass, room: Room) -> float:
    """Until when (Unix seconds, included) `pass_standing` calls a pass good in its own generation."""
    until = min(admission.expires + LEEWAY_SECONDS, admission.cap)
    if admission.expires < admission.cap:
        until = min(until, admission.expires - room.pass_life / 2)
    return until


def ticket_standing(ticket: Ticket, room: Room, line: Line, now: float) -> Reason | None:
    """Why a validly signed ticket is not worth a place any more, or None if it is.

    `not-yet-served` is not among the answers: a ticket that waits is worth its place.
    """
    if ticket.place.generation != line.generation:
        return Reason.TICKET_INVALID
    if ticket.place.era == GUEST_ERA:  # a guest's is good in its link alone
        return Reason.TICKET_INVALID
    if line.served(ticket.place):
        lapsed = now > line.served_at(ticket.place) + room.claim_within
        return Reason.TICKET_LAPSED if lapsed else None
    return Reason.TICKET_EXPIRED if now > ticket.expires + LEEWAY_SECONDS else None


def _unheard(facts: Facts, room: Room, now: float) -> Decision:
    """The store was never heard: those inside go on all the same (law 7); of newcomers nobody knows anything."""
    if facts.admission is not None and _by_its_times(facts.admission, room, facts.method, now) is Standing.GOOD:
        return Forward(facts.admission)
    opens = facts.outage_open and room.mode is Mode.AUTO
    return Forward() if opens else Refuse(Reason.STORE_UNAVAILABLE)


def _without_pass(facts: Facts, line: Line) -> Decision:
    """A request of somebody who holds no pass; `facts.ticket`, where there is one, is worth its place."""
    opens_page = facts.kind in (Kind.NAVIGATION, Kind.FORM)
    if facts.ticket is not None and opens_page and line.served(facts.ticket.place):
        return Claim(facts.ticket)
    if facts.ticket is None and facts.outage_open and line.mode is Mode.AUTO and not line.full:
        return LetIn()
    waits: ShowPage | Refuse
    if facts.crawler:
        waits = Refuse(Reason.MUST_WAIT, status=CRAWLER_STATUS)
    elif opens_page:
        waits = ShowPage(facts.ticket, form_not_sent=facts.kind is Kind.FORM)
    else:
        waits = Refuse(facts.showed_bad or Reason.MUST_WAIT)
    return Newcomer(waits) if facts.ticket is None else waits
