"""Proof that the verdict can fail: one law broken in what was recorded, each in turn; the verdict must notice.

python -m loadtests.surge --judge FOLDER --sabotage unique      # or: all
"""

from collections.abc import Callable
from copy import deepcopy

import numpy as np

from gate.core.line import release_cap
from loadtests.surge.answers import Kind, Step
from loadtests.surge.recording import OK, Run
from loadtests.surge.verdict import REMEMBERED_BYTES, judge


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
    """Two and a half times the cap is let in at one moment."""
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


def _nowhere(run: Run) -> None:
    """A page reaches the site without a pass, and without a place."""
    pages = np.flatnonzero((run.rows["step"] == Step.PAGE) & ~run.rows["admitted"])
    run.rows["admitted"][_first(pages)] = True


def _inline(run: Run) -> None:
    """A reload is let in long before its turn."""
    row = _first(np.flatnonzero(run.rows["step"] == Step.RELOAD))
    run.rows["admitted"][row], run.rows["position"][row] = True, run.rows["position"].max()


def _bot_placed(run: Run) -> None:
    """A client without cookies is dealt a number."""
    row = _first(np.flatnonzero(run.rows["step"] == Step.BARE_JOIN))
    run.rows["status"][row], run.rows["position"][row] = OK, 7


def _unfinished(run: Run) -> None:
    """One visitor still waits when the run ends."""
    run.rows["step"][_first(_joins(run))] = Step.LOST


def _waits_longer(run: Run) -> None:
    """People wait a quarter longer than the simulator says."""
    run.predicted_waits = tuple([(measured * 1.25, simulated) for measured, simulated in run.predicted_waits])


def _visitor_lost(run: Run) -> None:
    """One patient visitor is missing."""
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
    """The gate grows by more than it may remember."""
    name = next(name for name in run.sizes[-1]["processes"] if name.startswith("gate"))
    run.sizes[-1]["processes"][name]["rss"] += run.workers * REMEMBERED_BYTES


SABOTAGES: dict[str, tuple[Callable[[Run], None], str]] = {
    "unique": (_place_twice, "law 1, unique"),
    "same-place": (_place_changed, "law 1, unique"),
    "ordered": (_out_of_order, "law 2, ordered"),
    "monotone": (_pointer_back, "law 3, monotone"),
    "bounded": (_too_fast, "law 4, bounded"),
    "slow": (_too_slow, "law 4, bounded"),
    "gated": (_early, "law 5, nobody early"),
    "nowhere": (_nowhere, "law 5, nobody early"),
    "inline": (_inline, "law 5, nobody early"),
    "forger": (_forger_in, "law 5, forgers and bots"),
    "bot": (_bot_in, "law 5, forgers and bots"),
    "bot-placed": (_bot_placed, "law 5, forgers and bots"),
    "unfinished": (_unfinished, "law 9, nobody lost"),
    "lost": (_visitor_lost, "law 9, nobody lost"),
    "errors": (_error, "no errors"),
    "polls": (_polls_too_many, "polls as predicted"),
    "waits": (_waits_longer, "waits as predicted"),
    "store-memory": (_store_grows, "law 6, store memory"),
    "gate-memory": (_gate_grows, "law 6, gate memory"),
}


class NothingRecordedError(Exception):
    """A run without what a sabotage would break."""


def spoiled(run: Run, name: str) -> Run:
    """A copy of a run with that law broken.

    Raises:
        NothingRecordedError: there is nothing to break in it.
    """
    copy = deepcopy(run)
    for worked_out in ("placed", "pointers"):
        copy.__dict__.pop(worked_out, None)
    try:
        SABOTAGES[name][0](copy)
    except IndexError:
        raise NothingRecordedError(name) from None
    return copy


def holds(run: Run, name: str) -> bool:
    """Whether one check of a run holds."""
    return next((check.passed for check in judge(run) if check.name == name), False)


def _first(rows: np.ndarray) -> int:
    return int(rows[0])


def _joins(run: Run) -> np.ndarray:
    """Indices of the patient's joins, in the order of their answers."""
    patient = (run.rows["kind"] == Kind.PATIENT) & (run.rows["step"] == Step.JOIN) & (run.rows["status"] == OK)
    return np.flatnonzero(patient & (run.rows["position"] > 0))
