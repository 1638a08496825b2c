"""A child process that a test can stop, freeze and kill, and that never outlives the test."""

import asyncio
import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from gate.store.embedded import dies_with

_PR_SET_PDEATHSIG = 1
# Below the range from which the kernel draws outgoing ports: a client that tries again and again to reach a dead
# server would else be given that very port one day, and the server could not come back.
_LOWEST_PORT = 11_000
_given: set[int] = set()


def free_port() -> int:
    """A loopback port that nobody has, and that no outgoing connection will be given."""
    end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1_000):
        port = random.randrange(_LOWEST_PORT, end)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise RuntimeError("no free port")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _dies_at_once_with(parent: int) -> Callable[[], None]:
    """As `dies_with`, but by SIGKILL: a frozen server, or one in an endless script, heeds no SIGTERM."""
    first = dies_with(parent)
    prctl = ctypes.CDLL(None).prctl

    def set_death_signal() -> None:
        first()
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return set_death_signal


class Child:
    """One process with its output in a file."""

    process: "subprocess.Popen[bytes] | None" = None

    def launch(self, command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None) -> None:
        """Start it. Only from the main thread: the kernel ties the parent's death to the thread that forked."""
        assert threading.current_thread() is threading.main_thread()
        assert not self.is_running, "it runs already"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_dies_at_once_with(os.getpid()),
            )

    @property
    def is_running(self) -> bool:
        """Whether there is a process, be it frozen."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Its number."""
        assert self.process is not None
        return self.process.pid

    async def kill(self) -> None:
        """End it as `kill -9` does; it has ended when this returns."""
        if self.is_running:
            self.process.kill()  # type: ignore[union-attr]
        await self._until_gone(10)

    async def stop(self, seconds: float = 15.0) -> None:
        """End it in good order, and by force if that takes too long."""
        if self.is_running:
            await self.thaw()
            self.process.terminate()  # type: ignore[union-attr]
        try:
            await self._until_gone(seconds)
        except TimeoutError:
            await self.kill()

    async def freeze(self) -> None:
        """Take its time away; when this returns none of its threads runs."""
        os.kill(self.pid, signal.SIGSTOP)
        async with asyncio.timeout(5):
            while not self.is_frozen:
                await asyncio.sleep(0.001)

    async def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Frozen within the block, and afterwards as it was before."""
        if self.is_frozen or not self.is_running:
            yield
            return
        await self.freeze()
        try:
            yield
        finally:
            await self.thaw()

    @property
    def is_frozen(self) -> bool:
        """Whether it is there and none of its threads runs."""
        if not self.is_running:
            return False
        states = []
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                states.append((task / "stat").read_text().rpartition(")")[2].split()[0])
        return all(state in "TZ" for state in states)

    async def _until_gone(self, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while self.is_running:
                await asyncio.sleep(0.002)
