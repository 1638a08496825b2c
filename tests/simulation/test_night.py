"""The simulated line keeps the laws, because it is moved by the functions that keep them in a gate."""

from dataclasses import replace

import pytest

from gate.core.room import Mode, PollRule, Room
from gate.simulation.arrivals import Arrivals, Phase, Recorded, Shape, on_sale
from gate.simulation.night import Night
from gate.simulation.scenario import Change, Crowd, Outage, Scenario


def night(visitors=2_000, seconds=10.0, crowd=None, changes=(), outages=(), **room):
    """A short night, worked out."""
    settings = {"release_rate": 50.0, "burst": 1.0, **room}
    arrivals = Arrivals(visitors, (Phase(1.0, seconds),))
    return Night(Scenario(arrivals, Room(**settings), crowd or Crowd(), tuple(changes), tuple(outages), sample=500)).run()


@pytest.mark.parametrize("shape", list(Shape))
def test_a_phase_brings_its_share_and_both_ways_of_asking_agree(shape):
    """`by` counts, `of` names the moment: the one undoes the other."""
    arrivals = Arrivals(1_000, (Phase(0.3, 10.0), Phase(0.7, 50.0, shape)))
    assert [arrivals.by(moment) for moment in (-1.0, 0.0, 10.0, 60.0, 1e9)] == [0, 0, 300, 1_000, 1_000]
    for number in range(0, 1_000, 37):
        assert abs(arrivals.by(arrivals.of(number)) - number) <= 1
    assert all(arrivals.of(a) <= arrivals.of(a + 1) for a in range(999))


def test_recorded_arrivals_are_those_that_came():
    """For comparing with what was measured."""
    recorded = Recorded([0.5, 1.0, 1.0, 7.0])
    assert (recorded.visitors, recorded.seconds) == (4, 7.0)
    assert [recorded.by(now) for now in (0.4, 0.5, 1.0, 8.0)] == [0, 1, 3, 4]


def test_law_4_in_every_window():
    """Releases within rate x w + cap, and 0.98 of it while people wait."""
    seen = night()
    cap = 1.0 + 50.0 * 0.25
    points = list(zip(seen.times, seen.served, strict=True))[::3]
    for start, (began, low) in enumerate(points):
        for ended, high in points[start:]:
            assert high - low <= 50.0 * (ended - began) + cap + 1e-6
            if seen.issued[seen.at(began)] == seen.issued[-1] and high < 2_000:
                assert high - low >= 0.98 * 50.0 * (ended - began) - cap
    assert list(seen.served) == sorted(seen.served)
    assert (seen.served[-1], seen.issued[-1]) == (2_000, 2_000)
    assert seen.seconds == pytest.approx(40.0, abs=0.5)


def test_the_burst_of_an_idle_room_is_there_when_the_first_one_comes():
    """As a gate that stood idle before the sale."""
    seen = night(burst=None)
    assert seen.served[0] == min(seen.issued[0], 62)
    assert seen.served[seen.at(1.0)] >= 50 + 62 - 6


def test_an_outage_lets_in_on_the_lease_and_takes_it_off_afterwards():
    """Law 7: to the lease's end and no further; newcomers come again; then law 4 over the whole."""
    seen = night(visitors=5_000, seconds=5.0, outages=[Outage(10.0, 30.0)])
    before, leased, end = seen.served[seen.at(9.95)], seen.served[seen.at(20.5)], seen.served[seen.at(39.9)]
    assert leased - before == pytest.approx(50 * 10, abs=8)
    assert end == leased
    after = seen.served[seen.at(41.0)] - end
    assert after <= 50 * 1.0 + 14
    assert seen.served[-1] == 5_000


def test_newcomers_of_an_outage_come_again():
    """They are dealt places once the store is back, none is lost."""
    seen = night(visitors=1_000, seconds=10.0, outages=[Outage(2.0, 6.0)])
    assert sum(seen.retries.values()) >= 600
    assert seen.issued[seen.at(7.9)] == seen.issued[seen.at(2.0)]
    assert seen.issued[-1] == 1_000


def test_operators_change_rate_and_mode():
    """Hold stops the line where it is, resume goes on afresh, another rate takes effect at once."""
    seen = night(changes=[Change(5.0, mode=Mode.HOLD), Change(15.0, mode=Mode.AUTO), Change(20.0, release_rate=200.0)])
    assert seen.served[seen.at(14.9)] == seen.served[seen.at(5.1)]
    assert seen.served[seen.at(19.9)] - seen.served[seen.at(15.0)] == pytest.approx(50 * 4.9, abs=14)
    assert seen.served[seen.at(24.9)] - seen.served[seen.at(20.0)] == pytest.approx(200 * 4.9, abs=52)


@pytest.mark.parametrize(("room", "dealt"), [({"max_issued": 700}, 700), ({"mode": Mode.CLOSED}, 0)])
def test_whom_a_room_does_not_take_is_told_so(room, dealt):
    """Full and closed rooms turn away, and the night ends."""
    seen = night(**room)
    assert (seen.issued[-1], seen.turned_away) == (dealt, 2_000 - dealt)
    assert sum(seen.turned_back.values()) == 2_000 - dealt
    assert sum(seen.retries.values()) >= sum(seen.turned_back.values())


def test_whom_a_closed_room_turned_away_comes_again():
    """The page asks on; once the room takes newcomers, they have places."""
    seen = night(changes=[Change(2.0, mode=Mode.CLOSED), Change(60.0, mode=Mode.AUTO)])
    assert 300 < seen.issued[seen.at(59.9)] < 450
    assert (seen.issued[-1], seen.turned_away) == (2_000, 0)


def test_a_room_on_hold_for_ever_ends_the_night_with_its_line():
    """Nothing will happen any more."""
    seen = night(mode=Mode.HOLD)
    assert (seen.issued[-1], seen.served[-1]) == (2_000, 0)
    assert seen.seconds < 12


def test_the_same_seed_is_the_same_night():
    """So that two settings can be compared."""
    outage = [Outage(2.0, 6.0)]
    first, second = night(outages=outage), night(outages=outage)
    assert (first.times, first.served, first.issued) == (second.times, second.served, second.issued)


def test_an_on_sale_has_a_wall():
    """Early birds, the wall, the tail."""
    arrivals = on_sale(10_000, early_seconds=100, wall_seconds=10, tail_seconds=50)
    assert [arrivals.by(moment) for moment in (100, 110, 160)] == [400, 6_400, 10_000]
    assert replace(arrivals, visitors=100).seconds == 160
    assert PollRule() == Room().poll
