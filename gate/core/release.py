"""How far the pointer may move by now: the release loop's whole arithmetic, in one pure function.

DESIGN. `at` is the moment up to which release has been paid out. By `now` the room has earned
`rate * (now - at)` visitors; at most `cap` of them count, so idle time banks no more than that. Whole visitors
are released, the fraction stays owed by moving `at` to `now - (due - n) / rate`. (Moving `at` by `n / rate`
alone would bank for ever: after an idle hour at 10/s a thousand came in at once.)

`lifted` is what gates let in on the lease while the store was silent: the part of the pointer that the store
did not know. It comes off what the silence earned, before the cap; `at` may then lie ahead of now, by at most
the lease. If `at` lies further ahead, the store's clock went back, and `at = now`. There is no other clamp.

The write is a compare-and-set in the store (`lua/advance.lua`); whoever loses it does nothing.
"""

from dataclasses import dataclass
from math import floor

from gate.core.line import Line, release_cap
from gate.core.place import Place
from gate.core.room import Mode


@dataclass(frozen=True, slots=True)
class Advance:
    """Where the pointer goes: `(era, now_serving)`, the visitors released by it, and the new `at`."""

    era: int
    now_serving: int
    released: int
    at: float
    owed: float
    """What is still due after this advance, in visitors (below 0 after an outage)."""

    def changes(self, line: Line, lease: float) -> bool:
        """Whether there is anything to write; an idle room is only read."""
        moved = self.released > 0 or self.era != line.serving.number or line.lifted > 0
        return moved or (line.releases and line.at > self.at + lease)


def plan(line: Line, now: float, *, lease: float = 10.0, extra: int = 0) -> Advance:
    """What a tick at `now` may release.

    Args:
        line: the line as last read.
        now: Unix seconds of the store's clock.
        lease: seconds for which the pointer may be worked out ahead; bounds how far `at` may lie ahead.
        extra: places that the same script is about to deal at the end of the newest era (idle admission).
    """
    due = _due(line, now, lease)
    budget = max(floor(due), 0)
    era_index, now_serving, released = 0, line.now_serving, 0
    while True:
        era = line.eras[era_index]
        newest = era_index + 1 == len(line.eras)
        room_left = max(era.last + (extra if newest else 0) - now_serving, 0)
        taken = min(budget - released, room_left)
        released += taken
        now_serving += taken
        if newest or now_serving < era.last or line.held(line.eras[era_index + 1], now):
            break
        era_index, now_serving = era_index + 1, 0
    owed = due - released
    at = now - owed / line.release_rate if line.releases else now
    return Advance(line.eras[era_index].number, now_serving, released, at, owed)


def plan_idle(line: Line, now: float, wanted: int, *, lease: float = 10.0) -> Advance | None:
    """What dealing and releasing `wanted` newcomers in one breath would do: only if nobody waits, else None."""
    if line.mode is not Mode.AUTO or line.waiting > 0:
        return None
    ahead = plan(line, now, lease=lease, extra=wanted)
    return ahead if ahead.released > 0 and ahead.era == line.newest.number else None


def on_lease(line: Line, now: float, *, lease: float) -> Line:
    """The line as it may be taken to be at `now` while the store is silent: the pointer goes on at the room's rate.

    Not past `lease` seconds after the store was last heard, nor past what had been dealt then, nor into another era.
    Every gate comes to the same pointer, since `at` and the pointer it was read with are the same for all.
    """
    ahead = plan(line, min(now, line.time + lease), lease=lease)
    stays = ahead.era == line.serving.number
    position = ahead.now_serving if stays else line.serving.last
    return line.raised_to(Place(line.generation, line.serving.number, position))


def settle(line: Line, now: float, *, rate: float, burst: float | None, mode: Mode, lease: float = 10.0) -> Advance:
    """The advance that goes with a change of rate, burst or mode: pay at the old values, then convert what is left.

    Without it 0.9 visitors pending at 1/s would become 450 at 500/s. Leaving `hold` or `off` starts afresh.
    """
    paid = plan(line, now, lease=lease)
    moves_again = mode in (Mode.AUTO, Mode.CLOSED)
    left = min(paid.owed, release_cap(rate, burst)) if line.releases and moves_again else 0.0
    return Advance(paid.era, paid.now_serving, paid.released, now - left / rate, left)


def _due(line: Line, now: float, lease: float) -> float:
    """Visitors earned and not yet released, bounded by the cap."""
    if not line.releases:
        return 0.0
    at = now if line.at > now + lease else line.at
    return min(line.release_rate * (now - at) - line.lifted, line.cap)
