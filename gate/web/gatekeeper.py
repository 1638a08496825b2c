"""The gatekeeper: every request of the public listener, from its facts to what is done with it.

facts → decide → enact. Facts come from `sight.py`; `core/decision.py` decides; this file enacts,
and is the one place where the store and the proxy meet. Nothing here adds a way to the origin: only a `Forward`
or a pass just dealt leads there (law 5).
"""

import logging
import time
from dataclasses import replace

from aiohttp import web

from gate.core import decision as d
from gate.core.errors import Reason, RefusalError
from gate.core.fetch import METHODS, Kind, classify
from gate.core.meter import Count, Meter, Way
from gate.core.room import Room
from gate.core.tokens import Pass, Ticket
from gate.proxy.origin import BEGAN, Origin
from gate.store.connection import StoreUnavailableError
from gate.web.caller import Caller
from gate.web.edge import EdgeHandler
from gate.web.forwarding import Forwarding
from gate.web.holdings import Admitted
from gate.web.problems import problem, refusal
from gate.web.retry import outage_seconds, retry_seconds
from gate.web.sight import Sight, Visit
from gate.web.trouble import TroublePage
from gate.web.visitors import Visitors
from gate.web.waiting import WaitingPages, safe_back

log = logging.getLogger("gate.decision")
_ORIGINS_FAULT = (Reason.ORIGIN_UNREACHABLE, Reason.ORIGIN_TIMEOUT)


_Visit = Visit[web.BaseRequest]


