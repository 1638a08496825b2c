"""Whether the laws held: every answer, every look at the line and every size of a run, judged by one rule each.

A check takes what was recorded and nothing else, so that `sabotage.py` can show of each that it would have noticed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gate.core.line import release_cap
from loadtests.surge.answers import Kind, Step
from loadtests.surge.recording import OK, SILENT_SECONDS, Run, gate_bytes, pages_polls

_AWAY = 503
_LEAST_SHARE = 0.98
_LET_IN = (Step.PAGE, Step.RELOAD, Step.CLAIM)
# What a run of this size may differ from the simulator in polls; a small one has few, and ends before it is even.
_POLLS_OFF, _POLLS_OFF_SMALL, _SMALL = 0.05, 0.1, 100_000
# Two bits a place, in pages; what the pre-tickets of the last minutes take comes and goes with the rate of joins.
_STORE_BYTES, _STORE_SPARE_BYTES = 0.5, 256 * 1024
MIB = 1024 * 1024
# What a worker remembers is bounded (`tokens.remembered`, heads, pages): some 90 MiB when all of it is full.
REMEMBERED_BYTES = 100 * MIB
# Around a kill: connections that are cut, and how long a store that starts again may be missed.
_CUT_SECONDS, _OUTAGE_SECONDS = 2.0, 15.0
_WAITS_OFF, _WAITS_OFF_SMALL = 0.05, 0.15


@dataclass(frozen=True, slots=True)
class Check:
    """One rule, whether it held, and what was seen."""

    name: str
    passed: bool
    said: str

    def __str__(self) -> str:
        return f"{'kept  ' if self.passed else 'BROKEN'}  {self.name}: {self.said}"


def unique(run: Run) -> Check:
    """Law 1: no two visitors hold the same place, and no visitor two; claims say the same as joins did."""
    claims = run.of(Step.CLAIM, status=OK)
    told = np.concatenate([run.placed, claims[claims["position"] > 0]])
    keys = run.keys(told["era"], told["position"])
    held = np.unique(np.stack([told["visitor"].astype(np.uint64), keys], axis=1), axis=0)
    visitors, places = len(np.unique(held[:, 0])), len(np.unique(held[:, 1]))
    twice, moved = len(held) - places, len(held) - visitors
    said = f"{visitors:,} visitors told {len(told):,} times of {places:,} places; {twice} twice, {moved} changed"
    return Check("law 1, unique", twice == 0 and moved == 0 and places > 0, said)


def ordered(run: Run) -> Check:
    """Law 2: whoever had an answer before another one asked stands before that one."""
    rows = run.placed
    first_told = rows[np.unique(rows["visitor"], return_index=True)[1]]  # rows are in the order of answers
    asked = run.rows[np.isin(run.rows["step"], (Step.JOIN, Step.PAGE))]
    asked = asked[np.argsort(asked["sent"], kind="stable")]
    joins = asked[asked["step"] == Step.JOIN]
    # The number may have been dealt at an earlier try whose answer was lost, so the first try is what counts.
    sent = dict(zip(*_firsts(asked["visitor"], asked["sent"]), strict=True))
    sent.update(zip(*_firsts(joins["visitor"], joins["sent"]), strict=True))
    began = np.array([sent[visitor] for visitor in first_told["visitor"]])
    by_answer = np.argsort(first_told["got"], kind="stable")
    keys = run.keys(first_told["era"], first_told["position"])
    highest = np.maximum.accumulate(keys[by_answer])
    before = np.searchsorted(first_told["got"][by_answer], began, side="left")
    known = before > 0
    inversions = int(np.sum(highest[before[known] - 1] > keys[known]))
    return Check(
        "law 2, ordered", inversions == 0 and known.any(), f"{inversions} inversions among {len(first_told):,} joins"
    )


def monotone(run: Run) -> Check:
    """Law 3: now-serving never goes back, in the store nor on any page."""
    shown = run.of(Step.POLL, status=OK)
    looks = run.pointers
    back = int(np.sum(looks[1:] < looks[:-1]))
    # A page may be shown something a little older by another worker; but never older than what was so before it asked.
    keys = run.keys(shown["era"], shown["position"])
    behind = np.searchsorted(run.looks["answered"], shown["sent"] - 1.0) - 1
    stale = int(np.sum(keys[behind >= 0] < looks[behind[behind >= 0]]))
    said = f"{back} steps back in {len(run.looks):,} looks; {stale} of {len(shown):,} polls over a second behind"
    return Check("law 3, monotone", back == 0 and stale == 0, said)


def bounded(run: Run) -> Check:
    """Law 4: releases within rate x w + cap in every window, and at least 0.98 of it while people wait."""
    looks, rate = run.looks, run.plan.release_rate
    cap = release_cap(rate, None)
    served = looks["served"].astype(np.float64)
    # Largest over the bound: the later look happened at the latest when answered, the earlier one not before asked.
    least_before = np.minimum.accumulate(served - rate * looks["asked"])
    over = float(np.max(served - rate * looks["answered"] - least_before))
    waits = looks["issued"] - looks["served"] > rate
    waits &= ~run.near_kill(looks["asked"], "store", _OUTAGE_SECONDS)
    short, stretch = 0.0, 0.0
    for first, last in _stretches(waits):
        part = slice(first, last)
        most = np.maximum.accumulate(served[part] - _LEAST_SHARE * rate * looks["answered"][part])
        short = max(short, float(np.max(most - served[part] + _LEAST_SHARE * rate * looks["asked"][part])))
        stretch += looks["asked"][last - 1] - looks["asked"][first]
    said = (
        f"worst window {over:.1f} places over {rate:g}/s x w, allowed {cap:g}; at worst {short:.1f} below "
        f"{_LEAST_SHARE} of it in {stretch:.0f} s with a line, allowed {cap:g}"
    )
    return Check("law 4, bounded", over <= cap and short <= cap and stretch > 0, said)


def gated(run: Run) -> Check:
    """Law 5: nobody is let in before now-serving has reached them, nor without a place at all."""
    let_in = run.rows[run.rows["admitted"] & np.isin(run.rows["step"], _LET_IN)]
    nowhere = int(np.sum(let_in["position"] == 0))
    seen_after = let_in["got"] <= run.looks["asked"][-1]
    unjudged = int(np.sum(~seen_after))
    early = int(np.sum(~_reached(run, let_in[seen_after])))
    browsing = run.rows[run.rows["admitted"] & np.isin(run.rows["step"], (Step.BROWSE, Step.BUY))]
    without = len(np.setdiff1d(browsing["visitor"], let_in["visitor"]))
    said = (
        f"{len(let_in):,} let in, {early} early, {nowhere} without a place, {without} inside without a pass; "
        f"{unjudged} after the last look"
    )
    kept = early == nowhere == without == unjudged == 0 and len(let_in) > 0
    return Check("law 5, nobody early", kept, said)


def _reached(run: Run, let_in: np.ndarray) -> np.ndarray:
    """Whether the pointer was there: by the next look or, while the store was silent, along the lease, no further."""
    looks, plan = run.looks, run.plan
    after = np.searchsorted(looks["asked"], let_in["got"])
    reached = run.keys(let_in["era"], let_in["position"]) <= run.pointers[after]
    before = looks[np.maximum(np.searchsorted(looks["answered"], let_in["got"]) - 1, 0)]
    elapsed = np.minimum(let_in["got"] - before["asked"], plan.room().lease)
    ahead = plan.release_rate * elapsed + release_cap(plan.release_rate, None)
    leased = (let_in["era"] < before["era"]) | (
        (let_in["era"] == before["era"]) & (let_in["position"] <= before["now_serving"] + ahead)
    )
    silent = looks["asked"][after] - before["answered"] > SILENT_SECONDS
    # A store that has just come back is told within a tick what gates let in meanwhile.
    back = run.near_kill(let_in["got"], "store", _OUTAGE_SECONDS)
    return np.where(silent, leased, reached | (leased & back))


def no_forger(run: Run) -> Check:
    """Law 5: forgers and bots are let in never, and get no place that is not theirs."""
    forged, bare = run.of(Step.FORGED), run.of(Step.BARE, Step.BARE_JOIN)
    admitted = int(np.sum(forged["admitted"])) + int(np.sum(run.kind(Kind.BOT)["admitted"]))
    bots = run.kind(Kind.BOT)
    asked = bots[np.isin(bots["step"], (Step.BARE, Step.BARE_JOIN))]
    placed = int(np.sum((asked["position"] > 0) | ((asked["step"] == Step.BARE_JOIN) & (asked["status"] == OK))))
    said = f"{admitted} let in and {placed} places, of {len(forged):,} forged and {len(bare):,} bare tries"
    kept = admitted == placed == 0 and len(forged) > 0 and len(bare) > 0
    return Check("law 5, forgers and bots", kept, said)


def nobody_lost(run: Run) -> Check:
    """Law 9: all who came and did not go away by choice were let in, and none is missing."""
    ends = np.unique(run.of(Step.GONE)["visitor"])
    inside = np.unique(
        run.rows[run.rows["admitted"] & np.isin(run.rows["step"], (Step.PAGE, Step.CLAIM, Step.BROWSE))]["visitor"]
    )
    lost = run.of(Step.LOST)
    missing = run.plan.visitors - len(np.union1d(ends, inside))
    left = len(np.setdiff1d(ends, inside))
    said = f"{len(inside):,} let in, {left:,} went by choice, {missing} missing, {len(lost)} not at their end"
    return Check("law 9, nobody lost", missing == 0 and len(lost) == 0, said)


def no_errors(run: Run) -> Check:
    """No 5xx and no lost answer; around what is killed on purpose, the store's own 503 and cut connections."""
    bad = run.errors
    cut = (bad["status"] == 0) & (run.near_kill(bad["got"], "worker", _CUT_SECONDS))
    excused = cut | ((bad["status"] == _AWAY) & run.near_kill(bad["got"], "store", _OUTAGE_SECONDS))
    statuses = {
        int(status): int(count) for status, count in zip(*np.unique(bad["status"], return_counts=True), strict=True)
    }
    faults = f", {int(excused.sum())} of them what a kill explains" if run.faults else ""
    said = f"{len(bad)} of {len(run.rows):,} answers {statuses or ''}{faults}"
    return Check("no errors", bool(excused.all()), said)


