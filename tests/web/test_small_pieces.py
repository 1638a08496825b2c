"""Small pieces of the web folder: ways back, budgets, silent sockets, the store's absence as visitors see it."""

import asyncio
import time

import pytest

from gate.web.budget import Budget
from gate.web.retry import outage_seconds
from gate.web.waiting import safe_back


@pytest.mark.parametrize(
    ("path", "back"),
    [
        ("/book?seat=A1&x=%2F", "/book?seat=A1&x=%2F"),
        ("/z?q=a|b&f={1}^`", "/z?q=a%7Cb&f=%7B1%7D%5E%60"),
        ("/_gateway", "/_gateway"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https:evil.example", "/"),
        ("/\tevil", "/"),
        ("javascript:alert(1)", "/"),
        ("/x\r\nSet-Cookie: a=b", "/"),
        ("/_gate/join/x", "/"),
        ("", "/"),
    ],
)
def test_ways_back_stay_on_the_site(path, back):
    """Only a plain path of this site, with its query as it was; never an open redirect."""
    assert safe_back(path) == back


def test_budgets_refill_and_are_bounded():
    """So many at once, five a second afterwards, each network its own."""
    budget = Budget(3, 5.0)
    assert [budget.take("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert budget.take("b", 0.0)
    assert budget.take("a", 0.3)
    assert not Budget(0, 5.0).take("a", 0.0)


def test_newcomers_of_an_outage_come_again_ever_more_slowly():
    """Two or three seconds at first, a quarter of the outage's age more, never above eighteen; each at a moment of its own."""
    for away, least, most in ((0, 2, 3), (20, 7, 11), (3_600, 12, 18)):
        times = {outage_seconds(away) for _ in range(200)}
        assert (min(times), max(times)) == (least, most) or (len(times) > 1 and least <= min(times) and max(times) <= most)


async def test_a_silent_socket_outlives_the_header_deadline(start_gate):
    """The clock for a head starts at its first byte; then it is strict, however the bytes drip."""
    running = await start_gate(server={"header_timeout": 1, "keepalive_timeout": 30})
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    await asyncio.sleep(1.5)
    begun = time.monotonic()
    writer.write(b"GET /")
    for _ in range(4):
        await asyncio.sleep(0.2)
        writer.write(b"a")
    assert await reader.read() == b""
    assert 0.8 < time.monotonic() - begun < 2.0
    writer.close()


async def test_a_gate_that_drains_says_goodbye(start_gate, web, origin):
    """Not ready any more, and every answer, forwarded ones too, ends its connection; none is refused."""
    running = await start_gate(mode="off")
    await running.gate.drain()
    for path, status in (("/x", 200), ("/_gate/livez", 200), ("/_gate/readyz", 503)):
        async with web.get(running.url + path) as answer:
            assert (answer.status, answer.headers["Connection"]) == (status, "close"), path
