"""One worker process: the public side of a gate on sockets that it was handed, told what to do by its supervisor.

It hears its whole task on standard input, says `ready` on standard output, and ends when it is told to (SIGTERM:
the whole gate goes; SIGUSR2: a successor serves already) or when its supervisor is gone (standard input ends).
"""

import asyncio
import contextlib
import mmap
import os
import pickle
import signal
import socket
import sys
from dataclasses import dataclass

from gate.app import Doors, Gate
from gate.core.meter import Meter
from gate.loop import new_event_loop, rest_collector
from gate.parts import Known
from gate.settings import Config
from gate.telemetry import start_logging

READY = b"ready\n"
REPLACED = signal.SIGUSR2


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker needs to know. Descriptors are inherited; `level` is logging's."""

    config: Config
    store_url: str
    listeners: tuple[int, ...]
    meter: int
    meter_bytes: int
    level: int
    known: Known


def main() -> None:
    """Run one worker; the task comes on standard input, so that no secret stands in a process list."""
    length = int.from_bytes(os.read(0, 4))
    task: Task = pickle.loads(_read_exactly(length))  # noqa: S301  (our own parent's words, by its own pipe)
    start_logging(level=task.level)
    memory = mmap.mmap(task.meter, task.meter_bytes)
    meter = Meter((room.name for room in task.config.rooms), memoryview(memory))
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(task, meter))


async def _serve(task: Task, meter: Meter) -> None:
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[bool] = asyncio.Queue()
    loop.add_signal_handler(signal.SIGTERM, told.put_nowait, True)
    loop.add_signal_handler(REPLACED, told.put_nowait, False)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C reaches the supervisor, which tells us
    loop.add_reader(0, lambda: told.put_nowait(True) if not os.read(0, 1) else None)
    listeners = [socket.socket(fileno=number) for number in task.listeners]
    for listener in listeners:
        listener.setblocking(False)
    gate = Gate(task.config, task.store_url, meter=meter)
    gate.parts.begin(task.known)
    async with gate.running(Doors(public=listeners)):
        rest_collector()
        with contextlib.suppress(BrokenPipeError):
            os.write(1, READY)
        for_good = await told.get()
        loop.remove_reader(0)
        loop.remove_signal_handler(signal.SIGTERM)  # a second one ends at once
        await gate.drain(for_good=for_good)


def _read_exactly(length: int) -> bytes:
    data = b""
    while len(data) < length:
        chunk = os.read(0, length - len(data))
        if not chunk:
            sys.exit(1)
        data += chunk
    return data


if __name__ == "__main__":
    main()
