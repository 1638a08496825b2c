"""Every store that sites run: all verbs on a single server, by Sentinel, on a Cluster, over TLS, as a limited user."""

import asyncio
import contextlib
import itertools
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gate.core.room import Room
from gate.core.tokens import PreTicket
from gate.doctor.finding import Verdict
from gate.doctor.inside import check_store
from gate.store.active import ActivePasses
from gate.store.backends import StoreTls, read_address
from gate.store.connection import Connection, StoreUnavailableError
from gate.store.live import Live
from gate.store.owed import Owed
from gate.store.rooms import RoomStore
from gate.ticker import Ticker
from tests.faults.cluster import Cluster
from tests.faults.guarded import AclStore, TlsStore
from tests.faults.sentinel import SentinelGroup
from tests.faults.stores import Store

_serials = itertools.count(1)


@contextlib.asynccontextmanager
async def gate(url, *rooms, tls=None):
    """One gate's store side, its rooms open."""
    connection = Connection(url, tls=tls)
    store = RoomStore(connection, Live(), first_generation=1_000, fresh=True)
    ticker = Ticker(store, rooms, connection.clock.now)
    try:
        for room in rooms:
            await ticker.tick(room)
        yield store, ticker, connection
    finally:
        await connection.close()


async def whole_life(store, ticker, connection, room):
    """Every verb once, as a room's life goes."""
    now = int(time.time())
    dealt = await store.join(room, [PreTicket("g", now, next(_serials)) for _ in range(20)])
    assert [one.position for one in dealt] == list(range(1, 21))
    await ticker.change(room, lambda was: replace(was, release_rate=1_000.0), actor="ops")
    async with asyncio.timeout(10):
        while store.live.line(room.name).now_serving < 20:
            await ticker.tick(room)
    place = dealt[0].place
    assert await store.claim(room.name, place) == 1
    owed = Owed(store)
    assert await owed.finish(room.name, place, deny_until=time.time() + 60)
    assert await store.has_ended(room.name, place)
    assert await store.claim(room.name, place) == -2
    await ticker.tick(room)
    assert store.live.is_denied(room.name, place)
    active = ActivePasses(connection, (room,))
    active.note(room.name, dealt[1].place, time.time(), time.time() + 60)
    await active.flush()
    assert await active.count(room.name, place.generation, time.time()) == 1
    record = await store.record(room.name)
    assert len(record.entries) == 2
    await store.mark(room.name)


async def until_back(store, ticker, room, *, seconds):
    """Tick until the store answers for this room again."""
    async with asyncio.timeout(seconds):
        while store.live.fails(room.name):
            with contextlib.suppress(StoreUnavailableError):
                await ticker.tick(room)
            await asyncio.sleep(0.05)


def rules_of_the_docs() -> str:
    """The access rules that `docs/store.md` tells people to use."""
    text = (Path(__file__).parents[2] / "docs" / "store.md").read_text()
    return " ".join(re.search(r"ACL SETUSER gate on >PASSWORD ([^`]*?)\n```", text)[1].replace("\\\n", " ").split())


@pytest.mark.parametrize("program", ["valkey", "redis"])
async def test_a_single_server(program, tmp_path):
    """Valkey and Redis."""
    async with Store(tmp_path, program) as server, gate(server.url, room := Room(name="sale")) as parts:
        await whole_life(*parts, room)


async def test_a_primary_found_by_sentinel(tmp_path):
    """Named by its service; after a failover the same connection goes on at the new primary."""
    async with SentinelGroup(tmp_path, lag=0.0) as group, gate(group.url, room := Room(name="sale")) as parts:
        await whole_life(*parts, room)
        await group.failover()
        async with asyncio.timeout(5):
            while True:
                with contextlib.suppress(StoreUnavailableError):
                    await parts[1].tick(room)
                    (dealt,) = await parts[0].join(room, [PreTicket("g", int(time.time()), next(_serials))])
                    break
                await asyncio.sleep(0.05)
        assert (dealt.position, parts[0].live.line(room.name).issued) == (1, 21), "a new era, nobody lost"


