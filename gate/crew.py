"""The workers of a gate: started, watched, replaced when they die, exchanged without a gap, told to go.

A slot is a place for one worker: its listening socket outlives whoever stands in it. Where there are more sockets
than workers (after a reload with fewer), workers share them, so that no connection waits before a closed door.
"""

import asyncio
import contextlib
import logging
import mmap
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

from gate.core.meter import Layout, Meter, Reading
from gate.settings import Config
from gate.sockets import bind, place_of
from gate.worker import READY, REPLACED, Task

log = logging.getLogger("gate.crew")
_LOOK_SECONDS = 0.05
_START_SECONDS = 30.0
# A worker that dies younger than this is not replaced at once: what killed it may kill the next.
_YOUNG_SECONDS = 2.0
_REST_SECONDS = 1.0


class WorkerError(Exception):
    """A worker did not start."""


@dataclass(slots=True)
class Worker:
    """One worker process and what it counts in."""

    process: "subprocess.Popen[bytes]"
    meter: Meter
    began: float
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Crew:
    """All workers. `sockets` are the listening ones there are so far; more are bound as they are needed."""

    def __init__(self, sockets: list[socket.socket], store_url: str, level: int) -> None:
        self._sockets = sockets
        self._store_url = store_url
        self._level = level
        self._config: Config | None = None
        self._slots: list[Worker] = []
        self._leaving: list[Worker] = []
        self._gone = Reading()
        self._restarts = 0
        self._wanted = 0
        self._busy = asyncio.Lock()

    def read(self) -> Reading:
        """The counts of all workers, also of those that are gone."""
        total = self._gone
        for worker in (*self._slots, *self._leaving):
            total = total + worker.meter.read()
        return total

    def keep(self, reading: Reading) -> None:
        """Counts of a process that is no more."""
        self._gone = self._gone + reading

    def counts(self) -> tuple[int, int, int]:
        """How many serve, how many should, how many died and were replaced."""
        alive = sum(worker.ready.is_set() and worker.process.poll() is None for worker in self._slots)
        return alive, self._wanted, self._restarts

    async def start(self, config: Config, wanted: int) -> None:
        """The first workers; returns when all serve.

        Raises:
            WorkerError: one did not start; its own words are in the log.
        """
        self._config, self._wanted = config, wanted
        self._bind(wanted)
        self._slots = [self._spawn(slot) for slot in range(wanted)]
        await asyncio.gather(*(self._until_ready(worker) for worker in self._slots))

    async def replace(self, config: Config, wanted: int) -> None:
        """Exchange every worker for one with this configuration; each goes only when its successor serves."""
        async with self._busy:
            before, self._config, self._wanted = self._slots, config, wanted
            self._bind(wanted)
            self._slots = list(before)
            for slot in range(wanted):
                successor = self._spawn(slot)
                try:
                    await self._until_ready(successor)
                except WorkerError:
                    log.error("worker did not start", extra={"slot": slot})  # noqa: TRY400  (it told why itself)
                    self._let_go(successor, signal.SIGKILL)
                    continue
                if slot < len(before):
                    self._let_go(before[slot], REPLACED)
                    self._slots[slot] = successor
                else:
                    self._slots.append(successor)
            for worker in self._slots[wanted:]:
                self._let_go(worker, REPLACED)
            del self._slots[wanted:]

    async def watch(self) -> None:
        """Replace whoever dies, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._bury()
            async with self._busy:
                for slot, worker in enumerate(self._slots):
                    if worker.process.poll() is not None:
                        await self._revive(slot, worker)

    async def stop(self) -> None:
        """Tell all to go for good and wait; those that do not are killed."""
        everyone = [*self._slots, *self._leaving]
        for worker in everyone:
            with contextlib.suppress(ProcessLookupError):
                worker.process.send_signal(signal.SIGTERM)
        server = self._config.server if self._config else {"drain_seconds": 0, "finish_seconds": 0}
        deadline = time.monotonic() + server["drain_seconds"] + server["finish_seconds"] + 5
        for worker in everyone:
            await _until_ended(worker, deadline)
            if worker.process.poll() is None:
                log.warning("worker killed", extra={"cause": "did not end in time"})
                worker.process.kill()
            worker.process.wait()
        self._slots, self._leaving = [], []

    async def _revive(self, slot: int, dead: Worker) -> None:
        self._restarts += 1
        log.error("worker died", extra={"slot": slot, "status": dead.process.returncode})
        if time.monotonic() - dead.began < _YOUNG_SECONDS:
            await asyncio.sleep(_REST_SECONDS)
        self._gone = self._gone + dead.meter.read()
        self._slots[slot] = self._spawn(slot)
        with contextlib.suppress(WorkerError):
            await self._until_ready(self._slots[slot])

    def _bury(self) -> None:
        for worker in [worker for worker in self._leaving if worker.process.poll() is not None]:
            self._gone = self._gone + worker.meter.read()
            self._leaving.remove(worker)

    def _let_go(self, worker: Worker, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            worker.process.send_signal(number)
        self._leaving.append(worker)

    def _bind(self, wanted: int) -> None:
        while len(self._sockets) < wanted:
            self._sockets.append(bind(place_of(self._sockets[0])))

    def _spawn(self, slot: int) -> Worker:
        config = self._config
        assert config is not None  # noqa: S101  (set before any worker is)
        names = [room.name for room in config.rooms]
        size = Layout(names).size_bytes
        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            shared = memoryview(mmap.mmap(file.fileno(), size))
            listeners = tuple(listener.fileno() for listener in self._sockets[slot :: self._wanted])
            task = Task(config, self._store_url, listeners, file.fileno(), size, self._level)
            process = subprocess.Popen(
                [sys.executable, "-m", "gate.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(*listeners, file.fileno()),
                start_new_session=True,
            )
        words = pickle.dumps(task)
        assert process.stdin is not None  # noqa: S101  (a pipe was asked for)
        # The pipe stays open: its end tells the worker that its supervisor is gone.
        process.stdin.write(len(words).to_bytes(4) + words)
        process.stdin.flush()
        return Worker(process, Meter(names, shared), time.monotonic())

    async def _until_ready(self, worker: Worker) -> None:
        output = worker.process.stdout
        assert output is not None  # noqa: S101  (a pipe was asked for)
        os.set_blocking(output.fileno(), False)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and worker.process.poll() is None:
            if output.read() == READY:
                worker.ready.set()
                return
            await asyncio.sleep(_LOOK_SECONDS / 5)
        raise WorkerError


async def _until_ended(worker: Worker, deadline: float) -> None:
    while worker.process.poll() is None and time.monotonic() < deadline:  # noqa: ASYNC110  (a process sets no event)
        await asyncio.sleep(_LOOK_SECONDS)
