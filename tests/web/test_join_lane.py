"""The join lane: newcomers get what the ordinary way gives, each number once, and only for a pre-ticket shown."""

import asyncio
import json
import random
import re

import pytest

from tests.web.both_ways import BothWays, talk, without_time


@pytest.fixture
async def both(start_gate, room_name):
    """A room whose line stands, asked both ways."""
    both = BothWays(await start_gate(mode="hold"), 0.05)
    both.room = room_name
    return both


def join(room, *lines, host="Host: shop.example", method="POST", version="1.1", length="Content-Length: 0", target=None):
    """A join's head."""
    first = f"{method} {target or '/_gate/join/' + room} HTTP/{version}"
    return "\r\n".join([line for line in (first, host, length, *lines) if line] + ["", ""]).encode("latin-1")


def shape(answers: bytes) -> list:
    """Answers on one connection less what differs from one visitor to the next: tokens, positions, references."""
    found = []
    for status, headers, body in without_time(answers):
        cookies = [re.sub(rb"=[A-Za-z0-9._-]+;", b"=<token>;", value, count=1) for value in headers.pop(b"set-cookie", [])]
        if isinstance(body, dict):
            for name in ("position", "number", "ahead", "reference", "issued", "kept_until", "now_serving", "pre_ticket"):
                if name in body:
                    body[name] = "<differs>"
        found.append((status, headers, sorted(cookies), body))
    return found


def cookie_of(answer: bytes, kind: str, room: str) -> str:
    """`name=value` as a browser would send it back."""
    return re.search(rb"Set-Cookie: (gate_%b_%b=[^;]+)" % (kind.encode(), room.encode()), answer)[1].decode()


async def test_a_newcomer_gets_a_pre_ticket_and_then_a_place(both):
    """The same two answers by either way; a number is spent by the second alone."""
    first, slow, by_lane = await both(join(both.room, "User-Agent: x", "Origin: http://shop.example"))
    assert by_lane
    assert shape(first) == shape(slow)
    assert b" 202 " in first
    assert both.running.line(both.room).issued == 0
    placed = await both.fast(join(both.room, "Cookie: a=b; " + cookie_of(first, "pre", both.room)))
    ordinary = await both.slow(join(both.room, "Cookie: " + cookie_of(slow, "pre", both.room)))
    assert shape(placed) == shape(ordinary)
    documents = [without_time(answer)[0][2] for answer in (placed, ordinary)]
    assert [document["position"] for document in documents] == [1, 2]
    assert [document["status"] for document in documents] == ["waiting", "waiting"]


async def test_the_ticket_is_good(both):
    """What the lane signs, the gate and PyJWT verify; the status document agrees."""
    pre = cookie_of(await both.fast(join(both.room)), "pre", both.room)
    placed = await both.fast(join(both.room, f"Cookie: {pre}"))
    ticket = cookie_of(placed, "ticket", both.room)
    held = both.running.gate.front.desks[both.room].read_ticket(ticket.partition("=")[2])
    assert held is not None
    assert held.place.position == 1
    again = await both.fast(join(both.room, f"Cookie: {ticket}"))
    assert without_time(again)[0][2]["position"] == 1
    assert both.running.line(both.room).issued == 1


async def test_a_pre_ticket_is_good_once(both):
    """Spent: 202 with `Retry-After: 1` and a fresh one, by either way."""
    pre = cookie_of(await both.fast(join(both.room)), "pre", both.room)
    await both.fast(join(both.room, f"Cookie: {pre}"))
    fast, slow, by_lane = await both(join(both.room, f"Cookie: {pre}"))
    assert by_lane
    assert shape(fast) == shape(slow)
    assert b"Retry-After: 1" in fast
    assert both.running.line(both.room).issued == 1


