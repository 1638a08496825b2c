"""The relay lane: what the origin sees and what the visitor gets is what the ordinary way gives, and never more."""

import asyncio
import contextlib
import random
import re

import pytest

from gate.keyfile import read
from tests.harness import PAGE, BytesOrigin
from tests.web.both_ways import BothWays, talk, without_time
from tests.web.test_poll_lane import ODD

QUIET_SECONDS = 0.1


class ScriptedOrigin(BytesOrigin):
    """Answers every request on a connection with the bytes (or pauses, in seconds) a test has set."""

    def __init__(self):
        self.steps, self.heads, self.opened = [b""], [], 0

    async def _serve(self, reader, writer):
        self.opened += 1
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                for step in self.steps:
                    if step is None:
                        return
                    if isinstance(step, bytes):
                        writer.write(step)
                        await writer.drain()
                    else:
                        await asyncio.sleep(step)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def scripted():
    """An origin of bytes."""
    async with ScriptedOrigin() as origin:
        yield origin


@pytest.fixture
async def both(start_gate, scripted):
    """A gate in mode `off` before it, asked both ways."""
    timeouts = {"first_byte_timeout": 0.6, "read_timeout": 0.6}
    return BothWays(await start_gate(mode="off", origin={"url": scripted.url, **timeouts}), QUIET_SECONDS)


def get(target="/x", *lines, host="Host: shop.example", version="1.1", method="GET") -> bytes:
    """A request's head."""
    return "\r\n".join([f"{method} {target} HTTP/{version}", *([host] if host else []), *lines, "", ""]).encode("latin-1")


def ok(body=b"ok", *lines) -> bytes:
    """An answer with a length."""
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *lines, b"", body])


BROWSER = ("User-Agent: Mozilla/5.0", "Accept: text/html", "Accept-Encoding: gzip, br", "Cookie: a=b; gate_pass_x=y.z")


def sorted_head(head: bytes) -> list:
    """A head's first line, and its headers in no order, names in lower case."""
    first, *lines = head.split(b"\r\n")
    return [first, *sorted(line.partition(b":")[0].lower() + line[line.find(b":") :] for line in lines if line)]


