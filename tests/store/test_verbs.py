"""The store's verbs on a real Valkey: what each promises, one by one."""

import asyncio

import pytest

from gate.core.place import Place
from gate.core.record import compose
from gate.core.release import Advance, plan, plan_idle
from gate.core.room import Mode, Room
from gate.core.tokens import PreTicket
from gate.store.connection import Connection, StoreUnavailableError
from gate.store.keys import line_key
from gate.store.live import Live
from gate.store.room_settings import configured
from gate.store.rooms import RoomStore


def pres(count: int, start: int = 1, *, now: int | None = None, gate: str = "g") -> list[PreTicket]:
    """Pre-tickets of different serials."""
    import time

    return [PreTicket(gate, now or int(time.time()), serial) for serial in range(start, start + count)]


async def opened(store: RoomStore, name: str, **settings) -> tuple[Room, object]:
    """A room that is there."""
    room = Room(name=name, **settings)
    return room, await store.open(room, configured(room))


async def test_open_makes_a_room_once(store, room_name):
    """The first gate's generation and era stand; a second opening changes nothing."""
    room, first = await opened(store, room_name, release_rate=7.0)
    again = await store.open(room, configured(Room(name=room_name, release_rate=9.0)))
    assert (again.generation, again.newest, again.release_rate) == (first.generation, first.newest, 7.0)
    assert first.generation == 1_000


async def test_join_deals_in_order_and_spends_a_proof_once(store, room_name):
    """1, 2, 3 in the order of the batch; a serial shown twice is told so and deals nothing."""
    room, _ = await opened(store, room_name)
    batch = [*pres(3), *pres(1, 2), *pres(1, 4)]
    dealt = await store.join(room, batch)
    assert [one.position for one in dealt] == [1, 2, 3, -1, 4]
    assert store.live.line(room_name).issued == 4


async def test_join_deals_what_is_left_and_spends_no_proof_for_nothing(store, room_name):
    """`min(n, max_issued - dealt)`; who gets none keeps a pre-ticket that is good."""
    room, _ = await opened(store, room_name, max_issued=2)
    dealt = await store.join(room, pres(4))
    assert [one.position for one in dealt] == [1, 2, 0, 0]
    bits = await store._connection.command("BITCOUNT", f"gate:{{{room_name}}}:pre:g:{pres(1)[0].bucket}")
    assert bits == 2


async def test_closed_deals_nothing(store, room_name):
    """0 when closed."""
    room, _ = await opened(store, room_name, mode=Mode.CLOSED)
    assert [one.position for one in await store.join(room, pres(2))] == [0, 0]


async def test_advance_is_a_compare_and_set(store, connection, room_name):
    """Two gates plan on the same line: one writes, the other is told and has the new line in hand."""
    room, _ = await opened(store, room_name, release_rate=1000.0)
    await store.join(room, pres(50))
    line = store.live.line(room_name)
    other = RoomStore(connection, Live(), first_generation=1, fresh=True)
    await other.open(room, configured(room))
    step = plan(line, line.time)
    assert await store.advance(line, step)
    assert not await other.advance(line, step)
    assert other.live.line(room_name).now_serving == step.now_serving == 50


async def test_advance_never_passes_the_end_and_never_goes_back(store, room_name):
    """The script clamps to the era's end and ignores a step backwards, whatever a gate asks for."""
    room, _ = await opened(store, room_name)
    await store.join(room, pres(5))
    line = store.live.line(room_name)
    await store.advance(line, Advance(line.serving.number, 99, 99, line.time, 0.0))
    line = store.live.line(room_name)
    assert line.now_serving == 5
    await store.advance(line, Advance(line.serving.number, 2, -3, line.time, 0.0))
    assert store.live.line(room_name).now_serving == 5


