"""A whole gate as people run it: `gate serve` with its supervisor and workers, before a real origin."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOKEN = "secret-of-staff"


@dataclass
class Tree:
    """A running `gate serve`."""

    process: "subprocess.Popen[str]"
    folder: Path
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The public listener."""
        return self._said("ready")["public"]

    @property
    def admin(self) -> str:
        """The admin listener."""
        return self._said("ready")["admin"]

    @property
    def environ(self) -> dict[str, str]:
        """For the commands."""
        return {**os.environ, "GATE_ADMIN_URL": self.admin, "GATE_ADMIN_TOKEN": TOKEN}

    def workers(self) -> list[int]:
        """Process numbers of the workers."""
        said = subprocess.run(
            ["pgrep", "-P", str(self.process.pid), "-f", "gate.worker"], capture_output=True, text=True, check=False
        )
        return [int(line) for line in said.stdout.split()]

    def tell(self, number: int) -> None:
        """Send a signal to the supervisor."""
        self.process.send_signal(number)

    async def until(self, event: str, count: int = 1, seconds: float = 20.0) -> dict[str, Any]:
        """Until the log has told of this so many times."""
        async with asyncio.timeout(seconds):
            while sum(line["event"] == event for line in self.log) < count:
                await asyncio.sleep(0.02)
        return self._said(event)

    def _said(self, event: str) -> dict[str, Any]:
        return next(line for line in reversed(self.log) if line["event"] == event)


@contextlib.asynccontextmanager
async def gate_tree(folder: Path, origin: str, config: str = "", **environ: str) -> AsyncIterator[Tree]:
    """Start one, and end it at the end; its log is read all the while."""
    folder.mkdir(exist_ok=True)
    (folder / "gate.toml").write_text(config)
    command = [sys.executable, "-m", "gate", "serve", "--origin", origin, "--config", str(folder / "gate.toml")]
    command += ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state-dir", str(folder / "state")]
    given = {**os.environ, "GATE_ADMIN_TOKEN": TOKEN, "GATE_DRAIN_SECONDS": "0.3", **environ}
    process = subprocess.Popen(command, env=given, stderr=subprocess.PIPE, text=True)
    tree = Tree(process, folder)

    def read() -> None:
        for line in process.stderr:
            with contextlib.suppress(ValueError):
                tree.log.append(json.loads(line))

    reading = asyncio.get_running_loop().run_in_executor(None, read)
    try:
        await tree.until("ready")
        yield tree
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 30)
        await reading
        process.stderr.close()
