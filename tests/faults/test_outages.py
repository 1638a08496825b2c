"""Law 7: every bad answer a store can give, while admitted visitors go on, those who wait poll, and newcomers come."""

import asyncio
import contextlib
import gc
import os
import statistics
import time
from pathlib import Path

import pytest

from tests.faults.badness import FAULTS, with_fault
from tests.faults.crowd import JoinCrowd, PollWatch, Steady
from tests.faults.ground import ROOM, admitted, asks, gates, poll, room
from tests.faults.results import LONG, sized, tell
from tests.faults.stores import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
VISITORS = 20
PER_SECOND = sized(200, 500)
# Interleaved stretches before the outage and in it, and the seconds of each.
ROUNDS, BEFORE, WITHIN = sized(1, 3), sized(1, 4), sized(2, 20)
# The store goes on answering: a script that it has forgotten is sent anew.
HARMLESS = ("noscript",)


@pytest.fixture(autouse=True)
def no_collector():
    """A collector that looks through all that a load generator remembers would hold up its clock, not the gate's."""
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def fault(store: Store, kind: str):
    """For as long as the block lasts."""
    options: dict[str, object] = {"room": ROOM} if kind == "wrong-type" else {}
    if kind == "loading":
        options = {"seconds": float(WITHIN)}
    return with_fault(store, kind, **options)


# The short form suffers one after another in the same gate, which must come through all of them.
KINDS = [[kind] for kind in sorted(FAULTS)] if LONG else [sorted(FAULTS)]


@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: kinds[0] if len(kinds) == 1 else "all")
async def test_law_7_a_bad_answer_of_the_store(kinds, tmp_path, origin):
    """All admitted requests 2xx, all polls 200, no slower; newcomers told kindly; joins again within a second."""
    async with Store(tmp_path / "store") as store:
        await store.with_front()
        config = room(release_rate=1_000, pass_life=600)
        async with gates(tmp_path / "gates", origin.url, config, store=store.url) as (gate,):
            cookies = await admitted(gate.url, VISITORS)
            for kind in kinds:
                await suffer(gate.url, cookies, store, kind)


def _yields(store: Store) -> None:
    """As a rule the store is on another machine: here it takes what the others leave."""
    with contextlib.suppress(OSError):  # it may be dead, which is the fault
        os.sched_setscheduler(store.pid, os.SCHED_IDLE, os.sched_param(0))
        # Sessions are weighed against one another, whatever their processes' priorities are.
        Path(f"/proc/{store.pid}/autogroup").write_text("19")


async def suffer(url: str, cookies: list[str], store: Store, kind: str) -> None:
    """One kind of outage, over and over, under load."""
    stretches: list[tuple[float, float, float]] = []
    returns: list[float] = []
    async with (
        Steady(url, asks(url, cookies), rate=PER_SECOND, connections=16) as inside,
        Steady(url, [poll(url)], rate=PER_SECOND, connections=16) as waiting,
        PollWatch([url], ROOM, every_ms=50) as watch,
        JoinCrowd([url], ROOM, connections=4, rate=20, patience=3.0) as crowd,
    ):
        for _ in range(ROUNDS):
            _yields(store)
            begun = time.monotonic()
            await asyncio.sleep(BEFORE)
            broken = time.monotonic()
            async with fault(store, kind):
                _yields(store)
                await asyncio.sleep(max(WITHIN - (time.monotonic() - broken), 1.0))
                mending = time.monotonic()
            returns.append(time.monotonic())
            stretches.append((begun, broken, mending))
            await asyncio.sleep(1.5)
    p99 = [
        (inside.percentile(0.99, since=begun, until=broken), inside.percentile(0.99, since=broken, until=mending))
        for begun, broken, mending in stretches
    ]
    before, within = (statistics.median(column) for column in zip(*p99, strict=True))
    inside_fine = sum(200 <= one.status < 300 for one in inside.done)
    polls_fine = sum(one.status == 200 for one in waiting.done)
    answers = [one.answered for one in crowd.tickets()]
    back = max(min((at for at in answers if at >= moment), default=float("inf")) - moment for moment in returns)
    tell(
        f"4 · {kind}",
        f"{ROUNDS} times {WITHIN} s, {PER_SECOND}/s admitted and {PER_SECOND}/s polls",
        f"admitted {inside_fine / len(inside.done):.2%} of {len(inside.done):,}, polls {polls_fine / len(waiting.done):.2%}, "
        f"p99 {before * 1000:.1f} → {within * 1000:.1f} ms, joins back after {back:.2f} s; joins {dict(crowd.statuses)}",
    )
    assert inside_fine == len(inside.done), inside.statuses
    assert polls_fine == len(waiting.done), waiting.statuses
    assert set(crowd.statuses) <= {200, 202, 503}
    if kind in HARMLESS:
        assert 503 not in crowd.statuses
    elif 503 in crowd.bodies:
        assert b'"store-unavailable"' in crowd.bodies[503]
    assert back <= 1.0
    pointers = [one.pointer for one in watch.seen]
    assert pointers == sorted(pointers), "law 3"
    if LONG:  # where the machine is quiet, and the stretches are long enough to tell
        assert within <= max(before * 1.5, before + 0.005)
