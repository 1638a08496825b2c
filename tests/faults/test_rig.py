"""The rig does what tests of faults rely on: what it is told to lose is lost, and what it breaks is whole again."""

import asyncio
import time

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gate.store.keys import line_key
from tests.faults.badness import FAULTS, with_fault
from tests.faults.cluster import Cluster
from tests.faults.guarded import AclStore, TlsStore
from tests.faults.preload import Preload, preload_library
from tests.faults.sentinel import SentinelGroup
from tests.faults.stores import Store, lagging
from tests.faults.wire import AnswerError, Wire

PROGRAMS = ["valkey", "redis"]
# What a client with a limit of half a second is told.
TOLD = {
    "refused": "ConnectionError",
    "frozen": "TimeoutError",
    "late": "TimeoutError",
    "loading": "BusyLoadingError",
    "readonly": "ReadOnlyError",
    "oom": "OutOfMemoryError",
    "misconf": "MISCONF",
    "noreplicas": "NOREPLICAS",
    "noscript": "NoScriptError",
    "busy": "BUSY",
    "wrong-password": "AuthenticationError",
    "wrong-type": "WRONGTYPE",
}
SCRIPT = "return redis.call('HINCRBY', KEYS[1], 'calls', 0)"


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """The preloaded library, compiled once."""
    return preload_library(tmp_path_factory.mktemp("preload"))


def client(url, **options):
    """A plain client that waits no longer than the gate does, and tries nothing twice."""
    limits = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5, "retry": Retry(NoBackoff(), 0), "protocol": 2}
    return Redis.from_url(url, **limits, **options)


