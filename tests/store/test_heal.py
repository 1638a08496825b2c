"""A store that comes back lower: what gates and visitors know is told to it, and no place is dealt or lost twice."""

import asyncio
import itertools
import time
from dataclasses import replace

import pytest

from gate.core.place import Place
from gate.core.release import plan
from gate.core.room import Mode, PollRule, Room
from gate.core.tokens import PreTicket
from gate.operations import RoomOperations
from gate.store.connection import Connection
from gate.store.live import Live
from gate.store.room_settings import configured
from gate.store.rooms import RoomStore
from gate.ticker import Ticker

_serials = itertools.count(1)


def pres(count):
    """Proofs that nobody has shown before."""
    return [PreTicket("heal", int(time.time()), next(_serials)) for _ in range(count)]


class Gate:
    """One gate's memory over the shared store."""

    def __init__(self, connection, room):
        self.connection, self.room, self.live = connection, room, Live()
        self.store = RoomStore(connection, self.live, first_generation=1_000, fresh=False)
        self.ticker = Ticker(self.store, (room,), connection.clock.now)

    async def tick(self, times=1):
        """So many turns."""
        for _ in range(times):
            await self.ticker.tick(self.room)

    async def serve(self, place):
        """Turns until the pointer has come to this place."""
        async with asyncio.timeout(10):
            while self.line.pointer < place:
                await self.tick()
                await asyncio.sleep(0.05)

    async def join(self, count=1):
        """Places, as tickets prove them."""
        return [dealt.place for dealt in await self.store.join(self.room, pres(count))]

    @property
    def line(self):
        """The room as this gate knows it."""
        return self.live.line(self.room.name)


@pytest.fixture
async def ground(store_url, room_name):
    """A held room; gates made on demand; `save` and `load` roll the room's numbers back as a failover would."""
    connections = []

    class Ground:
        room = Room(name=room_name, mode=Mode.HOLD, release_rate=1_000.0, poll=PollRule(minimum=0.5))
        key = f"gate:{{{room_name}}}:line"

        async def gate(self):
            connections.append(Connection(store_url))
            gate = Gate(connections[-1], self.room)
            await gate.tick()
            return gate

        async def save(self):
            return await connections[0].command("HGETALL", self.key)

        async def load(self, saved):
            flat = [text for pair in saved.items() for text in pair] if isinstance(saved, dict) else saved
            await connections[0].commands([("DEL", self.key), ("HSET", self.key, *flat, "fence", "another:reign")])

        async def flush(self):
            every = await connections[0].command("KEYS", f"gate:{{{room_name}}}:*")
            await connections[0].command("DEL", *every)

    yield Ground()
    for connection in connections:
        await connection.close()


async def test_a_number_is_never_dealt_twice_after_a_rollback(ground):
    """The store goes back by ten: the next place is of a new era, behind every old one; the old era's end is mended."""
    gate = await ground.gate()
    before = await gate.join(5)
    saved = await ground.save()
    lost = await gate.join(10)
    await ground.load(saved)
    after = await gate.join(5)
    assert len({*before, *lost, *after}) == 20
    assert max(before + lost) < min(after)
    assert [era.last for era in gate.line.eras if era.last] == [15, 5]
    assert gate.line.waiting == 20
    assert gate.line.ahead(after[0]) == 15


async def test_two_eras_lost_at_once_come_back_in_order(ground):
    """A rollback to before two openings: both eras are put back with their ends, held for those still unheard."""
    gate = await ground.gate()
    first = await gate.join(3)
    saved = await ground.save()
    await ground.load(saved)
    second = await gate.join(4)
    await ground.load(await ground.save())
    third = await gate.join(5)
    await ground.load(saved)
    await gate.tick(2)
    fourth = await gate.join(2)
    assert [era.last for era in gate.line.eras if era.last] == [3, 4, 5, 2]
    assert gate.line.issued == gate.line.waiting == 14
    assert first < second < third < fourth
    holds = [era.hold_until for era in gate.line.eras[-3:]]
    assert all(hold > gate.line.time for hold in holds)


async def test_a_cold_gate_learns_of_a_lost_era_from_a_ticket(ground):
    """All gates restarted, the store rolled back: one ticket of the lost era, shown late, puts its holders first."""
    gate = await ground.gate()
    await gate.join(3)
    saved = await ground.save()
    await ground.load(saved)
    lost = await gate.join(7)
    await ground.load(saved)
    cold = await ground.gate()
    newcomer = (await cold.join())[0]
    assert cold.line.ahead(newcomer) == 3, "nobody knows of the seven yet"
    cold.live.show(cold.room.name, lost[6])
    await cold.tick(2)
    assert cold.line.ahead(newcomer) == 10
    assert cold.line.ahead(lost[6]) == 9


