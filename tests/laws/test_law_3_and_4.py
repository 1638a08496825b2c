"""Laws 3 and 4: the pointer is monotone, and releases are bounded in every window, with any number of gates."""

import asyncio
from dataclasses import replace

import pytest

from gate.core.place import Place
from gate.core.release import plan
from gate.core.room import Mode, Room
from gate.operations import RoomOperations
from gate.store.connection import Connection
from gate.store.live import Live
from gate.store.room_settings import configured
from gate.store.rooms import RoomStore
from gate.ticker import Ticker
from tests.store.test_verbs import pres


class Hands:
    """A clock that is moved by hand; every gate of a test reads it."""

    def __init__(self, now: float) -> None:
        self.time = now

    def now(self) -> float:
        return self.time


@pytest.fixture
async def gates(store_url):
    """Gates with a connection and a memory each: `await gates(count, room, clock)`."""
    connections = []

    async def make(count, room, clock):
        made = []
        for _ in range(count):
            connections.append(Connection(store_url))
            store = RoomStore(connections[-1], Live(), first_generation=1, fresh=True)
            await store.open(room, configured(room))
            made.append((Ticker(store, (room,), clock.now), store))
        return made

    yield make
    for connection in connections:
        await connection.close()


@pytest.mark.parametrize(
    ("rate", "burst", "windows"),
    [(50.0, 1.0, 1.0), (500.0, 1.0, 1.0), (10 / 60, 0.0, 60.0), (7.0, None, 3.0)],
)
async def test_law_4_bounded_with_three_gates_racing(gates, room_name, rate, burst, windows):
    """Three gates tick in any order on one store: releases stay within rate x w + cap and above 0.98 of it."""
    room = Room(name=room_name, release_rate=rate, burst=burst, mode=Mode.HOLD)
    clock = Hands(1_000_000.0)
    made = await gates(3, room, clock)
    await made[0][1].join(room, pres(6_000))
    await made[0][0].change(room, lambda now: replace(now, mode="auto"), actor="ops")
    log = [(clock.time, made[0][1].live.line(room_name).now_serving)]
    for _ in range(int(max(10 / rate, 8) * 10)):
        clock.time += 0.1
        await asyncio.gather(*(ticker.tick(room) for ticker, _ in made))
        log.append((clock.time, max(store.live.line(room_name).now_serving for _, store in made)))
    cap = max(rate if burst is None else burst, 1.0) + rate * 0.25
    for start, (begun, low) in enumerate(log):
        for ended, high in log[start:]:
            assert high - low <= rate * (ended - begun) + cap + 1e-6
            if ended - begun >= windows:
                assert high - low >= 0.98 * rate * (ended - begun) - cap
    assert [pointer for _, pointer in log] == sorted(pointer for _, pointer in log), "law 3"


async def test_law_4_after_an_idle_hour_at_most_the_cap(gates, room_name):
    """Nobody came for an hour, then a thousand at once: cap of them in the first tick."""
    room = Room(name=room_name, release_rate=50.0, burst=1.0)
    clock = Hands(1_000_000.0)
    ((ticker, store),) = await gates(1, room, clock)
    await ticker.change(room, lambda now: replace(now, message="x"), actor="ops")
    clock.time += 3_600
    await store.join(room, pres(1_000))
    await ticker.tick(room)
    assert store.live.line(room_name).now_serving == 13  # floor(1 + 12.5)
    await ticker.tick(room)
    assert store.live.line(room_name).now_serving == 13


async def test_law_4_through_changes_of_rate_and_mode(gates, room_name):
    """Raising, lowering, holding and resuming neither skips nor repeats nor banks release."""
    room = Room(name=room_name, release_rate=50.0, burst=1.0)
    clock = Hands(2_000_000.0)
    made = await gates(2, room, clock)
    await made[0][1].join(room, pres(9_000))
    await made[0][0].change(room, lambda now: replace(now, release_rate=50.0), actor="ops")
    before = made[0][1].live.line(room_name).now_serving
    allowed = before
    steps = [({}, 50.0), ({"release_rate": 200.0}, 200.0), ({"release_rate": 20.0}, 20.0), ({"mode": "hold"}, 0.0),
             ({"mode": "auto", "release_rate": 100.0}, 100.0)]  # fmt: skip
    for change, rate in steps:
        if change:
            await made[1][0].change(room, lambda now, change=change: replace(now, **change), actor="ops")
        for _ in range(30):
            clock.time += 0.1
            await asyncio.gather(*(ticker.tick(room) for ticker, _ in made))
        allowed += rate * 3.0
        served = max(store.live.line(room_name).now_serving for _, store in made)
        assert served <= allowed + 1.0 + rate * 0.25
        assert served >= 0.98 * (allowed - before) + before - 60


async def test_law_3_monotone_even_when_the_store_comes_back_lower(store, connection, room_name):
    """A gate that showed 30 never shows less, and what the store forgot is not released a second time."""
    room = Room(name=room_name, release_rate=10.0, burst=0.0, mode=Mode.HOLD)
    await store.open(room, configured(room))
    await store.join(room, pres(100))
    clock = Hands(connection.clock.now())
    ticker = Ticker(store, (room,), clock.now)
    await ticker.change(room, lambda now: replace(now, mode="auto"), actor="ops")
    for _ in range(30):
        clock.time += 0.1
        await ticker.tick(room)
    shown = store.live.line(room_name).now_serving
    assert 28 <= shown <= 31
    await connection.command("HSET", f"gate:{{{room_name}}}:line", "sv_n", 5)
    await store.advance(store.live.line(room_name), None)
    line = store.live.line(room_name)
    assert (line.now_serving, line.lifted) == (shown, shown - 5)
    assert plan(line, clock.time).released == 0
    for _ in range(20):
        clock.time += 0.1
        await ticker.tick(room)
        assert store.live.line(room_name).now_serving >= shown
    assert store.live.line(room_name).lifted == 0


async def test_law_4_an_advance_by_hand_does_not_pay_a_silence_twice(gates, room_name):
    """The first write after the store was silent: what was let in on the lease counts, then the hand's places."""
    room = Room(name=room_name, release_rate=10.0, burst=1.0)
    clock = Hands(2_000_000.0)
    made = await gates(1, room, clock)
    ticker, store = made[0]
    await store.join(room, pres(500))
    await ticker.change(room, lambda now: replace(now, release_rate=10.0), actor="ops")
    line = store.live.line(room_name)
    began = line.now_serving
    clock.time += 3.0
    place = Place(line.generation, line.serving.number, began + 30)
    store.live.accept(line.raised_to(place), None)  # on the lease, three seconds were let in
    hands = RoomOperations((room,), store, ticker, lambda: clock.time, lambda *_: {})
    after = await hands.advance(room_name, 1, actor="ops")
    for _ in range(5):
        await ticker.tick(room)
    served = store.live.line(room_name).now_serving - began
    assert served <= 10.0 * 3.0 + 1.0 + room.release_rate * 0.25 + 1
    assert after.now_serving >= began + 31
