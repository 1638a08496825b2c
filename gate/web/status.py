"""The status document: what a visitor's ticket or pass is worth at this moment."""

from typing import Any

from gate.core.errors import LAPSED, Reason
from gate.core.estimate import wait_range
from gate.core.line import Line
from gate.core.place import reference
from gate.core.room import Mode
from gate.core.tokens import Pass, Ticket
from gate.web.desk import Desk
from gate.web.holdings import Holdings

_DEAD = LAPSED | {Reason.TICKET_INVALID}


def status_document(desk: Desk, holdings: Holdings) -> dict[str, Any]:
    """The document for what was shown; numbers are those of the line as last heard."""
    line = desk.line
    held: Pass | Ticket | None = holdings.admission or holdings.ticket
    document: dict[str, Any] = {
        "room": desk.room.name,
        "status": _word(line, holdings),
        "now_serving": line.now_serving if line else None,
        "issued": line.serving.last if line else None,
    }
    if held is None or line is None:
        return document
    place = held.place
    wait = wait_range(line, place)
    document["position"] = place.position
    document["number"] = line.rank(place)
    document["ahead"] = line.ahead(place)
    document["wait"] = {"low": wait.low, "high": wait.high} if wait else None
    document["generation"] = place.generation
    document["era"] = place.era
    document["reference"] = reference(place, held.nonce)
    document["kept_until"] = held.expires
    document["claim_within"] = round(desk.room.claim_within)
    return document


def _word(line: Line | None, holdings: Holdings) -> str:
    if holdings.admission is not None:
        return "admitted"
    if holdings.ticket is not None:
        return "served" if line is not None and line.served(holdings.ticket.place) else "waiting"
    if holdings.showed_bad in _DEAD:
        return "lapsed"
    return "closed" if line is not None and line.mode is Mode.CLOSED else "pending"
