"""Gates and workers die, restart and are exchanged under load; a disk is full. Nobody who is inside queues again."""

import asyncio
import os
import re
import signal
import time
from collections import Counter

import pytest
from aiohttp import web

from tests.faults.crowd import JoinCrowd, Steady
from tests.faults.dealers import duplicates
from tests.faults.ground import ROOM, admitted, asks, gates, get, room
from tests.faults.preload import Preload, preload_library
from tests.faults.results import sized, tell
from tests.faults.test_store_of_a_gate import deals
from tests.processes import TOKEN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
TWO = "[server]\nworkers = 2\n"


async def _until_two(gate, victim):
    """Until the victim's successor serves."""
    async with asyncio.timeout(10):
        while victim in (alive := gate.workers()) or len(alive) < 2 or not await _answers_on_all(gate):
            await asyncio.sleep(0.01)


async def _answers_on_all(gate):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gate.admin.rpartition(":")[2]))
    writer.write(f"GET /api/gate HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n".encode())
    said = await reader.read()
    writer.close()
    return b'"serving":2' in said


async def test_workers_are_killed(tmp_path, origin):
    """kill -9 of a worker, again and again: only what was under way on it fails, it is back in two seconds, all stay in."""
    kills, rate = sized(2, 20), sized(400, 1_500)
    async with gates(tmp_path / "gates", origin.url, TWO + room(release_rate=1_000)) as (gate,):
        cookies = await admitted(gate.url, 40)
        moments, back = [], []
        async with Steady(gate.url, asks(gate.url, cookies), rate=rate, connections=40) as inside:
            await asyncio.sleep(1.0)
            for _ in range(kills):
                victim = gate.workers()[0]
                await asyncio.sleep(0.1)  # to look for it has held up the load
                os.kill(victim, signal.SIGKILL)
                moments.append(time.monotonic())
                await _until_two(gate, victim)
                back.append(time.monotonic() - moments[-1])
                await asyncio.sleep(1.5)
    counted = Counter(one.status for one in inside.done)
    lost = [one for one in inside.done if not one.status]
    # Each connection of the dead worker had one request under way at most; and whoever comes after it waits for its
    # successor, before whose door the supervisor holds the socket open.
    cut = sum(count for why, count in inside.errors.items() if not why.endswith("connecting"))
    late = [one for one in lost if not any(0 <= one.due + one.seconds - moment < 0.5 for moment in moments)]
    refused = sum(count for why, count in inside.errors.items() if why.endswith("connecting"))
    tell(
        "5 · worker kills",
        f"{kills} kills -9 at {rate:,} requests/s",
        f"{len(lost)} of {len(inside.done):,} requests failed, on {cut} connections cut; {len(late)} of them otherwise than "
        f"by a kill, {refused} refused; a worker back after {max(back):.2f} s at most; statuses {dict(counted)}",
    )
    assert len(lost) <= cut
    assert not late
    assert refused == 0
    assert max(back) <= 2.0 * sized(2, 1)
    assert set(counted) <= {200, 0}


async def test_rolling_restarts_under_wrk(tmp_path, origin):
    """SIGHUP again and again under a client that never tries twice: no socket error, nothing but 2xx, each POST once."""
    restarts = sized(1, 10)
    paid: Counter[str] = Counter()

    @origin.on("/pay")
    async def _(request):
        paid[await request.text()] += 1
        return web.Response(text="ok")

    async with gates(tmp_path / "gates", origin.url, TWO + room(release_rate=1_000)) as (gate,):
        (cookie,) = await admitted(gate.url, 1)
        seconds = restarts * 4 + 2
        script = os.path.join(os.path.dirname(__file__), "posts.lua")
        wrk = ["wrk", "-t1", "-c8", f"-d{seconds}s", "--timeout", "5s"]
        runs = [
            await asyncio.create_subprocess_exec(*wrk, *more, stdout=asyncio.subprocess.PIPE)
            for more in (
                ["-s", script, gate.url, "--", cookie],
                ["-H", f"Cookie: {cookie}", f"{gate.url}/x"],
            )
        ]
        reading = [asyncio.create_task(run.communicate()) for run in runs]
        await asyncio.sleep(1.0)
        for number in range(restarts):
            gate.tell(signal.SIGHUP)
            await gate.until("reloaded", number + 1)
            await asyncio.sleep(0.5)
        said = [(await task)[0].decode() for task in reading]
    answered = [int(re.search(r"(\d+) requests in", text)[1]) for text in said]
    faults = [line.strip() for text in said for line in text.splitlines() if "Socket errors" in line or "Non-2xx" in line]
    twice = sum(count > 1 for count in paid.values())
    # Eight connections may have a request under way when wrk ends, which was done and is not counted.
    tell(
        "6 · rolling restarts",
        f"{restarts} SIGHUPs under wrk, {sum(answered):,} requests ({answered[0]:,} POSTs)",
        f"{len(faults)} kinds of error {faults or ''}, {twice} POSTs twice, {len(paid):,} different ones arrived",
    )
    assert not faults
    assert twice == 0
    assert answered[0] <= len(paid) <= answered[0] + 8


