"""Whether the laws held: every answer, every look at the line and every size of a run, judged by one rule each.

A check takes what was recorded and nothing else, so that `sabotage.py` can show of each that it would have noticed.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from gate.core.line import release_cap
from loadtests.surge import answers
from loadtests.surge.answers import Kind, Step
from loadtests.surge.plan import Plan
from loadtests.surge.sampling import SAMPLE

OK, _SERVER_ERROR = 200, 500
_LEAST_SHARE = 0.98
_ERA_BITS = 40
# What a run of this size may differ from the simulator in polls; a small one has few, and ends before it is even.
_POLLS_OFF, _POLLS_OFF_SMALL, _SMALL = 0.05, 0.1, 100_000
# Two bits a place, in pages; what the pre-tickets of the last minutes take comes and goes with the rate of joins.
_STORE_BYTES, _STORE_SPARE_BYTES = 0.5, 256 * 1024
MIB = 1024 * 1024
# What a worker remembers is bounded (`tokens.remembered`, heads, pages); beyond that it must not grow.
_REMEMBERED_BYTES = 160 * MIB
_OUTAGE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Check:
    """One rule, whether it held, and what was seen."""

    name: str
    passed: bool
    said: str

    def __str__(self) -> str:
        return f"{'kept  ' if self.passed else 'BROKEN'}  {self.name}: {self.said}"


@dataclass
class Run:
    """Everything that was recorded of a run. Times are monotonic seconds of one machine."""

    plan: Plan
    rows: np.ndarray
    looks: np.ndarray
    sizes: list[dict]
    workers: int
    start: float
    faults: list[dict]
    crowd: str
    latest: float
    predicted_polls: float = 0.0

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """From a run's folder."""
        made = json.loads((folder / "run.json").read_text())
        sizes = [json.loads(line) for line in (folder / "sizes.json").read_text().splitlines()]
        looks = np.fromfile(folder / "looks.rows", dtype=SAMPLE)
        plan, rows = Plan.read(folder / "plan.json"), answers.read(folder)
        return cls(
            plan,
            rows,
            looks,
            sizes,
            made["workers"],
            made["start"],
            made["faults"],
            made["crowd"],
            made.get("latest", 0.0),
        )

    def of(self, *steps: Step, status: int | None = None) -> np.ndarray:
        """Rows of these steps."""
        chosen = np.isin(self.rows["step"], steps)
        if status is not None:
            chosen &= self.rows["status"] == status
        return self.rows[chosen]

    def kind(self, *kinds: Kind) -> np.ndarray:
        """Rows of these kinds."""
        return self.rows[np.isin(self.rows["kind"], kinds)]

    @cached_property
    def placed(self) -> np.ndarray:
        """Rows in which a visitor was told of its place: by a join, or let in with the first request."""
        joins = (
            np.isin(self.rows["step"], (Step.JOIN, Step.TAB))
            & (self.rows["status"] == OK)
            & (self.rows["position"] > 0)
        )
        idle = (self.rows["step"] == Step.PAGE) & self.rows["admitted"] & (self.rows["position"] > 0)
        return self.rows[joins | idle]

    def keys(self, rows: np.ndarray) -> np.ndarray:
        """Places as single numbers that compare as places do."""
        eras = np.unique(np.concatenate([self.rows["era"], self.looks["era"]]))
        return (np.searchsorted(eras, rows["era"]).astype(np.uint64) << np.uint64(_ERA_BITS)) + rows["position"]

    @property
    def errors(self) -> np.ndarray:
        """Answers that nobody should get: 5xx, and none at all."""
        asked = ~np.isin(self.rows["step"], (Step.LOST, Step.GONE))
        return self.rows[asked & ((self.rows["status"] >= _SERVER_ERROR) | (self.rows["status"] == 0))]

    def in_an_outage(self, moments: np.ndarray) -> np.ndarray:
        """Whether each moment lies within some seconds after something was killed on purpose."""
        found = np.zeros(len(moments), dtype=bool)
        for fault in self.faults:
            found |= (moments >= fault["time"] - 0.5) & (moments <= fault["time"] + _OUTAGE_SECONDS)
        return found


def unique(run: Run) -> Check:
    """Law 1: no two visitors hold the same place, and no visitor two."""
    held = np.unique(np.stack([run.placed["visitor"].astype(np.uint64), run.keys(run.placed)], axis=1), axis=0)
    visitors, places = len(np.unique(held[:, 0])), len(np.unique(held[:, 1]))
    twice, moved = len(held) - places, len(held) - visitors
    said = f"{visitors:,} visitors told {len(run.placed):,} times of {places:,} places; {twice} twice, {moved} changed"
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
    highest = np.maximum.accumulate(run.keys(first_told[by_answer]))
    before = np.searchsorted(first_told["got"][by_answer], began, side="left")
    known = before > 0
    inversions = int(np.sum(highest[before[known] - 1] > run.keys(first_told)[known]))
    return Check(
        "law 2, ordered", inversions == 0 and known.any(), f"{inversions} inversions among {len(first_told):,} joins"
    )


