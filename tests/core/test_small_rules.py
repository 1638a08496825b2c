"""Rates, estimates, reasons: small rules that other parts stand on."""

import pytest

from gate.core.errors import Reason
from gate.core.estimate import poll_after, wait_range
from gate.core.place import Place
from gate.core.rate import format_rate, parse_rate
from gate.core.room import Mode, PollRule
from tests.core.lines import line


@pytest.mark.parametrize(("text", "rate"), [("500/s", 500), ("30/min", 0.5), ("90/h", 0.025), (0.5, 0.5), ("2", 2)])
def test_rates_are_read(text, rate):
    """As people write them, in visitors per second."""
    assert parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize("text", [0, -1, "0/s", "abc/s", "5/week", "", None, True, [], "1e9/s", float("nan"), 10**12])
def test_rates_that_are_none(text):
    """To release nobody is mode hold; the fault says so or says what is allowed."""
    with pytest.raises(ValueError, match="must be"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["500/s", "30/min", "90/h"])
def test_rates_are_written_as_they_were_read(text):
    """There and back."""
    assert format_rate(parse_rate(text)) == text


def test_waits_are_ranges_and_unknown_while_held():
    """Low and high around the expectation; null while nobody is released."""
    state = line(1000, release_rate=10.0)
    wait = wait_range(state, Place(1, 10, 601))
    assert wait.low < 60.1 < wait.high
    assert wait_range(line(1000, mode=Mode.HOLD), Place(1, 10, 601)) is None
    assert wait_range(line(1000, now_serving=700), Place(1, 10, 601)).high == 0


def test_polls_are_rare_far_away_and_often_near():
    """A fraction of one's own wait, within bounds."""
    rule = PollRule(2, 30, 0.1)
    assert [poll_after(rule, wait) for wait in (0, 100, 10_000)] == [2, 10, 30]


def test_every_reason_has_a_status_and_a_sentence():
    """One enum for slug, log and metric; nothing is forgotten."""
    for reason in Reason:
        assert 400 <= reason.status <= 504
        assert reason.sentence.endswith(".")