async def test_a_gate_joins_and_a_gate_leaves(tmp_path, origin, store_url):
    """A second gate on the same store and keys, then the first one goes for good: no place twice, tickets good at both."""
    config = room(mode="hold", name="pair").replace(f'name = "{ROOM}"\n', "", 1)
    async with gates(tmp_path / "one", origin.url, config, store=store_url) as (first,):
        keys = str(tmp_path / "one" / "keys.json")
        async with (
            gates(tmp_path / "two", origin.url, config, store=store_url, GATE_KEYS_FILE=keys) as (second,),
            JoinCrowd([first.url, second.url], "pair", connections=8) as crowd,
        ):
            await asyncio.sleep(1.0)
            first.tell(signal.SIGTERM)
            await asyncio.to_thread(first.process.wait, 20)
            await asyncio.sleep(0.5)
    tickets = crowd.tickets()
    assert {ticket.url for ticket in tickets} == {first.url, second.url}
    assert duplicates(deals(tickets)) == 0
    assert crowd.statuses.keys() <= {200, 202}


async def test_a_full_disk_beneath_the_embedded_store(tmp_path, origin):
    """No room in the state directory: those inside go on, newcomers wait kindly; room again, and joins go on by themselves."""
    preload = Preload(preload_library(tmp_path), tmp_path / "steer")
    async with gates(tmp_path / "gates", origin.url, room(release_rate=1_000), **preload.environ) as (gate,):
        cookies = await admitted(gate.url, 5)
        async with (
            Steady(gate.url, asks(gate.url, cookies), rate=100, connections=8) as inside,
            JoinCrowd([gate.url], ROOM, connections=4, rate=50, patience=3.0) as crowd,
        ):
            await asyncio.sleep(1.0)
            preload.disk_is_full(True)
            await asyncio.sleep(sized(2, 3))
            preload.disk_is_full(False)
            mended = time.monotonic()
            async with asyncio.timeout(20):
                while not crowd.raw or crowd.raw[-1][4] < mended:
                    await asyncio.sleep(0.05)
            waited = crowd.raw[-1][4] - mended
            await asyncio.sleep(0.5)
    tickets = crowd.tickets()
    tell(
        "10 · a full disk",
        f"{sized(2, 3)} s without room for the embedded store",
        f"admitted {sum(one.status == 200 for one in inside.done)} of {len(inside.done)}, joins {dict(crowd.statuses)}, "
        f"back {waited:.2f} s after there was room",
    )
    assert {one.status for one in inside.done} == {200}
    assert crowd.statuses[503] > 0
    assert set(crowd.statuses) <= {200, 202, 503}
    assert duplicates(deals(tickets)) == 0
    assert waited <= 3.0


async def test_gates_whose_clocks_are_wrong(tmp_path, origin, store_url):
    """One half a minute ahead, one half a minute behind: tickets and passes of each are good at the other; it is told."""
    config = room(name="skewed", release_rate=1_000).replace(f'name = "{ROOM}"\n', "", 1)
    library = preload_library(tmp_path)
    ahead, behind = Preload(library, tmp_path / "ahead"), Preload(library, tmp_path / "behind")
    ahead.clock_is_ahead(30)
    behind.clock_is_ahead(-30)
    async with gates(tmp_path / "one", origin.url, config, store=store_url, **ahead.environ) as (first,):
        keys = {"GATE_KEYS_FILE": str(tmp_path / "one" / "keys.json")}
        async with gates(tmp_path / "two", origin.url, config, store=store_url, **keys, **behind.environ) as (second,):
            for here, there in ((first, second), (second, first)):
                _, cookies, _ = await asyncio.to_thread(get, f"{here.url}/x")
                admission = cookies["gate_pass_skewed"]
                for gate in (here, there):
                    status, _, body = await asyncio.to_thread(get, f"{gate.url}/x", cookie=f"gate_pass_skewed={admission}")
                    assert (status, b'"target"' in body) == (200, True)
                async with JoinCrowd([here.url], "skewed", connections=1) as crowd:
                    while not crowd.raw:
                        await asyncio.sleep(0.01)
                ticket = f"gate_ticket_skewed={crowd.raw[0][-1].decode()}"
                status, _, body = await asyncio.to_thread(get, f"{there.url}/_gate/status/skewed", cookie=ticket)
                assert (status, b'"waiting"' in body or b'"served"' in body) == (200, True)
            for gate, seconds in ((first, 30), (second, -30)):
                told = await gate.until("clock skewed")
                assert abs(told["seconds"] - seconds) < 2
