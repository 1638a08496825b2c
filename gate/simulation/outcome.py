"""What a night comes to: waits by arrival, requests a second, and what they need, as plain numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, inf
from typing import Any

from gate.core.room import PollRule
from gate.simulation import needs
from gate.simulation.night import Night
from gate.simulation.visitors import Visits, follow

_BANDS = 12
_SHARES = (0.5, 0.9, 0.99)
# Poll settings that a night is tried with: longest pause (s), fraction of the expected wait.
_POLL_CHOICES = ((15, 0.05), (30, 0.1), (60, 0.1), (60, 0.2), (120, 0.2), (300, 0.25))
_CHOICE_SAMPLE = 2_000
_POINTS_MAX = 600


@dataclass(frozen=True, slots=True)
class Band:
    """Visitors who came within a stretch, and how long they waited (seconds; percentiles 50, 90 and 99)."""

    since: float
    until: float
    visitors: float
    waits: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that is reported of a night."""

    night: Night
    visits: Visits

    @property
    def served(self) -> int:
        """How many were let in."""
        return self.night.served[-1]

    @property
    def most_waiting(self) -> int:
        """The longest the line ever was."""
        return max(issued - served for issued, served in zip(self.night.issued, self.night.served, strict=True))

    def bands(self) -> list[Band]:
        """Waits by arrival, in groups of equally many: from taking a place to seeing that one's turn has come.

        Those who gave up are left out.
        """
        joined, noticed = self.visits.joined, self.visits.noticed
        bands = min(_BANDS, len(joined))
        found = []
        for number in range(bands):
            first, last = len(joined) * number // bands, len(joined) * (number + 1) // bands
            waits = sorted([n - j for n, j in zip(noticed[first:last], joined[first:last], strict=True) if n < inf])
            if waits:
                band = Band(joined[first], joined[last - 1], (last - first) * self.visits.weight, percentiles(waits))
                found.append(band)
        return found

    def notices(self) -> tuple[float, ...]:
        """How long after its turn had come a page saw it: percentiles, in seconds."""
        visits = self.visits
        late = [n - s for n, s in zip(visits.noticed, visits.served, strict=True) if n < inf and s < inf]
        return percentiles(sorted(late))

    def rates(self) -> dict[str, dict[int, float]]:
        """Requests a second of each kind, by second of the night."""
        visits, weight = self.visits, self.visits.weight
        came_in_line = [j for j, s in zip(visits.joined, visits.served, strict=True) if s > j]
        claims = _by_second([moment for moment in visits.claimed if moment < inf], weight)
        placed = _by_second(came_in_line, weight)
        more = self.night.scenario.crowd.requests - 1
        return {
            "page": _added(placed, self.night.turned_back),
            "join": _added(placed, self.night.retries),
            "poll": _by_second(visits.polls, weight),
            "claim": claims,
            "first": claims,
            "more": {second: count * more for second, count in claims.items()},
        }

    def peak(self) -> dict[str, float]:
        """The most of each kind in a second, smoothed over ten seconds as far as the sample is coarse."""
        return {
            kind: max(_smooth(series, self.visits.weight).values(), default=0.0)
            for kind, series in self.rates().items()
        }

    def store_calls(self) -> float:
        """The most store calls a second: each gate process's ticks, and at most one for each join and claim."""
        peak = self.peak()
        return self.night.scenario.gates * needs.TICKS_PER_SECOND + peak["join"] + peak["claim"]

    def document(self, choices: list[dict[str, float]]) -> dict[str, Any]:
        """As JSON."""
        scenario, peak = self.night.scenario, self.peak()
        cdn = {**peak, "poll": needs.behind_cdn(peak["poll"], scenario.edges)}
        return {
            "visitors": scenario.arrivals.visitors,
            "seconds": self.night.seconds,
            "served": self.served,
            "turned_away": self.night.turned_away,
            "most_waiting": self.most_waiting,
            "followed": len(self.visits.joined),
            "waits": [
                {"since": b.since, "until": b.until, "visitors": round(b.visitors), **_named(b.waits)}
                for b in self.bands()
            ],
            "notice": _named(self.notices()),
            "polls": round(len(self.visits.polls) * self.visits.weight),
            "peak_per_second": {**peak, "poll_behind_cdn": cdn["poll"], "store_calls": self.store_calls()},
            "megabit_per_second": {"without_cdn": megabits(peak), "with_cdn": megabits(cdn)},
            "cores": {"without_cdn": needs.cores(peak), "with_cdn": needs.cores(cdn)},
            "poll_settings": choices,
            "series": self.series(),
        }

    def series(self) -> dict[str, list[float]]:
        """The night as curves of at most so many points: moments, waiting, let in, polls a second."""
        night, polls = self.night, _smooth(self.rates()["poll"], self.visits.weight)
        step = max(len(night.times) // _POINTS_MAX, 1)
        picked = range(0, len(night.times), step)
        return {
            "time": [night.times[k] for k in picked],
            "waiting": [night.issued[k] - night.served[k] for k in picked],
            "served": [night.served[k] for k in picked],
            "issued": [night.issued[k] for k in picked],
            "polls_per_second": [round(polls.get(int(night.times[k]), 0.0), 1) for k in picked],
        }


def poll_choices(night: Night) -> list[dict[str, float]]:
    """The same night under other poll settings: what each costs in polls, and in seconds until a turn is seen."""
    rows = []
    own = night.scenario.room.poll
    tried_too = [choice for choice in _POLL_CHOICES if choice[0] >= own.minimum]
    rules = [own, *(PollRule(own.minimum, most, fraction) for most, fraction in tried_too)]
    scenario = night.scenario
    for rule in dict.fromkeys(rules):
        night.scenario = scenario.with_poll(rule).with_sample(_CHOICE_SAMPLE)
        tried = Outcome(night, follow(night))
        late = tried.notices()
        rows.append(
            {
                "poll_min": rule.minimum,
                "poll_max": rule.maximum,
                "poll_fraction": rule.fraction,
                "polls_per_visitor": len(tried.visits.polls) / max(len(tried.visits.joined), 1),
                "peak_polls_per_second": tried.peak()["poll"],
                "notice_p50": late[0],
                "notice_p99": late[-1],
            }
        )
    night.scenario = scenario
    return rows


def megabits(rates: dict[str, float]) -> float:
    """Megabits a second of the gates' own answers; what the origin sends is the site's own."""
    return sum(rates[kind.name] * kind.answer_bytes for kind in needs.KINDS) * 8 / 1e6


def percentiles(ordered: Sequence[float]) -> tuple[float, ...]:
    """Those of `_SHARES`, of values in order (nearest rank)."""
    return tuple([ordered[max(ceil(share * len(ordered)) - 1, 0)] if ordered else 0.0 for share in _SHARES])


def _named(values: tuple[float, ...]) -> dict[str, float]:
    return {f"p{round(share * 100)}": round(value, 2) for share, value in zip(_SHARES, values, strict=True)}


def _by_second(moments: Iterable[float], weight: float) -> dict[int, float]:
    return {second: count * weight for second, count in Counter([int(moment) for moment in moments]).items()}


def _added(series: dict[int, float], more: dict[int, int]) -> dict[int, float]:
    return {second: series.get(second, 0.0) + more.get(second, 0) for second in series.keys() | more.keys()}


def _smooth(series: dict[int, float], weight: float) -> dict[int, float]:
    """A sample's seconds are coarse: the mean over ten of them, where each visitor stands for several."""
    if weight <= 1 or not series:
        return series
    reach = range(-5, 5)
    return {second: sum(series.get(second + by, 0.0) for by in reach) / len(reach) for second in series}
