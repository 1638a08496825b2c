"""Places and what can be worked out of a line."""

from gate.core.line import Era, Row
from gate.core.place import Place, pass_id, reference
from tests.core.lines import line


def test_places_compare_by_generation_era_position():
    """One order everywhere; a later era is behind every earlier one."""
    assert Place(1, 10, 999) < Place(1, 20, 1) < Place(2, 5, 1)


def test_ahead_counts_over_eras():
    """The rest of the serving era, all of those between, and one's own number less one."""
    eras = (Era(10, 100), Era(20, 50), Era(30, 7))
    state = line(eras=eras, now_serving=40)
    assert state.ahead(Place(1, 10, 41)) == 0
    assert state.ahead(Place(1, 10, 100)) == 59
    assert state.ahead(Place(1, 20, 1)) == 60
    assert state.ahead(Place(1, 30, 3)) == 112
    assert state.ahead(Place(1, 10, 40)) == 0
    assert state.waiting == 117


def test_served_is_at_or_below_the_pointer_of_the_same_generation():
    """Old eras are served, other generations never."""
    state = line(10, now_serving=5)
    assert state.served(Place(1, 10, 5))
    assert not state.served(Place(1, 10, 6))
    assert state.served(Place(1, 9, 99))
    assert not state.served(Place(0, 10, 1))


def test_served_at_is_the_same_before_and_after_its_row_is_written():
    """The end of the slot in which the pointer passed, whoever asks and when: the pass's cap depends on it."""
    place = Place(1, 10, 3)
    fresh = line(10, now_serving=5, slot=7)
    later = line(10, now_serving=9, slot=12, history=(Row(80, 10, 5, 10, 10),))
    assert fresh.served_at(place) == later.served_at(place) == 80.0
    assert later.served_at(Place(1, 10, 6)) == 130.0


def test_joined_at_reads_the_same_history():
    """The age of the oldest who waits, to the slot."""
    state = line(20, time=200.0, history=(Row(80, 10, 0, 10, 8), Row(120, 10, 0, 10, 15)))
    assert state.joined_at(Place(1, 10, 9)) == 120.0
    assert state.joined_at(Place(1, 10, 16)) == 200.0


def test_a_gate_never_shows_less_than_it_has_shown():
    """A store that came back lower is lifted to what was shown, and the difference is told."""
    behind = line(100, now_serving=10)
    lifted = behind.raised_to(Place(1, 10, 30))
    assert (lifted.now_serving, lifted.lifted) == (30, 20)
    assert behind.raised_to(Place(1, 10, 5)) is behind
    assert behind.raised_to(Place(2, 10, 50)) is behind


def test_reference_and_pass_id_are_functions_of_the_place():
    """The same place gives the same words; a guess gets the letters wrong."""
    place = Place(1, 10, 48_213)
    assert reference(place, "n") == reference(place, "n")
    assert reference(place, "n").startswith("48213-")
    assert reference(place, "n") != reference(place, "m")
    assert pass_id(place, "n") != pass_id(Place(1, 10, 48_214), "n")


def test_the_number_people_see_runs_on_over_eras():
    """A restart of the store opens an era; the number on the page does not begin again."""
    state = line(eras=(Era(10, 100), Era(20, 50)), now_serving=40, dealt_before=100 + 7)
    assert state.rank(Place(1, 10, 41)) == 7 + 41
    assert state.rank(Place(1, 20, 1)) == 7 + 101
