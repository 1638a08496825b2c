"""Who comes when: a night's newcomers as phases, each a share of all over a stretch of time."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Shape(StrEnum):
    """How a phase's newcomers are spread over it."""

    EVEN = "even"
    RISING = "rising"
    FALLING = "falling"


@dataclass(frozen=True, slots=True)
class Phase:
    """`share` of all visitors within `seconds`; rising and falling ones go in a straight line from or to nobody."""

    share: float
    seconds: float
    shape: Shape = Shape.EVEN

    def done(self, seconds: float) -> float:
        """Which part of the phase's newcomers has come so many seconds into it."""
        part = min(max(seconds / self.seconds, 0.0), 1.0)
        match self.shape:
            case Shape.EVEN:
                return part
            case Shape.RISING:
                return part * part
            case Shape.FALLING:
                return part * (2 - part)

    def when(self, done: float) -> float:
        """Seconds into the phase by which that part of its newcomers has come: `done` the other way round."""
        match self.shape:
            case Shape.EVEN:
                part = done
            case Shape.RISING:
                part = done**0.5
            case Shape.FALLING:
                part = 1 - (1 - done) ** 0.5
        return part * self.seconds


@dataclass(frozen=True, slots=True)
class Recorded:
    """Newcomers as they really came: `moments` in seconds of the night, in order."""

    moments: Sequence[float]

    @property
    def visitors(self) -> int:
        """How many."""
        return len(self.moments)

    @property
    def seconds(self) -> float:
        """How long newcomers come."""
        return self.moments[-1] if self.moments else 0.0

    def by(self, now: float) -> int:
        """How many have come by now."""
        return bisect_right(self.moments, now)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """All newcomers of a night, in order; time counts from its beginning, in seconds."""

    visitors: int
    phases: tuple[Phase, ...]

    @property
    def seconds(self) -> float:
        """How long newcomers come."""
        return sum([phase.seconds for phase in self.phases])

    def by(self, now: float) -> int:
        """How many have come by now."""
        share, start = 0.0, 0.0
        for phase in self.phases:
            share += phase.share * phase.done(now - start)
            start += phase.seconds
        return min(round(share * self.visitors), self.visitors) if now < start else self.visitors

    def of(self, number: float) -> float:
        """When visitor `number` (from 0) comes."""
        share, start = number / self.visitors, 0.0
        for phase in self.phases:
            if share <= phase.share:
                return start + phase.when(share / phase.share)
            share, start = share - phase.share, start + phase.seconds
        return start


def on_sale(visitors: int, *, early_seconds: float, wall_seconds: float, tail_seconds: float) -> Arrivals:
    """An on-sale: early birds who drip in, a wall at the hour, a tail of those who heard of it late."""
    wall, tail = Phase(0.6, wall_seconds), Phase(0.36, tail_seconds, Shape.FALLING)
    return Arrivals(visitors, (Phase(0.04, early_seconds), wall, tail))
