"""A sample of the night's visitors, each followed from the first page to the claim by the page's own rules."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from random import Random

from gate.core.place import Place
from gate.core.pointer import Pointer
from gate.simulation.night import Night

# As `static/waiting.js` spreads its polls, and claims for a tab that nobody looks at.
_JITTER = 0.2
_CLAIMS_BEFORE_SECONDS = 60.0
_ERA = 1


@dataclass(slots=True)
class Visits:
    """What the sample saw: one entry a visitor, in order of places; times in seconds of the night.

    `noticed[i]` is when the page saw that its turn had come: infinite for those who gave up or were never served.
    `weight` is how many visitors each one stands for.
    """

    weight: float
    joined: array = field(default_factory=lambda: array("d"))  # type: ignore[type-arg]
    served: array = field(default_factory=lambda: array("d"))  # type: ignore[type-arg]
    noticed: array = field(default_factory=lambda: array("d"))  # type: ignore[type-arg]
    claimed: array = field(default_factory=lambda: array("d"))  # type: ignore[type-arg]
    """When each asked for its pass: infinite for those who did not."""
    polls: array = field(default_factory=lambda: array("d"))  # type: ignore[type-arg]
    """The moment of each poll of anybody."""


def follow(night: Night, progress: Callable[[int, int], None] = lambda *_: None) -> Visits:
    """The visits of `sample` visitors, spread evenly over all places; `progress` is told how many of how many."""
    scenario = night.scenario
    total = night.issued[-1] if night.issued else 0
    size = min(scenario.sample, total)
    visits = Visits(total / size if size else 0.0)
    dice = Random(scenario.seed)  # noqa: S311  (a simulation's dice)
    pointer = lru_cache(maxsize=4_096)(night.pointer)
    for number in range(size):
        _visit(night, pointer, int((number + 0.5) * total / size) + 1, dice, visits)
        if number % 1_000 == 0:
            progress(number, size)
    return visits


def _visit(night: Night, pointer: Callable[[int], Pointer], position: int, dice: Random, visits: Visits) -> None:
    crowd, place = night.scenario.crowd, Place(_ERA, _ERA, position)
    joined, served = night.joined_at(position), night.served_at(position)
    gives_up = joined + dice.expovariate(1 / crowd.patience) if dice.random() < crowd.leave else inf
    hidden = dice.random() < crowd.hidden
    comes = dice.random() >= crowd.no_show
    visits.joined.append(joined)
    visits.served.append(inf if served is None else served)
    now = joined
    if served is not None and served <= joined:  # let in with the first request: no page, no poll
        visits.noticed.append(joined)
        visits.claimed.append(joined)
        return
    while True:
        if now >= gives_up or (now > night.seconds and served is None):
            now = inf  # gone, or nothing will happen any more
            break
        visits.polls.append(now)
        seen = pointer(night.at(now))
        if seen.serves(place, now):
            break
        now += _pause(seen.poll.maximum if hidden else seen.poll_seconds(place, now), dice)
    visits.noticed.append(now)
    if hidden and now < inf:
        now = _until_looked_at(night, now, dice, visits)
    visits.claimed.append(now if comes else inf)


def _until_looked_at(night: Night, noticed: float, dice: Random, visits: Visits) -> float:
    """A tab behind others calls its owner and polls on; a minute before the turn lapses it claims by itself."""
    room, crowd = night.scenario.room, night.scenario.crowd
    looked = noticed + min(dice.expovariate(1 / crowd.looks_after), max(room.claim_within - _CLAIMS_BEFORE_SECONDS, 0))
    now = noticed + _pause(room.poll.maximum, dice)
    while now < looked:
        visits.polls.append(now)
        now += _pause(room.poll.maximum, dice)
    return looked


def _pause(seconds: float, dice: Random) -> float:
    return seconds * dice.uniform(1 - _JITTER, 1 + _JITTER)
