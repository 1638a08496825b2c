"""A gate's store is killed, switched and lost, under joins; judged by tickets, and by every pointer document seen."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from gate.core.keyring import Algorithm
from gate.keyfile import load_or_make
from tests.faults.crowd import JoinCrowd, PollWatch, Seen, Ticket
from tests.faults.dealers import Deal, Dealers, duplicates, inversions
from tests.faults.ground import ROOM, end_whole_tree, gates, get, room
from tests.faults.preload import Preload, preload_library
from tests.faults.results import sized, tell
from tests.faults.sentinel import SentinelGroup
from tests.faults.stores import Store
from tests.harness import EchoOrigin

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def deals(tickets: list[Ticket]) -> list[Deal]:
    """Tickets as the laws are judged by."""
    return [
        Deal(one.asked, one.answered, one.generation, one.era, one.position, one.position, one.nonce) for one in tickets
    ]


def lower(seen: list[Seen]) -> int:
    """Pointer documents below one that the same gate had shown before."""
    highest: dict[str, tuple[int, int, int]] = {}
    found = 0
    for one in seen:
        found += one.pointer < highest.get(one.url, (0, 0, 0))
        highest[one.url] = max(one.pointer, highest.get(one.url, (0, 0, 0)))
    return found


def faults_of(tickets: list[Ticket], seen: list[Seen]) -> tuple[int, int, int]:
    """Places dealt twice, inversions, and pointer documents that were lower: all must be none."""
    dealt = deals(tickets)
    return duplicates(dealt), inversions(dealt), lower(seen)


def back_after(tickets: list[Ticket], moments: list[float]) -> float:
    """The longest time from one of these moments to the next ticket."""
    answers = sorted(one.answered for one in tickets)
    return max(next((answer for answer in answers if answer >= moment), float("inf")) - moment for moment in moments)


async def test_law_1_and_3_kills_of_a_store_with_a_slow_disk(tmp_path, origin):
    """kill -9 again and again while fsync takes 1.5 s: no place twice, no pointer lower, joins back within a second."""
    rounds, offered = sized(2, 20), sized(1_000, 3_000)
    preload = Preload(preload_library(tmp_path), tmp_path / "steer")
    options = {"rate": 400, "size": 60}
    async with (
        Store(tmp_path / "store", appendfsync="everysec", preload=preload) as store,
        gates(tmp_path / "gates", origin.url, room(release_rate=2_000), store=store.url) as (gate,),
        Dealers(tmp_path / "incr", "incr", [store.url] * 2, options=options) as incr,
        Dealers(tmp_path / "highest", "highest", [store.url] * 2, options=options) as highest,
        PollWatch([gate.url], ROOM, every_ms=20) as watch,
        JoinCrowd([gate.url], ROOM, connections=64, rate=offered, patience=3.0) as crowd,
    ):
        preload.fsync_takes(1_500)
        moments = []
        for _ in range(rounds):
            await asyncio.gather(asyncio.sleep(2.5), highest.until_dealt(30))
            await highest.restart(highest.all, store.kill)
            await store.start()
            await store.wait_ready(60)
            moments.append(time.monotonic())
        await asyncio.sleep(2.0)
    tickets = crowd.tickets()
    twice, disorder, back = faults_of(tickets, watch.seen)
    waited = back_after(tickets, moments)
    controls = {name: duplicates(one.deals()) for name, one in (("incr", incr), ("highest", highest))}
    tell(
        "2 · kills with a slow disk",
        f"{rounds} kills -9, {offered:,} joins/s offered, {len(tickets):,} joined, fsync 1.5 s",
        f"{twice} twice, {disorder} inversions, {back} of {len(watch.seen):,} documents lower, "
        f"joins back after {waited:.2f} s at most; other answers {dict(crowd.statuses)}",
        ", ".join(f"{name} {count:,} twice" for name, count in controls.items()),
    )
    assert (twice, disorder, back) == (0, 0, 0)
    assert waited <= 1.0
    assert set(watch.statuses) <= {200}
    assert all(controls.values()), f"void: {controls}"


async def test_law_1_failovers_onto_a_replica_that_is_behind(tmp_path, origin):
    """Sentinel promotes a replica that is two seconds behind: no place twice, joins go on within five seconds."""
    rounds = sized(1, 10)
    async with SentinelGroup(tmp_path / "group") as group:
        options = {"rate": 400, "size": 60}
        async with (
            gates(tmp_path / "gates", origin.url, room(release_rate=2_000), store=group.url) as (gate,),
            Dealers(tmp_path / "incr", "incr", [group.url] * 2, options=options) as incr,
            Dealers(tmp_path / "highest", "highest", [group.url] * 2, options=options) as highest,
            PollWatch([gate.url], ROOM, every_ms=20) as watch,
            JoinCrowd([gate.url], ROOM, connections=32, rate=sized(300, 500), patience=3.0) as crowd,
        ):
            moments = []
            for number in range(rounds):
                if number:
                    await group.rejoin()
                await asyncio.sleep(sized(3, 4))
                moments.append(await highest.restart(highest.all, group.failover))
            await asyncio.sleep(sized(3, 5))
    tickets = crowd.tickets()
    twice, disorder, back = faults_of(tickets, watch.seen)
    waited = back_after(tickets, moments)
    controls = {name: duplicates(one.deals()) for name, one in (("incr", incr), ("highest", highest))}
    tell(
        "3 · failovers by Sentinel",
        f"{rounds} onto a replica 2 s behind, {len(tickets):,} joined",
        f"{twice} twice, {disorder} inversions, {back} of {len(watch.seen):,} documents lower, "
        f"joins {waited:.2f} s after the promotion at most",
        ", ".join(f"{name} {count:,} twice" for name, count in controls.items()),
    )
    assert (twice, disorder, back) == (0, 0, 0)
    assert waited <= 5.0
    assert all(controls.values()), f"void: {controls}"


def _keys_of_yesterday(path: Path) -> None:
    """A room that is as young as its keys waits for no old tickets; this one has some."""
    load_or_make(path, Algorithm.HS256)
    ring = json.loads(path.read_text())
    ring["created_ms"] -= 86_400_000
    path.write_text(json.dumps(ring))


async def _status(url: str, cookie: str) -> dict[str, object]:
    status, _, body = await asyncio.to_thread(get, f"{url}/_gate/status/{ROOM}", cookie=cookie)
    assert status == 200
    return json.loads(body)


async def _line_up(url: str, count: int) -> list[tuple[tuple[int, int, int], str]]:
    """So many newcomers, in order: place and cookie."""
    async with JoinCrowd([url], ROOM, connections=1) as crowd:
        async with asyncio.timeout(30):
            while len(crowd.raw) < count:
                await asyncio.sleep(0.01)
    raw = [f"gate_ticket_{ROOM}={line[-1].decode()}" for line in crowd.raw]
    return [(ticket.place, cookie) for ticket, cookie in zip(crowd.tickets(), raw, strict=True)]


async def test_law_9_all_gates_and_the_store_at_once(tmp_path):
    """Everything is killed in one moment. Disk kept: every place is. Disk lost: every old ticket is before newcomers."""
    held = room(mode="hold")
    kept = 0
    _keys_of_yesterday(tmp_path / "gates" / "keys.json")
    async with EchoOrigin() as origin:
        async with gates(tmp_path / "gates", origin.url, held) as (gate,):
            before = await _line_up(gate.url, 200)
            end_whole_tree(gate)
        async with gates(tmp_path / "gates", origin.url, held) as (gate,):
            for index, (place, cookie) in enumerate(before):
                said = await _status(gate.url, cookie)
                kept += (said["status"], said["position"], said["ahead"]) == ("waiting", place[2], index)
            after = await _line_up(gate.url, 20)
            end_whole_tree(gate)
        everybody = before + after
        assert [place for place, _ in everybody] == sorted(place for place, _ in everybody)
        for file in (tmp_path / "gates" / "gate-0" / "state" / "store").rglob("*"):
            if file.is_file():
                file.unlink()
        async with gates(tmp_path / "gates", origin.url, held) as (gate,):
            (newcomer, shown), *_ = await _line_up(gate.url, 1)
            # While the new era is held, which is for 4.8 s: pages that poll show their tickets in the first half of it.
            said = await asyncio.gather(*(_status(gate.url, cookie) for _, cookie in everybody))
            lost = sum(one["status"] != "waiting" for one in said) + sum(place >= newcomer for place, _ in everybody)
            await asyncio.sleep(0.3)
            stands = await _status(gate.url, shown)
    tell(
        "9 · everything killed at once",
        f"{len(before)} waiting, then {len(everybody)} with the disk lost",
        f"disk kept: {kept} of {len(before)} places as they were; disk lost: {lost} old tickets not before the "
        f"newcomer, who has {stands['ahead']} ahead",
    )
    assert kept == len(before)
    assert lost == 0
    assert stands["ahead"] >= len(everybody)