class Gatekeeper:
    """Answers every request of the public listener."""

    def __init__(
        self,
        sight: Sight,
        origin: Origin,
        visitors: Visitors,
        pages: WaitingPages,
        trouble: TroublePage,
        meter: Meter,
        *,
        body_bytes_max: int,
    ) -> None:
        self._sight = sight
        self._body_bytes_max = body_bytes_max
        self._forwarding = Forwarding(origin)
        self._visitors = visitors
        self._pages = pages
        self._trouble = trouble
        self._origin = origin
        self._meter = meter
        self.draining = False

    def drain(self) -> None:
        """From now on every answer ends its connection."""
        self.draining = self._origin.draining = True

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The whole way of one request."""
        request[BEGAN] = time.perf_counter()
        try:
            _heed_verdict(request)
            self._measure(request)
            answer = await self._route(request, self._sight.identify(request))
        except RefusalError as error:
            cause = {"cause": type(error.__cause__).__name__} if error.__cause__ else {}
            log.info("refused", extra={"reason": error.reason.value, **cause})
            if error.reason not in _ORIGINS_FAULT:  # which are counted where they happen
                self._meter.count(Count.DECISIONS, "", error.reason)
            answer = self._refused(request, error)
        except StoreUnavailableError:
            log.info("refused", extra={"reason": Reason.STORE_UNAVAILABLE.value})
            self._meter.count(Count.DECISIONS, "", Reason.STORE_UNAVAILABLE)
            answer = problem(Reason.STORE_UNAVAILABLE, retry_after=outage_seconds(self._sight.away_for()))
        if (self.draining or "Upgrade" in request.headers) and not answer.prepared:
            answer.force_close()
        return answer

    def _measure(self, request: web.BaseRequest) -> None:
        """Refuse a body that says it is too large; one that does not say is measured as it comes (`deadlines.py`)."""
        length = request.content_length or request.content.total_bytes
        if length > self._body_bytes_max > 0:
            raise RefusalError(Reason.TOO_LARGE)

    def _refused(self, request: web.BaseRequest, error: RefusalError) -> web.Response:
        """A small page for people where the origin is in trouble, a problem document for everything else."""
        if error.reason in _ORIGINS_FAULT and classify(request.method, request.headers) in (Kind.NAVIGATION, Kind.FORM):
            answer = self._trouble.answer(request, error, safe_back(request.raw_path))
        else:
            answer = refusal(error)
        for cookie in error.cookies:
            answer.headers.add("Set-Cookie", cookie)
        return answer

    async def _route(self, request: web.BaseRequest, caller: Caller) -> web.StreamResponse:
        if caller.target.raw == "*":  # about the server, which is the gate
            return web.Response(status=204, headers={"Allow": ", ".join(sorted(METHODS)), "Server": "gate"})
        way = self._sight.route(caller, request.method)
        if way.own:
            return await self._visitors.handle(request, caller)
        if way.room is None:
            self._meter.count(Count.DECISIONS, "", Way.NO_ROOM)
            return await self._forwarding.plain(request, caller)
        visit = self._sight.see(request, caller, way.room, bypassed=way.bypassed)
        return await self._enact(visit, visit.decide())

    async def _enact(self, visit: _Visit, decision: d.Decision) -> web.StreamResponse:
        match decision:
            case d.Forward(admission=None):
                self._count(visit, Way.OPEN)
                return await self._forwarding.open(visit.request, visit.caller, visit.desk)
            case d.Forward(standing=d.Standing.LAST, admission=admission) if admission is not None:
                if not await visit.desk.spend_last(admission):
                    return await self._pass_is_over(visit)
                self._count(visit, Way.PASS)
                return await self._forwarding.admitted(visit.request, visit.caller, visit.desk, admission)
            case d.Forward(admission=admission, standing=standing) if admission is not None:
                return await self._forward_on_pass(visit, admission, standing)
            case d.Claim(ticket):
                return await self._claim(visit, ticket)
            case d.Newcomer(otherwise):
                return await self._newcomer(visit, otherwise)
            case d.LetIn():
                return await self._let_in(visit)
            case d.ShowPage() | d.Refuse():
                return self._wait(visit, decision)
        raise AssertionError(decision)

    async def _claim(self, visit: _Visit, ticket: Ticket) -> web.StreamResponse:
        """Swap a served ticket for its pass in the same request, unless its holder has to show something first."""
        if visit.desk.room.verifies("claim"):
            return self._wait(visit, d.ShowPage(ticket, form_not_sent=visit.facts.kind is Kind.FORM))
        try:
            outcome = await visit.desk.claim(ticket, visit.caller.network)
        except StoreUnavailableError:
            outcome = Reason.STORE_UNAVAILABLE
        if isinstance(outcome, Admitted):
            log.info("claimed", extra={"room": visit.desk.room.name, "position": ticket.place.position})
            self._meter.count(Count.CLAIMS, visit.desk.room.name, "claimed")
            self._count(visit, Way.CLAIM)
            return await self._forward_new(visit, outcome)
        self._meter.count(Count.CLAIMS, visit.desk.room.name, outcome)
        if outcome is Reason.NOT_YET_SERVED:  # the store knows better than the snapshot
            return self._wait(visit, d.ShowPage(ticket, form_not_sent=visit.facts.kind is Kind.FORM))
        dead = () if outcome is Reason.STORE_UNAVAILABLE else ("ticket",)
        self._count(visit, Way.PAGE)
        return self._pages.answer(visit.request, visit.caller, visit.desk, None, reason=outcome, dead=dead)

    async def _forward_on_pass(self, visit: _Visit, admission: Pass, standing: d.Standing) -> web.StreamResponse:
        renews = standing is d.Standing.EXPIRED
        renewed = await visit.desk.renew(admission) if renews else None
        if renews and renewed is None:
            return await self._pass_is_over(visit)
        self._count(visit, Way.PASS)
        return await self._forwarding.admitted(
            visit.request,
            visit.caller,
            visit.desk,
            admission,
            fresh=renewed,
            ageing=standing is d.Standing.AGEING,
            opens_page=visit.facts.kind in (Kind.NAVIGATION, Kind.FORM),
            clear_ticket=visit.holdings.has_ticket_cookie,
        )

    async def _pass_is_over(self, visit: _Visit) -> web.StreamResponse:
        """Its visit was ended meanwhile: decide again, as for somebody without a pass."""
        facts = replace(visit.facts, admission=None, showed_bad=Reason.PASS_INVALID)
        visit = replace(visit, facts=facts)
        return await self._enact(visit, visit.decide())

    async def _newcomer(self, visit: _Visit, otherwise: d.ShowPage | d.Refuse) -> web.StreamResponse:
        """Idle admission, else wait like anyone."""
        try:
            pre, caller = visit.holdings.pre, visit.caller
            dealt = await visit.desk.admit_idle(pre, caller.join_share if pre else caller.network)
        except StoreUnavailableError:
            if isinstance(otherwise, d.Refuse):
                raise
            self._count(visit, Way.PAGE)
            return self._pages.answer(visit.request, visit.caller, visit.desk, None, reason=Reason.STORE_UNAVAILABLE)
        line = visit.desk.line
        if dealt is None or line is None:
            return self._wait(visit, otherwise)
        log.info("admitted", extra={"room": visit.desk.room.name, "position": dealt.position, "reason": "idle"})
        self._count(visit, Way.IDLE)
        passes = visit.desk.passes
        mark = passes.mark(dealt.place, dealt.nonce, visit.caller.network)
        return await self._forward_new(visit, passes.mint(dealt.place, dealt.nonce, line, mark=mark))

    async def _let_in(self, visit: _Visit) -> web.StreamResponse:
        """A newcomer of an outage: told in the log and counted, since this is past the line."""
        line = visit.line
        assert line is not None  # noqa: S101  (what was decided on)
        log.info("admitted", extra={"room": visit.desk.room.name, "reason": Way.OUTAGE.value})
        self._count(visit, Way.OUTAGE)
        fresh = visit.desk.passes.mint_for_outage(line, visit.caller.network)
        return await self._forwarding.admitted(visit.request, visit.caller, visit.desk, fresh.admission, fresh=fresh)

    async def _forward_new(self, visit: _Visit, admitted: Admitted) -> web.StreamResponse:
        return await self._forwarding.admitted(
            visit.request, visit.caller, visit.desk, admitted.admission, fresh=admitted, clear_ticket=True
        )

    def _count(self, visit: _Visit, label: Way | Reason) -> None:
        self._meter.count(Count.DECISIONS, visit.desk.room.name, label)

    def _wait(self, visit: _Visit, decision: d.ShowPage | d.Refuse) -> web.StreamResponse:
        desk = visit.desk
        self._count(visit, decision.reason if isinstance(decision, d.Refuse) else Way.PAGE)
        if isinstance(decision, d.ShowPage):
            reason = visit.holdings.showed_bad if visit.holdings.ticket is None else None
            if decision.ticket is None and desk.store_away:
                reason = Reason.STORE_UNAVAILABLE  # no place can be had for the moment: said at once
            return self._pages.answer(
                visit.request,
                visit.caller,
                desk,
                decision.ticket,
                reason=reason,
                form_not_sent=decision.form_not_sent,
                needs_pre=visit.holdings.pre is None,
                dead=visit.holdings.dead,
            )
        log.info("refused", extra={"room": desk.room.name, "reason": decision.reason.value})
        if decision.reason is Reason.STORE_UNAVAILABLE and visit.facts.kind in (Kind.NAVIGATION, Kind.FORM):
            return self._pages.answer(visit.request, visit.caller, desk, None, reason=decision.reason, needs_pre=False)
        answer = problem(decision.reason, status=decision.status, retry_after=retry_seconds(desk.room.poll.minimum))
        _allow_cors(answer, visit.request, desk.room)
        return answer


def _heed_verdict(request: web.BaseRequest) -> None:
    """What a lane has tried in vain is not tried again, but told of as anything else."""
    verdict = request.protocol.take_verdict() if isinstance(request.protocol, EdgeHandler) else None
    if verdict is not None:
        raise verdict


def _allow_cors(answer: web.StreamResponse, request: web.BaseRequest, room: Room) -> None:
    origin = request.headers.get("Origin", "")
    if origin and (origin in room.cors_origins or "*" in room.cors_origins):
        answer.headers["Access-Control-Allow-Origin"] = origin
        answer.headers["Access-Control-Allow-Credentials"] = "true"
        answer.headers["Access-Control-Expose-Headers"] = "Retry-After"
        answer.headers["Vary"] = "Origin"