async def test_no_pre_ticket_is_made_twice(both, monkeypatch):
    """The clock may step back, a little or by minutes: a stretch of serials that comes again goes on where it was left."""
    desk, times = both.running.gate.front.desks[both.room], iter([59.8, 60.1, 59.9, 60.2, 58.5, 119.0, 120.0, 119.5, 10.0])
    start = 1_800_000_000 - 1_800_000_000 % 60
    monkeypatch.setattr(desk.pretickets, "_now", lambda: start + next(times))
    made = [desk.pretickets.mint()[0].split(".")[1:4] for _ in range(9)]
    stretches = [(int(issued) // 60 - start // 60, int(serial)) for _, issued, serial in made]
    assert stretches == [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 1), (1, 4), (0, 4)]


ODD = {
    "no length": {"length": ""},
    "a body": {"length": "Content-Length: 3"},
    "two lengths": {"lines": ["Content-Length: 0"]},
    "chunked": {"length": "Transfer-Encoding: chunked"},
    "form": {"lines": ["Content-Type: application/x-www-form-urlencoded"]},
    "get": {"method": "GET"},
    "1.0": {"version": "1.0"},
    "no host": {"host": ""},
    "two hosts": {"lines": ["Host: y"]},
    "bad host": {"host": "Host: a b"},
    "another site": {"lines": ["Sec-Fetch-Site: cross-site"]},
    "another origin": {"lines": ["Origin: http://evil.example"]},
    "its own origin": {"lines": ["Origin: http://SHOP.example", "Sec-Fetch-Site: same-origin"]},
    "two origins": {"lines": ["Origin: http://shop.example", "Origin: http://evil.example"]},
    "null origin": {"lines": ["Origin: null"]},
    "api": {"lines": ["Gate-Client: api"]},
    "a ticket by header": {"lines": ["Gate-Ticket: a.b.c"]},
    "a pass by header": {"lines": ["Gate-Pass: a.b.c"]},
    "a bad ticket": {"lines": ["Cookie: gate_ticket_ROOM=a.b.c"]},
    "a bad pass": {"lines": ["Cookie: gate_pass_ROOM=a.b.c"]},
    "a bad pre-ticket": {"lines": ["Cookie: gate_pre_ROOM=k.g.1.2.AAAAAAAAAAAAAAAAAAAAAA"]},
    "another room's ticket": {"lines": ["Cookie: gate_ticket_other=a.b.c"]},
    "two cookie lines": {"lines": ["Cookie: a=b", "Cookie: gate_ticket_ROOM=a.b.c"]},
    "cookie in small letters": {"lines": ["cookie: gate_ticket_ROOM=a.b.c"]},
    "cookie without a space": {"lines": ["Cookie:gate_ticket_ROOM=a.b.c"]},
    "cookie with a tab": {"lines": ["Cookie: \tgate_ticket_ROOM=a.b.c\t"]},
    "cookie with high bytes": {"lines": ["Cookie: a=\xe9"]},
    "cookie with a nul": {"lines": ["Cookie: a=\x00"]},
    "close": {"lines": ["Connection: close"]},
    "keep-alive": {"lines": ["Connection: keep-alive"]},
    "upgrade": {"lines": ["Connection: Upgrade", "Upgrade: websocket"]},
    "expect": {"lines": ["Expect: 100-continue"]},
    "early data": {"lines": ["Early-Data: 1"]},
    "scheme of nobody trusted": {"lines": ["X-Forwarded-Proto: https"]},
    "a query": {"target": "/_gate/join/ROOM?x"},
    "a slash": {"target": "/_gate/join/ROOM/"},
    "encoded": {"target": "/_gate/%6aoin/ROOM"},
    "no such room": {"target": "/_gate/join/nowhere"},
    "many headers": {"lines": [f"X-{n}: {n}" for n in range(140)]},
    "long": {"lines": ["X-A: " + "a" * 9_000]},
}


@pytest.mark.parametrize("name", ODD)
async def test_whatever_is_odd_is_answered_the_same(both, name):
    """Framing, site, cookies, clients of another kind, targets: by either way, twice in a row."""
    options = dict(ODD[name])
    lines = [line.replace("ROOM", both.room) for line in options.pop("lines", [])]
    if "target" in options:
        options["target"] = options["target"].replace("ROOM", both.room)
    data = join(both.room, *lines, **options)
    for _ in range(2):
        fast, slow, _ = await both(data, seconds=0.4)
        assert shape(fast) == shape(slow)
    assert both.running.line(both.room).issued == 0


async def test_the_scheme_is_that_of_a_trusted_proxy(start_gate, room_name):
    """Behind one that ends TLS, cookies are `__Host-` and secure, by either way."""
    both = BothWays(await start_gate(mode="hold", server={"trusted_proxies": ["127.0.0.1/32"]}), 0.05)
    for proto in ("https", "http", "gopher", "https, http"):
        fast, slow, by_lane = await both(join(room_name, f"X-Forwarded-Proto: {proto}"))
        assert by_lane
        assert shape(fast) == shape(slow)
        assert (b"__Host-" in fast) == proto.startswith("https")


@pytest.mark.parametrize("settings", [{"mode": "closed"}, {"mode": "hold", "max_issued": 1}, {"release_rate": 1000}])
async def test_closed_full_and_idle_rooms_answer_the_same(start_gate, room_name, settings):
    """Nobody is dealt a place where none is left; where nobody waits, one is let in at once."""
    both = BothWays(await start_gate(**settings), 0.05)
    for _ in range(2):
        fast, slow, _ = await both(join(room_name))
        assert shape(fast) == shape(slow)
        if b"Set-Cookie" in fast:
            fast = await both.fast(join(room_name, "Cookie: " + cookie_of(fast, "pre", room_name)))
            slow = await both.slow(join(room_name, "Cookie: " + cookie_of(slow, "pre", room_name)))
    assert shape(fast) == shape(slow)


async def test_the_store_away_is_told_the_same(both):
    """A join that the store does not answer: 503 with a time to come back, nothing lost."""
    pres = [cookie_of(await both.fast(join(both.room)), "pre", both.room) for _ in range(2)]
    connection = both.running.gate.parts.connection

    async def away(*_, **__):
        from gate.store.connection import StoreUnavailableError

        raise StoreUnavailableError("away")

    call, connection.call = connection.call, away
    fast = await both.fast(join(both.room, f"Cookie: {pres[0]}"))
    slow = await both.slow(join(both.room, f"Cookie: {pres[1]}"))
    assert [json.loads(answer.partition(b"\r\n\r\n")[2])["type"] for answer in (fast, slow)] == ["store-unavailable"] * 2
    assert fast.split(b"\r\n")[0] == slow.split(b"\r\n")[0]
    assert b"Retry-After" in fast
    connection.call = call
    async with asyncio.timeout(5):
        while both.running.gate.parts.live.fails(both.room):
            await asyncio.sleep(0.01)
    assert b'"position":1' in await both.fast(join(both.room, f"Cookie: {pres[0]}"))


async def test_law_1_and_2_in_the_lane(both):
    """Five hundred newcomers on twenty connections, some of whom leave: no position twice, each connection in order."""
    both.open_lanes()
    dice, port, found = random.Random(3), both.running.port, []

    async def one_connection():
        mine = []
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def ask(*lines):
            writer.write(join(both.room, *lines))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"Content-Length: (\d+)", head)[1])
            return head, json.loads(await reader.readexactly(length))

        for _ in range(25):
            head, _ = await ask()
            pre = cookie_of(head, "pre", both.room)
            if dice.random() < 0.1:  # asks and leaves
                writer.write(join(both.room, f"Cookie: {pre}"))
                writer.transport.abort()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                continue
            _, document = await ask(f"Cookie: {pre}")
            mine.append(document["position"])
        writer.close()
        found.append(mine)

    await asyncio.gather(*(one_connection() for _ in range(20)))
    positions = [position for mine in found for position in mine]
    assert len(positions) == len(set(positions)) > 350
    assert all(mine == sorted(mine) for mine in found)


