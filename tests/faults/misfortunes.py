"""What befalls a store while dealers deal: each loses numbers that were acknowledged, or may have."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.dealers import Dealer, Dealers
from tests.faults.preload import Preload, preload_library
from tests.faults.results import LONG, sized
from tests.faults.stores import Relay, Store

DEALERS = sized(2, 4)
# Pre-ticket proofs, clocks and the like do not matter here; a rate that keeps the pointer moving does.
OPTIONS: dict[str, object] = {"rate": 400, "size": 60}


@dataclass
class Ground:
    """Where one subject is tried: a folder of its own, and what it told."""

    folder: Path
    subject: str
    rounds: int
    rollbacks: int = 0

    def dealers(self, urls: list[str]) -> Dealers:
        """All, on these addresses in turn."""
        return Dealers(
            self.folder / "dealers", self.subject, [urls[index % len(urls)] for index in range(DEALERS)], options=OPTIONS
        )


Misfortune = Callable[[Ground], Awaitable[Dealers]]


def _half(dealers: Dealers) -> list[Dealer]:
    """Half of them, and now and then all; of a control that has one try, all: what it is to show rests on no chance."""
    if not LONG and dealers.subject != "gate":
        return dealers.all
    return random.sample(dealers.all, random.choice((DEALERS // 2, DEALERS // 2, DEALERS // 2, DEALERS)))


async def _begin_again(store: Store, dealers: Dealers) -> None:
    """The store comes back while some gates restart.

    Those of a control are dead by then: one that still remembers could heal the store before it is killed.
    """
    if dealers.subject != "gate":
        await dealers.restart(_half(dealers), store.start)
    else:
        await asyncio.gather(store.start(), dealers.restart(_half(dealers)))


async def _deal_on(dealers: Dealers, seconds: float) -> None:
    await dealers.until_dealt(3)
    await asyncio.sleep(seconds)


async def rollback_storm(ground: Ground) -> Dealers:
    """Again and again the store is killed and comes back as it was a moment ago; half of the gates restart, or all."""
    async with Store(ground.folder) as store, ground.dealers([store.url]) as dealers:
        await dealers.until_dealt(5)
        for _ in range(ground.rounds):
            await store.copy_data(ground.folder / "copy")
            await asyncio.sleep(random.uniform(0.1, 0.8))
            await store.kill()
            store.restore_data(ground.folder / "copy")
            ground.rollbacks += 1
            await _begin_again(store, dealers)
            await store.wait_ready()
            await _deal_on(dealers, 0.1)
    return dealers


async def old_snapshot(ground: Ground) -> Dealers:
    """Somebody restores the backup of a while ago."""
    async with Store(ground.folder) as store, ground.dealers([store.url]) as dealers:
        await dealers.until_dealt(5)
        await store.copy_data(ground.folder / "backup")
        for _ in range(ground.rounds):
            await asyncio.sleep(1.0)
            await store.kill()
            store.restore_data(ground.folder / "backup")
            await _begin_again(store, dealers)
            await store.wait_ready()
            await _deal_on(dealers, 0.5)
    return dealers


async def flushed(ground: Ground) -> Dealers:
    """FLUSHALL: the same process, and nothing in it."""
    async with Store(ground.folder) as store, ground.dealers([store.url]) as dealers:
        for _ in range(ground.rounds):
            await _deal_on(dealers, 0.5)
            await dealers.restart(_half(dealers), lambda: store.command("FLUSHALL"))
        await _deal_on(dealers, 0.5)
    return dealers


async def empty_restart(ground: Ground) -> Dealers:
    """It comes back without its disk."""
    async with Store(ground.folder) as store, ground.dealers([store.url]) as dealers:
        for _ in range(ground.rounds):
            await _deal_on(dealers, 0.5)
            await store.kill()
            store.wipe()
            await _begin_again(store, dealers)
            await store.wait_ready()
        await _deal_on(dealers, 0.5)
    return dealers


async def slow_disk(ground: Ground) -> Dealers:
    """Every fsync takes 1.5 s, once a second is asked for, and then the power goes."""
    preload = Preload(preload_library(ground.folder), ground.folder / "steer")
    async with (
        Store(ground.folder / "store", appendfsync="everysec", preload=preload) as store,
        ground.dealers([store.url]) as dealers,
    ):
        for _ in range(ground.rounds):
            preload.fsync_takes(0)
            await _deal_on(dealers, 0.2)
            preload.fsync_takes(1_500)
            await asyncio.sleep(random.uniform(1.2, 2.4))
            await store.kill()
            preload.fsync_takes(0)
            await _begin_again(store, dealers)
            await store.wait_ready()
        await _deal_on(dealers, 0.5)
    return dealers


async def lagging_replica(ground: Ground) -> Dealers:
    """Replication stands still, the primary dies, and the replica that knows less takes its place."""
    async with Store(ground.folder / "a") as first:
        front, primary, number = await first.with_front(), first, 0
        stores = [first]
        try:
            async with ground.dealers([first.url]) as dealers:
                for _ in range(ground.rounds):
                    number += 1
                    link = await Relay(ground.folder / f"link-{number}", primary.port).start()
                    replica = await Store(ground.folder / f"b{number}").start()
                    stores.append(await replica.wait_ready())
                    await replica.replica_of(link)
                    await _deal_on(dealers, 0.2)
                    await link.freeze()
                    await asyncio.sleep(1.0)

                    async def switch(old=primary, link=link, new=replica) -> None:
                        await old.kill()
                        await link.kill()
                        await new.promote()
                        await front.target(new.port)

                    await dealers.restart(_half(dealers), switch)
                    primary = replica
                await _deal_on(dealers, 0.5)
        finally:
            for store in stores:
                await store.kill()
    return dealers


async def promoted_again(ground: Ground) -> Dealers:
    """From A to a stale B, and back to A, which never restarted and has copied what B knows."""
    async with (
        Store(ground.folder / "a") as a,
        Store(ground.folder / "b") as b,
        Relay(ground.folder / "link", a.port) as link,
        Relay(ground.folder / "front", a.port) as front,
        ground.dealers([f"redis://127.0.0.1:{front.port}/0"]) as dealers,
    ):
        for _ in range(ground.rounds):
            await b.replica_of(link)
            await _deal_on(dealers, 0.2)
            await link.freeze()
            await asyncio.sleep(0.7)

            async def there_and_back() -> None:
                await b.promote()
                await a.replica_of(b)
                await a.promote()
                await front.cut()
                await link.thaw()
                await link.cut()
                await front.mend()
                await link.mend()

            await dealers.restart(_half(dealers), there_and_back)
        await _deal_on(dealers, 0.5)
    return dealers


async def two_primaries(ground: Ground) -> Dealers:
    """For some seconds half of the gates talk to one primary and half to another; then the first is wiped."""
    async with (
        Store(ground.folder / "a") as a,
        Store(ground.folder / "b") as b,
        Relay(ground.folder / "near", a.port) as near,
        Relay(ground.folder / "far", a.port) as far,
        ground.dealers([f"redis://127.0.0.1:{near.port}/0", f"redis://127.0.0.1:{far.port}/0"]) as dealers,
    ):
        await b.replica_of(a)
        await _deal_on(dealers, 0.5)
        await b.promote()
        await _turn(far, b)
        await asyncio.sleep(sized(2, 5))
        await _turn(near, b)
        await a.kill()
        await _deal_on(dealers, 1.0)
    return dealers


async def leaping_clock(ground: Ground) -> Dealers:
    """TIME goes back by ten minutes, then ahead by an hour, then is right again; kills and rollbacks in between."""
    preload = Preload(preload_library(ground.folder), ground.folder / "steer")
    async with (
        Store(ground.folder / "store", preload=preload) as store,
        ground.dealers([store.url]) as dealers,
    ):
        for seconds in (-600, 3_600, 0)[: max(ground.rounds, 3)]:
            await _deal_on(dealers, 0.3)
            await store.copy_data(ground.folder / "copy")
            await asyncio.sleep(0.3)
            preload.clock_is_ahead(seconds)
            await asyncio.sleep(0.5)
            await store.kill()
            store.restore_data(ground.folder / "copy")
            await _begin_again(store, dealers)
            await store.wait_ready()
        await _deal_on(dealers, 0.5)
    return dealers


async def _turn(relay: Relay, store: Store) -> None:
    """New connections go there, and the old ones end."""
    await relay.target(store.port)
    await relay.cut()
    await relay.mend()


