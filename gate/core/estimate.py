"""How long a wait will be and when to ask again: the same rules in the page, the status document and the simulator.

The browser's twin of this file and of `pointer.py` is `static/waiting.js`.
"""

from dataclasses import dataclass

from gate.core.line import Line
from gate.core.place import Place
from gate.core.room import PollRule

# A wait is told as a range: lines move in ticks, some who are served do not come, and rates are tuned live.
_LOW, _HIGH, _SLACK_SECONDS = 0.85, 1.25, 5.0
_OUTAGE_LEAST, _OUTAGE_SHARE, _OUTAGE_MOST = 2.0, 0.25, 12.0


@dataclass(frozen=True, slots=True)
class Wait:
    """An expected wait in seconds."""

    low: int
    high: int


def expected_wait(line: Line, place: Place) -> float | None:
    """Seconds until a place is served at the rate the room has, or None while it releases nobody."""
    if not line.releases:
        return None
    return (line.ahead(place) + 1) / line.release_rate if not line.served(place) else 0.0


def wait_range(line: Line, place: Place) -> Wait | None:
    """The wait as people are told it; None while unknown."""
    seconds = expected_wait(line, place)
    if seconds is None:
        return None
    return Wait(round(seconds * _LOW), round(seconds * _HIGH + _SLACK_SECONDS)) if seconds else Wait(0, 0)


def poll_after(rule: PollRule, wait_seconds: float) -> float:
    """Seconds until the next poll, before jitter: a fraction of one's own wait, within the room's bounds."""
    return min(max(rule.fraction * wait_seconds, rule.minimum), rule.maximum)


def outage_retry(away: float) -> float:
    """Seconds after which to ask again of a store that has been away for so many, before jitter.

    Everybody who came meanwhile asks, so a long outage would else be met by ever more requests a second.
    """
    return min(_OUTAGE_LEAST + away * _OUTAGE_SHARE, _OUTAGE_MOST)
