"""The visitor's own endpoints under `/_gate/`: pointer, join, status, claim, leave, assets and health.

What belongs here is never forwarded. Numbers come from the desk; documents and cookies are made here.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import parse_qs

from aiohttp import web

from gate.core.errors import Reason, RefusalError
from gate.core.fetch import is_foreign
from gate.core.meter import Count, Meter, Timing
from gate.core.readiness import Readiness
from gate.core.room import Mode
from gate.core.target import NAMESPACE
from gate.web.assets import Assets
from gate.web.caller import Caller
from gate.web.cookies import parse_cookies
from gate.web.desk import Desk
from gate.web.holdings import Admitted, Holdings
from gate.web.pointer import PointerDocument
from gate.web.problems import problem
from gate.web.retry import retry_seconds
from gate.web.shown import Shown, show
from gate.web.told import JOIN_AGAIN_SECONDS, tell_new, tell_pending, tell_puzzle, tell_status, tell_unverified
from gate.web.verifying import Verifying
from gate.web.waiting import safe_back

log = logging.getLogger("gate.visitors")
_FORM_BYTES_MAX = 8_192
_FORM_TYPE = "application/x-www-form-urlencoded"

Verb = Callable[["Visitors", web.BaseRequest, Caller, Desk], Awaitable[web.Response]]


class Visitors:
    """Everything under `/_gate/` on the public listener."""

    def __init__(
        self,
        desks: dict[str, Desk],
        assets: Assets,
        readiness: Callable[[], Readiness],
        meter: Meter,
        verifying: Verifying,
    ) -> None:
        self._meter = meter
        self._verifying = verifying
        self._desks = desks
        self._assets = assets
        self._readiness = readiness
        self.pointers = {name: PointerDocument(desk.room) for name, desk in desks.items()}

    async def handle(self, request: web.BaseRequest, caller: Caller) -> web.Response:
        """One request whose path begins with `/_gate/`, in every reading."""
        verb, _, rest = caller.target.path.removeprefix(NAMESPACE).partition("/")
        if verb == "static":
            _only(request, "GET", "HEAD")
            return self._assets.answer(rest, request)
        if verb in ("livez", "readyz") and not rest:
            _only(request, "GET", "HEAD")
            healthy = Readiness.READY if verb == "livez" else self._readiness()
            return web.Response(status=healthy.status, text=healthy.text, headers=_PLAIN)
        found, desk = _VERBS.get(verb), self._desks.get(rest)
        if found is None or desk is None:
            raise RefusalError(Reason.NOT_FOUND)
        methods, handler = found
        _only(request, *methods)
        if "POST" in methods and is_foreign(request.headers, caller.authority):
            raise RefusalError(Reason.FORBIDDEN)
        return await handler(self, request, caller, desk)

    async def now(self, request: web.BaseRequest, _caller: Caller, desk: Desk) -> web.Response:
        """The pointer document."""
        self._meter.count(Count.POLLS, desk.room.name)
        line = desk.line
        if line is None:
            return problem(Reason.STORE_UNAVAILABLE, retry_after=retry_seconds(2))
        return self.pointers[desk.room.name].answer(line, request.headers.get("If-None-Match"))

    async def join(self, request: web.BaseRequest, caller: Caller, desk: Desk) -> web.Response:
        """Take a place, or be told the one that is held already."""
        back = await _form_back(request)
        shown = _shown(request, caller, desk)
        holdings = await desk.read_and_renew(shown)
        if holdings.ticket is not None and await desk.has_ended(holdings.ticket):
            # Dead, though validly signed: whoever shows it stands where anyone without a ticket stands.
            holdings = replace(desk.read(replace(shown, tickets=()), "GET"), dead=("ticket",))
        if holdings.admission is None and holdings.ticket is None:
            answer = await self._join_new(request, caller, desk, holdings)
        else:
            self._meter.count(Count.JOINS, desk.room.name, "again")
            answer = _status(request, caller, desk, holdings)
        return answer if back is None else _redirect(answer, back)

    async def status(self, request: web.BaseRequest, caller: Caller, desk: Desk) -> web.Response:
        """What the ticket or pass shown is worth."""
        return _status(request, caller, desk, await _read(request, caller, desk))

    async def claim(self, request: web.BaseRequest, caller: Caller, desk: Desk) -> web.Response:
        """Swap a served ticket for its pass."""
        holdings = await _read(request, caller, desk)
        if holdings.ticket is None:
            if holdings.admission is not None:
                return _status(request, caller, desk, holdings)
            return _clear(problem(holdings.showed_bad or Reason.TICKET_INVALID), caller, desk, holdings.dead)
        if desk.room.verifies("claim"):
            # Before the store is asked: it may know the turn a moment earlier than this gate does.
            if not desk.serves(holdings.ticket):
                return problem(Reason.NOT_YET_SERVED, retry_after=retry_seconds(1))
            if not await self._is_verified(request, caller, desk, "claim"):
                return tell_unverified(desk).response()
        outcome = await desk.claim(holdings.ticket, caller.network)
        self._meter.count(Count.CLAIMS, desk.room.name, "claimed" if isinstance(outcome, Admitted) else outcome.value)
        place = holdings.ticket.place
        if not isinstance(outcome, Admitted):
            told = {"room": desk.room.name, "position": place.position, "reason": outcome.value}
            log.info("claim refused", extra=told)
            if outcome is Reason.NOT_YET_SERVED:
                return problem(outcome, retry_after=retry_seconds(1))
            return _clear(problem(outcome), caller, desk, ("ticket",))
        log.info("claimed", extra={"room": desk.room.name, "position": place.position})
        admitted = Holdings(admission=outcome.admission, ticket=holdings.ticket, fresh=outcome)
        return _status(request, caller, desk, admitted)

    async def leave(self, request: web.BaseRequest, caller: Caller, desk: Desk) -> web.Response:
        """Give the place back: its visit is over, its cookies are cleared."""
        holdings = await _read(request, caller, desk)
        held = holdings.ticket or holdings.admission
        if held is not None:
            await desk.leave(held.place)
            log.info("left", extra={"room": desk.room.name, "position": held.place.position})
        answer = web.Response(status=204, headers={"Cache-Control": "no-store", "Server": "gate"})
        for kind in ("ticket", "pass", "pre"):
            answer.headers.add("Set-Cookie", desk.jar(caller.scheme).clear(kind))
        return answer

    async def enter(self, request: web.BaseRequest, caller: Caller, desk: Desk) -> web.Response:
        """A guest's link: sets the pass and goes on to the site."""
        asked = parse_qs(request.raw_path.partition("?")[2])
        ticket = desk.read_ticket(asked.get("ticket", [""])[0])
        outcome = await desk.welcome(ticket, caller.network) if ticket else Reason.TICKET_INVALID
        if not isinstance(outcome, Admitted):
            return problem(outcome)
        log.info("guest", extra={"room": desk.room.name, "position": outcome.admission.place.position})
        answer = web.Response(status=303, headers={"Location": safe_back(asked.get("next", ["/"])[0]), **_PLAIN})
        answer.headers.add("Set-Cookie", desk.pass_cookie(caller.scheme, outcome))
        return answer

    async def _join_new(self, request: web.BaseRequest, caller: Caller, desk: Desk, holdings: Holdings) -> web.Response:
        line, counted = desk.line, desk.room.name
        if line is not None and line.mode is Mode.CLOSED:
            self._meter.count(Count.JOINS, counted, "refused")
            return problem(Reason.ROOM_CLOSED)
        if holdings.pre is None:
            self._meter.count(Count.JOINS, counted, "pending")
            told = tell_pending(desk, caller.scheme, api=_is_api(request))
            return _clear(told.response(), caller, desk, holdings.dead)
        if not desk.has_worked(holdings.pre, request.headers.get("Gate-Proof", "")):
            self._meter.count(Count.JOINS, counted, "pending")
            return tell_puzzle(desk, holdings.pre).response()
        if not await self._is_verified(request, caller, desk, "join"):
            self._meter.count(Count.JOINS, counted, "refused")
            return tell_unverified(desk).response()
        if not desk.may_join(caller.join_share):
            self._meter.count(Count.JOINS, counted, "refused")
            raise RefusalError(Reason.RATE_LIMITED, retry_after=retry_seconds(JOIN_AGAIN_SECONDS))
        began = time.perf_counter()
        dealt = await desk.joins.admit(holdings.pre) or await desk.joins.join(holdings.pre)
        self._meter.observe(Timing.JOIN, time.perf_counter() - began)
        self._meter.count(Count.JOINS, counted, _JOIN_RESULT[(dealt.position > 0) - (dealt.position < 0)])
        if dealt.position <= 0:
            desk.give_back(caller.join_share)
        if dealt.position < 0:
            return tell_pending(desk, caller.scheme, api=_is_api(request), retry_after=1).response()
        if dealt.position == 0:
            return _no_place(desk)
        return tell_new(desk, caller.scheme, dealt.place, dealt.nonce, api=_is_api(request)).response()

    async def _is_verified(self, request: web.BaseRequest, caller: Caller, desk: Desk, step: str) -> bool:
        """Whether an outside verifier vouches for who asks, where the room wants it at this step."""
        verifier = desk.room.verifier
        if verifier is None or not desk.room.verifies(step):
            return True
        return await self._verifying.is_good(verifier, request.headers.get("Gate-Verify", ""), caller.join_share)


