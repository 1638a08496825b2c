"""The crowd counts what it is given, and its latencies hide no stall."""

import asyncio
import os
import signal
import time

import pytest

from tests.faults.crowd import JoinCrowd, PollWatch, Steady
from tests.faults.httpwire import FormatError, head_of, take
from tests.faults.stores import Store
from tests.processes import gate_tree


async def test_a_crowd_counts_what_it_is_given(tmp_path):
    """Each ticket once and in order, polls parsed, latency counted from when a request was due; a stall is seen."""
    room = {"GATE_ROOM_MODE": "hold", "GATE_ROOM_NAME": "sale"}
    async with Store(tmp_path / "store", appendfsync="everysec") as store:
        async with gate_tree(tmp_path / "gate", "http://127.0.0.1:1", "", GATE_STORE_URL=store.url, **room) as tree:
            poll = [head_of("GET /_gate/now/sale", tree.url)]
            async with (
                JoinCrowd([tree.url], "sale", rate=200) as joins,
                PollWatch([tree.url], "sale") as watch,
                Steady(tree.url, poll, rate=100) as steady,
            ):
                await asyncio.sleep(1)
                stalled = time.monotonic()
                for number, pause in ((signal.SIGSTOP, 0.5), (signal.SIGCONT, 0)):
                    for worker in tree.workers():
                        os.kill(worker, number)
                    await asyncio.sleep(pause)
                await asyncio.sleep(0.5)
            tickets = joins.tickets()
            assert len(tickets) == joins.statuses[200] == joins.statuses[202] == joins.offered > 300
            assert len({ticket.place for ticket in tickets}) == len(tickets)
            assert all(ticket.began < ticket.asked < ticket.answered for ticket in tickets)
            assert 0 < max(seen.issued for seen in watch.seen) <= len(tickets)
            assert watch.statuses.keys() == {200} and not watch.outages
            assert 150 < steady.statuses[200] == len(steady.done)
            assert steady.percentile(0.5, until=stalled - 0.1) < 0.1
            assert steady.percentile(1.0) > 0.4
        assert await _refused(tree.url)


def test_answers_in_another_form_are_errors():
    """Chunks, a missing length, bytes too many, and what is no HTTP at all."""
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    assert take(whole) == (200, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", b"ok")
    assert all(take(whole[:cut]) is None for cut in range(len(whole)))
    assert take(b"HTTP/1.1 304 Not Modified\r\n\r\n") == (304, b"HTTP/1.1 304 Not Modified\r\n", b"")
    for bad in (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", whole + b"x", b"SSH-2.0"):
        with pytest.raises(FormatError):
            take(bad)


async def _refused(url):
    async with JoinCrowd([url], "sale", connections=1) as joins:
        await asyncio.sleep(0.2)
    return joins.outages > 0 and not joins.raw
