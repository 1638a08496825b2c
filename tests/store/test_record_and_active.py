"""The record in the store, passes alive, and the canary's places: on a real Valkey."""

import asyncio
import json
from dataclasses import replace

import pytest

from gate.core.place import Place
from gate.core.record import NO_ENTRY, compose, verify
from gate.core.room import Mode, Room
from gate.store.active import ActivePasses
from gate.store.connection import Connection, StoreUnavailableError
from gate.store.keys import line_key, record_key
from gate.store.live import Live
from gate.store.rooms import RoomStore
from tests.store.test_verbs import opened, pres


async def test_a_room_begins_its_record(store, room_name):
    """The first entry tells of its making, and the line carries the head."""
    _, line = await opened(store, room_name)
    entries = (await store.record(room_name)).entries
    assert [json.loads(entry.text)["act"] for entry in entries] == ["open"]
    assert line.record == entries[-1].head


async def test_every_change_is_on_record_with_its_actor(store, room_name, make_ticker):
    """Before and after, only what changed; many writers at once leave one unbroken chain."""
    room, _ = await opened(store, room_name)
    ticker = make_ticker(room)
    await asyncio.gather(
        *(ticker.change(room, lambda now, n=n: replace(now, release_rate=100.0 + n), actor=f"op{n}") for n in range(10))
    )
    await ticker.change(room, lambda now: replace(now, mode="hold", message="wait"), actor="eve")
    entries = (await store.record(room_name)).entries
    assert len(entries) == 12
    assert verify(entries, since=NO_ENTRY, head=store.live.line(room_name).record) is None
    last = json.loads(entries[-1].text)
    assert (last["actor"], last["before"], last["after"]) == (
        "eve", {"mode": "auto", "message": ""}, {"mode": "hold", "message": "wait"},
    )  # fmt: skip


async def test_an_entry_follows_the_head_it_was_made_for(store, room_name):
    """A second writer with an old head writes nothing, neither the entry nor the change."""
    _, line = await opened(store, room_name)
    notes = [compose(line.record, time=1.0, actor=who, act="x", before={}, after={}) for who in ("a", "b")]
    assert await store.note(line, notes[0], raises="guests")
    assert not await store.note(line, notes[1], raises="guests")
    assert store.live.line(room_name).guests == 1
    assert not await store.reset(room_name, line.generation + 5, notes[1])
    assert store.live.line(room_name).generation == line.generation


async def test_what_was_altered_or_removed_in_the_store_is_found(store, connection, room_name, make_ticker):
    """An entry deleted, and one put in its place with another text."""
    room, _ = await opened(store, room_name)
    for n in range(4):
        await make_ticker(room).change(room, lambda now, n=n: replace(now, release_rate=10.0 + n), actor="op")
    head = store.live.line(room_name).record
    rows = await connection.command("XRANGE", record_key(room_name), "-", "+")
    await connection.command("XDEL", record_key(room_name), rows[2][0])
    broken = verify((await store.record(room_name)).entries, since=NO_ENTRY, head=head)
    assert (broken.number, "missing" in broken.wrong) == (3, True)


async def test_old_entries_go_by_their_age_and_the_rest_still_verifies(connection, room_name, make_ticker):
    """Trimmed by age; `record_since` tells where the rest begins."""
    store = RoomStore(connection, Live(), first_generation=1_000, fresh=True, record_life=0.05)
    room, _ = await opened(store, room_name)
    line = store.live.line(room_name)
    for n in range(4):
        await asyncio.sleep(0.06)  # the store's clock is the judge of age
        line = store.live.line(room_name)
        note = compose(line.record, time=line.time, actor="op", act="x", before={}, after={"n": n})
        assert await store.note(line, note)
    line = store.live.line(room_name)
    entries = (await store.record(room_name)).entries
    assert len(entries) == 1
    assert line.record_since.number == line.record.number - 1
    assert verify(entries, since=line.record_since, head=line.record) is None
    assert verify([], since=line.record_since, head=line.record) is not None


async def test_a_reset_keeps_the_record(store, room_name):
    """Who reset it is the last entry of the same chain."""
    _, line = await opened(store, room_name)
    note = compose(line.record, time=line.time, actor="op", act="reset", before={}, after={})
    assert await store.reset(room_name, line.generation + 10_000, note)
    line = store.live.line(room_name)
    assert verify((await store.record(room_name)).entries, since=NO_ENTRY, head=line.record) is None
    assert line.record.number == 2


