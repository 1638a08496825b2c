"""What a surge of so many visitors looks like: who comes when, at what rate they are let in, how often pages ask."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gate.core.room import PollRule, Room
from gate.simulation.arrivals import Arrivals, Phase, Recorded, Shape
from gate.simulation.scenario import Crowd, Outage, Scenario

ROOM = os.environ.get("SURGE_ROOM", "sale")
_FOLLOWED_MOST = 40_000
# One machine carries gate, store, origin and Locust: more than this and it is Locust that is measured.
_RATE_MOST, _RATE_LEAST, _SHORTEST_SECONDS = 300.0, 50.0, 25.0
# Nobody of the raw crowd browses, so it can be let in faster.
_WALL_RATE_MOST = 600.0
# Of all visitors, and how fast they come in release rates: the wall is a thousand a second and more.
_EARLY_SHARE, _EARLY, _WALL_SHARE, _WALL, _TAIL_SHARE, _TAIL = 0.04, 0.6, 0.3, 3.6, 0.66, 0.95
_LONG_SECONDS = 60.0
_SLACK, _SLACK_SECONDS = 1.25, 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One surge. Rates in visitors a second, times in seconds; the wall is the phase `wall_phase` of `phases`."""

    visitors: int
    release_rate: float
    poll_min: float
    poll_max: float
    poll_fraction: float
    phases: tuple[Phase, ...]
    wall_phase: int

    @classmethod
    def of(cls, visitors: int) -> "Plan":
        """The usual one for so many: small ones take less than a minute, half a million a quarter of an hour.

        Pages ask less often than by default, because every poll costs Locust many times what it costs the gate.
        """
        rate = round(max(min(_RATE_MOST, visitors / _SHORTEST_SECONDS), _RATE_LEAST))
        each = visitors / rate
        phases = (
            Phase(_EARLY_SHARE, _EARLY_SHARE * each / _EARLY),
            Phase(_WALL_SHARE, _WALL_SHARE * each / _WALL),
            Phase(_TAIL_SHARE, _TAIL_SHARE * each / _TAIL, Shape.FALLING),
        )
        waits = _WALL_SHARE * each  # about how long the last of the wall does
        return cls(visitors, rate, 2.0 if waits < _LONG_SECONDS else 15.0, max(15.0, round(waits / 2)), 0.5, phases, 1)

    @classmethod
    def wall_of(cls, visitors: int, seconds: float) -> "Plan":
        """Everybody within so many seconds; pages ask half as often as by default, which one process can just send."""
        rate = round(max(min(_WALL_RATE_MOST, visitors / _SHORTEST_SECONDS), _RATE_LEAST))
        poll = PollRule(4.0, 30.0, 0.25)
        return cls(visitors, rate, poll.minimum, poll.maximum, poll.fraction, (Phase(1.0, seconds),), 0)

    @property
    def arrivals(self) -> Arrivals:
        """Who comes when."""
        return Arrivals(self.visitors, self.phases)

    @property
    def wall(self) -> tuple[float, float]:
        """From when to when the wall comes."""
        before = sum(phase.seconds for phase in self.phases[: self.wall_phase])
        return before, before + self.phases[self.wall_phase].seconds

    @property
    def limit_seconds(self) -> float:
        """When a run is given up."""
        through = max(self.arrivals.seconds, self.visitors / self.release_rate)
        return _SLACK * through + self.poll_max + _SLACK_SECONDS

    def room(self) -> Room:
        """The room's settings, as far as the simulator heeds them."""
        poll = PollRule(self.poll_min, self.poll_max, self.poll_fraction)
        return Room(name=ROOM, release_rate=self.release_rate, poll=poll)

    def config(self) -> str:
        """The gate's file."""
        return (
            # Every visitor comes from an address of its own, which only Locust's word can say on one machine.
            '[server]\ntrusted_proxies = ["127.0.0.1"]\n'
            f'[[room]]\nname = "{ROOM}"\nrelease_rate = {self.release_rate}\n'
            f"poll_min = {self.poll_min}\npoll_max = {self.poll_max}\npoll_fraction = {self.poll_fraction}\n"
        )

    def scenario(self, moments: Sequence[float], crowd: Crowd, outages: tuple[Outage, ...]) -> Scenario:
        """The same night for the simulator, with the joins as they came (seconds of the night)."""
        sample = min(len(moments), _FOLLOWED_MOST)
        return Scenario(Recorded(moments), self.room(), crowd, outages=outages, sample=sample)

    def write(self, path: Path) -> None:
        """To a file, for the processes of Locust."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Plan":
        """From that file."""
        said = json.loads(path.read_text())
        phases = [Phase(phase["share"], phase["seconds"], Shape(phase["shape"])) for phase in said["phases"]]
        return cls(**{**said, "phases": tuple(phases)})
