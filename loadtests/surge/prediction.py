"""The same night by the simulator, beside what was measured: polls, and waits by arrival."""

from dataclasses import dataclass

import numpy as np

from gate.simulation.night import Night
from gate.simulation.outcome import percentiles
from gate.simulation.scenario import Crowd, Outage
from gate.simulation.visitors import Visits, follow
from loadtests.surge.answers import Kind, Step
from loadtests.surge.recording import OK, Run, pages_polls

_QUARTERS = 4


@dataclass(frozen=True, slots=True)
class Pair:
    """One figure, measured and simulated."""

    name: str
    measured: float
    simulated: float

    @property
    def off(self) -> float:
        """By which part the simulator differs."""
        return self.simulated / self.measured - 1 if self.measured else float("inf" if self.simulated else 0)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The simulated night, and its figures beside those of the run."""

    night: Night
    visits: Visits
    pairs: list[Pair]

    @property
    def waits(self) -> tuple[tuple[float, float], ...]:
        """Of all visitors, measured and simulated."""
        return tuple([(pair.measured, pair.simulated) for pair in self.pairs if pair.name.startswith("wait of all")])

    @property
    def polls(self) -> float:
        """All polls of the night."""
        return len(self.visits.polls) * self.visits.weight


def predict(run: Run) -> Prediction:
    """Simulate the run's night: who came when and who left as it was, what line and pages did by the rules."""
    joined, waited = _waits(run)
    moments = (joined - run.start).tolist()
    night = Night(run.plan.scenario(moments, _behaviour(run, len(joined)), _outages(run))).run()
    visits = follow(night)
    pairs = [Pair("polls", float(len(pages_polls(run))), len(visits.polls) * visits.weight)]
    busiest = _busiest(pages_polls(run)["got"] - run.start, 1.0), _busiest(np.array(visits.polls), visits.weight)
    pairs.append(Pair("polls a second, busiest minute", *busiest))
    simulated_joined = np.array(visits.joined)
    simulated = np.array(visits.noticed) - simulated_joined
    for share, measured, guessed in zip((50, 90), _middle(waited), _middle(simulated), strict=True):
        pairs.append(Pair(f"wait of all, p{share}, s", measured, guessed))
    for number in range(_QUARTERS):
        ours, theirs = _quarter(joined, waited, number), _quarter(simulated_joined, simulated, number)
        for share, measured, guessed in zip((50, 90), ours, theirs, strict=True):
            pairs.append(Pair(f"wait of quarter {number + 1} of arrivals, p{share}, s", measured, guessed))
    return Prediction(night, visits, pairs)


def _behaviour(run: Run, placed: int) -> Crowd:
    """Shares of those who left and of those who never came, and how long the first waited until then."""
    gone = run.of(Step.GONE)
    left = gone[np.isin(gone["kind"], (Kind.IMPATIENT, Kind.FORGER))]
    joined = dict(zip(run.placed["visitor"][::-1].tolist(), run.placed["got"][::-1].tolist(), strict=True))
    stayed = [row["got"] - joined[row["visitor"]] for row in left if row["visitor"] in joined]
    patience = max(float(np.mean(stayed)), 0.1) if stayed else 1.0
    no_show = np.sum(gone["kind"] == Kind.NO_SHOW) / placed
    return Crowd(no_show=float(no_show), leave=len(left) / placed, patience=patience, hidden=0.0)


def _waits(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """When each visitor had its place, and how long until it saw that its turn had come (until it asked to claim)."""
    visitors, first = np.unique(run.placed["visitor"], return_index=True)
    joined = run.placed["got"][first]
    idle = run.placed["step"][first] == Step.PAGE
    claims = run.of(Step.CLAIM, status=OK)
    claiming, index = np.unique(claims["visitor"], return_index=True)
    noticed = np.full(len(visitors), np.nan)
    noticed[np.isin(visitors, claiming)] = claims["sent"][index][np.isin(claiming, visitors)]
    noticed[idle] = joined[idle]
    order = np.argsort(joined, kind="stable")
    return joined[order], np.maximum(noticed - joined, 0)[order]


def _quarter(joined: np.ndarray, waits: np.ndarray, number: int) -> tuple[float, ...]:
    part = waits[len(joined) * number // _QUARTERS : len(joined) * (number + 1) // _QUARTERS]
    return _middle(part)


def _middle(waits: np.ndarray) -> tuple[float, ...]:
    """Half and nine in ten wait at most; those who saw no turn left out."""
    return percentiles(np.sort(waits[np.isfinite(waits)]).tolist())[:2]


def _outages(run: Run) -> tuple[Outage, ...]:
    """Where the store was killed: from the last look before to the first one after."""
    killed = [fault["time"] for fault in run.faults if fault["what"] == "store"]
    after = [int(np.searchsorted(run.looks["asked"], moment)) for moment in killed]
    gaps = [(run.looks["answered"][index - 1], run.looks["asked"][index]) for index in after]
    return tuple([Outage(float(begun - run.start), float(ended - begun)) for begun, ended in gaps])


def _busiest(moments: np.ndarray, weight: float) -> float:
    """The most a second, over a minute (over a third of what there is, if that is less)."""
    if not len(moments):
        return 0.0
    moments = np.sort(moments)
    width = min(60.0, max((moments[-1] - moments[0]) / 3, 1.0))
    ends = np.searchsorted(moments, moments + width, side="right")
    return float(np.max(ends - np.arange(len(moments))) * weight / width)
