"""What a surge looks like from outside: the pointer in the store, and memory and CPU of every process."""

import contextlib
import json
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import redis

from gate.store.connection import Reply, StoreUnavailableError
from gate.store.decoding import read_line
from gate.store.keys import line_key

POINTER_SECONDS, PROCESS_SECONDS = 0.02, 1.0
SAMPLE = np.dtype(
    [
        ("asked", "<f8"),
        ("answered", "<f8"),
        ("issued", "<u8"),
        ("served", "<u8"),
        ("era", "<u8"),
        ("now_serving", "<u8"),
    ]
)


class Look(NamedTuple):
    """One look at the line."""

    asked: float
    answered: float
    issued: int
    served: int
    era: int
    now_serving: int


class Sampler:
    """Two threads that look until told to stop, and then write what they saw."""

    def __init__(self, folder: Path, store_url: str, room: str, roots: dict[str, int]) -> None:
        self._folder, self._room, self.roots = folder, room, roots
        kind, _, path = store_url.partition("://")
        where = {"unix_socket_path": path} if kind == "unix" else {}
        self._store = (
            redis.Redis(**where, decode_responses=True) if where else redis.from_url(store_url, decode_responses=True)
        )
        self._stop = threading.Event()
        self.looks: list[Look] = []
        self.sizes: list[dict] = []
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._watch_line, self._watch_sizes)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, and write `looks.rows` and `sizes.json`."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        np.array(self.looks, dtype=SAMPLE).tofile(self._folder / "looks.rows")
        (self._folder / "sizes.json").write_text("".join(json.dumps(size) + "\n" for size in self.sizes))

    def _watch_line(self) -> None:
        while not self._stop.wait(POINTER_SECONDS):
            asked = time.monotonic()
            with contextlib.suppress(redis.RedisError, StoreUnavailableError):
                fields = self._store.hgetall(line_key(self._room))
                if not fields:
                    continue
                line = read_line(self._room, Reply(0, [], asked, fields, []))
                served = line.issued - line.waiting
                self.looks.append(
                    Look(asked, time.monotonic(), line.issued, served, line.serving.number, line.now_serving)
                )

    def _watch_sizes(self) -> None:
        before: dict[int, float] = {}
        while not self._stop.wait(PROCESS_SECONDS):
            size: dict = {"time": time.monotonic(), "processes": {}}
            for name, process in self._processes():
                with contextlib.suppress(psutil.Error):
                    cpu = sum(process.cpu_times()[:2])
                    one = {"rss": process.memory_info().rss, "cpu": cpu - before.get(process.pid, cpu)}
                    before[process.pid] = cpu
                    size["processes"][f"{name} {process.pid}"] = one
            with contextlib.suppress(redis.RedisError):
                size["store"] = {"used": self._store.info("memory")["used_memory"], "keys": self._key_bytes()}
                size["calls"] = self._script_calls()
            self.sizes.append(size)

    def _script_calls(self) -> int:
        """How often a script was called: each is one trip of a gate's."""
        told = self._store.info("commandstats")
        return sum(told[name]["calls"] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in told)

    def _key_bytes(self) -> int:
        """Bytes of all keys; there are some dozens, however many wait."""
        return sum(self._store.memory_usage(key, samples=0) or 0 for key in self._store.scan_iter("gate:*"))

    def _processes(self):
        for name, pid in list(self.roots.items()):
            with contextlib.suppress(psutil.Error):
                root = psutil.Process(pid)
                yield name, root
                for child in root.children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        yield _named(name, child), child


def _named(root: str, child: psutil.Process) -> str:
    command = " ".join(child.cmdline())
    if "unixsocket" in command or "valkey-server" in command:
        return "store"
    return f"{root} worker"
