"""A room's desk: what a visitor shows is read here, and what a visitor gets is made here.

Owns tokens, pre-ticket serials, idle admissions and cookies of one room. Decides nothing about requests; the
rules are `core/decision.py`'s and `core/tokens.py`'s, the numbers come from `store/joins.py`.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gate.core.decision import Standing, pass_standing, ticket_standing
from gate.core.errors import Reason
from gate.core.line import Line
from gate.core.place import GUEST_ERA, Place
from gate.core.room import Room
from gate.core.tokens import LEEWAY_SECONDS, PRE_TICKET_LIFE_SECONDS, Pass, PreTicket, Ticket, Tokens
from gate.store.active import ActivePasses
from gate.store.connection import StoreClock, StoreUnavailableError
from gate.store.joins import Joins
from gate.store.owed import Owed
from gate.store.rooms import Dealt, RoomStore
from gate.web.budget import Budget
from gate.web.cookies import CookieJar
from gate.web.holdings import Admitted, Holdings
from gate.web.passes import Passes
from gate.web.pretickets import PreTickets
from gate.web.proofs import make_challenge, proves
from gate.web.shown import Shown

# Idle admissions of clients without cookies that a network gets back a second.
_IDLE_REFILL = 5.0
# A network that has used up its joins has all of them again after so long.
_JOIN_REFILL_SECONDS = 100.0


class Desk:
    """One room's desk in one gate process. `gate_id` tells this process's pre-tickets from others'."""

    def __init__(
        self,
        room: Room,
        tokens: Callable[[], Tokens],
        store: RoomStore,
        clock: StoreClock,
        gate_id: str,
        active: ActivePasses,
        owed: Owed,
    ) -> None:
        self.room = room
        self.joins = Joins(store, room, clock.now)
        self._tokens = tokens
        self._store = store
        self._clock = clock
        self._now = clock.steady
        self._owed = owed
        # Where the page finds the script that solves puzzles; told once the assets are known.
        self.solver = ""
        self.passes = Passes(room, tokens, store.live, clock, self.now, active)
        self.pretickets = PreTickets(room.name, tokens, clock.steady, gate_id)
        self._idle_budget = Budget(room.idle_per_network, _IDLE_REFILL)
        self._join_budget = Budget(room.joins_per_network, room.joins_per_network / _JOIN_REFILL_SECONDS)
        self._jars = {secure: CookieJar(room, secure) for secure in (False, True)}

    def jar(self, scheme: str) -> CookieJar:
        """The room's cookies under a public scheme."""
        return self._jars[scheme == "https"]

    @property
    def line(self) -> Line | None:
        """The room's line as last heard."""
        return self._store.live.line(self.room.name)

    @property
    def store_away(self) -> bool:
        """Whether the store is silent."""
        return self._store.live.fails(self.room.name)

    @property
    def away_for(self) -> float:
        """Seconds for which the store has been silent; 0 while it answers."""
        return self._store.live.failing_for(self.room.name)

    @property
    def opens_in_outage(self) -> bool:
        """Whether newcomers are let in because the store is away: by configuration, and not for ever."""
        if self.room.store_outage != "open" or self.room.guards_entry:
            return False
        return 0 < self._store.live.outage_for(self.room.name) <= self.room.outage_open_for

    def now(self) -> float:
        """The store's clock, Unix seconds, without its leaps."""
        return self._now()

    def _lenient_now(self) -> float:
        """For what is measured from when a place was served, which is the line's own time: the earlier of the two."""
        return min(self._clock.now(), self._clock.steady())

    async def leave(self, place: Place) -> None:
        """A visitor gives a place back; while the store is away it is simply left, and lapses."""
        with contextlib.suppress(StoreUnavailableError):
            await self._store.finish(self.room.name, place)

    def read(self, shown: Shown, method: str) -> Holdings:
        """What is shown proves, judged now."""
        line = self.line
        admission = self.passes.best(shown.passes, shown.network, method)
        ticket, why_not = self._best_ticket(shown.tickets, line, self._lenient_now())
        pre = None
        if admission is None and ticket is None:
            pre = self.pretickets.first(shown.pres)
        bad = None
        if admission is None and ticket is None:
            bad = Reason.PASS_INVALID if shown.passes else why_not
        dead = self._dead(shown) if bad else ()
        return Holdings(admission, ticket, pre, bad, bool(shown.tickets), dead)

    async def read_and_renew(self, shown: Shown) -> Holdings:
        """The same for the visitor's own endpoints: judged as for a page, a pass within its grace made anew."""
        holdings = self.read(shown, "GET")
        admission, line = holdings.admission, self.line
        if admission is None or line is None:
            return holdings
        if pass_standing(admission, self.room, line, "GET", self._now()) is not Standing.EXPIRED:
            return holdings
        fresh = await self.renew(admission)
        if fresh is not None:
            return replace(holdings, admission=fresh.admission, fresh=fresh)
        # Its visit has ended: whoever shows it stands where anyone without a pass stands.
        return replace(self.read(replace(shown, passes=()), "GET"), showed_bad=Reason.PASS_INVALID, dead=("pass",))

    async def has_ended(self, ticket: Ticket) -> bool:
        """Whether a ticket's visit is over; only a served one's can be. With the store away it is not known to be."""
        line = self.line
        if line is None or not line.served(ticket.place):
            return False
        return await self._visit_is_over(ticket.place)

    def serves(self, ticket: Ticket) -> bool:
        """Whether a ticket's turn has come, as far as this gate knows."""
        return self.line is not None and self.line.served(ticket.place)

    def is_worn(self, ticket: Ticket) -> bool:
        """Past half of its life: to be made anew."""
        return ticket.expires - self._now() < self.room.ticket_life / 2

    def _dead(self, shown: Shown) -> tuple[str, ...]:
        """A pass past its cap is not dead yet while it is good for one unsafe request, nor one good elsewhere."""
        spare = self.passes.best(shown.passes, None, "POST")
        kinds = (("ticket", bool(shown.tickets)), ("pass", bool(shown.passes) and spare is None))
        return tuple(kind for kind, is_dead in kinds if is_dead)

    def read_ticket(self, text: str) -> Ticket | None:
        """The ticket a text proves, whatever it is worth by now."""
        return self._tokens().read_ticket(text, self.room.name)

    def new_ticket(self, place: Place, nonce: str) -> tuple[str, Ticket]:
        """A ticket for a place, made now."""
        return self._tokens().mint_ticket(self.room.name, place, nonce, now=self._now(), life=self.room.ticket_life)

    async def admit_idle(self, pre: PreTicket | None, network: str) -> Dealt | None:
        """A place that is served at once, if nobody waits, release is to spare and this client may have it."""
        if self.room.guards_entry or not self.joins.may_admit():
            return None
        if pre is None and not self._idle_budget.take(network, time.monotonic()):
            return None
        if pre is not None and not self.may_join(network):
            return None
        dealt = await self.joins.admit(pre)
        return dealt if dealt is not None and dealt.position > 0 else None

    def challenge(self, pre: PreTicket) -> dict[str, Any] | None:
        """The puzzle that a pre-ticket's holder is to solve, where the room asks for work."""
        if not self.room.proof_of_work:
            return None
        return make_challenge(self._tokens(), self.room.name, pre, self.room.proof_of_work, self._now())

    def has_worked(self, pre: PreTicket, proof: str) -> bool:
        """Whether the work was done that the room asks for."""
        return not self.room.proof_of_work or proves(self._tokens(), self.room.name, pre, proof)

    def may_join(self, network: str) -> bool:
        """Whether a network may have one more number; '' is one whose joins are not counted."""
        return not network or not self.room.joins_per_network or self._join_budget.take(network, time.monotonic())

    def give_back(self, network: str) -> None:
        """No number was dealt after all."""
        if network:
            self._join_budget.give_back(network)

    async def claim(self, ticket: Ticket, network: str) -> Admitted | Reason:
        """Swap a ticket for its pass, or say why not; StoreUnavailableError where nobody can know."""
        verdict = await self._owed.claim(self.room, ticket.place, self._clock.now())
        line = self.line
        if line is None:
            raise StoreUnavailableError("the line is not known")
        refused = {0: Reason.NOT_YET_SERVED, -1: Reason.TICKET_INVALID, -2: Reason.TICKET_USED}.get(verdict)
        if refused is None:
            refused = ticket_standing(ticket, self.room, line, self._lenient_now())
        if refused is not None:
            return refused
        mark = self.passes.mark(ticket.place, ticket.nonce, network)
        return self.passes.mint(ticket.place, ticket.nonce, line, mark=mark)

    async def welcome(self, ticket: Ticket, network: str) -> Admitted | Reason:
        """A guest's pass for the link's ticket, the same one however often the link is opened."""
        line = self.line
        if line is None:
            raise StoreUnavailableError("the line is not known")
        if ticket.place.era != GUEST_ERA or ticket.place.generation != line.generation:
            return Reason.TICKET_INVALID
        if self._now() > ticket.expires + LEEWAY_SECONDS:
            return Reason.TICKET_EXPIRED
        verdict = await self._store.claim(self.room.name, ticket.place)
        if verdict != 1:
            return Reason.TICKET_USED
        cap = ticket.expires + self.room.pass_cap
        mark = self.passes.mark(ticket.place, ticket.nonce, network)
        return self.passes.mint(ticket.place, ticket.nonce, line, mark=mark, cap=cap)

    async def renew(self, admission: Pass) -> Admitted | None:
        """The same admission with a new life; None if its visit has ended. With the store away it is renewed."""
        line = self.line
        if line is None:
            return None
        if await self._visit_is_over(admission.place):
            return None
        return self.passes.mint(admission.place, admission.nonce, line, mark=admission.mark, cap=admission.cap)

    async def spend_last(self, admission: Pass) -> bool:
        """Use up the one request that a pass past its cap is good for; False if it was used already."""
        try:
            return await self._owed.finish(self.room.name, admission.place)
        except StoreUnavailableError:
            return True  # law 7: admitted visitors go on

    async def finish(self, place: Place, *, revoke_until: float | None = None) -> None:
        """End a visit; with `revoke_until` (Unix seconds) at once in every gate that hears the store."""
        if revoke_until is not None:
            self._store.live.deny(self.room.name, place, revoke_until)
        await self._owed.finish(self.room.name, place, deny_until=revoke_until)

    async def _visit_is_over(self, place: Place) -> bool:
        """Whether a visit was ended; while the store is silent, as far as this gate knows (law 7)."""
        if self._owed.has_ended(self.room.name, place):
            return True
        try:
            return not self.store_away and await self._store.has_ended(self.room.name, place)
        except StoreUnavailableError:
            return False

    def admits(self, shown: Shown) -> bool:
        """Whether a good pass of this room is shown, for requests that fall to another room of the host."""
        return self.line is not None and self.passes.best(shown.passes, shown.network, "GET") is not None

    def _best_ticket(
        self, texts: tuple[str, ...], line: Line | None, now: float
    ) -> tuple[Ticket | None, Reason | None]:
        why_not = None
        for text in texts:
            found = self._tokens().read_ticket(text, self.room.name)
            if found is None:
                why_not = why_not or Reason.TICKET_INVALID
                continue
            self._store.live.show(self.room.name, found.place)
            standing = ticket_standing(found, self.room, line, now) if line else None
            if standing is None:
                return found, None
            why_not = standing
        return None, why_not

    def pre_cookie(self, scheme: str) -> str:
        """A `Set-Cookie` value with a fresh pre-ticket."""
        return self.set_pre(scheme, self.pretickets.mint()[0])

    def set_pre(self, scheme: str, text: str) -> str:
        """A `Set-Cookie` value with this pre-ticket."""
        return self.jar(scheme).set("pre", text, PRE_TICKET_LIFE_SECONDS)

    def ticket_cookie(self, scheme: str, text: str) -> str:
        """A `Set-Cookie` value with a ticket; persistent, so that a closed browser keeps its place."""
        return self.jar(scheme).set("ticket", text, self.room.ticket_life)

    def pass_cookie(self, scheme: str, admitted: Admitted) -> str:
        """A `Set-Cookie` value with a pass, kept as long as it may be renewed."""
        life = admitted.admission.expires - self._now() + self.room.pass_grace
        return self.jar(scheme).set("pass", admitted.text, life)
