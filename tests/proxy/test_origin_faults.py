"""An origin that is away, slow or broken: the right answer, once, and no POST sent twice."""

import asyncio
import socket

from aiohttp import web as server

from tests.harness import PAGE, BytesOrigin, head, raw


class RawOrigin(BytesOrigin):
    """A TCP server that answers with given bytes, one list entry a connection."""

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.heads = []

    async def _serve(self, reader, writer):
        script = self.scripts.pop(0) if self.scripts else []
        for step in script:
            try:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.IncompleteReadError:
                break
            writer.write(step)
            await writer.drain()
        writer.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_an_origin_that_is_down_is_502(start_gate, web):
    """Nobody listens: `origin-unreachable` for scripts, the pass is kept."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    running = await start_gate(mode="off", origin={"url": url})
    async with web.get(running.url + "/x") as answer:
        assert (answer.status, (await answer.json(content_type=None))["type"]) == (502, "origin-unreachable")
        assert "Retry-After" in answer.headers
    async with web.get(running.url + "/x", headers=PAGE) as answer:
        assert answer.status == 502
        assert answer.content_type == "text/html", "a browser gets a small page"


async def test_an_origin_that_hangs_is_504(start_gate, web, origin):
    """No first byte in time: `origin-timeout`."""
    running = await start_gate(mode="off", origin={"first_byte_timeout": 0.3})

    @origin.on("/hang")
    async def hang(request):
        await asyncio.sleep(10)
        return server.Response()

    async with web.get(running.url + "/hang") as answer:
        assert (answer.status, (await answer.json(content_type=None))["type"]) == (504, "origin-timeout")


async def test_an_answer_that_stops_midway_is_broken_off(start_gate, origin):
    """Silence within an answer ends the client's connection too: half an answer never looks whole."""
    running = await start_gate(mode="off", origin={"read_timeout": 0.3})

    @origin.on("/half")
    async def half(request):
        stream = server.StreamResponse()
        stream.enable_chunked_encoding()
        await stream.prepare(request)
        await stream.write(b"abc")
        await asyncio.sleep(10)
        return stream

    got = await raw(running.port, head("GET", "/half"))
    assert b"abc" in got
    assert not got.endswith(b"0\r\n\r\n")


async def test_a_stale_pooled_connection_is_retried_once_for_a_safe_request(start_gate, web):
    """The origin closes an idle connection just as it is used: GET goes again on a new one."""
    async with RawOrigin([OK, b""], [OK]) as origin:
        running = await start_gate(mode="off", origin={"url": origin.url})
        for _ in range(2):
            async with web.get(running.url + "/x") as answer:
                assert await answer.read() == b"ok"
    assert len(origin.heads) == 3


async def test_a_post_is_never_sent_twice(start_gate, web):
    """The same for POST is one 502, and the origin saw it once."""
    async with RawOrigin([OK, b""], [OK]) as origin:
        running = await start_gate(mode="off", origin={"url": origin.url})
        async with web.post(running.url + "/basket") as answer:
            assert answer.status == 200
        async with web.post(running.url + "/order") as answer:
            assert answer.status == 502
    assert sum(one.startswith(b"POST /order") for one in origin.heads) == 1


async def test_garbage_from_the_origin_is_502(start_gate, web):
    """What is not HTTP, or switches protocols unasked, is `origin-unreachable`."""
    for garbage in (b"hello\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"):
        async with RawOrigin([garbage]) as origin:
            running = await start_gate(mode="off", origin={"url": origin.url})
            async with web.get(running.url + "/x") as answer:
                assert (answer.status, (await answer.json(content_type=None))["type"]) == (502, "origin-unreachable")


async def test_an_early_refusal_of_an_upload_reaches_the_client(start_gate, origin):
    """The origin answers 413 without reading: the client sees it, and the connection is not used again."""
    running = await start_gate(mode="off")

    @origin.on("/up")
    async def refuse(request):
        return server.Response(status=413, text="too much", headers={"Connection": "close"})

    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 1000)
    async with asyncio.timeout(5):
        assert b" 413 " in await reader.readline()
    writer.close()
