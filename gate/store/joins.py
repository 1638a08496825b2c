"""Joins that arrive together share one store call, numbers dealt in the order of arrival.

One call is under way per room and kind at a time, and calls begin a few milliseconds apart: meanwhile newcomers
gather for the next. So the first of a quiet moment goes at once, the batch grows with the load by itself, and
positions follow the order in which joins reached this gate.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gate.core.errors import Reason, RefusalError
from gate.core.release import plan_idle
from gate.core.room import Room
from gate.core.tokens import PreTicket
from gate.store.connection import StoreUnavailableError
from gate.store.rooms import Dealt, RoomStore

log = logging.getLogger("gate.joins")
BATCH_MAX = 500
# More than this waiting for the store is more than it can take within a visitor's patience.
QUEUE_MAX = 20_000
# Calls begin at least this far apart: what a call costs is shared by whoever arrives meanwhile.
GATHER_SECONDS = 0.004
_RACES_MAX = 3


@dataclass(slots=True)
class _Asked:
    pre: PreTicket | None
    answer: "asyncio.Future[Dealt | None]"


class _Shared:
    """Gathers calls and sends them in batches, one batch at a time."""

    def __init__(self, send: Callable[[list[_Asked]], Awaitable[list[Dealt | None]]]) -> None:
        self._send = send
        self._asked: deque[_Asked] = deque()
        self._task: asyncio.Task[None] | None = None
        self._next_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask(self, pre: PreTicket | None) -> "asyncio.Future[Dealt | None]":
        if len(self._asked) >= QUEUE_MAX:
            raise RefusalError(Reason.STORE_UNAVAILABLE, retry_after=3)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()  # once: each time it is a system call
        asked = _Asked(pre, self._loop.create_future())
        self._asked.append(asked)
        if self._task is None:
            # Starts after this loop turn, so that whatever else arrived in it comes along.
            self._task = self._loop.create_task(self._run())
        return asked.answer

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._asked:
                if (early := self._next_at - loop.time()) > 0:
                    await asyncio.sleep(early)
                self._next_at = loop.time() + GATHER_SECONDS
                # A visitor who has gone meanwhile spends no number.
                taken = [self._asked.popleft() for _ in range(min(BATCH_MAX, len(self._asked)))]
                batch = [asked for asked in taken if not asked.answer.done()]
                if batch:
                    await self._answer(batch)
        finally:
            self._task = None

    async def _answer(self, batch: list[_Asked]) -> None:
        try:
            answers = await self._send(batch)
        except Exception as error:
            away = isinstance(error, StoreUnavailableError)
            for asked in batch:
                if not asked.answer.done():
                    asked.answer.set_exception(StoreUnavailableError(str(error)) if away else error)
            if away:
                return
            raise  # a fault of ours: told to whoever waits, and logged
        for asked, answer in zip(batch, answers, strict=True):
            if not asked.answer.done():
                asked.answer.set_result(answer)


class Joins:
    """The two ways into one room's line."""

    def __init__(self, store: RoomStore, room: Room, now: Callable[[], float]) -> None:
        self._store = store
        self._room = room
        self._now = now
        self._joins = _Shared(self._join)
        self._admissions = _Shared(self._admit)

    async def join(self, pre: PreTicket) -> Dealt:
        """Take a place in line. `position` 0: full or closed; -1: this pre-ticket was spent already.

        Raises:
            StoreUnavailableError: the store is away.
            RefusalError: too many wait for the store already.
        """
        dealt = await self.begin(pre)
        if dealt is None:
            raise StoreUnavailableError("no answer")
        return dealt

    def begin(self, pre: PreTicket) -> "asyncio.Future[Dealt | None]":
        """The same, for whoever does not wait; to cancel it spends no number unless the store was asked already."""
        return self._joins.ask(pre)

    def may_admit(self) -> bool:
        """Whether it looks as if somebody could be let in at once."""
        line = self._store.live.line(self._room.name)
        return line is not None and plan_idle(line, self._now(), 1, lease=self._room.lease) is not None

    async def admit(self, pre: PreTicket | None) -> Dealt | None:
        """Take a place that is served at once, if nobody waits and there is release to spare; else None."""
        if not self.may_admit():
            return None
        return await self._admissions.ask(pre)

    async def _join(self, batch: list[_Asked]) -> list[Dealt | None]:
        dealt = await self._store.join(self._room, [asked.pre for asked in batch if asked.pre])
        positions = [one.position for one in dealt if one.position > 0]
        if positions:
            # One line a batch: in a surge one a visitor would cost more than dealing the place.
            told = {"room": self._room.name, "count": len(positions), "position": positions[0], "last": positions[-1]}
            log.info("joined", extra=told)
        return list(dealt)

    async def _admit(self, batch: list[_Asked]) -> list[Dealt | None]:
        """As many of the batch as there is release for; the others wait like anyone."""
        answers: list[Dealt | None] = []
        for _ in range(_RACES_MAX):
            line = self._store.live.line(self._room.name)
            wanted = [asked.pre for asked in batch[len(answers) :]]
            plan = plan_idle(line, self._now(), len(wanted), lease=self._room.lease) if line else None
            if line is None or plan is None:
                break
            answers += await self._store.admit(self._room, wanted[: plan.released], line, plan)
            if len(answers) == len(batch):
                break
        return answers + [None] * (len(batch) - len(answers))
