"""Store memory a visitor: MEMORY USAGE over the room's keys after 10 joins and after 100,000.

python loadtests/store_memory.py [--claim]      # with --claim every place is claimed and ended too
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from gate.core.place import Place
from gate.core.release import Advance
from gate.core.room import Mode, Room
from gate.core.tokens import PreTicket
from gate.store.connection import Connection
from gate.store.embedded import start_embedded
from gate.store.live import Live
from gate.store.room_settings import configured
from gate.store.rooms import RoomStore

FEW, MANY, BATCH = 10, 100_000, 500


async def used(connection: Connection) -> int:
    """Bytes of all keys of the room, the short-lived sets of spent proofs left out."""
    keys = [key for key in await connection.command("KEYS", "gate:*") if ":pre:" not in key]
    return sum([int(await connection.command("MEMORY", "USAGE", key, "SAMPLES", 0)) for key in keys])


async def run(url: str, *, claim: bool) -> None:
    """Join, measure, join on, measure again."""
    connection = Connection(url)
    store = RoomStore(connection, Live(), first_generation=1, fresh=True)
    room = Room(mode=Mode.HOLD)
    await store.open(room, configured(room))
    dealt = 0
    sizes = []
    for goal in (FEW, MANY):
        while dealt < goal:
            count = min(BATCH, goal - dealt)
            await store.join(room, [PreTicket("g", int(time.time()), dealt + n) for n in range(count)])
            dealt += count
        if claim:
            line = store.live.line(room.name)
            await store.advance(line, Advance(line.newest.number, dealt, dealt, line.time, 0.0))
            places = [Place(line.generation, line.newest.number, n) for n in range(1, dealt + 1)]
            for start in range(0, dealt, BATCH):
                some = places[start : start + BATCH]
                await asyncio.gather(*(store.claim(room.name, place) for place in some))
                await asyncio.gather(*(store.finish(room.name, place) for place in some))
        sizes.append(await used(connection))
    print(
        f"{FEW} joins: {sizes[0]} bytes; {MANY} joins: {sizes[1]} bytes; "
        f"{(sizes[1] - sizes[0]) / (MANY - FEW):.3f} bytes a visitor{' (all claimed and ended)' if claim else ''}"
    )
    await connection.close()


def main() -> None:
    """Everything started and stopped by itself."""
    with tempfile.TemporaryDirectory(prefix="gate-memory-") as name:
        store = start_embedded(Path(name))
        try:
            asyncio.run(run(store.url, claim="--claim" in sys.argv))
        finally:
            store.stop()


if __name__ == "__main__":
    main()