@pytest.mark.parametrize(
    "lines",
    [
        BROWSER,
        (*BROWSER, "Connection: keep-alive", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil", "Forwarded: for=x"),
        (*BROWSER, "Gate-Room: vip", "Gate-Position: 1", "gate_position: 2", "X_Forwarded_For: 1", "X-Original-URL: /a"),
        ("Cookie: gate_pass_x=1", "Cookie: a=b", "X-A: 1", "x-a: 2", "X-Empty:", "X-Tab:\ta\tb "),
        ('If-None-Match: "a"', "Range: bytes=0-1", "Authorization: Basic eDp5", "Early-Data: 1", "Keep-Alive: 5"),
    ],
)
@pytest.mark.parametrize("target", ["/", "/a?b=c&d=%20", "/a//b/../c;d?e?f", "/%41[x]|y", "/a?x=http://y/?z"])
async def test_the_origin_sees_the_same(both, scripted, target, lines):
    """Target byte for byte, headers, cookies without ours, who asks: by either way."""
    scripted.steps = [ok()]
    fast, slow, by_lane = await both(get(target, *lines))
    assert by_lane
    assert without_time(fast) == without_time(slow)
    first, second = scripted.heads
    assert sorted_head(first) == sorted_head(second)


ANSWERS = {
    "plain": [ok()],
    "empty": [ok(b"")],
    "large": [ok(b"x" * 300_000)],
    "in pieces": [ok(b"abcdef")[:20], 0.01, ok(b"abcdef")[20:45], 0.01, ok(b"abcdef")[45:]],
    "head alone first": [ok(b"abc")[:-3], 0.02, b"abc"],
    "many headers": [ok(b"", *(b"X-%d: y" % n for n in range(90)))],
    "set-cookies": [ok(b"", b"Set-Cookie: a=b", b"Set-Cookie: c=d; Path=/", b"Cache-Control: public, max-age=5")],
    "our names": [ok(b"", b"Gate-Command: complete", b"Connection: keep-alive, X-Hop", b"X-Hop: 1", b"Keep-Alive: 3")],
    "server and date": [ok(b"", b"Server: theirs", b"Date: Thu, 01 Jan 1970 00:00:00 GMT")],
    "utf-8": [ok(b"", "X-Name: Zoë".encode())],
    "latin-1": [ok(b"", b"X-Name: Zo\xeb")],
    "folded": [b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok"],
    "odd reason": [b"HTTP/1.1 299 It Is \xe9\r\nContent-Length: 0\r\n\r\n"],
    "no reason": [b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"],
    "bare line feeds": [b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"],
    "204": [b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"],
    "204 with a length": [b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"],
    "304 with a length": [b'HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: "x"\r\n\r\n'],
    "redirect": [b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n"],
    "404": [b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"],
    "500": [b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"],
    "chunked": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nX-Trailer: 1\r\n\r\n"],
    "chunked in pieces": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0.01, b"3\r\na", 0.01, b"bc\r\n0\r", 0.01, b"\n\r\n"],
    "chunked, empty": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    "until close": [b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nabc", 0.01, b"def", None],
    "1.0 until close": [b"HTTP/1.0 200 OK\r\n\r\nabc", None],
    "1.0 with a length": [b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", None],
    "close": [ok(b"abc", b"Connection: close"), None],
    "100 first": [b"HTTP/1.1 100 Continue\r\n\r\n" + ok()],
    "103 first, apart": [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 0.02, ok()],
    "cut off": [ok(b"abcdef")[:-3], None],
    "chunked, cut off": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", None],
    "silent in the body": [ok(b"abcdef")[:-3], 1.2],
    "silent": [1.2],
    "silent in the head": [b"HTTP/1.1 200 OK\r\nX-A", 1.2],
    "closes at once": [None],
    "lower case": [b"HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 2\r\n\r\nok"],
    "connection names the length": [ok(b"abc", b"Connection: content-length")],
    "a line feed too many": [b"HTTP/1.1 200 OK\nContent-Length: 2\n\r\nok"],
    "more than its length": [ok(b"abc") + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nevl", None],
    "more than its length, apart": [ok(b"abc")[:-1], 0.02, b"c" + ok(b"evl"), None],
    "more than its chunks": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + ok(b"evl"), None],
    "more than nothing": [b"HTTP/1.1 204 No Content\r\n\r\n" + ok(b"evl"), None],
    "utf-8 reason": ["HTTP/1.1 200 für\r\nContent-Length: 0\r\n\r\n".encode()],
    "garbage": [b"hello\r\n\r\n", None],
    "two lengths": [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk", None],
    "length and coding": [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", None],
    "odd length": [b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", None],
    "switches unasked": [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", None],
    "a huge head": [b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 200_000 + b"\r\nContent-Length: 2\r\n\r\nok", None],
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
async def test_the_visitor_gets_the_same(both, scripted, name):
    """However the origin frames, splits, delays or breaks its answer."""
    scripted.steps = ANSWERS[name]
    both.quiet = 1.5 if any(isinstance(step, float) and step > 1 for step in scripted.steps) else QUIET_SECONDS
    fast, slow, by_lane = await both(get("/x", *BROWSER), seconds=4.0)
    assert by_lane
    assert without_time(fast) == without_time(slow)
    assert sorted(re.findall(rb"(?i)\r\n(date):", fast)) == sorted(re.findall(rb"(?i)\r\n(date):", slow))
    assert scripted.heads[0].split(b"\r\n")[0] == b"GET /x HTTP/1.1"
    pool = both.running.gate.front._pool
    await asyncio.sleep(0.05)
    assert pool._open == len(pool._idle), "none is lost, none is counted twice"
    assert not pool._busy


REQUESTS = {
    **{name: options for name, options in ODD.items() if "target" not in options},
    "a bare question mark": {"target": "/x?"},
    "own namespace, encoded": {"target": "/%5fgate/now/x"},
    "absolute": {"target": "http://shop.example/x"},
    "dots": {"target": "/a/../x"},
    "fragment": {"target": "/x#y"},
    "space": {"target": "/x y"},
    "asterisk": {"target": "*"},
    "no slash": {"target": "x"},
    "nul": {"target": "/x%00"},
    "form": {"method": "POST", "lines": ["Content-Length: 3"]},
    "cookie twice": {"lines": ["Cookie: a=b", "Cookie: c=d"]},
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_whatever_is_odd_is_treated_the_same(both, scripted, name):
    """Another method, version, host, framing, header or target: answered or refused alike, and sent on alike."""
    scripted.steps = [ok(b"<>")]
    options = dict(REQUESTS[name])
    lines = options.pop("lines", [])
    data = get(options.pop("target", "/x"), *lines, **options)
    fast, slow, _ = await both(data, seconds=0.4)
    assert without_time(fast) == without_time(slow)
    half = len(scripted.heads) // 2
    assert [sorted_head(h) for h in scripted.heads[:half]] == [sorted_head(h) for h in scripted.heads[half:]]


async def test_every_split_and_order_reads_the_same(both, scripted):
    """Cut in two at any place, several at once, between others: each is answered once, in order."""
    scripted.steps = [ok()]
    one, two, form = get("/1", *BROWSER), get("/2", *BROWSER), get("/3", "Content-Length: 3", method="POST") + b"abc"
    for cut in range(1, len(one), 5):
        both.open_lanes()
        assert without_time(await talk(both.running.port, [one[:cut], one[cut:]], 1.0)) == without_time(await both.slow(one))
    for parts in ([one, two, one], [one + two], [one + two[:9], two[9:]], [form, one], [one, form, two], [form + one, two]):
        del scripted.heads[:]
        fast, slow, _ = await both(*parts)
        assert without_time(fast) == without_time(slow), parts
        asked = [head.split(b" ", 2)[1] for head in scripted.heads]
        assert asked[: len(asked) // 2] == asked[len(asked) // 2 :] == re.findall(rb"(?:GET|POST) (/\d)", b"".join(parts))


async def test_what_is_sent_ahead_waits_its_turn(both, scripted):
    """Requests that arrive while an answer is under way are kept, and answered after it."""
    scripted.steps = [ok(b"a" * 20)[:-10], 0.1, b"a" * 10]
    both.open_lanes()
    got = await talk(both.running.port, [get("/1"), get("/2"), get("/3")], 2.0, 0.5)
    assert [answer[0] for answer in without_time(got)] == [b"HTTP/1.1 200 OK"] * 3
    assert [head.split(b" ")[1] for head in scripted.heads] == [b"/1", b"/2", b"/3"]


async def test_random_heads_are_treated_the_same(both, scripted):
    """Three hundred requests with bytes changed, removed, doubled or swapped."""
    scripted.steps = [ok()]
    dice, base, taken = random.Random(11), get("/a/b?c=d", *BROWSER, "Connection: keep-alive"), 0
    both.quiet = 0.03
    for _ in range(300):
        data = bytearray(base)
        for _ in range(dice.randint(1, 3)):
            place = dice.randrange(len(data))
            what = dice.choice([b"", b"\r\n", b":", b" ", b"\x00", b"A", b"\n", b"\t", b"%2f", b"..", bytes([data[place] ^ 32])])
            data[place : place + dice.randrange(2)] = what
        del scripted.heads[:]
        fast, slow, by_lane = await both(bytes(data), seconds=0.1)
        taken += by_lane
        assert without_time(fast) == without_time(slow), bytes(data)
        half = len(scripted.heads) // 2
        assert [sorted_head(h) for h in scripted.heads[:half]] == [sorted_head(h) for h in scripted.heads[half:]], bytes(data)
    assert 20 < taken < 280, "both ways were tried"


async def test_connections_are_used_again_and_only_when_whole(both, scripted):
    """One connection for one visitor after another; a new one after an answer that broke off."""
    both.open_lanes()
    scripted.steps = [ok()]
    for _ in range(5):
        await both.fast(get("/x"))
    assert scripted.opened == 1
    scripted.steps = [ok() + b"more"]
    assert await both.fast(get("/x")) != b"", "what came beyond the answer is nobody's"
    scripted.steps = [ok(b"next")]
    assert b"next" in await both.fast(get("/x"))
    assert scripted.opened >= 2


async def test_a_visitor_who_goes_ends_the_origins_work(both, scripted):
    """The connection whose answer nobody wants is closed, and never given to the next visitor."""
    both.open_lanes()
    scripted.steps = [ok(b"s" * 100_000)[:5_000], 0.4, ok(b"s" * 100_000)[5_000:]]
    reader, writer = await asyncio.open_connection("127.0.0.1", both.running.port)
    writer.write(get("/secret"))
    await reader.read(100)
    writer.transport.abort()
    await asyncio.sleep(0.1)
    scripted.steps = [ok(b"mine")]
    assert (await both.fast(get("/mine"))).endswith(b"mine")
    await asyncio.sleep(0.5)
    assert scripted.opened == 2
    pool = both.running.gate.front._pool
    assert pool._open == len(pool._idle) == 1
    assert not pool._busy


async def test_a_full_pool_makes_wait_and_forgets_those_who_left(start_gate, scripted):
    """With three connections, six visitors are served, two of them after they had to wait; who left is not asked for."""
    scripted.steps = [0.2, ok()]
    running = await start_gate(mode="off", origin={"url": scripted.url, "pool": 4})
    asked = [asyncio.create_task(talk(running.port, [get(f"/{n}")], 2.0)) for n in range(6)]
    await asyncio.sleep(0.05)
    reader, gone = await asyncio.open_connection("127.0.0.1", running.port)
    gone.write(get("/gone"))
    await asyncio.sleep(0.05)
    gone.transport.abort()
    for got in await asyncio.gather(*asked):
        assert got.endswith(b"ok")
    await asyncio.sleep(0.3)
    assert scripted.opened == 3
    assert not any(b"/gone" in head for head in scripted.heads)


async def test_a_slow_reader_holds_the_origin_back(both, scripted):
    """A hundred megabytes to somebody who does not read: neither kept in memory nor broken off, and whole in the end."""
    size, sent = 100_000_000, 0

    async def pour(reader, writer):
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(b"x" * 100_000)
            sent += 100_000
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(pour, "127.0.0.1", 0) as server:
        both.running.gate.front._pool._port = server.sockets[0].getsockname()[1]
        both.open_lanes()
        reader, writer = await asyncio.open_connection("127.0.0.1", both.running.port, limit=65_536)
        writer.write(get("/large"))
        await asyncio.sleep(1.2)  # longer than the read time-out, which is the origin's and not the visitor's
        assert sent < 40_000_000
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"200" in head
        count = 0
        while count < size:
            count += len(await reader.read(1_000_000))
        assert count == size
        writer.close()
        await writer.wait_closed()


async def test_a_stale_connection_is_tried_once_more(both, scripted):
    """The origin closes an idle connection just as it is used: the visitor does not notice."""
    both.open_lanes()
    scripted.steps = [ok(), None]
    for _ in range(3):
        assert (await both.fast(get("/x"))).endswith(b"ok")
        pool = both.running.gate.front._pool
        assert pool._open <= 1


@pytest.fixture
async def admitted(start_gate, origin, new_browser, room_name, web):
    """A visitor inside a room that lets in nobody else, asked both ways: the head of the visitor's next request."""
    running = await start_gate(release_rate=1_000)
    visitor = new_browser(running)
    assert (await visitor.get("/")).status == 200
    await running.patch(web, room_name, mode="hold")
    await running.until_seen(room_name, lambda line: line.mode == "hold")
    cookie = f"Cookie: gate_pass_{room_name}={visitor.cookies()[f'gate_pass_{room_name}']}"
    both = BothWays(running, QUIET_SECONDS)
    both.head = get("/seats", *(f"{name}: {value}" for name, value in PAGE.items()), cookie)
    return both


async def test_a_pass_is_forwarded_with_its_position(admitted, origin, room_name):
    """By the lane as by the ordinary way: the room, the position, no pass."""
    fast, slow, by_lane = await admitted(admitted.head)
    assert by_lane
    assert without_time(fast)[0][0] == without_time(slow)[0][0] == b"HTTP/1.1 200 OK"
    lane, ordinary = (dict(request.headers) for request in origin.seen[-2:])
    assert lane == ordinary
    assert (lane["Gate-Room"], lane["Gate-Position"]) == (room_name, "1")
    assert "Cookie" not in lane


COMMANDED = {
    "plain": ok(b"hello", b"Gate-Command: complete"),
    "chunked": b"HTTP/1.1 200 OK\r\nGate-Command: complete\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"29\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nevl\r\n0\r\n\r\n",
    "large": ok(b"x" * 2_000_000, b"Gate-Command: complete"),
    "unknown": ok(b"hello", b"Gate-Command: dance"),
    "extend by nonsense": ok(b"hello", "Gate-Command: extend=²".encode()),
    "extend": ok(b"hello", b"Gate-Command: extend=60"),
}


@pytest.mark.parametrize("name", COMMANDED)
async def test_a_command_is_obeyed_before_the_answer(start_gate, scripted, new_browser, room_name, web, name):
    """Head first, then the body, however much of it came at once; by either way."""
    scripted.steps = [ok()]
    running = await start_gate(release_rate=1_000, origin={"url": scripted.url})
    cookies = []
    for _ in range(2):
        visitor = new_browser(running)
        await visitor.get("/")
        cookies.append(f"gate_pass_{room_name}={visitor.cookies()[f'gate_pass_{room_name}']}")
    both = BothWays(running, QUIET_SECONDS)
    scripted.steps = [COMMANDED[name]]
    page = [f"{key}: {value}" for key, value in PAGE.items()]
    fast = await both.fast(get("/x", *page, f"Cookie: {cookies[0]}"))
    slow = await both.slow(get("/x", *page, f"Cookie: {cookies[1]}"))
    (found, headers, body), (theirs, their_headers, their_body) = *without_time(fast), *without_time(slow)
    for one in (headers, their_headers):
        one[b"set-cookie"] = [re.sub(rb"=[^;]+", b"=", cookie, count=1) for cookie in one.get(b"set-cookie", [])]
    assert (found, headers, body) == (theirs, their_headers, their_body)
    await asyncio.sleep(0.05)
    assert not running.gate.front._pool._busy


async def test_a_commands_answer_waits_for_a_slow_reader(start_gate, scripted, new_browser, room_name):
    """Sixty megabytes after a command, to somebody who does not read: not kept in memory."""
    scripted.steps = [ok()]
    running = await start_gate(release_rate=1_000, origin={"url": scripted.url})
    visitor = new_browser(running)
    await visitor.get("/")
    scripted.steps = [ok(b"x" * 60_000_000, b"Gate-Command: complete")]
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=1_024)
    writer.transport.pause_reading()
    page = [f"{key}: {value}" for key, value in PAGE.items()]
    writer.write(get("/x", *page, f"Cookie: gate_pass_{room_name}={visitor.cookies()[f'gate_pass_{room_name}']}"))
    await asyncio.sleep(0.5)
    held = [edge.transport.get_write_buffer_size() for edge in running.gate.front._runner.server.connections if edge._under_way]
    assert len(held) == 1
    assert held[0] < 2_000_000
    writer.transport.abort()


async def test_a_slow_reader_leaves_no_deaf_connection_behind(start_gate, scripted):
    """Whoever makes the gate hold the origin back just as an answer ends does not make the next visitor wait."""
    running = await start_gate(mode="off", origin={"url": scripted.url, "first_byte_timeout": 1})
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=256)
    writer.transport.pause_reading()
    for number, body in enumerate([b"x" * 60_000] * 90 + [b"y" * 900] * 400):
        edges = [edge for edge in running.gate.front._runner.server.connections if edge.transport]
        if edges and edges[0]._paused:
            break
        scripted.steps = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)]
        writer.write(get(f"/{number}"))
        await asyncio.sleep(0.004)
    assert edges[0]._paused, "it was slow"
    scripted.steps = [ok(b"mine")]
    for _ in range(3):
        assert (await talk(running.port, [get("/mine")], 0.8, 0.05)).endswith(b"mine")
    writer.transport.abort()


async def test_a_slow_reader_is_not_the_origins_delay(both, scripted):
    """The origin's read time-out does not run while it is we who do not read."""
    scripted.steps = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"186a0\r\n" + b"x" * 100_000 + b"\r\n", 0.01] * 60, b"0\r\n\r\n"]
    both.open_lanes()
    reader, writer = await asyncio.open_connection("127.0.0.1", both.running.port, limit=1_024)
    writer.transport.pause_reading()
    writer.write(get("/x"))
    await asyncio.sleep(1.5)
    writer.transport.resume_reading()
    got = b""
    while not got.endswith(b"0\r\n\r\n"):
        chunk = await asyncio.wait_for(reader.read(1_000_000), 2)
        assert chunk, "broken off"
        got += chunk
    writer.close()


async def test_an_origin_that_speaks_before_it_is_asked(start_gate):
    """A greeting is no answer; connections are counted right, and the next visitor is served."""

    async def greet(reader, writer):
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        running = await start_gate(mode="off", origin={"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"})
        for number in range(3):
            await talk(running.port, [get(f"/{number}")], 2.0, 0.05)
        pool = running.gate.front._pool
        assert pool._open == len(pool._idle) >= 0
        assert not pool._busy


async def test_an_odd_origin_is_asked_twice_once(both, scripted):
    """What the lane cannot read is asked for by the ordinary way, and from then on by that alone."""
    scripted.steps = [b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"]
    for _ in range(3):
        assert (await both.fast(get("/odd"))).endswith(b"ok")
    assert len(scripted.heads) == 4


@pytest.mark.parametrize("steps", [[0.3, None], [0.3, b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"], [0.3, ok()]])
async def test_what_is_under_way_is_answered_before_the_end(start_gate, scripted, steps):
    """A drain and a stop while the origin thinks: whatever becomes of it, the visitor gets an answer."""
    scripted.steps = steps
    running = await start_gate(mode="off", origin={"url": scripted.url})
    asked = asyncio.create_task(talk(running.port, [get("/x")], 3.0, 1.0))
    await asyncio.sleep(0.1)
    await running.gate.front.drain(for_good=False)
    await running.gate.front.stop()
    got = await asked
    assert got.startswith(b"HTTP/1.1 502" if steps[1] is None else b"HTTP/1.1 200")
    assert b"Connection: close" in got


async def test_empty_answers_keep_their_connection(both, scripted):
    """A redirect without a body is no reason to connect anew; an origin that closes is."""
    both.open_lanes()
    scripted.steps = [b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n"]
    for _ in range(4):
        await both.fast(get("/x"))
    assert scripted.opened == 1
    scripted.steps = [b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"]
    await both.fast(get("/x"))
    assert not both.running.gate.front._pool._idle


async def refused_from_now_on(both, origin):
    """Whether the request that the lane remembers as good is refused, and not seen by the origin."""
    seen = len(origin.seen)
    answer = await both.fast(both.head)
    assert len(origin.seen) == seen, answer[:80]
    return b"/_gate/static/" in answer or b"HTTP/1.1 4" in answer


async def test_law_5_a_remembered_pass_is_looked_at_each_time(admitted, origin, room_name):
    """Revoked by the origin: refused at once, though its head is remembered."""
    await admitted.fast(admitted.head)

    @origin.on("/out")
    async def out(request):
        from aiohttp import web

        return web.Response(text="out", headers={"Gate-Command": "revoke"})

    fast = await admitted.fast(admitted.head.replace(b"/seats", b"/out"))
    assert fast.endswith(b"out")
    assert b"Gate-Command" not in fast
    async with asyncio.timeout(3):
        place = next(iter((await_denied := admitted.running.gate.parts.live._rooms[room_name]).denied), None)
        while place is None:
            await asyncio.sleep(0.05)
            place = next(iter(await_denied.denied), None)
    assert await refused_from_now_on(admitted, origin)


async def test_law_5_time_is_looked_at_each_time(admitted, origin, monkeypatch):
    """Past its life the remembered pass is good no more."""
    await admitted.fast(admitted.head)
    clock = admitted.running.gate.parts.connection.clock
    for desk in admitted.running.gate.front.desks.values():
        monkeypatch.setattr(desk, "_now", lambda: clock.now() + 100_000)
    assert await refused_from_now_on(admitted, origin)


async def test_law_5_keys_are_looked_at_each_time(admitted, origin, tmp_path):
    """Its key is gone from the ring: whatever it signed is worth nothing."""
    await admitted.fast(admitted.head)
    path = tmp_path / "state" / "keys.json"
    ring = read(path)
    text = path.read_text().replace(ring.keys[0].kid, "another")
    path.write_text(text)
    admitted.running.gate.parts.keys.refresh()
    assert await refused_from_now_on(admitted, origin)


async def test_law_5_a_reset_is_looked_at_each_time(admitted, origin, room_name, web):
    """Another generation: passes of the one before are worth nothing."""
    await admitted.fast(admitted.head)
    headers = {"Authorization": "Bearer secret-of-staff"}
    url = f"{admitted.running.admin_url}/api/rooms/{room_name}/reset"
    before = admitted.running.line(room_name).generation
    async with web.post(url, json={"confirm": room_name}, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
    await admitted.running.patch(web, room_name, mode="hold")
    await admitted.running.until_seen(room_name, lambda line: line.generation != before and line.mode == "hold")
    assert await refused_from_now_on(admitted, origin)


async def test_law_5_mode_is_looked_at_each_time(start_gate, origin, room_name, web):
    """Remembered as open in mode `off`: closed the moment the mode is another."""
    running = await start_gate(mode="off")
    both = BothWays(running, QUIET_SECONDS)
    both.head = get("/seats", *(f"{name}: {value}" for name, value in PAGE.items()))
    fast, _, by_lane = await both(both.head)
    assert by_lane
    assert fast.startswith(b"HTTP/1.1 200")
    await running.patch(web, room_name, mode="hold")
    await running.until_seen(room_name, lambda line: line.mode == "hold")
    assert await refused_from_now_on(both, origin)


async def test_law_5_an_open_rule_is_for_its_network_and_path_alone(start_gate, origin):
    """A head remembered for an open path, or an address of staff, opens nothing else."""
    rules = [{"paths": ["/open"]}, {"networks": ["10.0.0.0/8"]}]
    running = await start_gate(mode="hold", bypass=rules, server={"trusted_proxies": ["127.0.0.1/32"]})
    both = BothWays(running, QUIET_SECONDS)
    page = [f"{name}: {value}" for name, value in PAGE.items()]
    for target, address, let_in in (
        ("/open", "8.8.8.8", True),
        ("/open/x?y", "8.8.8.8", True),
        ("/book", "8.8.8.8", False),
        ("/open/../book", "8.8.8.8", False),
        ("/book", "10.1.2.3", True),
        ("/book", "8.8.8.8", False),
        ("/opener", "8.8.8.8", False),
        ("/_gate/now/x", "10.1.2.3", False),
    ):
        for _ in range(2):
            seen = len(origin.seen)
            await both(get(target, *page, f"X-Forwarded-For: {address}"))
            assert len(origin.seen) - seen == (2 if let_in else 0), (target, address)


async def test_another_visitors_head_is_another_judgement(admitted, origin):
    """The same headers with another cookie, or none, are not let in on what is remembered."""
    await admitted.fast(admitted.head)
    for other in (admitted.head[:-5] + b"x\r\n\r\n", admitted.head.replace(b"Cookie", b"Kookie"), admitted.head.replace(b"gate_pass", b"gate_pasz")):
        seen = len(origin.seen)
        with contextlib.suppress(StopIteration):
            admitted.running.gate.front.desks[next(iter(admitted.running.gate.front.desks))]._idle_budget.take = lambda *_: False
        answer = await admitted.fast(other)
        assert len(origin.seen) == seen, answer[:80]