_VERBS: dict[str, tuple[tuple[str, ...], Verb]] = {
    "now": (("GET", "HEAD"), Visitors.now),
    "status": (("GET", "HEAD"), Visitors.status),
    "join": (("POST",), Visitors.join),
    "claim": (("POST",), Visitors.claim),
    "leave": (("POST",), Visitors.leave),
    "enter": (("GET",), Visitors.enter),
}
# By the sign of the position dealt.
_JOIN_RESULT = {1: "dealt", 0: "refused", -1: "pending"}
_PLAIN = {"Cache-Control": "no-store", "Server": "gate"}


async def _read(request: web.BaseRequest, caller: Caller, desk: Desk) -> Holdings:
    """What is shown is worth; a pass within its grace is made anew here too, unless its visit has ended."""
    return await desk.read_and_renew(_shown(request, caller, desk))


def _shown(request: web.BaseRequest, caller: Caller, desk: Desk) -> Shown:
    cookies = parse_cookies(request.headers.getall("Cookie", []))
    return show(request, cookies, desk.jar(caller.scheme), caller.network)


def _clear(answer: web.Response, caller: Caller, desk: Desk, kinds: tuple[str, ...]) -> web.Response:
    for kind in kinds:
        answer.headers.add("Set-Cookie", desk.jar(caller.scheme).clear(kind))
    return answer


