"""Rows 12, 43 and 47 of the threat model: too many connections, bodies that swell, and an origin that is gone."""

import asyncio
import contextlib
import gzip
import resource

import trustme
from aiohttp import web as server

from tests.harness import BytesOrigin, head, raw


async def test_row_12_one_address_has_its_share_of_connections(start_gate, room_name):
    """Two thousand idle sockets from one address: its share stays, the rest is dropped, others are served."""
    running = await start_gate(mode="hold", server={"max_connections_per_address": 100, "max_connections": 300})
    sockets = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(400)]
    ended = await asyncio.gather(*(gone(reader) for reader, _ in sockets))
    assert ended.count(False) == 100
    other = await asyncio.open_connection("127.0.0.1", running.port, local_addr=("127.0.0.2", 0))
    other[1].write(head("GET", f"/_gate/now/{room_name}"))
    assert (await other[0].read()).startswith(b"HTTP/1.1 200")
    other[1].close()
    await close(sockets)
    async with asyncio.timeout(5):
        while not (await raw(running.port, head("GET", "/_gate/livez"))).startswith(b"HTTP/1.1 200"):
            await asyncio.sleep(0.05)
    assert running.gate.parts.meter.read().counters["decisions", "", "rate-limited"] >= 300


async def close(sockets):
    """All of them, and until they are."""
    for _, writer in sockets:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in sockets), return_exceptions=True)


async def gone(reader) -> bool:
    """Whether the other side has dropped it."""
    try:
        async with asyncio.timeout(0.5):
            return await reader.read(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


async def test_row_12_a_process_has_a_most_and_a_trusted_proxy_has_none(start_gate):
    """The global cap holds over addresses; a proxy that is trusted brings everybody's connections."""
    running = await start_gate(mode="hold", server={"max_connections_per_address": 10, "max_connections": 30})
    sockets = [await asyncio.open_connection("127.0.0.1", running.port, local_addr=(f"127.0.0.{2 + n % 6}", 0)) for n in range(60)]
    assert (await asyncio.gather(*(gone(reader) for reader, _ in sockets))).count(False) == 30
    await close(sockets)
    behind = await start_gate(name="p", mode="hold", server={"max_connections_per_address": 10, "trusted_proxies": ["127.0.0.1"]})
    sockets = [await asyncio.open_connection("127.0.0.1", behind.port) for _ in range(50)]
    assert not any(await asyncio.gather(*(gone(reader) for reader, _ in sockets)))
    await close(sockets)


async def test_row_43_bodies_are_never_unpacked(start_gate, origin):
    """A gzip of a gigabyte of noughts, up and down: as it is, and no memory for it; larger than the limit: 413."""
    bomb = gzip.compress(b"\0" * 2**27)

    @origin.on("/bomb")
    async def answer(request):
        assert await request.content.read() == bomb
        return server.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    running = await start_gate(mode="off", server={"max_body_bytes": len(bomb)})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        got = await raw(running.port, head("POST", "/bomb", "Content-Encoding: gzip", f"Content-Length: {len(bomb)}") + bomb)
        assert got.startswith(b"HTTP/1.1 200")
        assert got.endswith(bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000, "KiB"
    got = await raw(running.port, head("POST", "/bomb", "Content-Encoding: gzip", f"Content-Length: {len(bomb) + 1}") + bomb)
    assert got.startswith(b"HTTP/1.1 413")
    assert len(origin.seen) == 3


class Quitter(BytesOrigin):
    """Reads a request's head and goes away."""

    def __init__(self):
        self.heads = []

    async def _serve(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.transport.abort()


async def test_row_47_an_origin_that_goes_is_asked_once(start_gate, new_browser, room_name, origin):
    """Mid-POST: one 502, the origin saw it once, the pass is kept and good when it is back."""
    async with Quitter() as quitter:
        running = await start_gate(release_rate="100/s", origin={"url": quitter.url})
        visitor = new_browser(running)
        answer = await visitor.send("POST", "/order", data={"seat": "A1"}, headers={"Accept": "application/json"})
        assert (answer.status, answer.slug) == (502, "origin-unreachable")
        assert quitter.heads == [b"POST /order HTTP/1.1"]
        assert f"gate_pass_{room_name}" in visitor.cookies()
    down = await start_gate(name=f"{room_name}d", mode="off", origin={"url": "http://127.0.0.1:1"})
    got = await raw(down.port, head("POST", "/order", "Content-Length: 3") + b"abc")
    assert got.startswith(b"HTTP/1.1 502")
    assert b'"origin-unreachable"' in got


async def test_row_12_a_handshake_has_a_deadline(start_gate, tmp_path):
    """Connections to a TLS listener that never begin to speak are dropped at `header_timeout`."""
    authority = trustme.CA()
    shown = authority.issue_cert("localhost")
    shown.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    shown.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    files = {"tls_cert": str(tmp_path / "cert.pem"), "tls_key": str(tmp_path / "key.pem")}
    running = await start_gate(mode="hold", server={"header_timeout": 1, **files})
    sockets = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(20)]
    await asyncio.sleep(1.5)
    assert all(await asyncio.gather(*(gone(reader) for reader, _ in sockets)))
    await close(sockets)