async def test_pipelined_joins_are_answered_in_order(both):
    """What is sent ahead while the store is asked waits for its turn."""
    pres = [cookie_of(await both.fast(join(both.room)), "pre", both.room) for _ in range(3)]
    both.open_lanes()
    parts = [join(both.room, f"Cookie: {pre}") for pre in pres]
    for parts_sent in (parts, [b"".join(parts)]):
        got = without_time(await talk(both.running.port, parts_sent, 2.0, 0.3))
        assert len(got) == 3
    assert both.running.line(both.room).issued == 3


async def test_a_head_ends_where_it_ends(both):
    """A cookie line beyond the head's end is not the head's, and spends nothing."""
    pre = cookie_of(await both.fast(join(both.room)), "pre", both.room)
    whole = join(both.room)
    for data in (whole + f"Cookie: {pre}\r\n".encode(), whole[:-2] + f"\r\r\nCookie: {pre}\n".encode()):
        fast, slow, _ = await both(data, seconds=0.3)
        assert shape(fast) == shape(slow)
    assert both.running.line(both.room).issued == 0


async def test_too_many_joins_are_refused_the_same(both, monkeypatch):
    """When the queue before the store is full: 503 and a time to come back, by either way."""
    monkeypatch.setattr("gate.store.joins.QUEUE_MAX", 0)
    pres = [cookie_of(await both.fast(join(both.room)), "pre", both.room) for _ in range(2)]
    fast = await both.fast(join(both.room, f"Cookie: {pres[0]}"))
    slow = await both.slow(join(both.room, f"Cookie: {pres[1]}"))
    assert fast.split(b"\r\n")[0] == slow.split(b"\r\n")[0] == b"HTTP/1.1 503 Service Unavailable"
    assert b"store-unavailable" in fast


async def test_a_fault_in_the_shared_call_is_told_to_all(both, caplog, monkeypatch):
    """Whoever shares a call that fails in a way nobody foresaw gets a 500, not silence."""
    pres = [cookie_of(await both.fast(join(both.room)), "pre", both.room) for _ in range(2)]

    async def broken(*_):
        raise KeyError("a fault")

    desk = both.running.gate.front.desks[both.room]
    monkeypatch.setattr(desk.joins._joins, "_send", broken)
    fast = await both.fast(join(both.room, f"Cookie: {pres[0]}"))
    slow = await both.slow(join(both.room, f"Cookie: {pres[1]}"))
    assert fast.split(b"\r\n")[0] == slow.split(b"\r\n")[0] == b"HTTP/1.1 500 Internal Server Error"


async def test_a_fault_of_a_lane_is_not_the_visitors(both, monkeypatch, caplog):
    """A lane that breaks leaves the request to the ordinary way."""
    both.open_lanes()
    server = both.running.gate.front._runner.server

    def broken(*_):
        raise KeyError("a fault")

    server._lanes = broken
    assert b" 202 " in await talk(both.running.port, [join(both.room)], 1.0, 0.05)
    assert "fault" in caplog.text
