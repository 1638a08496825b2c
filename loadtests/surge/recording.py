"""What was recorded of a surge, as arrays: answers, looks at the line, sizes of processes."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from loadtests.surge import answers
from loadtests.surge.answers import Kind, Step
from loadtests.surge.plan import Plan
from loadtests.surge.sampling import SAMPLE

OK, SERVER_ERROR = 200, 500
# Without a look at the line for so long, the store was silent.
SILENT_SECONDS = 0.5
_ERA_BITS = 40


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
    late: list[float]
    """By how many seconds acts of the crowd were late at most: of those who waited, of newcomers; empty: not known."""
    predicted_polls: float = 0.0
    predicted_waits: tuple[tuple[float, float], ...] = ()
    """Half and nine in ten of all wait at most: measured, and as the simulator has it, in seconds."""

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
            made.get("late", []),
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

    def keys(self, eras: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Places as single numbers that compare as places do."""
        known = np.unique(np.concatenate([self.rows["era"], self.looks["era"]]))
        return (np.searchsorted(known, eras).astype(np.uint64) << np.uint64(_ERA_BITS)) + positions.astype(np.uint64)

    @cached_property
    def pointers(self) -> np.ndarray:
        """Now serving at each look, as such numbers."""
        return self.keys(self.looks["era"], self.looks["now_serving"])

    @property
    def errors(self) -> np.ndarray:
        """Answers that nobody should get: 5xx, and none at all."""
        asked = ~np.isin(self.rows["step"], (Step.LOST, Step.GONE))
        return self.rows[asked & ((self.rows["status"] >= SERVER_ERROR) | (self.rows["status"] == 0))]

    def near_kill(self, moments: np.ndarray, what: str, seconds: float) -> np.ndarray:
        """Whether each moment lies within so many seconds after the `store` or a `worker` was killed on purpose."""
        found = np.zeros(len(moments), dtype=bool)
        for fault in self.faults:
            if fault["what"] == what:
                found |= (moments >= fault["time"] - SILENT_SECONDS) & (moments <= fault["time"] + seconds)
        return found


def pages_polls(run: Run) -> np.ndarray:
    """Polls of those who have a place: a bot only looks whether anybody waits."""
    polled = run.of(Step.POLL)
    return polled[polled["kind"] != Kind.BOT]


def gate_bytes(run: Run) -> list[int]:
    """Memory of all the gate's processes, at each look."""
    return [sum(one["rss"] for name, one in size["processes"].items() if name.startswith("gate")) for size in run.sizes]