async def test_evidence_of_an_ended_life_does_nothing(ground):
    """A validly signed ticket of the generation before a reset lifts nothing, however high its position."""
    gate = await ground.gate()
    await gate.join(3)
    old = Place(gate.line.generation, gate.line.newest.number, 2**40)
    note = gate.ticker._note(gate.line, "ops", configured(gate.room), configured(gate.room))
    await gate.store.reset(gate.room.name, gate.line.generation + 1, note)
    gate.live.show(gate.room.name, old)
    await gate.tick(2)
    assert (await gate.join())[0].position == 1
    assert gate.line.issued == 1


async def test_a_reset_outlives_a_rollback_behind_it(ground):
    """The store forgets the reset: gates never go back to the old life, and tell it of theirs; so does a ticket."""
    gate = await ground.gate()
    await gate.join(3)
    saved = await ground.save()
    note = gate.ticker._note(gate.line, "ops", configured(gate.room), configured(gate.room))
    await gate.store.reset(gate.room.name, gate.line.generation + 1, note)
    young = await gate.join(2)
    await ground.load(saved)
    await gate.tick(2)
    assert gate.line.generation == young[0].generation
    assert gate.line.ahead(young[1]) == 1
    await ground.load(saved)
    cold = await ground.gate()
    assert cold.line.generation < young[0].generation, "nobody has told it yet"
    cold.live.show(cold.room.name, young[1])
    await cold.tick(2)
    assert cold.line.generation == young[0].generation
    assert cold.line.ahead(young[1]) == 1


async def test_operators_word_outlives_a_rollback_and_an_empty_store(ground):
    """Rate, mode and message set since are given back by a gate that heard them, also before a cold gate's file."""
    gate = await ground.gate()
    saved = await ground.save()
    await gate.ticker.change(gate.room, lambda now: replace(now, release_rate=7.0, message="late"), actor="ops")
    for lose in (lambda: ground.load(saved), ground.flush):
        await lose()
        cold = await ground.gate()
        await gate.tick(2)
        await cold.tick()
        for one in (gate, cold):
            assert (one.line.release_rate, one.line.message, one.line.mode) == (7.0, "late", Mode.HOLD)


async def test_law_3_the_pointer_of_a_lost_era_is_not_taken_back(ground):
    """The store forgets the very era that is being served: nothing lower is shown, and those served stay served."""
    gate = await ground.gate()
    await gate.join(2)
    saved = await ground.save()
    await ground.load(saved)
    second = await gate.join(30)
    await gate.ticker.change(gate.room, lambda now: replace(now, mode="auto"), actor="ops")
    await gate.serve(second[9])
    shown = gate.line.pointer
    await ground.load(saved)
    for _ in range(4):
        await gate.tick()
        assert gate.line.pointer >= shown
    assert await gate.store.claim(gate.room.name, second[9]) == 1


async def test_a_pass_proves_that_the_pointer_had_come_so_far(ground):
    """A cold gate on a rolled-back store is shown a pass: whoever was before its place is served again at once."""
    gate = await ground.gate()
    places = await gate.join(50)
    saved = await ground.save()
    await gate.ticker.change(gate.room, lambda now: replace(now, mode="auto"), actor="ops")
    await gate.serve(places[39])
    await ground.load(saved)
    cold = await ground.gate()
    assert cold.line.now_serving == 0
    cold.live.show_served(cold.room.name, places[39])
    await cold.tick()
    assert cold.line.pointer >= places[39]


async def hold_over(ground):
    """All holds are over."""
    ask = ground.asker.connection.command
    for field in await ask("HKEYS", ground.key):
        if field.startswith("hold:"):
            await ask("HSET", ground.key, field, 0)


async def test_an_end_that_is_mended_meanwhile_is_not_stepped_over(ground):
    """One gate has planned a step on a snapshot; another puts the era's end back before it is written: refused."""
    gate = await ground.gate()
    await gate.join(1)
    saved = await ground.save()
    lost = await gate.join(3)
    await ground.load(saved)
    stale, witness = await ground.gate(), await ground.gate()
    (newcomer,) = await stale.join()
    ground.asker = stale
    await hold_over(ground)
    await stale.ticker.change(stale.room, lambda now: replace(now, mode="auto"), actor="ops")
    await asyncio.sleep(0.1)
    await stale.store.advance(stale.line, None)
    planned, line = plan(stale.line, stale.connection.clock.now()), stale.line
    assert planned.era == newcomer.era, "a step, as far as this gate knows"
    witness.live.show(witness.room.name, lost[2])
    await witness.tick()
    assert not await stale.store.advance(line, planned)
    assert stale.line.pointer < lost[0]
    assert stale.line.ahead(newcomer) >= 3


