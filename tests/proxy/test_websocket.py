"""WebSockets: a pass first, a tunnel only after the origin's 101, then bytes untouched both ways."""

import asyncio

import aiohttp
import pytest
from aiohttp import web as server

from tests.harness import head, raw


def echo(origin):
    """An echo socket on the origin that answers texts, bytes and close codes."""

    @origin.on("/ws")
    async def socket(request):
        ws = server.WebSocketResponse(max_msg_size=2**26, protocols=("chat",))
        await ws.prepare(request)
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                if message.data == "close":
                    await ws.close(code=4321, message=b"bye")
                    break
                await ws.send_str(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                await ws.send_bytes(message.data)
        return ws


async def test_text_binary_large_messages_and_close_codes(start_gate, web, origin):
    """What a client says and hears is what the origin hears and says."""
    running = await start_gate(mode="off")
    echo(origin)
    async with web.ws_connect(running.url + "/ws", max_msg_size=2**26, protocols=("chat",)) as ws:
        assert ws.protocol == "chat"
        await ws.send_str("héllo")
        assert (await ws.receive_str()) == "héllo"
        big = bytes(range(256)) * 40_000  # 10 MB
        await ws.send_bytes(big)
        assert (await ws.receive_bytes(timeout=20)) == big
        await ws.ping()
        await ws.send_str("close")
        assert (await ws.receive()).data == 4321
    assert ws.close_code == 4321


async def test_without_a_pass_nothing_is_dialled(start_gate, web, origin):
    """An upgrade that must wait is 429; the origin never hears of it."""
    running = await start_gate(mode="hold")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await web.ws_connect(running.url + "/ws")
    assert refused.value.status == 429
    assert origin.seen == []


async def test_with_a_pass_it_opens(start_gate, new_browser, origin):
    """A visitor who was let in may open a socket."""
    running = await start_gate(release_rate="100/s")
    echo(origin)
    visitor = new_browser(running)
    await visitor.get("/")
    async with visitor.session.ws_connect(running.url + "/ws") as ws:
        await ws.send_str("in")
        assert await ws.receive_str() == "in"


async def test_a_socket_ends_with_the_visits_cap(start_gate, new_browser, origin):
    """`websocket = "pass"` closes with 1001 when the pass runs out."""
    running = await start_gate(release_rate="100/s", websocket="pass", pass_life=5)
    echo(origin)
    visitor = new_browser(running)
    await visitor.get("/")
    async with visitor.session.ws_connect(running.url + "/ws") as ws:
        message = await ws.receive(timeout=8)
    assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING)
    assert message.data == 1001


async def test_an_upgrade_the_origin_refuses_opens_nothing(start_gate, origin):
    """`Upgrade: foo` and a pipelined request: one answer, closed, no second hit on the origin."""
    running = await start_gate(mode="off")
    first = b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n"
    got = await raw(running.port, first + head("GET", "/b"))
    assert got.count(b"HTTP/1.1 ") == 1
    assert [request.path for request in origin.seen] == ["/a"]


async def test_many_sockets_come_and_go_without_a_trace(start_gate, web, origin):
    """After all sockets have ended the gate holds no connection of theirs."""
    running = await start_gate(mode="off")
    echo(origin)
    for _ in range(20):
        async with web.ws_connect(running.url + "/ws") as ws:
            await ws.send_str("x")
            await ws.receive_str()
    await asyncio.sleep(0.1)
    origin_pool = running.gate.front._origin._session.connector
    assert not origin_pool._acquired


async def test_no_other_protocol_is_tunnelled(start_gate, origin):
    """`Upgrade: h2c` is ignored: the request is an ordinary one, and a 101 to something else is 502."""
    running = await start_gate(mode="off")
    h2c = ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", "Connection: Upgrade, HTTP2-Settings")
    got = await raw(running.port, head("GET", "/x", *h2c))
    assert got.startswith(b"HTTP/1.1 200")
    assert not {"Upgrade", "HTTP2-Settings"} & set(origin.seen[-1].headers)

    @origin.on("/ws")
    async def other(request):
        request.transport.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
        await asyncio.sleep(1)
        return server.Response()

    asks = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    )
    got = await raw(
        running.port, b"GET /ws HTTP/1.1\r\nHost: x\r\n" + "".join(f"{a}\r\n" for a in asks).encode() + b"\r\n"
    )
    assert got.startswith(b"HTTP/1.1 502")


async def test_an_idle_site_admits_clients_that_offer_h2c(start_gate, origin):
    """As some HTTP clients do on every request."""
    running = await start_gate(release_rate="100/s")
    got = await raw(running.port, head("GET", "/x", "Upgrade: h2c", "Connection: Upgrade"))
    assert got.startswith(b"HTTP/1.1 200")