async def test_rooms_on_different_nodes_of_a_cluster(tmp_path):
    """Each room is on the node of its hash tag; where one node dies, rooms on others do not notice."""
    rooms = [Room(name=f"hall-{number}") for number in range(8)]
    async with Cluster(tmp_path) as cluster, gate(cluster.url, *rooms) as parts:
        store, ticker, _ = parts
        homes = {room: await cluster.node_of(f"gate:{{{room.name}}}:line") for room in rooms}
        here = rooms[0]
        there = next(room for room in rooms if homes[room] is not homes[here])
        await whole_life(*parts, here)
        await whole_life(*parts, there)
        await homes[here].kill()
        with pytest.raises(StoreUnavailableError):
            await ticker.tick(here)
        assert store.live.fails(here.name)
        for _ in range(5):
            await ticker.tick(there)
            (dealt,) = await store.join(there, [PreTicket("g", int(time.time()), next(_serials))])
            assert dealt.position > 0
        await homes[here].start()
        await homes[here].wait_ready()
        await cluster.until_ok()
        await until_back(store, ticker, here, seconds=5)
        (dealt,) = await store.join(here, [PreTicket("g", int(time.time()), next(_serials))])
        assert (dealt.position, store.live.line(here.name).issued) == (1, 21)
        findings = await check_store(cluster.url)
        assert sum("Valkey" in finding.found for finding in findings) == 3, "every node is looked at"
        assert {finding.verdict for finding in findings} == {Verdict.FINE}


async def test_tls_with_an_authority_of_ones_own(tmp_path):
    """`ca` is trusted; without it the certificate is refused."""
    async with TlsStore(tmp_path) as server:
        room = Room(name="sale")
        async with gate(server.url, room, tls=StoreTls(ca=str(server.ca))) as parts:
            await whole_life(*parts, room)
        stranger = Connection(server.url)
        with pytest.raises(StoreUnavailableError):
            await stranger.command("PING")
        await stranger.close()


async def test_a_user_who_may_do_no_more_than_the_docs_say(tmp_path):
    """The rules in `docs/store.md` are enough for every verb, and for nothing that could harm."""
    room = Room(name="sale")
    async with AclStore(tmp_path, rules=rules_of_the_docs()) as server, gate(server.url, room) as parts:
        await whole_life(*parts, room)
        for words in (("FLUSHALL",), ("CONFIG", "GET", "*"), ("KEYS", "*"), ("SET", "other", "1"), ("DEBUG", "SLEEP", "0")):
            with pytest.raises(StoreUnavailableError):
                await parts[2].command(*words)


async def test_a_cluster_that_is_wholly_away(tmp_path):
    """No node left: an outage like any other, told once, the pointer on its lease; and back by itself."""
    async with Cluster(tmp_path) as cluster, gate(cluster.url, room := Room(name="sale", release_rate=100.0)) as parts:
        store, ticker, _ = parts
        for node in cluster.nodes:
            await node.kill()
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                await ticker.tick(room)
            with pytest.raises(StoreUnavailableError):
                await store.has_ended(room.name, store.live.line(room.name).pointer)
        assert store.live.fails(room.name)
        for node in cluster.nodes:
            await node.start()
            await node.wait_ready()
        await cluster.until_ok()
        await until_back(store, ticker, room, seconds=10)


def test_addresses_are_read():
    """Nodes, names, passwords with odd characters, services, databases; nothing of a wrong one is repeated."""
    read = read_address("rediss+sentinel://gate:p%40ss@a:1,[::1]:2,c/shop/3?sentinel_password=s")
    assert read.nodes == (("a", 1), ("::1", 2), ("c", 26_379))
    assert (read.username, read.password, read.service, read.database, read.tls) == ("gate", "p@ss", "shop", 3, True)
    assert read.sentinel_auth == {"password": "s"}
    assert read_address("redis+cluster://a,b:7").nodes == (("a", 6_379), ("b", 7))
    for wrong in ("redis+sentinel://a:1", "redis+sentinel:///shop", "redis+cluster://", "redis+sentinel://a/b/c"):
        with pytest.raises(ValueError, match="HOST") as caught:
            read_address(wrong)
        assert len(str(caught.value)) < 90, "no part of it"


async def test_a_storm_of_cancelled_calls_mixes_up_no_answers(tmp_path):
    """Twelve thousand calls over a laggy link, half of them cancelled at any moment: every answer is its caller's own."""
    import random

    async with Store(tmp_path) as server:
        relay = await server.with_front()
        await relay.delay(3, 3)
        connection = Connection(server.url, pool_size=32)
        heard = wrong = 0

        async def ask(number):
            nonlocal heard, wrong
            with contextlib.suppress(StoreUnavailableError):
                said = await connection.command("ECHO", str(number))
                heard += 1
                wrong += said != str(number)

        for first in range(0, 12_000, 200):
            tasks = [asyncio.ensure_future(ask(number)) for number in range(first, first + 200)]
            for task in tasks[::2]:
                asyncio.get_running_loop().call_later(random.uniform(0, 0.03), task.cancel)
            await asyncio.gather(*tasks, return_exceptions=True)
        await connection.close()
    assert wrong == 0
    assert heard > 4_000
