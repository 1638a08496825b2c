"""The processes of a surge: gate with its store, box office, crowd; started with their output in files, and ended."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from gate.store.embedded import dies_with

_START_SECONDS, _STOP_SECONDS = 30.0, 20.0


class Processes:
    """What was started, and is ended again whatever happens."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen] = []

    def start(self, name: str, command: list[str], environ: dict[str, str] | None = None) -> subprocess.Popen:
        """One process with its output in `NAME.log`."""
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environ or {})},
                start_new_session=True,
                preexec_fn=dies_with(os.getpid()) if sys.platform == "linux" else None,
            )
        self._started.append(process)
        return process

    def stop(self) -> None:
        """End all, the last one first."""
        for process in reversed(self._started):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def until_ready(log: Path, gate: subprocess.Popen) -> str:
    """The public URL that a gate's log tells."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and gate.poll() is None:
        for line in log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if said.get("event") == "ready":
                    return said["public"]
        time.sleep(0.05)
    raise SystemExit(f"the gate did not start:\n{log.read_text()}")


def embedded_url(gate: subprocess.Popen) -> str:
    """Where the embedded store of a gate is."""
    for child in psutil.Process(gate.pid).children():
        # The server shows its socket in its name once it runs.
        if found := re.search(r"unixsocket:(\S+)", " ".join(child.cmdline())):
            return f"unix://{found[1]}"
    raise SystemExit("the embedded store is not there")


def kill(gate: subprocess.Popen, what: str) -> None:
    """kill -9 of one `worker` of a gate, or of its embedded `store`."""
    wanted = "gate.worker" if what == "worker" else "unixsocket"
    children = psutil.Process(gate.pid).children()
    next(child for child in children if wanted in " ".join(child.cmdline())).kill()


def free_port() -> int:
    """A loopback port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