def polls(run: Run) -> Check:
    """The pages' polls are as many as the rule predicts (worked out by the simulator on the same night)."""
    seen, predicted = len(pages_polls(run)), run.predicted_polls
    allowed = _POLLS_OFF if run.plan.visitors >= _SMALL and not run.faults else _POLLS_OFF_SMALL
    off = seen / predicted - 1 if predicted else float("inf")
    said = f"{seen:,} polls, predicted {predicted:,.0f}: {off:+.1%} (allowed {allowed:.0%})"
    return Check("polls as predicted", abs(off) <= allowed, said)


def waits(run: Run) -> Check:
    """People wait as long as the simulator says, of the same arrivals."""
    large = run.plan.visitors >= _SMALL and not run.faults
    allowed = _WAITS_OFF if large else _WAITS_OFF_SMALL
    worst = max((abs(simulated / measured - 1) for measured, simulated in run.predicted_waits if measured), default=1.0)
    told = "; ".join(f"{measured:.1f} s, predicted {simulated:.1f}" for measured, simulated in run.predicted_waits)
    return Check("waits as predicted", worst <= allowed, f"{told} (allowed {allowed:.0%})")


def store_memory(run: Run) -> Check:
    """Law 6: the store holds two bits a place, and no more than a handful of numbers beside."""
    sizes = [size["store"]["keys"] for size in run.sizes if "store" in size]
    issued = int(run.looks["issued"][-1])
    grown, most = sizes[-1] - sizes[0], max(sizes) - sizes[0]
    said = f"{grown / issued:.2f} bytes a visitor at the end, {most / 1024:,.0f} KiB more at most, of {issued:,} places"
    return Check("law 6, store memory", most <= _STORE_BYTES * issued + _STORE_SPARE_BYTES, said)


def gate_memory(run: Run) -> Check:
    """Law 6: a gate's memory does not grow with the line, beyond what it remembers within bounds."""
    used = gate_bytes(run)
    start, peak, end = used[0], max(used), used[-1]
    said = (
        f"start {start / MIB:.0f}, peak {peak / MIB:.0f}, end {end / MIB:.0f} MiB; supervisor and {run.workers} workers"
    )
    return Check("law 6, gate memory", peak - start <= REMEMBERED_BYTES * run.workers, said)


CHECKS: tuple[Callable[[Run], Check], ...] = (
    unique, ordered, monotone, bounded, gated, no_forger, nobody_lost, no_errors, polls, waits,
    store_memory, gate_memory,
)  # fmt: skip


def judge(run: Run) -> list[Check]:
    """All checks; the raw crowd has no forgers."""
    return [check(run) for check in CHECKS if run.crowd == "locust" or check is not no_forger]


def _firsts(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each key once with its first value."""
    found, index = np.unique(keys, return_index=True)
    return found, values[index]


def _stretches(flags: np.ndarray) -> list[tuple[int, int]]:
    """Where flags are set without a gap: first, and one past the last, of stretches of two and more."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]
