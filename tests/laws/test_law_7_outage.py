"""Law 7: with the store gone, those inside go on, those who wait are answered, and nobody loses a place."""

import asyncio
import contextlib
import signal
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from gate.app import Gate
from gate.core.line import Era
from gate.core.place import Place
from gate.core.release import on_lease, plan
from gate.core.room import Mode, Room
from gate.parts import Known
from gate.settings import load
from gate.store.connection import StoreClock
from gate.store.embedded import start_embedded
from gate.web.desk import Desk
from tests.core.lines import line as make_line
from tests.harness import FETCH, PAGE, Browser, Running

API = {"Gate-Client": "api"}


@pytest.fixture
async def start_own(tmp_path, origin, room_name):
    """A gate on a store of its own that a test may kill: `await start_own("key = value", ...)`."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(*settings):
            server = start_embedded(tmp_path / "own")
            stack.callback(server.stop)
            path = tmp_path / "own.toml"
            path.write_text(
                f'[server]\nlisten = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\ndrain_seconds = 0\n'
                f'[origin]\nurl = "{origin.url}"\n[store]\nstate_dir = "{tmp_path}/own"\n'
                f'[[room]]\nname = "{room_name}"\n' + "\n".join(settings) + "\n"
            )
            config = load(path, environ={"GATE_ADMIN_TOKEN": "secret-of-staff"})
            running = await stack.enter_async_context(Running.start(config, server.url))
            return running, server

        yield start


@contextlib.asynccontextmanager
async def people(running, count):
    """Visitors with a cookie jar each."""
    async with contextlib.AsyncExitStack() as stack:
        browsers = [Browser(running) for _ in range(count)]
        for browser in browsers:
            await stack.enter_async_context(browser.session)
        yield browsers


def kill(server):
    """As the machine's owner or its memory would."""
    server.process.kill()
    server.process.wait()


async def until_away(running, room):
    """Until this gate has noticed."""
    async with asyncio.timeout(5):
        while not running.gate.parts.live.fails(room):
            await asyncio.sleep(0.01)


async def until_back(running, server, room):
    """The store comes back, and this gate with it, within a second."""
    assert server.revive()
    begun = time.monotonic()
    async with asyncio.timeout(5):
        while running.gate.parts.live.fails(room):
            await asyncio.sleep(0.01)
    assert time.monotonic() - begun < 2.0  # the server's own start included


async def test_law_7_what_visitors_see_while_the_store_is_away(start_own, room_name, web, origin):
    """Admitted visitors go on, polls answer, newcomers see a kind page; a turn on the lease is taken and written later."""
    running, server = await start_own('release_rate = "50/s"')
    async with people(running, 3) as (admitted, waiting, late):
        await admitted.get("/")
        await running.patch(web, room_name, mode="hold")
        await running.until_seen(room_name, lambda line: line.mode == "hold")
        await waiting.join(room_name)
        await running.patch(web, room_name, mode="auto")
        await running.until_seen(room_name, lambda line: line.now_serving == 2)
        kill(server)
        await until_away(running, room_name)
        assert (await admitted.send("GET", "/x", headers=FETCH)).status == 200
        assert (await waiting.send("GET", f"/_gate/now/{room_name}")).status == 200
        assert (await waiting.get("/book")).json()["target"] == "/book", "served on the lease"
        page = await late.get("/", **{"Accept-Encoding": "identity"})
        assert page.status == 503
        assert b'data-state="away"' in page.body
        async with web.post(f"{running.url}/_gate/join/{room_name}", headers=API) as answer:
            pre = (await answer.json())["pre_ticket"]
        headers = {**API, "Gate-Ticket": pre}
        async with web.post(f"{running.url}/_gate/join/{room_name}", headers=headers) as answer:
            assert (answer.status, (await answer.json(content_type=None))["type"]) == (503, "store-unavailable")
            assert "Retry-After" in answer.headers
        async with web.get(f"{running.url}/_gate/readyz") as answer:
            assert (answer.status, await answer.text()) == (200, "degraded: the store is away\n") or answer.status == 200
        await until_back(running, server, room_name)
        await running.until_seen(room_name, lambda line: line.claimed == 1)
        assert (await waiting.get("/book")).json()["target"] == "/book"
        assert (await late.get("/")).status == 200


