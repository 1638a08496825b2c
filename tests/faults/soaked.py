"""A worker's whole inside as a program that tells its size: resident memory, descriptors, tasks, processor time.

    python -m tests.faults.soaked CONFIG STORE_URL OUT

OUT gets one JSON line a second, the first with the public address. It runs until it is killed.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from gate.app import Doors, Gate
from gate.loop import new_event_loop, rest_collector
from gate.settings import load
from gate.sockets import bind

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def size() -> dict[str, float]:
    """What this process takes now."""
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    descriptors, tasks = len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())
    return {"time": time.monotonic(), "rss": resident, "fds": descriptors, "tasks": tasks, "cpu": time.process_time()}


async def run(config_path: str, store_url: str, out: str) -> None:
    """Serve and tell."""
    config = load(Path(config_path), environ={})
    book = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    async with Gate(config, store_url).running(Doors(public=[bind(config.server["listen"])])) as gate:
        rest_collector()
        os.write(book, json.dumps({"listen": gate.listen}).encode() + b"\n")
        while True:
            await asyncio.sleep(1.0)
            os.write(book, json.dumps(size()).encode() + b"\n")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run(*sys.argv[1:]))
