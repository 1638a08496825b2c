"""Joins that arrive together share a store call, and nobody's answer is another's."""

import asyncio
import random
import time

from gate.core.room import Room
from gate.core.tokens import PreTicket
from gate.store.joins import Joins
from gate.store.room_settings import configured


def pre(serial: int) -> PreTicket:
    """A proof of this serial."""
    return PreTicket("g", int(time.time()), serial)


async def test_joins_of_one_loop_turn_share_one_call(store, connection, room_name):
    """A thousand joins at once are a handful of calls, and positions follow the order of asking."""
    room = Room(name=room_name)
    await store.open(room, configured(room))
    calls = 0
    honest = connection.call

    async def counting(verb, keys, arguments, **more):
        nonlocal calls
        calls += verb == "join"
        return await honest(verb, keys, arguments, **more)

    connection.call = counting
    joins = Joins(store, room, connection.clock.now)
    dealt = await asyncio.gather(*(joins.join(pre(serial)) for serial in range(1, 1001)))
    assert [one.position for one in dealt] == list(range(1, 1001))
    assert calls <= 4


async def test_a_cancelled_join_takes_nobody_elses_answer(store, connection, room_name):
    """Half of the callers go away at random; the others' positions are all different, and each is its own."""
    room = Room(name=room_name)
    await store.open(room, configured(room))
    joins = Joins(store, room, connection.clock.now)
    dice = random.Random(5)
    tasks = [asyncio.create_task(joins.join(pre(serial))) for serial in range(1, 2001)]
    for _ in range(20):
        await asyncio.sleep(0)
        for task in dice.sample(tasks, 50):
            task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    positions = [answer.position for answer in answers if not isinstance(answer, BaseException)]
    assert len(positions) > 500
    assert len(set(positions)) == len(positions)
    assert positions == sorted(positions)


async def test_idle_admissions_are_bounded_by_the_release(store, connection, room_name):
    """A hundred at once on an idle room: the cap's worth are let in, the others wait like anyone."""
    room = Room(name=room_name, release_rate=10.0, burst=4.0)
    await store.open(room, configured(room))
    joins = Joins(store, room, connection.clock.now)
    begun = connection.clock.now()
    dealt = await asyncio.gather(*(joins.admit(None) for _ in range(100)))
    earned = (connection.clock.now() - begun) * 10.0
    let_in = [one.position for one in dealt if one is not None]
    assert let_in == list(range(1, len(let_in) + 1))
    assert 6 <= len(let_in) <= 6.5 + earned + 0.01  # cap = 4 + 2.5, and what is earned meanwhile
    assert store.live.line(room_name).issued == len(let_in)
