"""The pointer document and its reader: what a page may work out, and what it may not."""

from dataclasses import replace

import orjson
import pytest

from gate.core.line import Era
from gate.core.place import Place
from gate.core.pointer import Pointer
from gate.core.room import Mode, PollRule, Room
from tests.core.lines import line

ROOM = Room(lease=10.0, poll=PollRule(2.0, 30.0, 0.1))


def test_a_document_reads_back_as_it_was_written():
    """Writer and reader agree on every field, over JSON."""
    pointer = Pointer.of(line(700, eras=(Era(10, 500), Era(20, 200, hold_until=9.0)), time=5.0, message="ü"), ROOM)
    assert Pointer.read(orjson.loads(orjson.dumps(pointer.document()))) == pointer


@pytest.mark.parametrize("missing", ["poll", "eras", "now_serving"])
def test_what_is_no_pointer_document_is_refused(missing):
    """A reader says so instead of guessing."""
    document = Pointer.of(line(5), ROOM).document()
    del document[missing]
    with pytest.raises(KeyError):
        Pointer.read(document)


def test_serving_goes_on_within_the_lease_and_not_past_what_was_dealt():
    """`floor(min(issued, now_serving + rate x (t - at)))` until `lease_until`."""
    pointer = Pointer.of(line(1_000, now_serving=100, at=50.0, time=50.0, release_rate=10.0), ROOM)
    assert [pointer.serving(50.0 + seconds) for seconds in (0, 0.09, 0.1, 5, 10, 11, 3_600)] == [100, 100, 101, 150, 200, 200, 200]
    assert replace(pointer, issued=120).serving(60.0) == 120
    assert Pointer.of(line(1_000, now_serving=100, mode=Mode.HOLD, time=50.0), ROOM).serving(59.0) == 100


def test_an_idle_hour_banks_no_more_for_a_reader_than_for_the_gate():
    """`at` is moved so that what is owed is at most the cap."""
    pointer = Pointer.of(line(1_000, now_serving=100, at=0.0, time=3_600.0, release_rate=10.0, burst=1.0), ROOM)
    assert pointer.serving(3_600.0) == 103


def test_places_over_eras():
    """Older eras are served first; what stands between counts as ahead."""
    pointer = Pointer.of(line(eras=(Era(10, 500), Era(20, 40), Era(30, 7)), now_serving=400, at=1.0, time=1.0), ROOM)
    assert [pointer.ahead(Place(1, *place), 1.0) for place in ((5, 9), (10, 400), (10, 401), (20, 1), (30, 7))] == [0, 0, 0, 100, 146]
    assert pointer.serves(Place(1, 5, 900), 1.0)
    assert pointer.serves(Place(1, 10, 400), 1.0)
    assert not pointer.serves(Place(1, 10, 401), 1.0)
    assert not pointer.serves(Place(1, 20, 1), 1.0)


def test_polls_come_by_the_rule_and_a_held_room_counts_with_the_rate_it_will_have():
    """A fraction of one's own wait, within the bounds."""
    pointer = Pointer.of(line(100_000, time=1.0, at=1.0), ROOM)
    assert [pointer.poll_seconds(Place(1, 10, position), 1.0) for position in (1, 1_000, 100_000)] == [2.0, 10.0, 30.0]
    held = Pointer.of(line(100_000, time=1.0, at=1.0, mode=Mode.HOLD), ROOM)
    assert held.release_rate == 0
    assert held.poll_seconds(Place(1, 10, 1_000), 1.0) == 10.0
