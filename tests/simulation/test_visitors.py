"""Those who are followed poll by the page's rule, and the numbers made of them say what they should."""

import json
from math import inf

import pytest

from gate.core.room import PollRule, Room
from gate.simulation import needs
from gate.simulation.arrivals import Arrivals, Phase
from gate.simulation.night import Night
from gate.simulation.outcome import Outcome, percentiles, poll_choices
from gate.simulation.scenario import Crowd, Scenario
from gate.simulation.visitors import follow

STEADY = Crowd(no_show=0.0, leave=0.0, hidden=0.0)


def outcome(crowd=STEADY, visitors=3_000, sample=3_000, poll=None, rate=50.0):
    """A short night with everybody followed."""
    scenario = Scenario(Arrivals(visitors, (Phase(1.0, 5.0),)), Room(release_rate=rate, poll=poll or PollRule()), crowd, sample=sample)
    seen = Night(scenario).run()
    return Outcome(seen, follow(seen))


def test_everybody_sees_their_turn_soon_after_it_has_come():
    """Nobody before it, and within the shortest poll once they are near the front."""
    seen = outcome()
    late = [n - s for n, s in zip(seen.visits.noticed, seen.visits.served, strict=True)]
    assert min(late) >= -0.1, "not before the tick in which it was earned"
    assert max(late) <= 2.0 * 1.2 + 0.1
    assert seen.visits.claimed == seen.visits.noticed


def test_polls_are_as_the_rule_says():
    """One hour of wait at a constant 10 s is 360 polls and one at once."""
    seen = outcome(poll=PollRule(10.0, 10.0, 0.1), rate=10.0)
    expected = sum(max(s - j, 0) / 10 + 1.5 for j, s in zip(seen.visits.joined, seen.visits.served, strict=True) if s > j)
    assert len(seen.visits.polls) == pytest.approx(expected, rel=0.02)


def test_a_sample_stands_for_all():
    """A tenth of the visitors gives the same figures, to a few percent."""
    whole, part = outcome(), outcome(sample=300)
    assert part.visits.weight == 10.0
    assert len(part.visits.polls) * 10 == pytest.approx(len(whole.visits.polls), rel=0.05)
    assert part.bands()[-1].waits[0] == pytest.approx(whole.bands()[-1].waits[0], rel=0.05)


def test_who_hides_the_page_polls_rarely_and_sees_it_late():
    """A hidden tab asks at the longest pause."""
    hidden, seen = outcome(Crowd(0.0, 0.0, hidden=1.0)), outcome()
    assert max(hidden.visits.polls) > max(seen.visits.polls)
    assert 20 < hidden.notices()[-1] <= 36.1
    looked = [claimed - noticed for claimed, noticed in zip(hidden.visits.claimed, hidden.visits.noticed, strict=True)]
    assert 50 < sum(looked) / len(looked) < 70, "a minute later on average"


def test_who_leaves_polls_no_more_and_who_never_comes_claims_nothing():
    """Their places are served all the same: the line does not know."""
    left = outcome(Crowd(no_show=0.0, leave=1.0, patience=1.0, hidden=0.0))
    assert sum(noticed == inf for noticed in left.visits.noticed) > 2_500
    assert left.served == 3_000
    absent = outcome(Crowd(no_show=1.0, leave=0.0, hidden=0.0))
    assert sum(claimed < inf for claimed in absent.visits.claimed) < 200
    assert absent.peak()["claim"] < 80


def test_nobody_polls_where_nobody_waits():
    """Let in with the first request: no page, no join, no poll."""
    idle = outcome(rate=10_000.0)
    assert (len(idle.visits.polls), idle.peak()["page"], idle.most_waiting) == (0, 0.0, 0)
    assert all(band.waits == (0.0, 0.0, 0.0) for band in idle.bands())


def test_longer_pauses_cost_fewer_polls_and_later_turns():
    """What the table of poll settings is for."""
    rows = poll_choices(outcome(visitors=20_000, sample=2_000, rate=100.0).night)
    by_most = {(row["poll_max"], row["poll_fraction"]): row for row in rows}
    assert by_most[15, 0.05]["polls_per_visitor"] > by_most[30, 0.1]["polls_per_visitor"] > by_most[300, 0.25]["polls_per_visitor"]
    assert by_most[15, 0.05]["peak_polls_per_second"] > by_most[300, 0.25]["peak_polls_per_second"]


def test_an_outcome_is_plain_json_and_adds_up():
    """For scripts and for the plots."""
    seen = outcome()
    document = json.loads(json.dumps(seen.document(poll_choices(seen.night))))
    assert document["served"] == document["visitors"] == sum(band["visitors"] for band in document["waits"]) == 3_000
    assert document["most_waiting"] == max(document["series"]["waiting"])
    assert document["peak_per_second"]["poll_behind_cdn"] <= 50


def test_a_cdn_asks_once_a_second_and_place():
    """Few polls all come through, many come to one a place."""
    assert needs.behind_cdn(1.0, 50) == pytest.approx(1.0, rel=0.02)
    assert needs.behind_cdn(100_000.0, 50) == pytest.approx(50.0)


def test_cores_are_counted_at_half_load():
    """At least one."""
    none = dict.fromkeys((kind.name for kind in needs.KINDS), 0.0)
    assert needs.cores(none) == 1
    assert needs.cores({**none, "poll": needs.POLL.per_core * 1.2}) == 3


def test_percentiles_are_of_the_nearest_rank():
    """50, 90 and 99 in a hundred."""
    assert percentiles([float(n) for n in range(1, 101)]) == (50.0, 90.0, 99.0)
    assert percentiles([]) == (0.0, 0.0, 0.0)
