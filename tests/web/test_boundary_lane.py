"""Boundaries: certain, or lost for good."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.web.boundary import Boundary
from tests.web.both_ways import BothWays

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"


@given(cuts=st.lists(st.integers(min_value=1, max_value=len(HEAD) + 2), max_size=6))
def test_a_request_ends_with_its_body(cuts):
    """However it is cut into reads, the boundary is passed with the last byte and not before."""
    data, boundary, given_so_far, head_told = HEAD + b"abc", Boundary(), 0, False
    for end in sorted({*cuts, len(data)}):
        piece, given_so_far = data[given_so_far:end], end
        arrived = int(given_so_far >= len(HEAD) and not head_told)
        head_told = head_told or bool(arrived)
        assert boundary.passed(piece, arrived, 3 if arrived else None) == (end == len(data))
        assert boundary.passed(b"", 0, None) == (end == len(data)), "nothing changes nothing"
    assert boundary.passed(b"GET / HTTP/1.1\r\n\r\n", 1, 0)


@pytest.mark.parametrize(
    ("data", "arrived", "length"),
    [
        (HEAD + b"abcG", 1, 3),
        (HEAD + b"abc" + HEAD + b"abc", 2, None),
        (HEAD, 1, None),
        (b"\r\n\r\n" + HEAD + b"abc", 1, 3),
        (b"A" * 70_000, 0, None),
        (b"", 1, 0),
    ],
)
def test_whatever_is_not_certain_is_lost(data, arrived, length):
    """Bytes of the next request, several requests, unknown lengths, empty lines before a head, endless heads."""
    boundary = Boundary()
    assert not boundary.passed(data, arrived, length)
    assert not boundary.passed(b"GET / HTTP/1.1\r\n\r\n", 1, 0)


async def test_a_form_does_not_end_the_lanes(start_gate, origin):
    """After a POST with its body, in one read or several, plain requests are taken by the lanes again."""
    both = BothWays(await start_gate(mode="off"), 0.1)
    get, form = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /f HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    for parts, by_lane in (
        ([form, get], True),
        ([form[:9], form[9:-2], form[-2:], get], True),
        ([get[:9], get[9:], get], True),
        ([form + get, get], False),
        ([b"POST /f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", get], False),
    ):
        both._server._lanes = both._watch
        reader, writer = await asyncio.open_connection("127.0.0.1", both.running.port)
        for part in parts:
            both._taken.clear()
            writer.write(part)
            await asyncio.sleep(0.06)
        assert any(both._taken) == by_lane, parts
        writer.close()
        await writer.wait_closed()
