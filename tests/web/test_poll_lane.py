"""The poll lane: the same answers as the ordinary way, for every request, however it is spelt, split or joined."""

import asyncio
import random
import re

import pytest

from tests.web.both_ways import BothWays, talk, without_time


@pytest.fixture
async def both(start_gate, room_name):
    """Ask one gate by the lanes and by the ordinary way."""
    return BothWays(await start_gate(mode="hold"))


def poll(room, *lines, target=None, version="1.1", method="GET", host="Host: x") -> bytes:
    """A poll's head."""
    target = target or f"/_gate/now/{room}"
    return "\r\n".join([f"{method} {target} HTTP/{version}", *([host] if host else []), *lines, "", ""]).encode("latin-1")


async def test_a_plain_poll_takes_the_lane_and_reads_the_same(both, room_name):
    """Headers in the same words, the same document; alive for the next one."""
    fast, slow, by_lane = await both(poll(room_name, "User-Agent: Mozilla/5.0", "Cookie: gate_ticket_x=a.b.c", "Accept: */*"))
    assert by_lane
    assert without_time(fast) == without_time(slow)
    assert re.search(rb"\r\nDate: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT\r\n", fast)


async def test_not_modified_while_the_document_is_unchanged(both, room_name):
    """304 with the same headers and no body; another tag is answered whole."""
    fast, _, _ = await both(poll(room_name))
    tag = re.search(rb'ETag: ("[^"]+")', fast)[1].decode()
    both.running.gate.parts.ticker._rooms = ()  # nothing moves: the document stays
    fast, _, _ = await both(poll(room_name))
    tag = re.search(rb'ETag: ("[^"]+")', fast)[1].decode()
    for shown, status in ((tag, b"304"), (f'W/{tag}, "x"', b"304"), ('"other"', b"200"), ("*", b"200")):
        fast, slow, by_lane = await both(poll(room_name, f"If-None-Match: {shown}"))
        assert by_lane
        assert without_time(fast) == without_time(slow)
        assert fast.startswith(b"HTTP/1.1 " + status), shown


ODD = {
    "head": {"method": "HEAD"},
    "post": {"method": "POST"},
    "1.0": {"version": "1.0"},
    "2.0": {"version": "2.0"},
    "no host": {"host": ""},
    "two hosts": {"lines": ["Host: y"]},
    "bad host": {"host": "Host: a/b?c@d"},
    "empty host": {"host": "Host:"},
    "host with port": {"host": "Host: shop.example:8080"},
    "host with a bad port": {"host": "Host: x:99999"},
    "ipv6 host": {"host": "Host: [::1]:80"},
    "close": {"lines": ["Connection: close"]},
    "keep-alive": {"lines": ["Connection: keep-alive"]},
    "odd connection": {"lines": ["Connection: keep-alive, Host"]},
    "upgrade": {"lines": ["Connection: Upgrade", "Upgrade: websocket"]},
    "upgrade alone": {"lines": ["Upgrade: h2c"]},
    "expect": {"lines": ["Expect: 100-continue"]},
    "length 0": {"lines": ["Content-Length: 0"]},
    "length 5": {"lines": ["Content-Length: 5"]},
    "two lengths": {"lines": ["Content-Length: 0", "Content-Length: 5"]},
    "odd length": {"lines": ["Content-Length: +3"]},
    "chunked": {"lines": ["Transfer-Encoding: chunked"]},
    "odd coding": {"lines": ["Transfer-Encoding: identity"]},
    "two tags": {"lines": ['If-None-Match: "a"', 'If-None-Match: "b"']},
    "folded": {"lines": ["X-A: b", " folded"]},
    "space before colon": {"lines": ["X-A : b"]},
    "no name": {"lines": [": b"]},
    "no colon": {"lines": ["nonsense"]},
    "nul": {"lines": ["X-A: a\x00b"]},
    "bare cr": {"lines": ["X-A: a\rb"]},
    "bare lf": {"lines": ["X-A: a\nb"]},
    "tab": {"lines": ["X-A:\ta\tb\t"]},
    "high bytes": {"lines": ["X-A: \xe4\xff"]},
    "delete": {"lines": ["X-A: a\x7fb"]},
    "empty value": {"lines": ["X-A:"]},
    "underscore name": {"lines": ["X_A: b"]},
    "early data": {"lines": ["Early-Data: 1"]},
    "range": {"lines": ["Range: bytes=0-3"]},
    "many headers": {"lines": [f"X-{n}: {n}" for n in range(140)]},
    "long header": {"lines": ["X-A: " + "a" * 9_000]},
    "as long as the lane takes": {"lines": ["X-A: " + "a" * 4_000]},
    "query": {"target": "/_gate/now/ROOM?x=1"},
    "fragment": {"target": "/_gate/now/ROOM#x"},
    "absolute": {"target": "http://x/_gate/now/ROOM"},
    "encoded": {"target": "/_gate/now/%72"},
    "dots": {"target": "/_gate/./now/ROOM"},
    "double slash": {"target": "//_gate/now/ROOM"},
    "case": {"target": "/_GATE/now/ROOM"},
    "another room": {"target": "/_gate/now/nowhere"},
    "trailing slash": {"target": "/_gate/now/ROOM/"},
    "semicolon": {"target": "/_gate/now/ROOM;x"},
}