async def test_law_7_readiness_says_degraded_and_stays_in_the_balancer(start_own, room_name, web):
    """200 and a word once the store is silent, on both listeners, also past the lease; the dashboard's document too."""
    running, server = await start_own("lease = 1")
    kill(server)
    async with asyncio.timeout(5):
        while not running.gate.parts.live.store_away(room_name):
            await asyncio.sleep(0.02)
    for url in (f"{running.url}/_gate/readyz", f"{running.admin_url}/readyz"):
        async with web.get(url) as answer:
            assert (answer.status, await answer.text()) == (200, "degraded: the store is away\n")
    headers = {"Authorization": "Bearer secret-of-staff"}
    async with web.get(f"{running.admin_url}/api/gate", headers=headers) as answer:
        assert (await answer.json())["store"]["up"] is False


async def test_law_7_past_the_lease_turns_wait_and_nothing_moves(start_own, room_name, web):
    """The pointer runs to the end of its lease and no further; a turn then waits, kindly, and is kept."""
    running, server = await start_own('release_rate = "20/s"', "burst = 1", "lease = 1", 'mode = "hold"')
    async with people(running, 1) as (visitor,):
        places = []
        for _ in range(60):
            async with web.post(f"{running.url}/_gate/join/{room_name}", headers=API) as answer:
                pre = (await answer.json())["pre_ticket"]
            async with web.post(
                f"{running.url}/_gate/join/{room_name}", headers={**API, "Gate-Ticket": pre}
            ) as answer:
                places.append((await answer.json())["position"])
        await visitor.join(room_name)
        await running.patch(web, room_name, mode="auto")
        await running.until_seen(room_name, lambda line: line.now_serving >= 2)
        kill(server)
        last = running.line(room_name)
        await asyncio.sleep(1.6)
        stands = running.line(room_name).now_serving
        assert last.now_serving + 15 <= stands <= last.now_serving + 20 * 1.2 + 6 + 1
        await asyncio.sleep(0.4)
        assert running.line(room_name).now_serving == stands, "no further"
        async with web.get(f"{running.url}/_gate/now/{room_name}") as answer:
            assert (await answer.json())["now_serving"] == stands
        answer = await visitor.send("POST", f"/_gate/claim/{room_name}")
        assert answer.status == 503
        assert "Retry-After" in answer.headers
        await until_back(running, server, room_name)
        assert running.line(room_name).now_serving >= stands, "law 3"
        await running.until_seen(room_name, lambda line: line.now_serving == 61)
        assert (await visitor.get("/book")).json()["target"] == "/book"
        assert running.line(room_name).claimed >= 1


async def test_law_7_an_open_outage_lets_newcomers_in_for_a_while(start_own, room_name, web, origin):
    """`store_outage = "open"`: a newcomer passes without a number and stays admitted; those in line keep their places."""
    running, server = await start_own('release_rate = "1/min"', "burst = 0", 'store_outage = "open"', "outage_open_for = 4")
    async with people(running, 3) as (waiting, newcomer, late):
        await running.patch(web, room_name, mode="hold")
        await running.until_seen(room_name, lambda line: line.mode == "hold")
        await waiting.join(room_name)
        await running.patch(web, room_name, mode="auto")
        await running.until_seen(room_name, lambda line: line.mode == "auto")
        kill(server)
        await until_away(running, room_name)
        await asyncio.sleep(1.6)
        assert (await newcomer.get("/book")).json()["target"] == "/book"
        assert f"gate_pass_{room_name}" in newcomer.cookies()
        assert b"data-room" in (await waiting.get("/", **{"Accept-Encoding": "identity"})).body
        await asyncio.sleep(3.2)
        assert (await late.get("/")).status == 503, "bounded in time"
        assert (await newcomer.get("/book")).json()["target"] == "/book"
        await until_back(running, server, room_name)
        assert (await newcomer.get("/book")).json()["target"] == "/book", "nobody is sent away afterwards"
        assert running.line(room_name).issued == 1, "no number was spent"
    counted = running.gate.parts.meter.read().counters["decisions", room_name, "outage"]
    assert counted == 1


