"""The short form: every parser some thousand calls, seeded; and some examples that were found once."""

import random

import pytest

from tests.fuzz.parsers import PARSERS, answer, cookie, good, run, target, token


@pytest.mark.parametrize("name", PARSERS)
def test_no_parser_breaks(name):
    """Ten thousand mutations of what is sound: each is refused in words, or read in one way."""
    assert run(name, random.Random(7), count=10_000) == 10_000


def test_what_was_found_stays_found():
    """Cookies of ours in other letters, an absolute form without a path, an answer whose status is none, a padded token."""
    token(good()[0].encode() + b"=")
    answer(b"HTTP/1.1 000 KK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\rn\n")
    cookie(b'a=b; Gate_pass_sale=x.y.z; c="d"')
    target(b"http://x?/booK;a=b")


def test_a_fuzzer_would_see_it(monkeypatch):
    """The control: with one reading fewer, a way round a room is found within a thousand calls."""
    monkeypatch.setattr("gate.core.target.readings", lambda path: frozenset((path,)))
    with pytest.raises(AssertionError):
        run("target", random.Random(1), count=40_000)
