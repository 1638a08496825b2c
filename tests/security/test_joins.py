"""Rows 6 to 8 of the threat model, and the work a room may ask for: places cost bots more than people."""

import asyncio
import base64
import json

import pytest
from aiohttp import web as server
from altcha.v1 import Challenge, solve_challenge

from tests.harness import FETCH, PAGE, BytesOrigin, raw

BEHIND = {"trusted_proxies": ["127.0.0.1"]}


async def api_join(web, running, room, pre="", **headers):
    """Join as a client without cookies: the answer's status, headers and document."""
    shown = {"Gate-Client": "api", **({"Gate-Ticket": pre} if pre else {}), **headers}
    async with web.post(f"{running.url}/_gate/join/{room}", headers=shown) as answer:
        return answer.status, answer.headers, json.loads(await answer.read())


async def test_row_6_no_number_for_whoever_drops_cookies(start_gate, web, room_name):
    """While a line stands: ten thousand pages and joins without cookies, not a number spent."""
    running = await start_gate(mode="hold")
    page = b"GET /book HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n"
    join = f"POST /_gate/join/{room_name} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
    end = b"GET /_gate/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    async def flood():
        got = await raw(running.port, (page + join) * 100 + end, seconds=60)
        assert got.count(b"HTTP/1.1 200 OK") == 101
        assert got.count(b"HTTP/1.1 202 Accepted") == 100

    for _ in range(10):
        await asyncio.gather(*(flood() for _ in range(5)))
    assert running.line(room_name).issued == 0
    status, _, document = await api_join(web, running, room_name)
    assert status == 202
    assert (await api_join(web, running, room_name, document["pre_ticket"]))[2]["position"] == 1


async def test_row_6_an_idle_room_lets_in_at_most_its_share(start_gate, web, room_name):
    """Without cookies and without a line: `idle_per_network`, and what comes back meanwhile."""
    running = await start_gate(release_rate="1000/s", idle_per_network=7)
    statuses = []
    for _ in range(40):
        async with web.get(running.url + "/book", headers={**PAGE, "Accept-Encoding": "identity"}) as answer:
            statuses.append(b"data-room" not in await answer.read())
    assert 7 <= sum(statuses) <= 12


@pytest.mark.parametrize("address", ["8.8.8.{}", "2001:4860:4860:0::{:x}"])
async def test_row_6_a_network_has_a_budget_of_numbers(start_gate, web, room_name, address):
    """With cookies too: as many numbers as the budget says, 429 with `Retry-After` beyond it, and others unhurt."""
    running = await start_gate(mode="hold", joins_per_network=20, server=BEHIND)
    statuses = []
    for index in range(60):
        pre = (await api_join(web, running, room_name))[2]["pre_ticket"]
        cookie = {"Cookie": f"gate_pre_{room_name}={pre}", "X-Forwarded-For": address.format(index + 1)}
        async with web.post(f"{running.url}/_gate/join/{room_name}", headers=cookie) as answer:
            statuses.append(answer.status)
            if answer.status == 429:
                assert (await answer.json(content_type=None))["type"] == "rate-limited"
                assert 1 <= int(answer.headers["Retry-After"]) <= 30
    assert 20 <= statuses.count(200) <= 22
    assert statuses.count(200) + statuses.count(429) == 60
    pre = (await api_join(web, running, room_name))[2]["pre_ticket"]
    assert (await api_join(web, running, room_name, pre, **{"X-Forwarded-For": "9.9.9.9"}))[0] == 200
    assert running.line(room_name).issued <= 23


async def test_row_6_budgets_may_be_off_and_never_count_a_proxy_as_one(start_gate, web, room_name):
    """0: any number; an address that is not public may be a proxy's that nobody named, and is not counted."""
    free = await start_gate(mode="hold", joins_per_network=0, server=BEHIND)
    near = await start_gate(name=f"{room_name}n", mode="hold", joins_per_network=1)
    for running, room, headers in ((free, room_name, {"X-Forwarded-For": "8.8.8.8"}), (near, f"{room_name}n", {})):
        for _ in range(5):
            pre = (await api_join(web, running, room))[2]["pre_ticket"]
            assert (await api_join(web, running, room, pre, **headers))[0] == 200