async def test_law_7_a_visit_ended_in_an_outage_stays_ended(start_own, room_name, origin):
    """The origin says `complete` while the store is away: its place is dead at once here, and everywhere on its return."""
    running, server = await start_own('release_rate = "50/s"', "pass_life = 5")
    from aiohttp import web as server_side

    @origin.on("/paid")
    async def _(_request):
        return server_side.Response(text="thanks", headers={"Gate-Command": "revoke"})

    async with people(running, 1) as (buyer,):
        await buyer.get("/")
        place = Place(running.line(room_name).generation, running.line(room_name).newest.number, 1)
        kill(server)
        await until_away(running, room_name)
        assert (await buyer.get("/paid")).body == b"thanks"
        assert (await buyer.send("GET", "/x", headers=FETCH)).status == 503
        assert len(running.gate.parts.owed) == 1
        await until_back(running, server, room_name)
        async with asyncio.timeout(5):
            while len(running.gate.parts.owed):
                await asyncio.sleep(0.02)
        assert (await buyer.send("GET", "/x", headers=FETCH)).status == 429
        assert await running.gate.parts.store.has_ended(room_name, place)


def test_law_4_the_lease_gives_what_the_rate_gives():
    """On the lease the pointer goes where a tick would have put it, never past the lease, the era or who was dealt."""
    line = make_line(100, release_rate=10.0, burst=0.0, at=1_000.0, time=1_000.0)
    assert on_lease(line, 1_003.0, lease=10.0).now_serving == 3, "a leap of three seconds banks the cap"
    for tick in range(300):
        line = on_lease(line, 1_000.0 + tick / 10, lease=10.0)
    assert line.now_serving == 100
    slow = make_line(1_000, release_rate=10.0, burst=0.0, at=1_000.0, time=1_000.0)
    for tick in range(300):
        slow = on_lease(slow, 1_000.0 + tick / 10, lease=10.0)
    assert slow.now_serving == 100, "ten seconds' worth"
    assert slow.lifted == 100
    assert plan(slow, 1_010.05, lease=10.0).released == 0, "and paid for when the store is back"
    held = make_line(10, mode=Mode.HOLD, at=1_000.0, time=1_000.0)
    assert on_lease(held, 1_009.0, lease=10.0) == held


def test_law_7_a_leap_of_the_stores_clock_ends_no_token(monkeypatch):
    """Tokens are judged in a time that follows a leap by a tenth of real time; the line's own time follows at once."""
    own = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: own[0])
    for leap in (-600.0, 3_600.0):
        clock = StoreClock()
        clock.set(50_000.0)
        own[0] += 0.1
        clock.set(50_000.1 + leap)
        assert clock.now() == pytest.approx(50_000.1 + leap)
        assert clock.steady() == pytest.approx(50_000.1, abs=0.02)
        assert clock.lead == pytest.approx(leap, abs=0.02)
        for _ in range(100):
            own[0] += 0.1
            clock.set(clock.now())
        assert clock.steady() == pytest.approx(50_010.1 + (1 if leap > 0 else -1), abs=0.05)
        own[0] += 100_000
        clock.set(clock.now())
        assert clock.steady() == clock.now()


async def test_law_7_one_late_answer_opens_nothing(start_own, room_name, web):
    """A pause of the store shorter than an outage lets nobody past a line, whatever `store_outage` says."""
    running, server = await start_own('release_rate = "1/min"', "burst = 0", 'store_outage = "open"')
    async with people(running, 1) as (waiting,):
        await running.patch(web, room_name, mode="hold")
        await running.until_seen(room_name, lambda line: line.mode == "hold")
        await waiting.join(room_name)
        await running.patch(web, room_name, mode="auto")
        await running.until_seen(room_name, lambda line: line.mode == "auto")
        server.process.send_signal(signal.SIGSTOP)
        begun, seen = time.monotonic(), 0
        while time.monotonic() - begun < 1.2:
            async with web.get(running.url + "/", headers=PAGE) as answer:
                seen += answer.headers.get("Set-Cookie", "").startswith(f"gate_pass_{room_name}")
        server.process.send_signal(signal.SIGCONT)
        assert seen == 0
    assert running.gate.parts.meter.read().counters["decisions", room_name, "outage"] == 0