async def test_long_records_are_read_whole(store, connection, room_name):
    """More than one page of a thousand."""
    _, line = await opened(store, room_name)
    for n in range(1_005):
        line = store.live.line(room_name)
        assert await store.note(line, compose(line.record, time=1.0, actor="op", act="x", before={}, after={"n": n}))
    first = await store.record(room_name)
    assert (len(first.entries), first.more, first.head.number) == (1_000, True, 1_006)
    rest = await store.record(room_name, after=1_000)
    assert [entry.head.number for entry in rest.entries] == list(range(1_001, 1_007))
    assert not rest.more
    assert verify([*first.entries, *rest.entries], since=NO_ENTRY, head=rest.head) is None
    assert [e.head.number for e in (await store.record(room_name, after=1_004, limit=1)).entries] == [1_005]


async def test_passes_alive_are_counted_over_gates(store_url, connection, room_name):
    """Two gates, some passes twice: each place once; nobody once they have run out; a new generation begins at none."""
    room, other = Room(name=room_name, pass_life=100.0), Connection(store_url)
    one, two = ActivePasses(connection, (room,)), ActivePasses(other, (room,))
    now = connection.clock.now()
    for position in range(1, 41):
        one.note(room_name, Place(7, 1, position), now, now + 100)
    for position in range(31, 61):
        two.note(room_name, Place(7, 1, position), now, now + 100)
    await one.flush()
    await two.flush()
    await two.flush()
    assert await one.count(room_name, 7, now) == pytest.approx(60, abs=1)
    assert await one.count(room_name, 7, now + 99) == pytest.approx(60, abs=1)
    assert await one.count(room_name, 7, now + 120) == 0
    assert await one.count(room_name, 8, now) == 0
    await other.close()


async def test_passes_are_told_later_when_the_store_was_away(room_name):
    """What could not be told is kept for the next time."""
    away = Connection("redis://127.0.0.1:1")
    active = ActivePasses(away, (Room(name=room_name),))
    active.note(room_name, Place(1, 1, 1), 0.0, 10.0)
    for _ in range(2):
        with pytest.raises(Exception, match="Connection"):
            await active.flush()
    await away.close()


async def test_what_the_canary_took_is_given_back(store, room_name, make_ticker):
    """Not in the count, not of the limit, and its turn is released again."""
    room, _ = await opened(store, room_name, max_issued=3, release_rate=10.0, mode=Mode.HOLD)
    await store.join(room, pres(3))
    before = store.live.line(room_name)
    assert (await store.join(room, pres(1, 9)))[0].position == 0, "full"
    await store.discount(before, claimed=False)
    after = store.live.line(room_name)
    assert (after.canaries, after.issued - after.canaries) == (1, 2)
    assert after.at == pytest.approx(before.at - 0.1)
    assert (await store.join(room, pres(1, 10)))[0].position == 4


async def test_a_record_read_beside_a_busy_writer_is_whole(store_url, room_name, make_ticker, store):
    """Another gate's view, taken at any moment: entries and head belong together."""
    room, _ = await opened(store, room_name)
    ticker, other = make_ticker(room), Connection(store_url)
    reader = RoomStore(other, Live(), first_generation=1_000, fresh=True)

    async def write():
        for n in range(60):
            await ticker.change(room, lambda now, n=n: replace(now, release_rate=10.0 + n), actor="op")

    writing = asyncio.ensure_future(write())
    while not writing.done():
        page = await reader.record(room_name)
        assert verify(page.entries, since=page.since, head=page.head) is None
        await asyncio.sleep(0)
    await writing
    await other.close()


async def test_a_changed_file_speaks_only_of_what_changed(store, room_name, make_ticker):
    """Operators hold the room and say something; a file with another rate changes the rate alone."""
    room, _ = await opened(store, room_name, release_rate=10.0)
    await make_ticker(room).change(room, lambda now: replace(now, mode="hold", message="wait"), actor="op")
    changed = Room(name=room_name, release_rate=25.0)
    store.live.lose(room_name)
    await make_ticker(changed).tick(changed)
    line = store.live.line(room_name)
    assert (line.release_rate, line.mode, line.message) == (25.0, "hold", "wait")
    last = json.loads((await store.record(room_name)).entries[-1].text)
    assert (last["actor"], last["after"]) == ("configuration", {"release_rate": 25.0})


@pytest.mark.parametrize(("field", "value"), [("burst", "nan"), ("burst", "inf"), ("log", "9" * 30 + ":abc"), ("log", "x")])
async def test_poisoned_values_are_an_error_of_the_room(store, connection, room_name, field, value):
    """Not a number, not a head: the room is away, nothing crashes."""
    _, line = await opened(store, room_name)
    await connection.command("HSET", line_key(room_name), field, value)
    with pytest.raises(StoreUnavailableError):
        await store.advance(line, None)