async def test_a_reign_that_was_not_opened_steps_nowhere(ground):
    """Rolled back to where a hold was over already: before any step the store is opened anew, and every hold with it."""
    gate = await ground.gate()
    await gate.join(2)
    await ground.load(await ground.save())
    (second,) = await gate.join(1)
    ground.asker = gate
    await hold_over(ground)
    saved = await ground.save()
    await ground.load(saved)
    cold = await ground.gate()  # opens it at once, being new here
    assert all(era.hold_until > cold.line.time for era in cold.line.eras[1:])
    await ground.load(saved)
    await gate.ticker.change(gate.room, lambda now: replace(now, mode="auto"), actor="ops")
    for _ in range(4):
        await asyncio.sleep(0.05)
        await gate.tick()
    assert gate.line.pointer.era < second.era, "held anew"
    assert all(era.hold_until > gate.line.time for era in gate.line.eras[1:])


async def test_marks_are_believed_only_where_they_say_something(ground):
    """A clean stop spares the next era its hold: not one of a reign that never dealt, nor an old one, nor a hold owed."""
    gate = await ground.gate()
    key, ask = ground.key, gate.connection.command

    async def next_hold(*, before=lambda: None):
        """How long the era that a restart opens is held."""
        await gate.join(1)
        before_saved = before()
        if before_saved is not None:
            await before_saved
        saved = await ground.save()
        await ground.load(saved)
        await gate.join(1)
        return gate.line.newest.hold_until - gate.line.time

    assert await next_hold() > 1.0, "a kill leaves no mark"
    ground.asker = gate
    await hold_over(ground)
    assert await next_hold(before=lambda: gate.store.mark(gate.room.name)) <= 0, "a clean stop"
    assert await next_hold() > 1.0
    owed = gate.line.newest.hold_until
    assert await next_hold(before=lambda: gate.store.mark(gate.room.name)) > 0, "a hold that is owed still"
    assert gate.line.newest.hold_until <= owed
    await hold_over(ground)

    async def old_mark():
        era, n = await ask("HMGET", key, "era", "n")
        await ask("HSET", key, "mark", f"{era}:{n}:{int((time.time() - 3_600) * 1000)}")

    assert await next_hold(before=old_mark) > 1.0, "one that came back with a backup"
    await hold_over(ground)

    async def uncrowned():
        await ask("HSET", key, "fence", "a:reign:before")
        await gate.store.mark(gate.room.name)

    assert await next_hold(before=uncrowned) > 1.0, "a reign that has not dealt"


async def test_an_operators_change_steps_over_nobody(ground):
    """A lost ticket was shown to a cold gate, and before its next tick somebody changes the message: all are still before."""
    gate = await ground.gate()
    await gate.join(2)
    saved = await ground.save()
    lost = await gate.join(5)
    await ground.load(saved)
    cold = await ground.gate()
    (newcomer,) = await cold.join()
    ground.asker = cold
    await hold_over(ground)
    await cold.ticker.change(cold.room, lambda now: replace(now, mode="auto"), actor="ops")
    cold.live.show(cold.room.name, lost[4])
    await cold.ticker.change(cold.room, lambda now: replace(now, message="soon"), actor="ops")
    assert cold.line.pointer < newcomer or cold.line.ahead(newcomer) == 0
    assert [era.last for era in cold.line.eras][-2:] == [7, 1] or cold.line.pointer.era == newcomer.era
    assert cold.line.rank(newcomer) == 8, "seven are before, and were counted"


async def test_guests_keep_their_places_apart_when_the_store_is_emptied(ground):
    """The count of links is gone with the store; this process gives no guest another's place."""
    gate = await ground.gate()
    hands = RoomOperations(
        (gate.room,), gate.store, gate.ticker, gate.connection.clock.now, lambda room, place, life, path: {"guest": place}
    )

    async def link():
        return (await hands.link(gate.room.name, actor="ops", life=60, next_path="/"))["guest"]

    first = await link()
    await ground.flush()
    await gate.tick(2)
    assert await link() != first
