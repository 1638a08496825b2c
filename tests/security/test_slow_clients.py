"""Rows 9 to 11 of the threat model: clients that drip heads and bodies, and such as hardly read."""

import asyncio
import contextlib
import socket
import time

import pytest
from aiohttp import web as server

from gate.web import deadlines


@pytest.fixture
def short_windows(monkeypatch):
    """A body is looked at twice a second."""
    monkeypatch.setattr(deadlines, "WINDOW_SECONDS", 0.5)


async def drip(writer, data, every, size=1):
    """So many bytes at a time, until the other side is gone."""
    for start in range(0, len(data), size):
        writer.write(data[start : start + size])
        await asyncio.sleep(every)


async def test_row_9_a_slow_header_is_closed_at_its_deadline(start_gate):
    """One byte a moment: closed by the deadline, which runs from the first byte of the head."""
    running = await start_gate(server={"header_timeout": 1})
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    begun = time.monotonic()
    dripping = asyncio.create_task(drip(writer, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 100, 0.05))
    assert await reader.read() == b""
    assert 0.8 < time.monotonic() - begun < 3.0
    dripping.cancel()
    writer.close()


@pytest.mark.parametrize("mode", ["off", "hold"])
async def test_row_10_a_slow_body_is_408_and_closed(start_gate, origin, short_windows, mode):
    """A byte now and then of a body that is waited for; the origin's connection is closed too."""
    begun_at_origin, ended_at_origin = asyncio.Event(), asyncio.Event()

    @origin.on("/slow")
    async def slow(request):
        begun_at_origin.set()
        try:
            await request.read()
        finally:
            ended_at_origin.set()
        return server.Response(text="whole")

    running = await start_gate(mode=mode)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    # Seldom: a byte that comes while the gate closes resets the connection, and the answer is lost on the way.
    dripping = asyncio.create_task(drip(writer, b"x" * 1_000, 0.45))
    async with asyncio.timeout(15):
        answer = await reader.read()
    if mode == "off":
        assert answer.startswith(b"HTTP/1.1 408 "), answer[:200]
        assert b'"request-timeout"' in answer
        assert b"\r\nConnection: close\r\n" in answer
        assert begun_at_origin.is_set()
        async with asyncio.timeout(2):
            await ended_at_origin.wait()
    else:  # refused without its body being asked for
        assert answer.startswith(b"HTTP/1.1 429 "), answer[:200]
        assert not begun_at_origin.is_set()
    dripping.cancel()
    writer.close()


async def test_row_10_a_body_of_the_least_rate_goes_through(start_gate, origin, short_windows):
    """Bodies have a least rate and no total."""

    @origin.on("/upload")
    async def upload(request):
        return server.Response(text=str(len(await request.read())))

    running = await start_gate(mode="off")
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\nConnection: close\r\n\r\n")
    await drip(writer, b"x" * 4_000, 0.1, size=200)
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"4000")
    writer.close()


async def test_row_10_a_slow_origin_is_not_the_visitors_fault(start_gate, origin, short_windows):
    """A whole body has come; the origin takes its time over the answer."""

    @origin.on("/think")
    async def think(request):
        await request.read()
        await asyncio.sleep(1.5)
        return server.Response(text="thought")

    running = await start_gate(mode="off")
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"POST /think HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_row_11_a_slow_reader_is_dropped(start_gate, origin):
    """An answer of ten megabytes and nobody who reads: the connection ends by the write deadline."""

    @origin.on("/large")
    async def large(_request):
        return server.Response(body=b"x" * 10_000_000)

    running = await start_gate(mode="off", server={"write_timeout": 1})
    _, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=1_024)
    writer.transport.pause_reading()
    begun = time.monotonic()
    writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        while running.gate.front._runner.server.connections:
            await asyncio.sleep(0.05)
    assert 0.8 < time.monotonic() - begun < 5
    writer.close()


async def test_row_11_a_reader_who_pauses_for_less_gets_everything(start_gate, origin):
    """Slow now and then is no attack."""

    @origin.on("/large")
    async def large(_request):
        return server.Response(body=b"x" * 10_000_000)

    running = await start_gate(mode="off", server={"write_timeout": 2})
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=4_096)
    writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    size = 0
    for _ in range(3):
        writer.transport.pause_reading()
        await asyncio.sleep(0.7)
        writer.transport.resume_reading()
        size += len(await reader.readexactly(2_000_000))
    size += len(await reader.read())
    assert size > 10_000_000
    writer.close()


async def test_row_11_a_small_rest_is_not_kept_for_ever(start_gate, origin):
    """An answer that fits the buffers pauses nobody; whoever takes nothing of it is dropped all the same."""

    @origin.on("/small")
    async def small(_request):
        return server.Response(body=b"x" * 60_000)

    running = await start_gate(mode="off", server={"write_timeout": 1, "keepalive_timeout": 1})
    edge = running.gate.front._runner.server
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        client.connect(("127.0.0.1", running.port))
    async with asyncio.timeout(5):
        while not edge._connections:
            await asyncio.sleep(0.01)
    inside = next(iter(edge._connections.values())).get_extra_info("socket")
    inside.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2_048)
    client.send(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        while edge._connections:
            await asyncio.sleep(0.05)
    assert not edge._crowding._shares
    client.close()


async def test_row_10_a_large_body_and_a_slow_origin_are_no_slow_head(start_gate, origin):
    """A body of several reads, sent at once, and an origin that thinks for longer than a head may take."""

    @origin.on("/think")
    async def think(request):
        size = len(await request.read())
        await asyncio.sleep(1.6)
        return server.Response(text=str(size))

    running = await start_gate(mode="off", server={"header_timeout": 1})
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"POST /think HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000)
    assert (await reader.read()).endswith(b"900000")
    writer.close()