async def test_admit_deals_and_releases_in_one_breath(store, connection, room_name):
    """Idle admission: numbers that are served at once, paid out of the release; nothing if somebody waits."""
    room, _ = await opened(store, room_name, release_rate=10.0, burst=3.0)
    line = store.live.line(room_name)
    now = connection.clock.now()
    step = plan_idle(line, now, 9)
    assert step.released == 5  # cap = 3 + 10 x 0.25
    dealt = await store.admit(room, [None] * 5, line, step)
    assert [one.position for one in dealt] == [1, 2, 3, 4, 5]
    after = store.live.line(room_name)
    assert (after.now_serving, after.issued) == (5, 5)
    assert plan_idle(after, now, 1) is None, "what was released is paid for"
    assert await store.admit(room, [None], line, step) == [], "planned on a line that is no more"
    await store.join(room, pres(1))
    assert plan_idle(store.live.line(room_name), now + 100, 1) is None, "somebody waits"


async def test_claim_judges_the_pointer_and_remembers(store, room_name):
    """Not served yet, served, again the same, ended: each has its answer."""
    room, line = await opened(store, room_name, mode=Mode.HOLD)
    await store.join(room, pres(2))
    line = store.live.line(room_name)
    place = Place(line.generation, line.newest.number, 1)
    assert await store.claim(room_name, place) == 0
    await store.advance(line, Advance(line.newest.number, 1, 1, line.time, 0.0))
    assert await store.claim(room_name, place) == 1
    assert await store.claim(room_name, place) == 1
    assert store.live.line(room_name).claimed == 1
    assert await store.claim(room_name, Place(line.generation + 1, 1, 1)) == -1
    assert await store.finish(room_name, place)
    assert not await store.finish(room_name, place)
    assert await store.has_ended(room_name, place)
    assert await store.claim(room_name, place) == -2


async def test_the_deny_list_is_bounded_and_seen(store, room_name):
    """A revoked place is in the list, and the line says that the list has changed."""
    room, _ = await opened(store, room_name)
    place = Place(1_000, 5, 9)
    await store.finish(room_name, place, deny_until=4_000_000_000.0)
    assert store.live.deny_list_is_stale(room_name)
    assert await store.denied(room_name) == {place}


async def test_reset_begins_a_new_generation(store, room_name):
    """Places start at 1 again under a higher generation; settings stay."""
    room, before = await opened(store, room_name, release_rate=33.0)
    await store.join(room, pres(3))
    line = store.live.line(room_name)
    note = compose(line.record, time=line.time, actor="ops", act="reset", before={}, after={})
    assert await store.reset(room_name, int(line.time * 1000), note)
    after = store.live.line(room_name)
    assert after.generation > before.generation
    assert (after.issued, after.now_serving, after.release_rate) == (0, 0, 33.0)
    dealt = await store.join(room, pres(1, 50))
    assert dealt[0].place == Place(after.generation, after.newest.number, 1)


async def test_proof_of_loss_opens_a_new_era(store, connection, room_name):
    """A ticket beyond what the store knows: its era is closed at that ticket, numbers begin again behind it."""
    room, first = await opened(store, room_name)
    await store.join(room, pres(3))
    store.live.show(room_name, Place(first.generation, first.newest.number, 500))
    dealt = (await store.join(room, pres(1, 100)))[0]
    line = store.live.line(room_name)
    assert dealt.position == 1
    assert dealt.era > first.newest.number
    assert dealt.nonce != first.newest.nonce
    assert [era.last for era in line.eras] == [500, 1]
    assert line.ahead(dealt.place) == 500 - line.now_serving


async def test_history_has_one_row_a_slot_and_reaches_every_gate(store, connection, room_name):
    """Rows come with later answers; a gate that starts now reads them all."""
    room, _ = await opened(store, room_name)
    await store.join(room, pres(3))
    slot = store.live.line(room_name).slot
    await store._connection.command("HSET", line_key(room_name), "slot", slot - 2)
    await store.join(room, pres(1, 9))
    await store.advance(store.live.line(room_name), None)
    row = store.live.line(room_name).history[-1]
    assert (row.time, row.issued) == ((slot - 1) * 10, 3)
    fresh = RoomStore(connection, Live(), first_generation=1, fresh=True)
    assert (await fresh.open(room, configured(room))).history == (row,)