async def test_law_7_a_process_that_starts_in_an_outage(start_own, room_name, web, tmp_path):
    """With what its predecessor knew it polls and forwards those inside; without, it still forwards those inside."""
    running, server = await start_own('release_rate = "50/s"')
    async with people(running, 1) as (admitted,):
        await admitted.get("/")
        cookie = f"gate_pass_{room_name}={admitted.cookies()[f'gate_pass_{room_name}']}"
        kill(server)
        await until_away(running, room_name)
        known = running.gate.parts.known()
        for handed, poll in ((known, 200), (Known((), 0.0), 503)):
            successor = Gate(running.gate.config, server.url)
            successor.parts.begin(handed)
            async with successor.running() as gate:
                url = f"http://127.0.0.1:{gate.listen[1]}"
                async with web.get(f"{url}/x", headers={**FETCH, "Cookie": cookie}) as answer:
                    assert answer.status == 200
                async with web.get(f"{url}/x", headers={**FETCH, "Cookie": cookie + "x"}) as answer:
                    assert answer.status == 503
                async with web.get(f"{url}/_gate/now/{room_name}") as answer:
                    assert answer.status == poll


async def test_law_7_what_was_revoked_stays_revoked(start_own, room_name, web):
    """Hundreds revoked while the store is away, and the store emptied afterwards: none of them is good again."""
    running, server = await start_own('release_rate = "50/s"')
    live, store = running.gate.parts.live, running.gate.parts.store
    desk = running.gate.front.desks[room_name]
    generation = running.line(room_name).generation
    places = [Place(generation, running.line(room_name).newest.number, position) for position in range(1, 301)]
    kill(server)
    await until_away(running, room_name)
    for place in places:
        await desk.finish(place, revoke_until=desk.now() + 600)
    await until_back(running, server, room_name)
    async with asyncio.timeout(10):
        while len(running.gate.parts.owed):
            assert all(live.is_denied(room_name, place) for place in places)
            await asyncio.sleep(0.02)
    await running.until_seen(room_name, lambda _: not live.deny_list_is_stale(room_name))
    assert all(live.is_denied(room_name, place) for place in places)
    assert await store.denied(room_name) == frozenset(places)
    async with web.post(f"{running.url}/_gate/join/{room_name}", headers=API) as answer:
        assert answer.status == 202
    await running.gate.parts.connection.command("FLUSHALL")
    async with asyncio.timeout(10):
        while await store.denied(room_name) != frozenset(places):
            assert all(live.is_denied(room_name, place) for place in places)
            await asyncio.sleep(0.05)


def test_law_9_a_turn_does_not_lapse_because_the_clock_stepped_back(monkeypatch):
    """History stands still until the store's clock is where it was; what is measured from it goes by that clock."""
    own = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: own[0])
    clock = StoreClock()
    clock.set(50_000.0)
    own[0] += 1
    clock.set(50_001.0 - 1_200)
    desk = Desk(Room(claim_within=600), lambda: None, SimpleNamespace(live=None), clock, "g", None, None)
    own[0] += 900
    clock.set(clock.now())
    served_at = 50_010.0  # the end of the slot that was open when the clock stepped back
    assert desk.now() > served_at + 600, "by the steady time it would have lapsed"
    assert desk._lenient_now() < served_at + 600
    line = make_line(10, now_serving=5, slot=5_000)
    assert desk.passes.base_cap(line, Place(1, 10, 3)) > served_at + 600 + 3_600 + 200, "nor are visits shortened"


def test_a_hold_of_a_clock_that_went_back_is_over():
    """An era that would open in an hour, where holds last five seconds, holds up nobody."""
    eras = (Era(10, 3), Era(20, 5, hold_until=5_000.0))
    line = make_line(eras=eras, now_serving=3, at=1_400.0, time=1_400.0, hold_span=4.8)
    assert plan(line, 1_401.0).era == 20
    assert plan(replace(line, eras=(Era(10, 3), Era(20, 5, hold_until=1_404.0))), 1_401.0).era == 10
