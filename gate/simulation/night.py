"""The line of a night, worked out tick by tick by the very functions that move it in a gate."""

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from random import Random

from gate.core.estimate import outage_retry
from gate.core.line import Era, Line
from gate.core.pointer import Pointer
from gate.core.release import Advance, on_lease, plan, settle
from gate.core.room import Mode, Room
from gate.simulation.scenario import Scenario

# As often as a gate ticks (`gate/ticker.py`).
TICK_SECONDS = 0.1
_ERA = 1
_RETRY_GROUPS = 20
# After which a page asks a room again that is closed or full (`static/waiting.js`).
_REFUSED_SECONDS = 15.0
# Before the night the room was idle, so that its burst is there when the first one comes.
_IDLE_SECONDS = 3_600.0
NIGHT_SECONDS_MAX = 30 * 86_400


class Night:
    """What happened: a row of numbers for each tick.

    `times[k]` is when tick k was (seconds of the night), `served[k]` and `issued[k]` where the line stood after it.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.times, self.served, self.issued = array("d"), array("q"), array("q")
        self.retries: defaultdict[int, int] = defaultdict(int)
        """Joins in vain, by second: the store was away, or the room closed or full."""
        self.turned_back: defaultdict[int, int] = defaultdict(int)
        """Of those the first of each visitor, by second."""
        self._heard, self._at, self._rates = array("d"), array("d"), array("d")
        self._modes: list[Mode] = []
        self._random = Random(scenario.seed)  # noqa: S311  (a simulation's dice)
        self._line = _first_line(scenario.room)
        self._late: defaultdict[int, int] = defaultdict(int)
        self._outside = 0
        self._changes = list(scenario.changes)
        self._arrived = 0

    def run(self, progress: Callable[[float, int, int], None] = lambda *_: None) -> "Night":
        """Until all have come and nobody waits, or nothing will happen any more.

        `progress` is told the moment (seconds), how many have come and how many wait, every hundred seconds.
        """
        number = 0
        while number * TICK_SECONDS < NIGHT_SECONDS_MAX and not self._over(number):
            number += 1
            self._step(number)
            if number % 1_000 == 0:
                progress(number * TICK_SECONDS, self._arrived, self._line.waiting)
        return self

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.times[-1]

    def joined_at(self, position: int) -> float:
        """When a place was dealt."""
        return self.times[bisect_left(self.issued, position)]

    def served_at(self, position: int) -> float | None:
        """When a place was served; None if it never was."""
        index = bisect_left(self.served, position)
        return self.times[index] if index < len(self.times) else None

    def at(self, now: float) -> int:
        """The last tick before a moment."""
        return max(bisect_right(self.times, now) - 1, 0)

    def pointer(self, index: int) -> Pointer:
        """What the gates showed after a tick."""
        heard, mode = self._heard[index], self._modes[index]
        moves = mode is not Mode.HOLD
        return Pointer(
            room=self.scenario.room.name,
            generation=_ERA,
            era=_ERA,
            mode=mode.value,
            now_serving=self.served[index],
            issued=self.issued[index],
            eras=(),
            hold_until=None,
            release_rate=self._rates[index] if moves else 0,
            resume_rate=self._rates[index],
            time=heard,
            at=self._at[index],
            lease_until=heard + self.scenario.room.lease,
            poll=self.scenario.room.poll,
            message="",
        )

    @property
    def turned_away(self) -> int:
        """How many never had a place."""
        return self._arrived - self.issued[-1]

    def _over(self, number: int) -> bool:
        now = number * TICK_SECONDS
        if self._arrived < self.scenario.arrivals.visitors or self._changes or self._away_since(now) is not None:
            return False
        if self._outside and self._takes():
            return False
        return self._line.waiting == 0 or not self._line.releases

    def _takes(self) -> bool:
        return self._line.mode is not Mode.CLOSED and not self._line.full

    def _step(self, number: int) -> None:
        now = number * TICK_SECONDS
        come = self.scenario.arrivals.by(now)
        fresh, self._arrived = come - self._arrived, come
        again = self._late.pop(number, 0)
        self._outside -= again
        away_since = self._away_since(now)
        if away_since is not None:
            self._turn_back(fresh, again, number, outage_retry(now - away_since))
            # What is let in on the lease stays `lifted` until the store is back and takes it off what is owed.
            self._line = on_lease(self._line, now, lease=self.scenario.room.lease)
            self._record(now, self._line)
            return
        line = self._change(self._line, now)
        line, left = self._deal(line, fresh + again)
        fresh_left = min(left, fresh)
        self._turn_back(fresh_left, left - fresh_left, number, _REFUSED_SECONDS)
        self._line = replace(_moved(line, plan(line, now, lease=self.scenario.room.lease)), time=now)
        self._record(now, self._line)

    def _away_since(self, now: float) -> float | None:
        return next((o.at for o in self.scenario.outages if o.at <= now < o.at + o.seconds), None)

    def _turn_back(self, fresh: int, again: int, number: int, pause: float) -> None:
        """No place for these: they come again after about such a pause (seconds), in a few groups."""
        size, second = fresh + again, int(number * TICK_SECONDS)
        if not size:
            return
        self.retries[second] += size
        self.turned_back[second] += fresh
        self._outside += size
        groups = min(size, _RETRY_GROUPS)
        for group in range(groups):
            share = size * (group + 1) // groups - size * group // groups
            # Spread as `Retry-After` is, and once more by the page.
            seconds = pause * self._random.uniform(1, 1.5) * self._random.uniform(0.8, 1.2)
            self._late[number + max(round(seconds / TICK_SECONDS), 1)] += share

    def _change(self, line: Line, now: float) -> Line:
        while self._changes and self._changes[0].at <= now:
            change = self._changes.pop(0)
            rate, mode = change.release_rate or line.release_rate, change.mode or line.mode
            paid = settle(line, now, rate=rate, burst=line.burst, mode=mode, lease=self.scenario.room.lease)
            line = replace(_moved(line, paid), release_rate=rate, mode=mode)
        return line

    def _deal(self, line: Line, newcomers: int) -> tuple[Line, int]:
        """The line with as many places dealt as it takes, and how many got none."""
        room_left = newcomers if line.max_issued is None else max(line.max_issued - line.issued, 0)
        dealt = 0 if line.mode is Mode.CLOSED else min(newcomers, room_left)
        left = newcomers - dealt
        return (replace(line, eras=(Era(_ERA, line.issued + dealt),)), left) if dealt else (line, left)

    def _record(self, now: float, line: Line) -> None:
        self.times.append(now)
        self.served.append(line.now_serving)
        self.issued.append(line.issued)
        self._heard.append(line.time)
        # What gates let in on the lease is paid out already: a reader must not count it again.
        self._at.append(line.at + line.lifted / line.release_rate)
        self._rates.append(line.release_rate)
        self._modes.append(line.mode)


def _first_line(room: Room) -> Line:
    return Line(
        room=room.name,
        generation=_ERA,
        now_serving=0,
        eras=(Era(_ERA, 0),),
        at=-_IDLE_SECONDS,
        release_rate=room.release_rate,
        burst=room.burst,
        mode=room.mode,
        max_issued=room.max_issued,
        message="",
        revision=1,
        dealt_before=0,
        claimed=0,
        slot=0,
        time=0.0,
    )


def _moved(line: Line, advance: Advance) -> Line:
    return replace(line, now_serving=advance.now_serving, at=advance.at, lifted=0)
