"""The release arithmetic: each sentence of its DESIGN, with the clock handed in."""

import random

import pytest

from gate.core.line import Era, release_cap
from gate.core.release import plan, plan_idle, settle
from gate.core.room import Mode
from tests.core.lines import line


def run(state, times, **changes):
    """Tick at each of these times; returns the releases and the last line."""
    released = []
    for now in times:
        advance = plan(state, now)
        released.append(advance.released)
        state = line(state.newest.last, **{**changes, "now_serving": advance.now_serving, "at": advance.at})
    return released, state


def test_one_every_six_seconds_at_ten_a_minute():
    """Slow rates lose nothing to the tick: at 10/min one is released every six seconds."""
    changes = {"release_rate": 10 / 60, "burst": 0.0}
    times = [tick / 10 for tick in range(1, 1206)]
    released, _ = run(line(100, **changes), times, **changes)
    moments = [now for now, count in zip(times, released, strict=True) if count]
    assert sum(released) == 20
    # A tick may come a tenth late where binary fractions fall a hair short; the next one makes up for it.
    assert all(abs(moment - 6.0 * turn) < 0.101 for turn, moment in enumerate(moments, 1))


def test_an_idle_hour_banks_no_more_than_the_cap():
    """After an hour without visitors at most cap are let in at once, whatever has gone by."""
    for rate, burst in ((10.0, None), (50.0, 1.0), (0.5, 0.0), (500.0, 20.0)):
        idle = line(100_000, release_rate=rate, burst=burst, at=0.0)
        first = plan(idle, 3_600.0)
        assert first.released == int(release_cap(rate, burst))
        after = line(100_000, release_rate=rate, burst=burst, at=first.at, now_serving=first.now_serving)
        assert plan(after, 3_600.0).released == 0


def test_a_fraction_owed_is_kept():
    """Two ticks that earn 0.6 each release one, not none."""
    state = line(10, release_rate=6.0)
    first = plan(state, 0.1)
    assert first.released == 0
    assert plan(line(10, release_rate=6.0, at=first.at), 0.2).released == 1


def test_the_pointer_never_passes_the_end_of_its_era():
    """However much is due, nobody who was not dealt a place is served."""
    assert plan(line(3, release_rate=1000.0), 100.0).now_serving == 3


def test_a_new_era_is_entered_only_after_its_hold():
    """The old era is served to its end; the next begins when old tickets have had time to show."""
    eras = (Era(10, 5), Era(20, 9, hold_until=50.0))
    waiting = line(eras=eras, release_rate=100.0, burst=100.0)
    before = plan(waiting, 49.9)
    assert (before.era, before.now_serving) == (10, 5)
    after = plan(waiting, 50.0)
    assert (after.era, after.now_serving, after.released) == (20, 9, 14)


def test_hold_and_off_release_nobody():
    """Modes that do not release owe nothing afterwards."""
    for mode in (Mode.HOLD, Mode.OFF):
        assert plan(line(100, mode=mode), 1000.0).released == 0


def test_closed_still_releases():
    """Those in line of a closed room are served."""
    assert plan(line(100, mode=Mode.CLOSED), 1.0).released == 10


def test_a_clock_that_went_back_does_not_stop_the_line():
    """If `at` lies further ahead than the lease, the store's clock stepped back: it starts afresh at now."""
    stuck = plan(line(100, at=700.0), 100.0)
    assert stuck.released == 0
    assert stuck.at == pytest.approx(100.0)


def test_what_was_lifted_in_silence_is_paid_for():
    """Visitors let in on the lease come off what the silence earned, before the cap; at most a lease is owed."""
    line_after = line(1000, now_serving=100, at=0.0, lifted=100, release_rate=10.0)
    assert plan(line_after, 10.0).released == 0
    assert plan(line_after, 10.0).at == pytest.approx(10.0)
    assert plan(line_after, 9.0).at == pytest.approx(10.0)


def test_raising_the_rate_settles_first():
    """0.9 pending at 1/s is 0.9 at 500/s, not 450."""
    settled = settle(line(10_000, release_rate=1.0, at=0.0), 0.9, rate=500.0, burst=1.0, mode=Mode.AUTO)
    assert settled.released == 0
    after = line(10_000, release_rate=500.0, burst=1.0, at=settled.at)
    assert plan(after, 0.9).owed == pytest.approx(0.9)


def test_leaving_hold_starts_afresh():
    """An hour of hold banks nothing."""
    settled = settle(line(10_000, mode=Mode.HOLD, at=0.0), 3_600.0, rate=10.0, burst=None, mode=Mode.AUTO)
    assert settled.at == 3_600.0


def test_a_lower_burst_cuts_what_is_owed():
    """What is left after a change is at most the new cap."""
    settled = settle(line(0, release_rate=100.0, at=0.0), 100.0, rate=10.0, burst=1.0, mode=Mode.AUTO)
    assert (100.0 - settled.at) * 10.0 == pytest.approx(release_cap(10.0, 1.0))


def test_idle_admission_only_if_nobody_waits():
    """Deal and release together: release to spare and an empty line, or nothing."""
    assert plan_idle(line(5, now_serving=5), 100.0, 3).released == 3
    assert plan_idle(line(5, now_serving=4), 100.0, 3) is None
    assert plan_idle(line(5, now_serving=5, at=100.0), 100.0, 3) is None
    assert plan_idle(line(5, now_serving=5, mode=Mode.HOLD), 100.0, 3) is None
    assert plan_idle(line(5, now_serving=5, mode=Mode.CLOSED), 100.0, 3) is None


@pytest.mark.parametrize("seed", range(30))
def test_law_4_in_every_window_of_random_lives(seed):
    """Random ticks, rates and bursts: every window holds at most rate x w + cap, and a waiting line enough."""
    dice = random.Random(seed)
    rate, burst = dice.choice([0.2, 1.0, 7.3, 50.0, 500.0]), dice.choice([None, 0.0, 1.0, 30.0])
    changes = {"release_rate": rate, "burst": burst}
    state, now, log = line(10**9, **changes), 0.0, []
    for _ in range(600):
        now += dice.choice([0.01, 0.1, 0.1, 0.25])
        advance = plan(state, now)
        log.append((now, advance.released))
        state = line(10**9, **changes, now_serving=advance.now_serving, at=advance.at)
    cap = release_cap(rate, burst)
    total = 0
    sums = [(0.0, 0)]
    for moment, count in log:
        total += count
        sums.append((moment, total))
    for start in range(0, len(sums), 7):
        for end in range(start + 1, len(sums), 11):
            window, count = sums[end][0] - sums[start][0], sums[end][1] - sums[start][1]
            assert count <= rate * window + cap + 1e-6
            assert count >= 0.98 * rate * window - cap
