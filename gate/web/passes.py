"""A room's passes: made, read, vouched for. Owns what a pass is bound to; its worth is `core/decision.py`'s."""

import secrets
from collections.abc import Callable

from gate.core.decision import Standing, good_until, pass_standing
from gate.core.line import Line
from gate.core.place import GUEST_ERA, Place, pass_id
from gate.core.room import Mode, Room
from gate.core.tokens import Pass, Tokens, network_mark
from gate.store.active import ActivePasses
from gate.store.connection import StoreClock
from gate.store.keys import PAGE_BITS
from gate.store.live import Live
from gate.web.holdings import Admitted, Vouched


class Passes:
    """One room's passes in one gate process. Networks are a visitor's /24 or /64, as text."""

    def __init__(
        self,
        room: Room,
        tokens: Callable[[], Tokens],
        live: Live,
        clock: StoreClock,
        now: Callable[[], float],
        active: ActivePasses,
    ) -> None:
        self._room = room
        self._tokens = tokens
        self._live = live
        self._clock = clock
        self._now = now
        self._active = active
        # Beyond the guests' numbers, which count from 1. Nobody can be asked for the next one, so each process begins
        # at random, and goes on from there: places in a row share their pages of bits.
        self._outage_base, self._outage_passes = 2**40 + secrets.randbits(26) * PAGE_BITS, 0

    def mark(self, place: Place, nonce: str, network: str) -> str:
        """What binds a place's pass to a network, where the room is configured so."""
        return network_mark(pass_id(place, nonce), network) if self._room.bind == "network" else ""

    def mint(self, place: Place, nonce: str, line: Line, *, mark: str, cap: float | None = None) -> Admitted:
        """The pass of a served place; its cap follows from the room's history unless one is given."""
        now, room = self._now(), self._room
        if cap is None:
            cap = self.base_cap(line, place)
        text = self._tokens().mint_pass(room.name, place, nonce, now=now, life=room.pass_life, cap=cap, mark=mark)
        made = self._tokens().read_pass(text, room.name)
        if made is None:
            raise RuntimeError("a pass just made does not verify")
        self._active.note(room.name, place, now, made.expires)
        return Admitted(text, made)

    def mint_for_outage(self, line: Line, network: str) -> Admitted:
        """A pass without a place in line, for a newcomer of an outage; good as long as any other's."""
        self._outage_passes += 1
        place, nonce = Place(line.generation, GUEST_ERA, self._outage_base + self._outage_passes), secrets.token_hex(8)
        cap = self._now() + self._room.claim_within + self._room.pass_cap
        return self.mint(place, nonce, line, mark=self.mark(place, nonce, network), cap=cap)

    def base_cap(self, line: Line, place: Place) -> float:
        """When a place's visit must be over, unless the origin extends it; Unix seconds."""
        behind = max(-self._clock.lead, 0.0)  # the store's clock has stepped back; visits are not shortened by that
        return line.served_at(place) + self._room.claim_within + self._room.pass_cap + behind

    def best(self, texts: tuple[str, ...], network: str | None, method: str) -> Pass | None:
        """The first of these that is good for something now; `network` None: wherever it is shown."""
        line, now = self._live.line(self._room.name), self._now()
        for text in texts:
            found = self._tokens().read_pass(text, self._room.name)
            if found is None or self._live.is_denied(self._room.name, found.place):
                continue
            self._live.show_served(self._room.name, found.place)
            if network is not None and self._is_bound_elsewhere(found, network):
                continue
            if line is None or pass_standing(found, self._room, line, method, now) is not Standing.OVER:
                return found
        return None

    def vouch(self, admission: Pass) -> Vouched:
        """Remember a pass that is good now."""
        return Vouched(admission.place, good_until(admission, self._room), self._tokens())

    def vouches(self, vouched: Vouched) -> bool:
        """Whether a request on this pass is still forwarded, and nothing else done."""
        line = self._live.line(self._room.name)
        return (
            line is not None
            and line.mode is not Mode.OFF
            and line.generation == vouched.place.generation
            and self._now() <= vouched.until
            and vouched.tokens is self._tokens()
            and not self._live.is_denied(self._room.name, vouched.place)
        )

    def _is_bound_elsewhere(self, admission: Pass, network: str) -> bool:
        """One from before the room was told to bind is bound to nothing."""
        if self._room.bind != "network" or not admission.mark:
            return False
        return admission.mark != network_mark(admission.identity, network)
