"""Counts in a flat array: exact, shared, added up over processes that come and go."""

import mmap
import os

import pytest

from gate.core.errors import Reason
from gate.core.meter import BOUNDS_SECONDS, Count, Histogram, Layout, Meter, Reading, Timing, Way


def test_counts_go_where_they_belong():
    """By family, room and label; nothing else moves."""
    meter = Meter(["sale", "rest"])
    meter.count(Count.DECISIONS, "sale", Way.PASS)
    meter.count(Count.DECISIONS, "sale", Way.PASS)
    meter.count(Count.DECISIONS, "", Reason.BAD_REQUEST)
    reading = meter.read()
    assert {series: value for series, value in reading.counters.items() if value} == {
        ("decisions", "sale", "pass"): 2.0,
        ("decisions", "", "bad-request"): 1.0,
    }
    assert reading.sum_of(Count.DECISIONS) == 3
    assert reading.sum_of(Count.DECISIONS, "sale") == 2


def test_a_series_that_is_not_there_is_an_error():
    """No count is lost silently."""
    with pytest.raises(KeyError):
        Meter().count(Count.POLLS, "nowhere")


def test_every_reason_can_be_counted():
    """Whatever is refused, in a room or before one is known."""
    meter = Meter(["r"])
    for reason in Reason:
        for room in ("", "r"):
            meter.count(Count.DECISIONS, room, reason)
    assert meter.read().sum_of(Count.DECISIONS) == 2 * len(Reason)


def test_timings_fall_into_their_buckets():
    """Bounds are inclusive, as Prometheus has them; beyond the last is one more."""
    meter = Meter()
    for seconds in (0.0005, 0.0006, 0.3, 100.0):
        meter.observe(Timing.JOIN, seconds)
    histogram = meter.read().timings["join", "", ""]
    assert histogram.count == 4
    assert histogram.total == pytest.approx(100.3011)
    assert (histogram.buckets[0], histogram.buckets[1], histogram.buckets[9], histogram.buckets[-1]) == (1, 1, 1, 1)


def test_quantiles_are_worked_out_within_a_bucket():
    """Half of a hundred between 5 and 10 ms lies at 7.5 ms; of nothing there is none."""
    buckets = [0.0] * (len(BOUNDS_SECONDS) + 1)
    buckets[BOUNDS_SECONDS.index(0.01)] = 100
    assert Histogram(tuple(buckets), 1.0).quantile(0.5) == pytest.approx(0.0075)
    assert Histogram((0.0,) * (len(BOUNDS_SECONDS) + 1), 0.0).quantile(0.5) is None


def test_readings_add_up_over_processes():
    """Also where one knows a room that the other does not."""
    one, two = Meter(["a"]), Meter(["a", "b"])
    one.count(Count.POLLS, "a")
    two.count(Count.POLLS, "a")
    two.count(Count.POLLS, "b")
    one.observe(Timing.STORE_CALL, 0.02, "join")
    two.observe(Timing.STORE_CALL, 0.02, "join")
    total = Reading() + one.read() + two.read()
    assert (total.sum_of(Count.POLLS, "a"), total.sum_of(Count.POLLS, "b")) == (2, 1)
    assert total.timings["store_call", "", "join"].count == 2


def test_another_process_sees_the_counts_and_they_outlive_the_writer():
    """Shared memory: a child that counts and dies at once has counted."""
    shared = mmap.mmap(-1, Layout(["r"]).size_bytes)
    child = os.fork()
    if child == 0:
        Meter(["r"], memoryview(shared)).count(Count.POLLS, "r")
        os._exit(9)
    os.waitpid(child, 0)
    assert Meter(["r"], memoryview(shared)).read().sum_of(Count.POLLS) == 1
