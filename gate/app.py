"""The composition root: one gate process, its parts, its public side, its admin side, started and stopped in order.

A process of a larger gate has only one side: workers the public one, their supervisor the admin one
(`supervisor.py`). A process that has both is a whole gate, and what most tests run.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from gate.control import Control, Fleet
from gate.core.meter import Meter
from gate.front import Front
from gate.loop import cancelled
from gate.parts import make_parts
from gate.settings import Config
from gate.sockets import bind, place_of

log = logging.getLogger("gate.app")


@dataclass(frozen=True, slots=True)
class Doors:
    """The listening sockets of one process; a side without a socket is not there."""

    public: Sequence[socket.socket] = ()
    admin: socket.socket | None = None


class Gate:
    """One gate process, built and not yet started. `store_url` names a running store."""

    def __init__(self, config: Config, store_url: str, *, meter: Meter | None = None) -> None:
        self.config = config
        self.parts = make_parts(config, store_url, meter)
        self.front: Front | None = None
        self.control: Control | None = None
        self.listen: tuple[str, int] = config.server["listen"]
        self.admin_listen: tuple[str, int] = config.server["admin_listen"]

    @contextlib.asynccontextmanager
    async def running(self, doors: Doors | None = None, fleet: Fleet | None = None) -> AsyncIterator["Gate"]:
        """Start; at the end stop in order. Without `doors` both sides run where the configuration says.

        `fleet` is what the admin side shows of other processes; this one alone if it is not given.
        """
        doors = doors or Doors([bind(self.config.server["listen"])], bind(self.config.server["admin_listen"]))
        async with contextlib.AsyncExitStack() as stack:
            parts = self.parts
            if doors.public:
                self.listen = place_of(doors.public[0])
            stack.push_async_callback(parts.connection.close)
            stack.push_async_callback(parts.ticker.leave_mark)
            await self._first_tick()
            self._work(stack, parts.ticker.run, parts.keys.run)
            if doors.admin is not None:
                self.control = Control(parts, fleet or Fleet([parts.meter.read], parts.readiness), self.listen)
                self.admin_listen = place_of(doors.admin)
                stack.push_async_callback(self.control.stop)
                await self.control.start(doors.admin)
                self._work(stack, self.control.watch)
            if doors.public:
                self.front = Front(parts)
                self._work(stack, self.front.tell_active)
                stack.push_async_callback(self.front.stop)
                await self.front.start(doors.public)
            yield self

    async def drain(self, *, for_good: bool = True) -> None:
        """Say goodbye on open connections before they are closed."""
        if self.front is not None:
            await self.front.drain(for_good=for_good)

    async def _first_tick(self) -> None:
        """Hear of the rooms before the first request, if the store is there; else begin without it."""
        for room in self.config.rooms:
            with contextlib.suppress(Exception):
                await self.parts.ticker.tick(room)
            if self.parts.live.line(room.name) is None:
                log.warning("store away", extra={"room": room.name, "cause": "no answer at start"})

    def _work(self, stack: contextlib.AsyncExitStack, *works: Callable[[], Awaitable[None]]) -> None:
        for work in works:
            stack.push_async_callback(cancelled, asyncio.ensure_future(work()))