def monotone(run: Run) -> Check:
    """Law 3: now-serving never goes back, in the store nor on any page."""
    shown = run.of(Step.POLL, status=OK)
    looks = _places(run.looks["era"], run.looks["now_serving"])
    back = int(np.sum(looks[1:] < looks[:-1]))
    # A page may be shown something a little older by another worker; but never older than what was so before it asked.
    keys = _places(shown["era"], shown["position"])
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
    waits = (looks["issued"] - looks["served"] > rate) & ~run.in_an_outage(looks["asked"])
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
    """Law 5: nobody is let in before now-serving has reached them."""
    steps = np.isin(run.rows["step"], (Step.PAGE, Step.CLAIM))
    let_in = run.rows[run.rows["admitted"] & steps & (run.rows["position"] > 0)]
    seen_after = let_in["got"] <= run.looks["asked"][-1]
    early = int(np.sum(~_reached(run, let_in[seen_after])))
    browsing = run.rows[run.rows["admitted"] & np.isin(run.rows["step"], (Step.BROWSE, Step.BUY))]
    without = len(np.setdiff1d(browsing["visitor"], let_in["visitor"]))
    unjudged = int(np.sum(~seen_after))
    said = f"{len(let_in):,} let in, {early} early, {unjudged} after the last look; {without} inside without a pass"
    return Check("law 5, nobody early", early == 0 and unjudged == 0 and without == 0 and len(let_in) > 0, said)


def _reached(run: Run, let_in: np.ndarray) -> np.ndarray:
    """Whether the pointer was there: by the next look, or, around a kill, along the lease from the look before."""
    looks, plan = run.looks, run.plan
    after = np.searchsorted(looks["asked"], let_in["got"])
    reached = _places(let_in["era"], let_in["position"]) <= _places(looks["era"], looks["now_serving"])[after]
    before = looks[np.maximum(np.searchsorted(looks["answered"], let_in["got"]) - 1, 0)]
    ahead = plan.release_rate * (let_in["got"] - before["asked"]) + release_cap(plan.release_rate, None)
    leased = (let_in["era"] == before["era"]) & (let_in["position"] <= before["now_serving"] + ahead)
    return reached | (leased & run.in_an_outage(let_in["got"]))


def no_forger(run: Run) -> Check:
    """Law 5: forgers and bots are let in never, and get no place that is not theirs."""
    tries = run.of(Step.FORGED, Step.BARE)
    admitted = int(np.sum(tries["admitted"])) + int(np.sum(run.kind(Kind.BOT)["admitted"]))
    placed = int(np.sum(np.isin(run.placed["kind"], [Kind.BOT])))
    kinds = {Kind(kind).name.lower(): int(np.sum(tries["kind"] == kind)) for kind in np.unique(tries["kind"])}
    return Check(
        "law 5, forgers and bots",
        admitted == 0 and placed == 0 and len(tries) > 0,
        f"{admitted} let in, {placed} places, of {kinds} tries",
    )


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
    excused = run.in_an_outage(bad["got"]) & np.isin(bad["status"], (0, 503))
    statuses = {
        int(status): int(count) for status, count in zip(*np.unique(bad["status"], return_counts=True), strict=True)
    }
    faults = f", {int(excused.sum())} of them within {_OUTAGE_SECONDS:g} s of a kill" if run.faults else ""
    said = f"{len(bad)} of {len(run.rows):,} answers {statuses or ''}{faults}"
    return Check("no errors", bool(excused.all()), said)


def polls(run: Run) -> Check:
    """The pages' polls are as many as the rule predicts (worked out by the simulator on the same night)."""
    seen, predicted = len(run.of(Step.POLL)), run.predicted_polls
    allowed = _POLLS_OFF if run.plan.visitors >= _SMALL and not run.faults else _POLLS_OFF_SMALL
    off = seen / predicted - 1 if predicted else float("inf")
    said = f"{seen:,} polls, predicted {predicted:,.0f}: {off:+.1%} (allowed {allowed:.0%})"
    return Check("polls as predicted", abs(off) <= allowed, said)


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
    return Check("law 6, gate memory", peak - start <= _REMEMBERED_BYTES * run.workers, said)


def gate_bytes(run: Run) -> list[int]:
    """Memory of all the gate's processes, at each look."""
    return [sum(one["rss"] for name, one in size["processes"].items() if name.startswith("gate")) for size in run.sizes]


CHECKS: tuple[Callable[[Run], Check], ...] = (
    unique, ordered, monotone, bounded, gated, no_forger, nobody_lost, no_errors, polls, store_memory, gate_memory,
)  # fmt: skip


def judge(run: Run) -> list[Check]:
    """All checks; the raw crowd has no forgers."""
    return [check(run) for check in CHECKS if run.crowd == "locust" or check is not no_forger]


def _places(eras: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """As numbers that compare as places do: eras are milliseconds, of which the low bits are enough within a night."""
    return ((eras.astype(np.uint64) & np.uint64(0xFFFFFFFF)) << np.uint64(30)) + positions.astype(np.uint64)


def _firsts(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each key once with its first value."""
    found, index = np.unique(keys, return_index=True)
    return found, values[index]


def _stretches(flags: np.ndarray) -> list[tuple[int, int]]:
    """Where flags are set without a gap: first, and one past the last, of stretches of two and more."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]