async def test_row_7_beyond_what_the_store_takes_joins_are_refused_and_polls_go_on(start_gate, web, room_name, monkeypatch):
    """A queue that is full: 503 with `Retry-After`, no other 5xx; the pointer answers, and the line goes on after it."""
    monkeypatch.setattr("gate.store.joins.QUEUE_MAX", 50)
    running = await start_gate(mode="hold")
    pres = [(await api_join(web, running, room_name))[2]["pre_ticket"] for _ in range(300)]
    send = running.gate.front.desks[room_name].joins._joins._send
    gate = asyncio.Event()

    async def slow(batch):
        await gate.wait()
        return await send(batch)

    monkeypatch.setattr(running.gate.front.desks[room_name].joins._joins, "_send", slow)
    asked = [asyncio.ensure_future(api_join(web, running, room_name, pre)) for pre in pres[:200]]
    await asyncio.sleep(0.5)
    async with web.get(f"{running.url}/_gate/now/{room_name}") as answer:
        assert answer.status == 200
    gate.set()
    answers = await asyncio.gather(*asked)
    assert {status for status, _, _ in answers} <= {200, 503}
    refused = [answer for answer in answers if answer[0] == 503]
    assert all(document["type"] == "store-unavailable" and headers["Retry-After"] for _, headers, document in refused)
    positions = [document["position"] for status, _, document in answers if status == 200]
    assert len(set(positions)) == len(positions)
    assert (await api_join(web, running, room_name, pres[-1]))[0] == 200


async def test_row_8_polls_ask_no_store(start_gate, web, room_name, connection):
    """Two thousand polls: the store hears only its ticks; the same bytes for all, and 304 for who has them."""
    running = await start_gate(mode="hold")
    calls = 0
    execute = running.gate.parts.connection.call

    async def counted(*words, **more):
        nonlocal calls
        calls += 1
        return await execute(*words, **more)

    poll = f"GET /_gate/now/{room_name} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    end = b"GET /_gate/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    running.gate.parts.connection.call = counted
    began = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*(raw(running.port, poll * 200 + end, seconds=30) for _ in range(10)))
    took = asyncio.get_running_loop().time() - began
    assert sum(got.count(b"HTTP/1.1 200 OK") for got in answers) == 2_010
    assert calls <= 5 + 40 * took, "a tick of 50 ms asks once or twice"
    async with web.get(f"{running.url}/_gate/now/{room_name}") as answer:
        etag = answer.headers["ETag"]
        assert "Set-Cookie" not in answer.headers
    async with web.get(f"{running.url}/_gate/now/{room_name}", headers={"If-None-Match": etag}) as answer:
        assert answer.status in (200, 304)


def solution(challenge) -> str:
    """What a browser sends that has done the work."""
    puzzle = Challenge(*(challenge[name] for name in ("algorithm", "challenge", "maxNumber", "salt", "signature")))
    number = solve_challenge(puzzle).number
    payload = {name: challenge[name] for name in ("algorithm", "challenge", "salt", "signature")} | {"number": number}
    return base64.b64encode(json.dumps(payload).encode()).decode()


async def test_work_buys_one_number_each(start_gate, web, room_name):
    """No proof: the puzzle again; a proof: a place; the same proof for another pre-ticket, or a forged one: nothing."""
    running = await start_gate(mode="hold", proof_of_work=500)
    _, _, first = await api_join(web, running, room_name)
    assert first["challenge"]["maxNumber"] == 500
    assert first["challenge"]["solver"].startswith("/_gate/static/proof.")
    status, _, asked = await api_join(web, running, room_name, first["pre_ticket"])
    assert (status, asked["status"]) == (202, "pending")
    proof = solution(asked["challenge"])
    status, _, placed = await api_join(web, running, room_name, first["pre_ticket"], **{"Gate-Proof": proof})
    assert (status, placed["position"]) == (200, 1)
    _, _, second = await api_join(web, running, room_name)
    for bad in (proof, "", "x", "e30=", base64.b64encode(b"[]").decode(), base64.b64encode(b"[" * 1_500).decode()):
        status, _, document = await api_join(web, running, room_name, second["pre_ticket"], **{"Gate-Proof": bad})
        assert (status, document["status"]) == (202, "pending"), bad[:20]
    own = json.loads(base64.b64decode(solution(second["challenge"])))
    for change in ({"salt": own["salt"].replace("pre=", "pre=x")}, {"number": own["number"] + 1}, {"number": str(own["number"])},
                   {"algorithm": "SHA-1"}, {"signature": "0" * 64}, {"salt": None}, {"challenge": "é"}):  # fmt: skip
        bad = base64.b64encode(json.dumps(own | change).encode()).decode()
        assert (await api_join(web, running, room_name, second["pre_ticket"], **{"Gate-Proof": bad}))[0] == 202, change
    good = base64.b64encode(json.dumps(own).encode()).decode()
    assert (await api_join(web, running, room_name, second["pre_ticket"], **{"Gate-Proof": good}))[2]["position"] == 2


async def test_a_room_that_asks_for_work_lets_nobody_in_on_the_way(start_gate, web, origin, room_name):
    """An idle room too: page first, work, then the turn comes at once."""
    running = await start_gate(release_rate="100/s", proof_of_work=50)
    async with web.get(running.url + "/book", headers={**PAGE, "Accept-Encoding": "identity"}) as answer:
        assert b"data-room" in await answer.read()
    assert origin.seen == []
    _, _, asked = await api_join(web, running, room_name)
    status, _, placed = await api_join(web, running, room_name, asked["pre_ticket"], **{"Gate-Proof": solution(asked["challenge"])})
    assert (status, placed["status"]) == (200, "served")


