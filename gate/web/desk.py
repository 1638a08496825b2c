"""A room's desk: what a visitor shows is read here, and what a visitor gets is made here.

Owns tokens, pre-ticket serials, idle admissions and cookies of one room. Decides nothing about requests; the
rules are `core/decision.py`'s and `core/tokens.py`'s, the numbers come from `store/joins.py`.
"""

import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from gate.core.decision import Standing, good_until, pass_standing, ticket_standing
from gate.core.errors import Reason
from gate.core.line import Line
from gate.core.place import GUEST_ERA, Place
from gate.core.room import Mode, Room
from gate.core.tokens import LEEWAY_SECONDS, PRE_TICKET_LIFE_SECONDS, Pass, PreTicket, Ticket, Tokens
from gate.store.active import ActivePasses
from gate.store.connection import StoreClock, StoreUnavailableError
from gate.store.joins import Joins
from gate.store.keys import PAGE_BITS
from gate.store.owed import Owed
from gate.store.rooms import Dealt, RoomStore
from gate.web.budget import Budget
from gate.web.cookies import CookieJar
from gate.web.holdings import Admitted, Holdings, Vouched
from gate.web.pretickets import PreTickets
from gate.web.shown import Shown


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
        self._active = active
        self._owed = owed
        self.pretickets = PreTickets(room.name, tokens, clock.steady, gate_id)
        self._budget = Budget(room.idle_per_network)
        # Beyond the guests' numbers, which count from 1. Nobody can be asked for the next one, so each process begins
        # at random, and goes on from there: places in a row share their pages of bits.
        self._outage_base, self._outage_passes = 2**40 + secrets.randbits(26) * PAGE_BITS, 0
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
        if self.room.store_outage != "open":
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
        line, now = self.line, self._now()
        admission = self._best_pass(shown.passes, line, method, now)
        ticket, why_not = self._best_ticket(shown.tickets, line, self._lenient_now())
        pre = None
        if admission is None and ticket is None:
            pre = self.pretickets.first(shown.pres)
        bad = None
        if admission is None and ticket is None:
            bad = Reason.PASS_INVALID if shown.passes else why_not
        dead = self._dead(shown, line, now) if bad else ()
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

    def is_worn(self, ticket: Ticket) -> bool:
        """Past half of its life: to be made anew."""
        return ticket.expires - self._now() < self.room.ticket_life / 2

    def _dead(self, shown: Shown, line: Line | None, now: float) -> tuple[str, ...]:
        """A pass past its cap is not dead yet while it is good for one unsafe request."""
        spare = self._best_pass(shown.passes, line, "POST", now)
        kinds = (("ticket", bool(shown.tickets)), ("pass", bool(shown.passes) and spare is None))
        return tuple(kind for kind, is_dead in kinds if is_dead)

    def read_ticket(self, text: str) -> Ticket | None:
        """The ticket a text proves, whatever it is worth by now."""
        return self._tokens().read_ticket(text, self.room.name)

    def new_ticket(self, place: Place, nonce: str) -> tuple[str, Ticket]:
        """A ticket for a place, made now."""
        return self._tokens().mint_ticket(self.room.name, place, nonce, now=self._now(), life=self.room.ticket_life)

    def mint_pass(self, place: Place, nonce: str, line: Line, *, cap: float | None = None) -> Admitted:
        """The pass of a served place; its cap follows from the room's history unless one is given."""
        now, room = self._now(), self.room
        if cap is None:
            cap = self.base_cap(line, place)
        text = self._tokens().mint_pass(room.name, place, nonce, now=now, life=room.pass_life, cap=cap)
        made = self._tokens().read_pass(text, room.name)
        if made is None:
            raise RuntimeError("a pass just made does not verify")
        self._active.note(room.name, place, now, made.expires)
        return Admitted(text, made)

    def mint_outage_pass(self, line: Line) -> Admitted:
        """A pass without a place in line, for a newcomer of an outage; good as long as any other's."""
        self._outage_passes += 1
        place = Place(line.generation, GUEST_ERA, self._outage_base + self._outage_passes)
        cap = self._now() + self.room.claim_within + self.room.pass_cap
        return self.mint_pass(place, secrets.token_hex(8), line, cap=cap)

    def base_cap(self, line: Line, place: Place) -> float:
        """When a place's visit must be over, unless the origin extends it; Unix seconds."""
        behind = max(-self._clock.lead, 0.0)  # the store's clock has stepped back; visits are not shortened by that
        return line.served_at(place) + self.room.claim_within + self.room.pass_cap + behind

    async def admit_idle(self, pre: PreTicket | None, network: str) -> Dealt | None:
        """A place that is served at once, if nobody waits, release is to spare and this client may have it."""
        if pre is None and not self._budget.take(network, time.monotonic()):
            return None
        dealt = await self.joins.admit(pre)
        return dealt if dealt is not None and dealt.position > 0 else None

    async def claim(self, ticket: Ticket) -> Admitted | Reason:
        """Swap a ticket for its pass, or say why not; StoreUnavailableError where nobody can know."""
        verdict = await self._owed.claim(self.room, ticket.place, self._clock.now())
        line = self.line
        if line is None:
            raise StoreUnavailableError("the line is not known")
        refused = {0: Reason.NOT_YET_SERVED, -1: Reason.TICKET_INVALID, -2: Reason.TICKET_USED}.get(verdict)
        if refused is None:
            refused = ticket_standing(ticket, self.room, line, self._lenient_now())
        return refused or self.mint_pass(ticket.place, ticket.nonce, line)

    async def welcome(self, ticket: Ticket) -> Admitted | Reason:
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
        return self.mint_pass(ticket.place, ticket.nonce, line, cap=cap)

    async def renew(self, admission: Pass) -> Admitted | None:
        """The same admission with a new life; None if its visit has ended. With the store away it is renewed."""
        line = self.line
        if line is None:
            return None
        if await self._visit_is_over(admission.place):
            return None
        return self.mint_pass(admission.place, admission.nonce, line, cap=admission.cap)

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

    def vouch(self, admission: Pass) -> Vouched:
        """Remember a pass that is good now."""
        return Vouched(admission.place, good_until(admission, self.room), self._tokens())

    def vouches(self, vouched: Vouched) -> bool:
        """Whether a request on this pass is still forwarded, and nothing else done."""
        live, line = self._store.live, self.line
        return (
            line is not None
            and line.mode is not Mode.OFF
            and line.generation == vouched.place.generation
            and self._now() <= vouched.until
            and vouched.tokens is self._tokens()
            and not live.is_denied(self.room.name, vouched.place)
        )

    def admits(self, shown: Shown) -> bool:
        """Whether a good pass of this room is shown, for requests that fall to another room of the host."""
        line = self.line
        return line is not None and self._best_pass(shown.passes, line, "GET", self._now()) is not None

    def _best_pass(self, texts: tuple[str, ...], line: Line | None, method: str, now: float) -> Pass | None:
        for text in texts:
            found = self._tokens().read_pass(text, self.room.name)
            if found is None or self._store.live.is_denied(self.room.name, found.place):
                continue
            self._store.live.show_served(self.room.name, found.place)
            if line is None or pass_standing(found, self.room, line, method, now) is not Standing.OVER:
                return found
        return None

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
        return self.jar(scheme).set("pre", self.pretickets.mint(), PRE_TICKET_LIFE_SECONDS)

    def ticket_cookie(self, scheme: str, text: str) -> str:
        """A `Set-Cookie` value with a ticket; persistent, so that a closed browser keeps its place."""
        return self.jar(scheme).set("ticket", text, self.room.ticket_life)

    def pass_cookie(self, scheme: str, admitted: Admitted) -> str:
        """A `Set-Cookie` value with a pass, kept as long as it may be renewed."""
        life = admitted.admission.expires - self._now() + self.room.pass_grace
        return self.jar(scheme).set("pass", admitted.text, life)
