"""Law 4 counts from the moment of writing: what was worked out a moment before must not bank that moment too."""

import asyncio

import pytest

from gate.core.place import Place
from gate.core.release import plan, plan_idle
from gate.core.room import Room
from gate.core.tokens import PreTicket
from gate.store.connection import Connection
from gate.store.live import Live
from gate.store.room_settings import configured
from gate.store.rooms import RoomStore
from tests.store.test_verbs import pres

LATE_SECONDS = 1.2


@pytest.fixture
async def opened(store_url, room_name):
    """A store, its room with 100/s and a bank of 35, and the line with a full bank."""
    connection = Connection(store_url)
    room = Room(name=room_name, release_rate=100.0, burst=10.0)
    store = RoomStore(connection, Live(), first_generation=1, fresh=True)
    await store.open(room, configured(room))
    yield connection, store, room
    await connection.close()


async def test_a_full_bank_is_full_when_it_is_written(opened):
    """Worked out more than a second before: whoever was earned in that time would come on top of the bank, and does not."""
    connection, store, room = opened
    await store.join(room, pres(2_000))
    await asyncio.sleep(0.5)
    line = store.live.line(room.name)
    worked_out = plan(line, connection.clock.now())
    await asyncio.sleep(LATE_SECONDS)
    assert (worked_out.released, await store.advance(line, worked_out)) == (35, True)
    after = store.live.line(room.name)
    assert after.at == pytest.approx(after.time, abs=0.002)
    assert after.at > worked_out.at + 0.9 * LATE_SECONDS


async def test_a_bank_that_was_not_full_is_paid_to_the_moment_it_was_worked_out(opened):
    """What came meanwhile is due with the next tick."""
    connection, store, room = opened
    await store.join(room, pres(2_000))
    line = store.live.line(room.name)
    first = plan(line, connection.clock.now())
    await store.advance(line, first)
    await asyncio.sleep(0.1)
    line = store.live.line(room.name)
    worked_out = plan(line, connection.clock.now())
    await asyncio.sleep(0.05)
    assert await store.advance(line, worked_out)
    assert store.live.line(room.name).at == pytest.approx(worked_out.at, abs=1e-6)


async def test_an_idle_admission_pays_for_its_lateness_too(opened):
    """Dealt and released in one script, worked out as long before."""
    connection, store, room = opened
    await asyncio.sleep(0.5)
    line = store.live.line(room.name)
    worked_out = plan_idle(line, connection.clock.now(), 20)
    await asyncio.sleep(LATE_SECONDS)
    dealt = await store.admit(room, [PreTicket("g", 1, n) for n in range(20)], line, worked_out)
    assert dealt[-1].place == Place(line.generation, line.newest.number, 20)
    after = store.live.line(room.name)
    assert after.at == pytest.approx(after.time - 0.15, abs=0.002), "15 of 35 are left"