class Siteverify(BytesOrigin):
    """A verifier: good tokens are those that begin so; it can be told to fail."""

    def __init__(self):
        self.asked, self.answer = [], None

    async def __aenter__(self):
        app = server.Application()
        app.router.add_post("/siteverify", self._verify)
        self.runner = server.AppRunner(app)
        await self.runner.setup()
        site = server.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/siteverify"
        return self

    async def __aexit__(self, *_):
        await self.runner.cleanup()

    async def _verify(self, request):
        form = await request.post()
        self.asked.append((form["secret"], form["response"]))
        if self.answer is not None:
            return self.answer()
        return server.json_response({"success": form["response"].startswith("good")})


@pytest.fixture
async def siteverify():
    """A verifier of people."""
    async with Siteverify() as verifier:
        yield verifier


@pytest.fixture
def verified(siteverify, tmp_path):
    """A room's settings for it."""
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("of-the-site\n")
    return {"verifier": "turnstile", "verifier_site_key": "1x00", "verifier_secret_file": str(secret), "verifier_url": siteverify.url}


async def test_an_outside_verifier_is_asked_at_join(start_gate, web, siteverify, verified, room_name):
    """Without its word 403 and what its widget needs; a bad token the same; a good one a place; it is away: 503."""
    running = await start_gate(mode="hold", **verified)
    pre = (await api_join(web, running, room_name))[2]["pre_ticket"]
    for headers in ({}, {"Gate-Verify": "bad"}, {"Gate-Verify": "g" * 4_097}):
        status, _, problem = await api_join(web, running, room_name, pre, **headers)
        assert (status, problem["type"]) == (403, "verification-required")
        assert problem["verifier"]["site_key"] == "1x00"
    assert siteverify.asked == [("of-the-site", "bad")]
    for broken in (lambda: server.Response(status=500), lambda: server.Response(text="<html>"), lambda: server.json_response([1]),
                   lambda: server.json_response({"success": "true"}), lambda: server.HTTPFound("http://127.0.0.1:1/")):  # fmt: skip
        siteverify.answer = broken
        status, _, problem = await api_join(web, running, room_name, pre, **{"Gate-Verify": "good"})
        assert (status, problem["type"]) in ((503, "verifier-unavailable"), (403, "verification-required"))
    siteverify.answer = None
    assert (await api_join(web, running, room_name, pre, **{"Gate-Verify": "good"}))[2]["position"] == 1
    async with web.get(running.url + "/", headers=PAGE) as answer:
        assert "frame-src https://challenges.cloudflare.com;" in answer.headers["Content-Security-Policy"]


async def test_a_full_room_costs_a_network_nothing(start_gate, web, room_name):
    """What was not dealt is not counted: the budget is of numbers, by the lane and without it."""
    running = await start_gate(mode="hold", max_issued=1, joins_per_network=3, server=BEHIND)
    statuses = []
    for _ in range(12):
        pre = (await api_join(web, running, room_name))[2]["pre_ticket"]
        cookie = {"Cookie": f"gate_pre_{room_name}={pre}", "X-Forwarded-For": "8.8.8.8"}
        async with web.post(f"{running.url}/_gate/join/{room_name}", headers=cookie) as answer:
            statuses.append(answer.status)
    assert statuses == [200] + [503] * 11


async def test_an_outside_verifier_is_asked_at_claim(start_gate, new_browser, web, siteverify, verified, room_name, origin):
    """A served ticket gives the page and 403 until its holder is vouched for; an idle room lets nobody in past that."""
    idle = await start_gate(name=f"{room_name}i", release_rate="100/s", verifier_at=["claim"], **verified)
    assert b"data-room" in (await new_browser(idle).get("/book", **{"Accept-Encoding": "identity"})).body
    assert not idle.gate.front.desks[f"{room_name}i"].opens_in_outage
    running = await start_gate(mode="hold", release_rate="100/s", verifier_at=["claim"], **verified)
    visitor = new_browser(running)
    await visitor.join(room_name)
    await running.patch(web, room_name, mode="auto")
    await running.until_seen(room_name, lambda line: line.now_serving >= 1)
    assert b'data-state="served"' in (await visitor.get("/book", **{"Accept-Encoding": "identity"})).body
    refused = await visitor.send("POST", f"/_gate/claim/{room_name}", headers=FETCH)
    assert (refused.status, refused.slug) == (403, "verification-required")
    assert origin.seen == []
    assert (await visitor.send("POST", f"/_gate/claim/{room_name}", headers={"Gate-Verify": "good"})).status == 200
    assert (await visitor.get("/book")).status == 200
    assert len(origin.seen) == 1