async def say(plain, key, sha):
    """What a client hears when it writes, and when it runs a script."""
    try:
        await plain.hset(key, "field", "value")
        await plain.evalsha(sha, 1, key)
    except (RedisError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return "fine"


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_rollback_loses_keys(tmp_path, program):
    """What was acknowledged after the copy is gone, what came before it is there."""
    async with Store(tmp_path / "store", program) as store:
        await store.command("SET", "before", 1)
        await store.copy_data(tmp_path / "copy")
        await store.command("SET", "after", 1)
        await store.kill()
        store.restore_data(tmp_path / "copy")
        await store.start()
        await store.wait_ready()
        assert await store.command("KEYS", "*") == [b"before"]
        await store.kill()
        store.wipe()
        await store.start()
        await store.wait_ready()
        assert await store.command("DBSIZE") == 0


async def test_a_copy_is_whole_while_the_store_is_written(tmp_path):
    """Every copy taken under load loads, and holds all that was answered before it was asked for."""
    async with Store(tmp_path / "store", appendfsync="everysec") as store:
        wire, answered = await store.connect(), 0

        async def write():
            nonlocal answered
            while True:
                answered = await wire.ask("INCR", "n")

        writing = asyncio.create_task(write())
        for number in range(3):
            await asyncio.sleep(0.1)
            before = answered
            await store.copy_data(tmp_path / "copy")
            other = Store(tmp_path / f"other-{number}")
            other.restore_data(tmp_path / "copy")
            async with other:
                assert int(await other.command("GET", "n")) >= before > 0
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        wire.close()


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_frozen_relay_makes_a_replica_forget(tmp_path, program):
    """A relay delays what goes through it; frozen, it keeps the replica behind, and promotion forgets the rest."""
    async with Store(tmp_path / "primary", program) as primary, lagging(primary, tmp_path) as (replica, relay):
        await relay.delay(0, 400)
        began = time.monotonic()
        await primary.command("SET", "late", 1)
        assert await replica.command("GET", "late") is None
        while await replica.command("GET", "late") is None:
            await asyncio.sleep(0.01)
        assert 0.35 < time.monotonic() - began < 1.5
        await relay.freeze()
        await primary.command("SET", "lost", 1)
        await primary.kill()
        await relay.cut()
        await replica.promote()
        assert await replica.command("KEYS", "*") == [b"late"]
        await replica.command("SET", "new", 1)


async def test_a_relay_delays_each_way_and_is_cut(tmp_path):
    """The way there and back are told apart, order is kept when the delay ends, and a cut relay refuses."""
    async with Store(tmp_path / "store") as store:
        front = await store.with_front()
        async with await Wire.open(front.port) as wire:
            for to, back in ((200, 0), (0, 200), (150, 150)):
                await front.delay(to, back)
                began = time.monotonic()
                assert await wire.ask("PING") == "PONG"
                assert to + back - 5 < (time.monotonic() - began) * 1_000 < to + back + 200
            wire.send("ECHO", "first")
            await asyncio.sleep(0.05)
            await front.delay(0, 0)
            assert [await wire.ask("ECHO", "second"), await wire.read()] == [b"first", b"second"]
            await front.cut()
            with pytest.raises(ConnectionError):
                await wire.ask("PING")
        with pytest.raises(ConnectionError):
            await Wire.open(front.port)
        await front.mend()
        async with await Wire.open(front.port) as wire:
            assert await wire.ask("PING") == "PONG"


@pytest.mark.parametrize("program", PROGRAMS)
async def test_the_clock_and_the_disk_do_as_their_files_say(tmp_path, program, library):
    """TIME moves both ways while the server runs, alone and within scripts; fsync is slow; the disk is full."""
    beneath = Preload(library, tmp_path / "beneath")
    async with Store(tmp_path / "store", program, preload=beneath) as store:
        for ahead in (-600, 3_600, 0):
            beneath.clock_is_ahead(ahead)
            await asyncio.sleep(0.03)
            for words in (("TIME",), ("EVAL", "return redis.call('TIME')", 0)):
                seconds, micro = await store.command(*words)
                assert abs(int(seconds) + int(micro) / 1e6 - time.time() - ahead) < 0.5
        began = time.monotonic()
        beneath.fsync_takes(300)
        await store.command("SET", "slow", 1)
        assert 0.3 <= time.monotonic() - began < 1
        # The next server finds the slow disk from its start.
        beneath.fsync_takes(0)
        beneath.disk_is_full(True)
        await asyncio.sleep(0.03)
        with pytest.raises(ConnectionError):
            await store.command("SET", "full", 1)  # "always" ends itself rather than promise what it cannot keep
        await store.stop()
        beneath.disk_is_full(False)
        store.appendfsync = "everysec"
        await store.start()
        await store.wait_ready()
        assert await store.command("GET", "slow") == b"1"
        assert await store.command("GET", "full") is None


async def test_a_slow_disk_holds_back_what_everysec_has_acknowledged(tmp_path, library):
    """A write answered while an fsync runs is in no file yet, and dies with the process."""
    beneath = Preload(library, tmp_path / "beneath")
    async with Store(tmp_path / "store", appendfsync="everysec", preload=beneath) as store:
        beneath.fsync_takes(1_500)
        lost = 0
        for _ in range(3):
            wire, number, until = await store.connect(), 0, time.monotonic() + 1.2
            while time.monotonic() < until:
                number = await wire.ask("INCR", "n")
            wire.close()
            await store.kill()
            beneath.fsync_takes(0)
            await store.start()
            await store.wait_ready()
            lost += number - int(await store.command("GET", "n") or 0)
            beneath.fsync_takes(1_500)
            if lost:
                break
        beneath.fsync_takes(0)
        assert lost > 0


@pytest.mark.parametrize("program", PROGRAMS)
async def test_each_fault_is_what_it_says_and_then_gone(tmp_path, program):
    """A plain client hears it, hears nothing of it afterwards, and finds all data as it was."""
    assert set(FAULTS) == set(TOLD)
    key = line_key("room")
    async with Store(tmp_path / "store", program) as store:
        await store.with_front()
        plain = client(store.url)
        await plain.hset(key, mapping={"field": "value", "calls": 1})
        for kind, told in TOLD.items():
            sha = await plain.script_load(SCRIPT)
            options = {"room": "room"} if kind == "wrong-type" else {}
            async with with_fault(store, kind, **options):
                await asyncio.sleep(0.1)  # for the scripts to be forgotten
                assert told in await say(plain, key, sha), kind
            await plain.aclose()
            sha = await plain.script_load(SCRIPT)
            assert await say(plain, key, sha) == "fine", kind
            assert await plain.keys() == [key.encode()], kind
            assert await plain.hgetall(key) == {b"field": b"value", b"calls": b"1"}, kind
        await plain.aclose()


async def test_a_client_with_the_old_password_is_told_so(tmp_path):
    """WRONGPASS for whoever knew one, while NOAUTH is for whoever knew none."""
    async with Store(tmp_path / "store", password="first") as store:
        async with with_fault(store, "wrong-password"):
            with pytest.raises(AnswerError, match="WRONGPASS"):
                await Wire.open(store.port, auth=("first",))
        plain = client(store.url)
        assert await plain.ping()
        await plain.aclose()


async def test_sentinels_promote_a_replica_that_lags_again_and_again(tmp_path):
    """Each failover forgets what was acknowledged within the lag, and keeps what is older."""
    async with SentinelGroup(tmp_path, "valkey") as group:
        for number in range(2):
            await group.primary.command("SET", f"lost-{number}", 1)
            began = time.monotonic()
            promoted = await group.failover()
            assert began < promoted < began + 15
            assert await group.primary.command("KEYS", "lost-*") == []
            assert await group.primary.command("EXISTS", "kept") == number
            await group.primary.command("SET", "kept", 1)
            if number == 0:
                await group.rejoin()
                assert await group.replica.command("EXISTS", "kept") == 1


async def test_a_cluster_spreads_rooms(tmp_path):
    """Every room's line is on exactly the node that is named for it."""
    async with Cluster(tmp_path) as cluster:
        owners = set()
        for number in range(12):
            owner = await cluster.node_of(line_key(f"r{number}"))
            await owner.command("HSET", line_key(f"r{number}"), "generation", 1)
            owners.add(owner.port)
        assert len(owners) == 3
        stranger = next(node for node in cluster.nodes if node.port != owner.port)
        with pytest.raises(AnswerError, match="MOVED"):
            await stranger.command("HGET", line_key("r11"), "generation")


async def test_tls_and_users(tmp_path):
    """One server speaks TLS alone; another knows its user, and what that user may not do."""
    async with TlsStore(tmp_path / "tls") as store:
        plain = client(store.url, ssl_ca_certs=str(store.ca))
        assert await plain.ping()
        await plain.aclose()
        async with await Wire.open(store.port) as wire:
            with pytest.raises((OSError, ValueError)):
                await wire.ask("PING", seconds=1)
    for program in PROGRAMS:
        async with AclStore(tmp_path / f"acl-{program}", program) as store:
            plain = client(store.url)
            assert await plain.set("gate:x", 1)
            for forbidden in (("SET", "other", 1), ("FLUSHALL",)):
                with pytest.raises(RedisError, match="permission"):
                    await plain.execute_command(*forbidden)
            await plain.aclose()
            async with await Wire.open(store.port) as wire:
                with pytest.raises(AnswerError, match="NOAUTH"):
                    await wire.ask("PING")
