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
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gate.child import python
from gate.core.meter import Layout, Meter, Reading
from gate.parts import Known
from gate.settings import Config
from gate.sockets import bind, place_of
from gate.worker import READY, REPLACED, Task

log = logging.getLogger("gate.crew")
LOOK_SECONDS = 0.05
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

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        """Tell it, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)


@dataclass(slots=True)
class _Slot:
    """A place for a worker; empty while one cannot be had."""

    worker: Worker | None = None
    next_try: float = 0.0


class Crew:
    """All workers. `sockets` are the listening ones there are so far; more are bound as they are needed."""

    def __init__(
        self, sockets: list[socket.socket], store_url: str, level: int, known: Callable[[], Known]
    ) -> None:
        self._sockets = sockets
        self._store_url = store_url
        self._level = level
        self._known = known
        self._config: Config | None = None
        self._slots: list[_Slot] = []
        self._leaving: list[Worker] = []
        self._gone = Reading()
        self._restarts = 0
        self._busy = asyncio.Lock()

    def read(self) -> Reading:
        """The counts of all workers, also of those that are gone."""
        total = self._gone
        for worker in (*self._workers(), *self._leaving):
            total = total + worker.meter.read()
        return total

    def counts(self) -> tuple[int, int, int]:
        """How many serve, how many should, how many died and were replaced."""
        alive = sum(worker.ready.is_set() and worker.alive for worker in self._workers())
        return alive, len(self._slots), self._restarts

    async def start(self, config: Config, wanted: int) -> None:
        """The first workers; returns when all serve.

        Raises:
            WorkerError: one did not start; its own words are in the log.
        """
        self._config = config
        self._bind(wanted)
        self._slots = [_Slot() for _ in range(wanted)]
        for number, slot in enumerate(self._slots):
            slot.worker = self._spawn(config, number, wanted)
        await asyncio.gather(*(_until_ready(worker) for worker in self._workers()))

    async def replace(self, config: Config, wanted: int) -> None:
        """Exchange every worker for one with this configuration; each goes only when its successor serves.

        Raises:
            WorkerError: the first successor did not start; everything is as it was.
        """
        async with self._busy:
            self._bind(wanted)
            first = await self._successor(config, 0, wanted)
            before, self._config = self._slots, config
            self._slots = [*before, *(_Slot() for _ in range(wanted - len(before)))]
            self._exchange(0, first)
            for number in range(1, wanted):
                try:
                    self._exchange(number, await self._successor(config, number, wanted))
                except WorkerError:
                    log.error("worker did not start", extra={"slot": number})  # noqa: TRY400  (it told why itself)
                    self._slots[number].next_try = time.monotonic() + _REST_SECONDS
            for slot in self._slots[wanted:]:
                if slot.worker is not None:
                    self._let_go(slot.worker)
            del self._slots[wanted:]

    async def look(self) -> None:
        """Replace whoever died, and fill what is empty."""
        self._bury()
        if self._busy.locked():
            return
        async with self._busy:
            for number, slot in enumerate(self._slots):
                if slot.worker is not None and not slot.worker.alive:
                    self._mourn(number, slot)
                if slot.worker is None and time.monotonic() >= slot.next_try:
                    await self._fill(number, slot)

    async def stop(self) -> None:
        """Tell all to go for good and wait; those that do not are killed. Those that go already are let finish."""
        everyone = [*self._workers(), *self._leaving]
        for worker in self._workers():
            worker.signal(signal.SIGTERM)
        server = self._config.server if self._config else {"drain_seconds": 0, "finish_seconds": 0}
        deadline = time.monotonic() + server["drain_seconds"] + server["finish_seconds"] + 5
        for worker in everyone:
            await _until_ended(worker, deadline)
            if worker.alive:
                log.warning("worker killed", extra={"cause": "did not end in time"})
                worker.process.kill()
            worker.process.wait()
        self._slots, self._leaving = [], []

    def _workers(self) -> list[Worker]:
        return [slot.worker for slot in self._slots if slot.worker is not None]

    def _mourn(self, number: int, slot: _Slot) -> None:
        dead, slot.worker = slot.worker, None
        assert dead is not None  # noqa: S101  (asked by the caller)
        self._restarts += 1
        log.error("worker died", extra={"slot": number, "status": dead.process.returncode})
        self._gone = self._gone + dead.meter.read()
        young = time.monotonic() - dead.began < _YOUNG_SECONDS
        slot.next_try = time.monotonic() + (_REST_SECONDS if young else 0)

    async def _fill(self, number: int, slot: _Slot) -> None:
        assert self._config is not None  # noqa: S101  (set before any slot is)
        try:
            slot.worker = await self._successor(self._config, number, len(self._slots))
        except WorkerError as error:
            log.error("worker did not start", extra={"slot": number, "cause": str(error)})  # noqa: TRY400
            slot.next_try = time.monotonic() + _REST_SECONDS

    def _bury(self) -> None:
        for worker in [worker for worker in self._leaving if not worker.alive]:
            self._gone = self._gone + worker.meter.read()
            self._leaving.remove(worker)

    def _exchange(self, number: int, successor: Worker) -> None:
        slot = self._slots[number]
        if slot.worker is not None:
            self._let_go(slot.worker)
        slot.worker = successor

    def _let_go(self, worker: Worker) -> None:
        worker.signal(REPLACED)
        self._leaving.append(worker)

    def _bind(self, wanted: int) -> None:
        while len(self._sockets) < wanted:
            self._sockets.append(bind(place_of(self._sockets[0])))

    async def _successor(self, config: Config, number: int, wanted: int) -> Worker:
        """A worker that serves; one that does not, or that nobody waits for any more, is ended."""
        worker = self._spawn(config, number, wanted)
        try:
            await _until_ready(worker)
        except BaseException:
            worker.process.kill()
            worker.process.wait()
            self._gone = self._gone + worker.meter.read()
            raise
        return worker

    def _spawn(self, config: Config, number: int, wanted: int) -> Worker:
        names = [room.name for room in config.rooms]
        size = Layout(names).size_bytes
        listeners = tuple(listener.fileno() for listener in self._sockets[number::wanted])
        process = None
        try:
            with tempfile.TemporaryFile() as file:
                file.truncate(size)
                shared = memoryview(mmap.mmap(file.fileno(), size))
                task = Task(config, self._store_url, listeners, file.fileno(), size, self._level, self._known())
                process = subprocess.Popen(  # noqa: S603  (our own module)
                    python("gate.worker"),
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
        except OSError as error:
            if process is not None:
                process.kill()
                process.wait()
            raise WorkerError(error.strerror or str(error)) from error
        return Worker(process, Meter(names, shared), time.monotonic())


async def _until_ready(worker: Worker) -> None:
    output = worker.process.stdout
    assert output is not None  # noqa: S101  (a pipe was asked for)
    os.set_blocking(output.fileno(), False)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and worker.alive:
        if output.read() == READY:
            worker.ready.set()
            return
        await asyncio.sleep(LOOK_SECONDS / 5)
    raise WorkerError("it ended at once" if not worker.alive else "it did not get ready")


async def _until_ended(worker: Worker, deadline: float) -> None:
    while worker.alive and time.monotonic() < deadline:  # noqa: ASYNC110  (a process sets no event)
        await asyncio.sleep(LOOK_SECONDS)