def _only(request: web.BaseRequest, *methods: str) -> None:
    if request.method not in methods:
        raise RefusalError(Reason.METHOD_NOT_ALLOWED, "Allowed here: " + ", ".join(methods))


def _is_api(request: web.BaseRequest) -> bool:
    return request.headers.get("Gate-Client", "").lower() == "api"


def _status(request: web.BaseRequest, caller: Caller, desk: Desk, holdings: Holdings) -> web.Response:
    return tell_status(desk, caller.scheme, holdings, api=_is_api(request)).response()


def _no_place(desk: Desk) -> web.Response:
    """Nothing was dealt: the room takes nobody any more, or nobody for now."""
    line = desk.line
    if line is not None and line.mode is Mode.CLOSED:
        return problem(Reason.ROOM_CLOSED)
    return problem(Reason.ROOM_FULL, retry_after=retry_seconds(20))


async def _form_back(request: web.BaseRequest) -> str | None:
    """Where a plain form wants to go back to; None for a script's or an API client's request."""
    if not request.headers.get("Content-Type", "").lower().startswith(_FORM_TYPE):
        return None
    if (request.content_length or 0) > _FORM_BYTES_MAX:
        raise RefusalError(Reason.TOO_LARGE)
    body = await request.content.read(_FORM_BYTES_MAX)
    return safe_back(parse_qs(body.decode("latin-1")).get("next", ["/"])[0])


def _redirect(answer: web.Response, back: str) -> web.Response:
    """The same outcome for a browser without JavaScript: the cookies, and the page again."""
    redirect = web.Response(status=303, headers={"Location": back, "Cache-Control": "no-store", "Server": "gate"})
    for cookie in answer.headers.getall("Set-Cookie", []):
        redirect.headers.add("Set-Cookie", cookie)
    return redirect
