"""One gate without its listeners, as a process: joins, ticks, and tells of every place dealt and pointer shown.

    python -m tests.faults.dealer SUBJECT URL ROOM OUT [KEY=VALUE ...]

SUBJECT is `gate` (the product's own store code), or one of the two controls that must fail where it must not:
`incr` (plain INCR) and `highest` (INCR, never below the highest number this process has seen). Each line of OUT is
`deal ASKED ANSWERED GENERATION ERA FIRST LAST NONCE` or `show SEEN TIME GENERATION ERA NOW_SERVING ISSUED`
(monotonic seconds, but for the document's own TIME). It runs until it is killed.
"""

import asyncio
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from gate.core.pointer import Pointer
from gate.core.room import Mode, PollRule, Room
from gate.core.tokens import PreTicket
from gate.loop import cancelled
from gate.store.backends import StoreTls, connect
from gate.store.connection import Connection, StoreUnavailableError
from gate.store.live import Live
from gate.store.rooms import RoomStore
from gate.ticker import Ticker

_HIGHEST = """
local n = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1])) + tonumber(ARGV[2])
redis.call('SET', KEYS[1], n)
return n
"""
_RETRY_SECONDS = 0.02
_SHOW_SECONDS = 0.05


class Book:
    """Where everything is written at once, so that a kill loses nothing that was acknowledged long ago."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, *words: Any) -> None:
        """One event."""
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())


class GateDealer:
    """The product: a room store, a live snapshot and a ticker."""

    def __init__(self, url: str, room: Room, book: Book) -> None:
        self.connection, self.room, self.book, self.live = Connection(url), room, book, Live()
        self.store = RoomStore(self.connection, self.live, first_generation=1_000, fresh=True)
        self.ticker = Ticker(self.store, (room,), self.connection.clock.now)
        self._serial = 0
        self._name = f"d{os.getpid()}"

    async def deal(self, count: int) -> None:
        """A batch of joins, as one call of the product makes it."""
        self._serial += count
        now = int(self.connection.clock.now())
        pres = [PreTicket(self._name, now, self._serial - index) for index in range(count)]
        asked = time.monotonic()
        dealt = [one for one in await self.store.join(self.room, pres) if one.position > 0]
        if dealt:
            first, last = dealt[0], dealt[-1]
            told = (first.generation, first.era, first.position, last.position, first.nonce)
            self.book.note("deal", asked, time.monotonic(), *told)

    async def show(self) -> None:
        """What this gate's pointer document says, over and over."""
        while True:
            line = self.live.line(self.room.name)
            if line is not None:
                said = Pointer.of(line, self.room).document()
                names = ("time", "generation", "era", "now_serving", "issued")
                self.book.note("show", time.monotonic(), *(said[name] for name in names))
            await asyncio.sleep(_SHOW_SECONDS)

    async def run(self, joins: bool, size: int) -> None:
        """Everything at once."""
        works = [asyncio.ensure_future(self.ticker.run()), asyncio.ensure_future(self.show())]
        try:
            await (_deal_for_ever(self.deal, size) if joins else asyncio.Event().wait())
        finally:
            for work in works:
                await cancelled(work)


class PlainDealer:
    """A control: a number from INCR, which may be told not to go below what this process has seen."""

    def __init__(self, url: str, room: Room, book: Book, *, remembers: bool) -> None:
        self._redis: Any = connect(url, tls=StoreTls(), timeout_seconds=0.5, pool_size=4)
        self._key = f"control:{remembers}:{{{room.name}}}"
        self.book, self._remembers, self._seen = book, remembers, 0

    async def deal(self, count: int) -> None:
        """A batch of numbers."""
        asked = time.monotonic()
        try:
            if self._remembers:
                last = int(await self._redis.eval(_HIGHEST, 1, self._key, self._seen, count))
            else:
                last = int(await self._redis.incrby(self._key, count))
        except Exception as error:
            raise StoreUnavailableError(str(error)) from error
        self._seen = max(self._seen, last)
        self.book.note("deal", asked, time.monotonic(), 0, 0, last - count + 1, last, "-")

    async def run(self, _joins: bool, size: int) -> None:
        """Deal."""
        await _deal_for_ever(self.deal, size)


async def _deal_for_ever(deal: Any, size: int) -> None:
    while True:
        try:
            await deal(random.randint(1, size))
        except StoreUnavailableError:
            await asyncio.sleep(_RETRY_SECONDS)
        # Joins of one gate arrive over time: others get their turn at the store.
        await asyncio.sleep(0.001)


def main(subject: str, url: str, room_name: str, out: str, *options: str) -> None:
    """Run one."""
    given = dict(option.split("=", 1) for option in options)
    room = Room(
        name=room_name,
        release_rate=float(given.get("rate", "10")),
        burst=float(given["burst"]) if "burst" in given else None,
        mode=Mode(given.get("mode", "auto")),
        lease=float(given.get("lease", "10")),
        poll=PollRule(minimum=float(given.get("poll_min", "0.5"))),
    )
    book = Book(str(Path(out)))
    dealer: Any
    if subject == "gate":
        dealer = lambda: GateDealer(url, room, book)  # noqa: E731  (made within the loop)
    else:
        dealer = lambda: PlainDealer(url, room, book, remembers=subject == "highest")  # noqa: E731

    async def run() -> None:
        await dealer().run(given.get("joins", "1") == "1", int(given.get("size", "60")))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


if __name__ == "__main__":
    main(*sys.argv[1:])
