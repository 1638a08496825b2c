"""What the visitor's own endpoints tell: a status document and its headers, before either way puts them into HTTP."""

from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from multidict import CIMultiDict

from gate.core.errors import Reason, problem_document
from gate.core.place import Place
from gate.core.tokens import PreTicket
from gate.web.dates import http_date
from gate.web.desk import Desk
from gate.web.holdings import Holdings
from gate.web.retry import retry_seconds
from gate.web.status import status_document

_ALWAYS = {"Cache-Control": "no-store", "Server": "gate"}
# For whoever comes from a network that has taken its share.
JOIN_AGAIN_SECONDS = 10.0


class Told(NamedTuple):
    """An answer; length and date are still to be added. `cookies` are `Set-Cookie` values."""

    status: int
    document: dict[str, Any]
    cookies: tuple[str, ...] = ()
    retry_after: int | None = None
    content_type: str = "application/json"

    def response(self) -> web.Response:
        """For aiohttp's way."""
        headers = CIMultiDict(_headers(self.retry_after, self.content_type))
        for cookie in self.cookies:
            headers.add("Set-Cookie", cookie)
        return web.Response(status=self.status, body=orjson.dumps(self.document), headers=headers)

    def render(self, *, close: bool) -> bytes:
        """For a lane: the whole answer, the same."""
        body = orjson.dumps(self.document)
        cookies = "".join([f"Set-Cookie: {cookie}\r\n" for cookie in self.cookies])
        head = _begin(self.status, self.retry_after, self.content_type) + cookies
        head += "Connection: close\r\n" if close else ""
        return f"{head}Content-Length: {len(body)}\r\nDate: {http_date()}\r\n\r\n".encode() + body


def _headers(retry_after: int | None, content_type: str) -> dict[str, str]:
    headers = {"Content-Type": content_type, **_ALWAYS}
    return headers if retry_after is None else {**headers, "Retry-After": str(retry_after)}


@lru_cache(maxsize=64)
def _begin(status: int, retry_after: int | None, content_type: str) -> str:
    lines = [f"{name}: {value}\r\n" for name, value in _headers(retry_after, content_type).items()]
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n" + "".join(lines)


def tell_pending(desk: Desk, scheme: str, *, api: bool = False, retry_after: int = 0) -> Told:
    """No number is spent yet: here is a pre-ticket, show it; with the solution of its puzzle, where there is one."""
    text, pre = desk.pretickets.mint()
    document = _pending(desk, pre)
    if api:
        return Told(202, document | {"pre_ticket": text}, (), retry_after)
    return Told(202, document, (desk.set_pre(scheme, text),), retry_after)


def tell_puzzle(desk: Desk, pre: PreTicket) -> Told:
    """The pre-ticket shown is good, and the work for its number is still to be done."""
    return Told(202, _pending(desk, pre), (), 0)


def _pending(desk: Desk, pre: PreTicket) -> dict[str, Any]:
    document: dict[str, Any] = {"room": desk.room.name, "status": "pending"}
    challenge = desk.challenge(pre)
    return document if challenge is None else {**document, "challenge": {**challenge, "solver": desk.solver}}


def tell_unverified(desk: Desk) -> Told:
    """An outside verifier is to vouch for this visitor first; here is what its widget needs."""
    reason, verifier = Reason.VERIFICATION_REQUIRED, desk.room.verifier
    assert verifier is not None  # noqa: S101  (the room has one)
    return Told(
        reason.status,
        {**problem_document(reason), "verifier": verifier.document()},
        content_type="application/problem+json",
    )


def tell_limited() -> Told:
    """This network has taken its share of numbers for now."""
    reason = Reason.RATE_LIMITED
    again = retry_seconds(JOIN_AGAIN_SECONDS)
    return Told(reason.status, problem_document(reason), (), again, "application/problem+json")


def tell_new(desk: Desk, scheme: str, place: Place, nonce: str, *, api: bool = False) -> Told:
    """A place was dealt: here is its ticket."""
    text, ticket = desk.new_ticket(place, nonce)
    document = status_document(desk, Holdings(ticket=ticket))
    if api:
        return Told(200, document | {"ticket": text})
    return Told(200, document, (desk.ticket_cookie(scheme, text), desk.jar(scheme).clear("pre")))


def tell_status(desk: Desk, scheme: str, holdings: Holdings, *, api: bool = False) -> Told:
    """What is shown is worth, and whatever token must be made anew: as a cookie, or in the body."""
    document = status_document(desk, holdings)
    made: dict[str, tuple[str, str]] = {}
    if holdings.fresh is not None:
        made["pass"] = (holdings.fresh.text, desk.pass_cookie(scheme, holdings.fresh))
    if holdings.ticket is not None and holdings.admission is None and desk.is_worn(holdings.ticket):
        text, _ = desk.new_ticket(holdings.ticket.place, holdings.ticket.nonce)
        made["ticket"] = (text, desk.ticket_cookie(scheme, text))
    if api:
        return Told(200, document | {kind: text for kind, (text, _) in made.items()})
    return Told(200, document, tuple(cookie for _, cookie in made.values()))