@pytest.mark.parametrize("name", ODD)
async def test_whatever_is_odd_is_answered_the_same(both, room_name, name):
    """Another method, version, host, framing, header, target: with the lane and without it, byte for byte but the time."""
    options = dict(ODD[name])
    lines = options.pop("lines", [])
    if "target" in options:
        options["target"] = options["target"].replace("ROOM", room_name)
    fast, slow, _ = await both(poll(room_name, *lines, **options))
    assert without_time(fast) == without_time(slow)


async def test_every_split_reads_the_same(both, room_name):
    """Cut in two at every offset: the same answer, once."""
    head = poll(room_name, "X-A: b")
    _, whole, _ = await both(head)
    for cut in range(1, len(head)):
        both.open_lanes()
        assert without_time(await talk(both.running.port, [head[:cut], head[cut:]], 1.0)) == without_time(whole), cut


async def test_pipelines_and_mixtures_keep_their_order(both, room_name):
    """Polls, other requests and bodies on one connection, joined and apart."""
    plain, missing = poll(room_name), poll(room_name, target="/_gate/nothing")
    body = poll(room_name, "Content-Length: " + str(len(plain)), method="POST", target=f"/_gate/leave/{room_name}")
    for parts in (
        [plain * 3],
        [plain, plain, plain],
        [plain + missing + plain],
        [missing, plain, missing, plain],
        [plain[:30], plain[30:] + plain, plain],
        [missing + plain[:20], plain[20:]],
        [body, plain, plain],  # the second part is a body, however much it looks like a poll
        [body + plain, plain],
        [missing, plain[:25], plain[25:], plain],
    ):
        fast, slow, _ = await both(*parts, seconds=2.0)
        assert [answer[0] for answer in without_time(fast)] == [answer[0] for answer in without_time(slow)], parts


async def test_a_body_that_looks_like_a_poll_is_a_body(both, room_name):
    """Sent in pieces, so that a read begins with it: it must never be answered."""
    plain = poll(room_name)
    head = poll(room_name, f"Content-Length: {len(plain) * 2}", method="POST", target=f"/_gate/claim/{room_name}")
    fast, slow, by_lane = await both(head, plain, plain, seconds=2.0)
    assert not by_lane
    assert len(without_time(fast)) == len(without_time(slow)) == 1


async def test_random_mutations_read_the_same(both, room_name):
    """Three hundred polls with bytes changed, removed, doubled or swapped."""
    dice = random.Random(7)
    base = poll(room_name, "User-Agent: x", 'If-None-Match: "a"', "Connection: keep-alive", "Cookie: a=b")
    taken = 0
    for _ in range(300):
        data = bytearray(base)
        for _ in range(dice.randint(1, 3)):
            place = dice.randrange(len(data))
            kind = dice.randrange(4)
            if kind == 0:
                data[place] = dice.randrange(256)
            elif kind == 1:
                del data[place]
            elif kind == 2:
                data[place:place] = dice.choice([b"\r\n", b":", b" ", b"\x00", b"A", b"\n", b"\t", bytes([data[place]])])
            else:
                data[place : place + 1] = bytes([data[place] ^ 32])
        fast, slow, by_lane = await both(bytes(data), seconds=0.1)
        taken += by_lane
        assert without_time(fast) == without_time(slow), bytes(data)
    assert 20 < taken < 280, "both ways were tried"


async def test_slow_readers_fall_back_to_the_ordinary_way(both, room_name):
    """A client that asks and never reads: nothing piles up beyond the transport's own limits."""
    both.open_lanes()
    reader, writer = await asyncio.open_connection("127.0.0.1", both.running.port, limit=1024)
    writer.transport.pause_reading()
    for _ in range(4_000):
        writer.write(poll(room_name))
    await asyncio.sleep(1.0)
    edge = next(iter(both.running.gate.front._runner.server.connections), None)
    size = edge.transport.get_write_buffer_size() if edge and edge.transport else 0
    writer.transport.abort()
    assert size < 400_000


async def test_polls_alone_keep_a_connection(start_gate, room_name):
    """A connection on which nothing but plain polls are asked outlives the idle time, and dies of idleness like any."""
    running = await start_gate(mode="hold", server={"keepalive_timeout": 1.0})
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for _ in range(6):
        await asyncio.sleep(0.4)
        writer.write(poll(room_name))
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(re.search(rb"Content-Length: (\d+)", head)[1]))
    async with asyncio.timeout(4):
        assert await reader.read() == b""
    writer.close()


async def test_draining_says_goodbye_to_polls_too(start_gate, web, room_name):
    """On the way out: `Connection: close`."""
    running = await start_gate(mode="hold")
    await running.gate.drain()
    async with web.get(f"{running.url}/_gate/now/{room_name}") as answer:
        assert answer.headers["Connection"] == "close"
