"""Pre-tickets of one room in one process: serials not used before in their stretch of time, and the reading of them."""

from collections.abc import Callable, Iterable

from gate.core.tokens import PRE_BUCKET_SECONDS, PreTicket, Tokens

# Two hours' worth of minutes: as far as a clock may step back without a serial being given twice.
_STRETCHES_KEPT = 120


class PreTickets:
    """Makes and reads them; `gate_id` tells this process's serials from others'."""

    def __init__(self, room: str, tokens: Callable[[], Tokens], now: Callable[[], float], gate_id: str) -> None:
        self._room = room
        self._tokens = tokens
        self._now = now
        self._gate_id = gate_id
        self._serials: dict[int, int] = {}

    def first(self, texts: Iterable[str]) -> PreTicket | None:
        """The first good one of some."""
        tokens, now = self._tokens(), self._now()
        for text in texts:
            pre = tokens.read_pre_ticket(text, self._room, now)
            if pre is not None:
                return pre
        return None

    def mint(self) -> tuple[str, PreTicket]:
        """A fresh one: its text, and what that proves."""
        now = self._now()
        issued = int(now)
        bucket = issued // PRE_BUCKET_SECONDS
        # The clock follows the store's and may step back: a stretch that comes again goes on where it was left, since
        # its first serials are spent.
        serial = self._serials.pop(bucket, 0) + 1
        self._serials[bucket] = serial
        if len(self._serials) > _STRETCHES_KEPT:
            del self._serials[next(iter(self._serials))]
        pre = PreTicket(self._gate_id, issued, serial)
        return self._tokens().mint_pre_ticket(self._room, pre, now), pre
