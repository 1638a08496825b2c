"""What one process counts: plain numbers in one flat array, which may be memory that a supervisor reads too.

One writer, no lock: a count is an addition to a float64, which a reader sees before or after but never halfway.
The array outlives its process, so a worker that is killed takes no count with it. Series are known from the
rooms' names alone, so that writer and reader agree on the layout. Labels are the slugs of `core/errors.py`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from gate.core.errors import Reason

# Upper bounds of the histograms' buckets, in seconds; one more catches the rest.
BOUNDS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
STORE_VERBS = ("open", "join", "admit", "advance", "claim", "finish", "reset", "mark", "note", "discount", "command")


class Way(StrEnum):
    """Why a request was forwarded, or that the page was shown; refusals go by their `Reason`."""

    PASS = "pass"  # noqa: S105  (a label)
    CLAIM = "claim"
    IDLE = "idle"
    OPEN = "open"
    """By an open rule, a preflight, mode `off`, or along with another room's pass."""
    OUTAGE = "outage"
    """Let in without a place in line while the store was away (`store_outage = "open"`)."""
    NO_ROOM = "no-room"
    PAGE = "page"


class Count(StrEnum):
    """Families of counters; each has a room and a label."""

    DECISIONS = "decisions"
    JOINS = "joins"
    CLAIMS = "claims"
    POLLS = "polls"
    PASS_MULTI_IP = "pass_multi_ip"  # noqa: S105  (a family)
    """Passes seen from more than one network."""
    ORIGIN_ERRORS = "origin_errors"
    STORE_ERRORS = "store_errors"


class Timing(StrEnum):
    """Families of histograms, in seconds."""

    ORIGIN_FIRST_BYTE = "origin_first_byte"
    OVERHEAD = "overhead"
    JOIN = "join"
    STORE_CALL = "store_call"


JOIN_RESULTS = ("dealt", "pending", "again", "refused")
CLAIM_RESULTS = ("claimed", *(reason.value for reason in Reason if reason.status in (410, 425, 429, 503)))
_DECISIONS = (*Way, *Reason)

Series = tuple[str, str, str]
"""Family, room (or ''), label."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket, the last beyond all bounds, and the sum of what was observed (seconds)."""

    buckets: tuple[float, ...]
    total: float

    @property
    def count(self) -> float:
        """How many were observed."""
        return sum(self.buckets)

    def quantile(self, share: float) -> float | None:
        """The value (seconds) below which this share lies, worked out within its bucket; None if there are none."""
        wanted, passed, low = share * self.count, 0.0, 0.0
        if not self.count:
            return None
        for bucket, high in zip(self.buckets, (*BOUNDS_SECONDS, BOUNDS_SECONDS[-1]), strict=True):
            if bucket and passed + bucket >= wanted:
                return low + (high - low) * (wanted - passed) / bucket
            passed, low = passed + bucket, high
        return BOUNDS_SECONDS[-1]

    def __sub__(self, other: "Histogram") -> "Histogram":
        parts = tuple(max(mine - theirs, 0.0) for mine, theirs in zip(self.buckets, other.buckets, strict=True))
        return Histogram(parts, max(self.total - other.total, 0.0))


class Layout:
    """Which cell of the array belongs to which series."""

    def __init__(self, rooms: Iterable[str]) -> None:
        self.counters = {series: index for index, series in enumerate(_counters(("", *rooms)))}
        timings = [(Timing.STORE_CALL.value, "", verb) for verb in STORE_VERBS]
        timings += [(timing.value, "", "") for timing in Timing if timing is not Timing.STORE_CALL]
        width = len(BOUNDS_SECONDS) + 2
        self.timings = {series: len(self.counters) + index * width for index, series in enumerate(timings)}
        self.cells = len(self.counters) + len(timings) * width

    @property
    def size_bytes(self) -> int:
        """How much memory the array takes."""
        return self.cells * 8


class Meter:
    """Counts of one process."""

    def __init__(self, rooms: Iterable[str] = (), memory: memoryview | None = None) -> None:
        self._layout = Layout(rooms)
        # A float64 each: exact for whole numbers up to 2**53.
        self._cells = (memory or memoryview(bytearray(self._layout.size_bytes))).cast("d")

    def count(self, family: Count, room: str, label: str = "") -> None:
        """One more."""
        self._cells[self._layout.counters[family, room, label]] += 1

    def counter(self, family: Count, room: str, label: str = "") -> Callable[[], None]:
        """The same as `count` for one series that is counted very often."""
        cells, index = self._cells, self._layout.counters[family, room, label]

        def count() -> None:
            cells[index] += 1

        return count

    def observer(self, family: Timing, label: str = "") -> Callable[[float], None]:
        """What `observe` does, for one series that is observed very often."""
        cells, start = self._cells, self._layout.timings[family, "", label]
        total = start + len(BOUNDS_SECONDS) + 1

        def observe(seconds: float) -> None:
            cells[start + bisect_left(BOUNDS_SECONDS, seconds)] += 1
            cells[total] += seconds

        return observe

    def observe(self, family: Timing, seconds: float, label: str = "") -> None:
        """One more that took this long."""
        self.observer(family, label)(seconds)

    def read(self) -> "Reading":
        """All that was counted so far."""
        cells, buckets = self._cells.tolist(), len(BOUNDS_SECONDS) + 1
        return Reading(
            {series: cells[index] for series, index in self._layout.counters.items()},
            {
                series: Histogram(tuple(cells[start : start + buckets]), cells[start + buckets])
                for series, start in self._layout.timings.items()
            },
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """Counts of one or several processes."""

    counters: dict[Series, float] = field(default_factory=dict)
    timings: dict[Series, Histogram] = field(default_factory=dict)

    def __add__(self, other: "Reading") -> "Reading":
        counters = dict(self.counters)
        for series, value in other.counters.items():
            counters[series] = counters.get(series, 0.0) + value
        timings = dict(self.timings)
        for series, theirs in other.timings.items():
            mine = timings.get(series)
            if mine is not None:
                summed = tuple(a + b for a, b in zip(mine.buckets, theirs.buckets, strict=True))
                theirs = Histogram(summed, mine.total + theirs.total)  # noqa: PLW2901  (the sum takes its place)
            timings[series] = theirs
        return Reading(counters, timings)

    def sum_of(self, family: Count, room: str | None = None) -> float:
        """All of one family, of one room or of all."""
        return sum(
            value for (name, of, _), value in self.counters.items() if name == family and (room is None or of == room)
        )


def _counters(rooms: tuple[str, ...]) -> Iterator[Series]:
    for room in rooms:
        yield from ((Count.DECISIONS.value, room, label.value) for label in _DECISIONS)
        yield from ((Count.JOINS.value, room, label) for label in JOIN_RESULTS)
        yield from ((Count.CLAIMS.value, room, label) for label in CLAIM_RESULTS)
        yield Count.POLLS.value, room, ""
        yield Count.PASS_MULTI_IP.value, room, ""
    for reason in (Reason.ORIGIN_UNREACHABLE, Reason.ORIGIN_TIMEOUT):
        yield Count.ORIGIN_ERRORS.value, "", reason.value
    yield Count.STORE_ERRORS.value, "", ""
