"""Proof that the verdict can fail: one law broken in what was recorded, each in turn; the verdict must notice.

python -m loadtests.surge --judge FOLDER --sabotage unique      # or: all
"""

from collections.abc import Callable
from copy import deepcopy

import numpy as np

from gate.core.line import release_cap
from loadtests.surge.answers import Kind, Step
from loadtests.surge.verdict import OK, Run, judge


def _place_twice(run: Run) -> None:
    """Two visitors are told the same position."""
    rows = run.rows
    first, last = _joins(run)[[0, -1]]
    rows["position"][last], rows["era"][last] = rows["position"][first], rows["era"][first]


def _place_changed(run: Run) -> None:
    """A visitor's second tab is told another place."""
    found = np.flatnonzero((run.rows["step"] == Step.TAB) & (run.rows["status"] == OK))
    run.rows["position"][found[0]] += 10_000_000


def _out_of_order(run: Run) -> None:
    """Of two visitors far apart, the later one stands before the earlier one."""
    joins = _joins(run)
    first, last = run.rows["visitor"][joins[[0, -1]]]
    mine, yours = run.rows["visitor"] == first, run.rows["visitor"] == last
    polls = run.rows["step"] == Step.POLL
    a, b = run.rows["position"][joins[0]], run.rows["position"][joins[-1]]
    run.rows["position"][mine & ~polls], run.rows["position"][yours & ~polls] = b, a


def _pointer_back(run: Run) -> None:
    """Now-serving is lower once."""
    run.looks["now_serving"][len(run.looks) // 2] = 0


def _too_fast(run: Run) -> None:
    """Twice the cap is let in at one moment."""
    run.looks["served"][len(run.looks) // 2 :] += int(2.5 * release_cap(run.plan.release_rate, None))


def _too_slow(run: Run) -> None:
    """While people wait, nothing is let in for some seconds."""
    waits = np.flatnonzero(run.looks["issued"] - run.looks["served"] > run.plan.release_rate)
    first = waits[len(waits) // 4]
    late = run.looks["asked"] > run.looks["asked"][first]
    run.looks["served"][late] = np.maximum(
        run.looks["served"][late] - int(4 * run.plan.release_rate), run.looks["served"][first]
    )


def _early(run: Run) -> None:
    """Somebody of the end of the line is let in in the middle."""
    claims = np.flatnonzero((run.rows["step"] == Step.CLAIM) & run.rows["admitted"])
    run.rows["position"][claims[len(claims) // 2]] = run.rows["position"][claims].max()


def _forger_in(run: Run) -> None:
    """A forged pass reaches the origin."""
    run.rows["admitted"][np.flatnonzero(run.rows["step"] == Step.FORGED)[0]] = True


def _bot_in(run: Run) -> None:
    """A client without cookies is let in."""
    run.rows["admitted"][np.flatnonzero((run.rows["kind"] == Kind.BOT) & (run.rows["step"] == Step.BARE))[0]] = True


def _visitor_lost(run: Run) -> None:
    """One patient visitor is never let in."""
    visitor = run.rows["visitor"][_joins(run)[0]]
    run.rows = run.rows[run.rows["visitor"] != visitor]


def _error(run: Run) -> None:
    """One poll is a 500."""
    run.rows["status"][np.flatnonzero(run.rows["step"] == Step.POLL)[0]] = 500


def _polls_too_many(run: Run) -> None:
    """Pages ask a quarter more often."""
    polls = run.rows[run.rows["step"] == Step.POLL]
    run.rows = np.concatenate([run.rows, polls[::4]])


def _store_grows(run: Run) -> None:
    """The store keeps some bytes for each visitor."""
    sizes = [size for size in run.sizes if "store" in size]
    sizes[-1]["store"]["keys"] += int(run.looks["issued"][-1]) + 1_048_576


def _gate_grows(run: Run) -> None:
    """The gate keeps the line in memory."""
    for name, one in run.sizes[-1]["processes"].items():
        if name.startswith("gate"):
            one["rss"] += 1 << 29


SABOTAGES: dict[str, tuple[Callable[[Run], None], str]] = {
    "unique": (_place_twice, "law 1, unique"),
    "same-place": (_place_changed, "law 1, unique"),
    "ordered": (_out_of_order, "law 2, ordered"),
    "monotone": (_pointer_back, "law 3, monotone"),
    "bounded": (_too_fast, "law 4, bounded"),
    "slow": (_too_slow, "law 4, bounded"),
    "gated": (_early, "law 5, nobody early"),
    "forger": (_forger_in, "law 5, forgers and bots"),
    "bot": (_bot_in, "law 5, forgers and bots"),
    "lost": (_visitor_lost, "law 9, nobody lost"),
    "errors": (_error, "no errors"),
    "polls": (_polls_too_many, "polls as predicted"),
    "store-memory": (_store_grows, "law 6, store memory"),
    "gate-memory": (_gate_grows, "law 6, gate memory"),
}


def caught(run: Run, name: str) -> bool:
    """Whether the verdict of a run with that law broken says so, by the check that is meant for it."""
    spoil, meant = SABOTAGES[name]
    spoiled = deepcopy(run)
    spoiled.__dict__.pop("placed", None)  # worked out of what is spoiled now
    spoil(spoiled)
    return any(check.name == meant and not check.passed for check in judge(spoiled))


def _joins(run: Run) -> np.ndarray:
    """Indices of the patient's joins, in the order of their answers."""
    patient = (run.rows["kind"] == Kind.PATIENT) & (run.rows["step"] == Step.JOIN) & (run.rows["status"] == OK)
    return np.flatnonzero(patient & (run.rows["position"] > 0))
