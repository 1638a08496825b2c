"""Seeded random operations on the real store, by several gates at once, judged by the reference model."""

import random
import time
from dataclasses import replace

import pytest

from gate.core.place import Place
from gate.core.release import plan_idle
from gate.core.room import Mode, Room
from gate.core.tokens import PreTicket
from gate.store.connection import Connection
from gate.store.live import Live
from gate.store.room_settings import configured
from gate.store.rooms import RoomStore
from gate.ticker import Ticker
from tests.model.reference import Model

SEEDS, STEPS, GATES = 40, 300, 3


class World:
    """A room, three gates with one hand-moved clock, and the model beside them."""

    def __init__(self, dice, room, stores, clock):
        self.dice, self.room, self.stores, self.clock = dice, room, stores, clock
        self.model = Model(rate=room.release_rate, burst=room.burst, max_issued=room.max_issued)
        self.model.at = clock[0]
        self.tickers = [Ticker(store, (room,), lambda: clock[0]) for store in stores]
        self.serial = 0
        self.born = int(time.time())  # pre-tickets lapse by the store's own clock

    def any_store(self):
        return self.dice.choice(self.stores)

    def seen(self):
        """The pointer as the gate that wrote last saw it."""
        return max(store.live.line(self.room.name).now_serving for store in self.stores)

    def proof(self):
        """A fresh serial, or now and then one that was used."""
        if self.model.serials and self.dice.random() < 0.15:
            return self.dice.choice(sorted(self.model.serials))
        self.serial += 1
        return self.serial

    async def tick(self):
        self.clock[0] += self.dice.choice([0.0, 0.05, 0.1, 0.3, 2.0])
        self.model.earn(self.clock[0])
        for ticker in self.dice.sample(self.tickers, self.dice.randint(1, GATES)):
            await ticker.tick(self.room)
        self.model.moved_to(self.seen())

    async def join(self):
        proofs = [self.proof() for _ in range(self.dice.randint(1, 6))]
        expected = [self.model.may_deal(proof) for proof in proofs]
        dealt = await self.any_store().join(self.room, [PreTicket("g", self.born, proof) for proof in proofs])
        assert [one.position for one in dealt] == expected

    async def admit(self):
        """Idle admission on whatever line that gate has in hand, fresh or stale."""
        store = self.any_store()
        line, wanted = store.live.line(self.room.name), self.dice.randint(1, 5)
        step = plan_idle(line, self.clock[0], wanted)
        if step is None:
            return
        self.model.earn(self.clock[0])
        dealt = await store.admit(self.room, [None] * step.released, line, step)
        if dealt:
            assert self.model.pointer == len(self.model.dealt), "only if nobody waits"
        for one in dealt:
            if one.position:
                self.model.dealt.append(len(self.model.dealt) + 1)
                assert one.position == self.model.dealt[-1]
        self.model.moved_to(self.seen())

    async def claim(self):
        position = self.dice.randint(1, max(len(self.model.dealt), 1))
        store = self.any_store()
        line = store.live.line(self.room.name)
        place = Place(line.generation, line.newest.number, position)
        assert await store.claim(self.room.name, place) == self.model.claim(position)
        assert store.live.line(self.room.name).claimed == len(self.model.claimed)

    async def finish(self):
        if not self.model.claimed:
            return
        position = self.dice.choice(sorted(self.model.claimed))
        store = self.any_store()
        line = store.live.line(self.room.name)
        place = Place(line.generation, line.newest.number, position)
        assert await store.finish(self.room.name, place) is (position not in self.model.ended)
        self.model.ended.add(position)

    async def change(self):
        settings = self.dice.choice(
            [{"release_rate": self.dice.choice([0.5, 5.0, 50.0, 500.0])}, {"mode": self.dice.choice(["auto", "hold", "closed"])},
             {"burst": self.dice.choice([0.0, 3.0, 40.0])}]
        )  # fmt: skip
        self.model.earn(self.clock[0])
        await self.dice.choice(self.tickers).change(self.room, lambda now: replace(now, **settings), actor="ops")
        self.model.moved_to(self.seen())
        self.model.change(**{"rate" if key == "release_rate" else key: value for key, value in settings.items()})


@pytest.fixture
async def stores(store_url):
    """Gates with a connection and a memory each."""
    connections = [Connection(store_url) for _ in range(GATES)]
    yield [RoomStore(connection, Live(), first_generation=1, fresh=True) for connection in connections]
    for connection in connections:
        await connection.close()


async def a_world(dice, room, stores):
    """A room that releases, and the model beside it."""
    clock = [1_000_000.0]
    for store in stores:
        await store.open(room, configured(room))
    world = World(dice, room, stores, clock)
    world.model.mode = "hold"
    await world.tickers[0].change(room, lambda now: replace(now, mode="auto"), actor="ops")
    world.model.change(mode="auto")
    return world


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_random_operations_agree_with_the_model(stores, room_name, seed):
    """Random joins, ticks, admissions, claims, ends and changes by three gates: the model agrees with each."""
    dice = random.Random(seed)
    room = Room(
        name=room_name,
        release_rate=dice.choice([0.5, 5.0, 50.0]),
        burst=dice.choice([0.0, 1.0, 20.0]),
        mode=Mode.HOLD,
        max_issued=dice.choice([None, None, 60]),
    )
    world = await a_world(dice, room, stores)
    steps = [world.tick] * 4 + [world.join] * 3 + [world.admit, world.claim, world.claim, world.finish, world.change]
    for _ in range(STEPS):
        await dice.choice(steps)()
    world.model.earn(world.clock[0])
    for ticker in world.tickers * 2:
        await ticker.tick(room)
    world.model.moved_to(world.seen())
    world.model.must_have_moved()
    assert len(set(world.model.dealt)) == len(world.model.dealt)
