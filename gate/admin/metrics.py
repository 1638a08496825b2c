"""`/metrics`: the counts of all processes and the numbers of all rooms, in Prometheus' text format.

prometheus-client writes the format; the numbers are read at the moment they are asked for. Counts come from the
processes' meters (`core/meter.py`), so they are exact across workers, also across those that have died.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gate import __version__
from gate.admin.documents import oldest_wait
from gate.admin.trends import Sample
from gate.core.line import Line
from gate.core.meter import BOUNDS_SECONDS, Count, Histogram, Reading, Timing
from gate.core.room import Mode

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_COUNTERS = {
    Count.DECISIONS: ("gate_decisions", "Requests by what was decided on them.", ("room", "reason")),
    Count.JOINS: ("gate_joins", "Requests to join by their result.", ("room", "result")),
    Count.CLAIMS: ("gate_claims", "Claims by their result.", ("room", "result")),
    Count.POLLS: ("gate_polls", "Polls of the pointer.", ("room",)),
    Count.PASS_MULTI_IP: ("gate_pass_multi_ip", "Passes seen from more than one network.", ("room",)),
    Count.ORIGIN_ERRORS: ("gate_origin_errors", "Forwarded requests that the origin failed.", ("reason",)),
    Count.STORE_ERRORS: ("gate_store_errors", "Calls that the store did not answer.", ()),
}
_TIMINGS = {
    Timing.ORIGIN_FIRST_BYTE: ("gate_origin_first_byte_seconds", "The origin's time to the head of its answer.", ()),
    Timing.OVERHEAD: ("gate_overhead_seconds", "What the gate itself adds to a forwarded request.", ()),
    Timing.JOIN: ("gate_join_seconds", "Time to a place in line, the shared store call included.", ()),
    Timing.STORE_CALL: ("gate_store_call_seconds", "Time of a store call.", ("verb",)),
}


@dataclass(frozen=True, slots=True)
class RoomNow:
    """One room at the moment of asking."""

    line: Line
    sample: Sample | None
    silent_seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """The whole gate at the moment of asking."""

    reading: Reading
    rooms: tuple[RoomNow, ...]
    workers: int
    workers_wanted: int
    restarts: int
    store_up: bool
    canary: dict[str, float] = field(default_factory=dict)
    clock_skew_seconds: float = 0.0


class Metrics(Collector):
    """Makes the families; `now` is asked at each scrape."""

    def __init__(self, now: Callable[[], Now]) -> None:
        self._now = now
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """What a scrape gets."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """All families."""
        now = self._now()
        yield _gauge("gate_build_info", "This gate's version.", ("version",), [((__version__,), 1)])
        yield _gauge("gate_workers", "Worker processes that serve.", (), [((), now.workers)])
        yield _gauge("gate_workers_wanted", "Worker processes that should.", (), [((), now.workers_wanted)])
        yield _counter("gate_worker_restarts", "Workers that died and were replaced.", (), [((), now.restarts)])
        yield _gauge("gate_store_up", "Whether the store answers.", (), [((), now.store_up)])
        skew = "Seconds by which this machine's clock is ahead of the store's."
        yield _gauge("gate_clock_skew_seconds", skew, (), [((), now.clock_skew_seconds)])
        yield from _of_rooms(now.rooms)
        yield from _of_counts(now.reading)
        yield from _of_timings(now.reading)
        yield from _of_canary(now.canary)


def _of_rooms(rooms: tuple[RoomNow, ...]) -> Iterator[Metric]:
    def each(name: str, help_text: str, value: Callable[[RoomNow], float], *, counts: bool = False) -> Metric:
        make = _counter if counts else _gauge
        return make(name, help_text, ("room",), [((room.line.room,), value(room)) for room in rooms])

    yield each("gate_issued", "Places dealt.", lambda room: room.line.visitors, counts=True)
    yield each("gate_served", "Places that may enter.", lambda room: room.line.let_in, counts=True)
    yield each("gate_claimed", "Places that have entered from the line.", lambda room: room.line.claimed, counts=True)
    yield each("gate_guests", "Links for staff and press.", lambda room: room.line.guests, counts=True)
    yield each("gate_now_serving", "The pointer within its era.", lambda room: room.line.now_serving)
    yield each("gate_waiting", "Visitors in line.", lambda room: room.line.waiting)
    yield each(
        "gate_oldest_wait_seconds",
        "For how long the first in line has waited.",
        lambda room: oldest_wait(room.line) or 0,
    )
    yield each("gate_active_passes", "Passes alive.", lambda room: room.sample.active if room.sample else 0)
    yield each("gate_release_rate", "Visitors a second as wanted now; 0 while held.",
               lambda room: room.line.release_rate if room.line.releases else 0)  # fmt: skip
    yield each("gate_measured_release_rate", "Visitors a second as released over ten seconds.",
               lambda room: room.sample.measured if room.sample else 0)  # fmt: skip
    yield each("gate_generation", "The line's life, as the millisecond it began.", lambda room: room.line.generation)
    yield each("gate_era", "The era being served.", lambda room: room.line.serving.number)
    yield each("gate_revision", "Raised by every change of settings.", lambda room: room.line.revision)
    yield each("gate_eras", "Reigns of the store that people in line come from.", lambda room: len(room.line.eras))
    yield each("gate_store_silent_seconds", "Since the store last spoke of the room.", lambda room: room.silent_seconds)
    modes: Rows = [((room.line.room, mode.value), float(room.line.mode is mode)) for room in rooms for mode in Mode]
    yield _gauge("gate_mode", "1 for the mode the room is in.", ("room", "mode"), modes)


def _of_counts(reading: Reading) -> Iterator[Metric]:
    for family, (name, help_text, labels) in _COUNTERS.items():
        rows = []
        for (of, room, label), value in reading.counters.items():
            if of == family:
                given = {"room": room, "reason": label, "result": label}
                rows.append((tuple(given[key] for key in labels), value))
        yield _counter(name, help_text, labels, rows)


def _of_timings(reading: Reading) -> Iterator[Metric]:
    for family, (name, help_text, labels) in _TIMINGS.items():
        metric = HistogramMetricFamily(name, help_text, labels=labels)
        for (of, _, label), histogram in reading.timings.items():
            if of == family:
                metric.add_metric([label] if labels else [], buckets=_cumulative(histogram), sum_value=histogram.total)
        yield metric


def _of_canary(canary: dict[str, float]) -> Iterator[Metric]:
    if not canary:
        return
    yield _counter("gate_canary_runs", "Visits of the canary.", (), [((), canary["runs"])])
    yield _counter("gate_canary_failures", "Visits that failed or left their band.", (), [((), canary["failures"])])
    yield _gauge("gate_canary_turn_to_page_seconds", "From its turn to the page, last visit.", (),
                 [((), canary["turn_to_page"])])  # fmt: skip
    yield _gauge("gate_canary_ok", "Whether the last visit was good.", (), [((), canary["ok"])])


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [*(f"{bound:g}" for bound in BOUNDS_SECONDS), "+Inf"]
    total, rows = 0.0, []
    for bound, count in zip(bounds, histogram.buckets, strict=True):
        total += count
        rows.append((bound, total))
    return rows


Rows = list[tuple[tuple[str, ...], float]]


def _gauge(name: str, help_text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    metric = GaugeMetricFamily(name, help_text, labels=labels)
    for values, value in rows:
        metric.add_metric(values, value)
    return metric


def _counter(name: str, help_text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    metric = CounterMetricFamily(name, help_text, labels=labels)
    for values, value in rows:
        metric.add_metric(values, value)
    return metric