async def test_poisoned_numbers_are_the_rooms_trouble_alone(store, room_name):
    """A field that holds something else: this room is unavailable, others go on, nothing crashes."""
    room, _ = await opened(store, room_name)
    for field, poison in (
        ("n", "abc"),
        ("sv_n", "-5"),
        ("rate", "nan"),
        ("era", "9" * 30),
        ("mode", "x"),
        ("at", "inf"),
    ):
        other = Room(name=f"{room_name}-{field.replace('_', '')}")
        await store.open(other, configured(other))
        await store._connection.command("HSET", line_key(other.name), field, poison)
        line = store.live.line(other.name)
        with pytest.raises(StoreUnavailableError):
            await store.advance(line, None)
    await store.join(room, pres(1))


async def test_a_store_that_is_away_fails_at_once():
    """No retries behind our back: refused within a fraction of a second, as one exception."""
    away = Connection("redis://127.0.0.1:1")
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(StoreUnavailableError):
        await away.call("mark", ["gate:{x}:line", "gate:{x}:history"], [])
    assert loop.time() - begun < 2
    await away.close()


async def test_settings_change_settles_and_raises_the_revision(store, connection, room_name, make_ticker):
    """Through the ticker: the new values, one revision more, `at` such that no more is owed than before."""
    from dataclasses import replace

    room, before = await opened(store, room_name, release_rate=1.0, burst=1.0)
    line = await make_ticker(room).change(room, lambda now: replace(now, release_rate=500.0), actor="ops")
    assert (line.release_rate, line.revision) == (500.0, before.revision + 1)
    owed = (line.time - line.at) * 500.0
    assert owed <= 1.0 + 1.0 * 0.25 + 500 * 0.5  # at most the old cap, and half a second between plan and write


async def test_a_changed_file_speaks_and_an_unchanged_one_does_not(store, room_name, make_ticker, connection):
    """Ops' word outlives a restart until the configuration itself changes."""
    from dataclasses import replace

    room = Room(name=room_name, release_rate=5.0)
    ticker = make_ticker(room)
    await ticker.tick(room)
    await ticker.change(room, lambda now: replace(now, release_rate=80.0), actor="ops")
    restarted = RoomStore(connection, Live(), first_generation=1, fresh=True)
    from gate.ticker import Ticker

    await Ticker(restarted, (room,), connection.clock.now).tick(room)
    assert restarted.live.line(room_name).release_rate == 80.0
    changed = Room(name=room_name, release_rate=6.0)
    await Ticker(
        RoomStore(connection, live := Live(), first_generation=1, fresh=True), (changed,), connection.clock.now
    ).tick(changed)
    assert live.line(room_name).release_rate == 6.0


async def test_an_emptied_store_releases_nobody_who_waits(store, connection, room_name, make_ticker):
    """FLUSHALL under a line on hold: the room is made again in its generation and mode, and old places wait on."""
    room = Room(name=room_name, mode=Mode.HOLD)
    ticker = make_ticker(room)
    await ticker.tick(room)
    dealt = await store.join(room, pres(30))
    await connection.command("DEL", line_key(room_name))
    for _ in range(5):
        await ticker.tick(room)
    line = store.live.line(room_name)
    assert line.mode is Mode.HOLD
    assert not any(line.served(one.place) for one in dealt)
    newcomer = (await store.join(room, pres(1, 100)))[0]
    assert line.generation == newcomer.generation
    assert line.ahead(newcomer.place) == 30
    assert await store.claim(room_name, dealt[0].place) == 0


async def test_a_number_carries_the_era_of_its_own_answer(store, connection, room_name):
    """A store whose clock is a little behind opens an era: what was dealt in it is told with its own nonce."""
    from dataclasses import replace

    room, first = await opened(store, room_name)
    store.live.accept(replace(first, time=first.time + 0.9), None)
    await connection.command("HSET", line_key(room_name), "fence", "another:reign")
    dealt = (await store.join(room, pres(1)))[0]
    assert dealt.era > first.newest.number
    assert dealt.nonce != first.newest.nonce
    assert store.live.line(room_name).newest.number == dealt.era
