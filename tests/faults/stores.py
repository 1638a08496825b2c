"""Real stores for tests: one server process each, that can be killed, frozen, rolled back and made to lag."""

import asyncio
import contextlib
import shutil
import ssl
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from gate.store.embedded import find_server
from tests.faults.children import Child, free_port
from tests.faults.preload import Preload
from tests.faults.wire import AnswerError, Wire, Word

_OPTIONS = {
    "bind": "127.0.0.1",
    "save": "",
    "appendonly": "yes",
    "no-appendfsync-on-rewrite": "no",
    "aof-use-rdb-preamble": "yes",
    "maxmemory-policy": "noeviction",
    "tcp-keepalive": "0",
    "enable-debug-command": "yes",
    # A replica is there at once: by default a primary waits for others to share the snapshot.
    "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1",
}


def program_path(program: str) -> str:
    """The server called "valkey" (the one the gate ships) or "redis" (the system's, with TLS)."""
    path = str(find_server()) if program == "valkey" else shutil.which("redis-server")
    assert path is not None, "redis-server is not installed"
    return path


class Relay(Child):
    """A TCP relay in its own process: what goes through it can be delayed, frozen and cut."""

    def __init__(self, folder: Path, target: int) -> None:
        self.folder, self.port, self._target, self._control = folder, free_port(), target, free_port()

    async def start(self) -> Self:
        """Start it; it takes connections when this returns."""
        self.folder.mkdir(parents=True, exist_ok=True)
        program = str(Path(__file__).with_name("relay.py"))
        ports = [str(port) for port in (self.port, self._target, self._control)]
        self.launch([sys.executable, "-I", "-S", program, *ports], self.folder / f"relay-{self.port}.log")
        await _until_open(self._control, self)
        return self

    async def delay(self, to_ms: int, from_ms: int) -> None:
        """Later bytes take so long to the target and back; those under way keep their time, and all their order."""
        await self._tell(f"delay {to_ms} {from_ms}")

    async def target(self, port: int) -> None:
        """New connections go there."""
        await self._tell(f"target {port}")

    async def cut(self) -> None:
        """Drop all connections and what is under way, and refuse new ones; a frozen relay is killed for it."""
        if self.is_frozen:
            await self.kill()
        elif self.is_running:
            await self._tell("cut")

    async def mend(self) -> None:
        """Take connections again."""
        await self._tell("mend")

    async def _tell(self, line: str) -> None:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._control)
            try:
                writer.write(f"{line}\n".encode())
                assert await reader.readline() == b"ok\n"
            finally:
                writer.close()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.kill()


@dataclass
class Store(Child):
    """One real server; `front`, where there is one, is the relay that its clients go through."""

    folder: Path
    program: str = "valkey"
    appendfsync: str = "always"
    options: dict[str, str] = field(default_factory=dict)
    preload: Preload | None = None
    password: str = ""
    port: int = field(default_factory=free_port)
    front: Relay | None = None
    # How the rig itself logs in, and how it speaks.
    auth: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        if self.password:
            self.auth = (self.password,)

    @property
    def data(self) -> Path:
        """Where its data lives."""
        return self.folder / "data"

    @property
    def url(self) -> str:
        """Where clients reach it."""
        account = f":{self.password}@" if self.password else ""
        return f"redis://{account}127.0.0.1:{self.front.port if self.front else self.port}/0"

    def arguments(self) -> dict[str, str]:
        """Its options, as in a configuration file."""
        own = {"port": str(self.port), "dir": str(self.data.resolve()), "appendfsync": self.appendfsync}
        asked = {"requirepass": self.password, "masterauth": self.password} if self.password else {}
        return _OPTIONS | own | asked | self.options

    async def start(self, **extra: str) -> Self:
        """Start it with the data there is; `extra` options (`_` for `-`) count for this run only."""
        options = self.arguments() | {name.replace("_", "-"): value for name, value in extra.items()}
        text = "".join(f"{name} {value or chr(34) * 2}\n" for name, value in options.items())
        config = self.folder / "server.conf"
        config.write_text(text)
        command = [program_path(self.program), str(config)]
        self.launch(command, self.folder / "server.log", self.preload.environ if self.preload else None)
        return self

    async def wait_ready(self, seconds: float = 30.0) -> Self:
        """Until it answers and has loaded its data."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                await self.command("PING", seconds=1)
            except (OSError, AnswerError) as error:  # a TimeoutError is an OSError
                assert self.is_running, f"the server ended: {self.log()[-600:]}"
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not ready: {error}") from error
                await asyncio.sleep(0.005)
            else:
                return self

    async def with_front(self) -> Relay:
        """Put a relay before it, through which clients come from now on."""
        self.front = await Relay(self.folder, self.port).start()
        return self.front

    def log(self) -> str:
        """What it has said."""
        return (self.folder / "server.log").read_text()

    async def connect(self) -> Wire:
        """A connection for several commands, past the relay."""
        return await Wire.open(self.port, auth=self.auth, tls=self.tls)

    async def command(self, *words: Word, seconds: float = 5.0) -> Any:
        """One command on a connection of its own, past the relay."""
        async with await Wire.open(self.port, auth=self.auth, tls=self.tls, seconds=seconds) as wire:
            return await wire.ask(*words, seconds=seconds)

    async def setting(self, name: str) -> str:
        """One of its settings as it runs."""
        return (await self.command("CONFIG", "GET", name))[1].decode()

    async def info(self, section: str) -> dict[str, str]:
        """What it says of itself."""
        lines = (await self.command("INFO", section)).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    async def copy_data(self, to: Path) -> None:
        """Its files as a crash at this very moment would leave them: nothing of it runs while they are copied."""
        async with self.held():
            shutil.rmtree(to, ignore_errors=True)
            # What a child is writing for a snapshot goes by a temporary name, and counts for nothing yet.
            shutil.copytree(self.data, to, ignore=shutil.ignore_patterns("temp-*"))

    def restore_data(self, source: Path) -> None:
        """Put a copy in place of the data: a rollback. The server must not run."""
        self.wipe()
        shutil.copytree(source, self.data, dirs_exist_ok=True)

    def wipe(self) -> None:
        """Forget all data. The server must not run."""
        assert not self.is_running
        shutil.rmtree(self.data)
        self.data.mkdir()

    async def replica_of(self, source: "Store | Relay", *, seconds: float = 30.0) -> None:
        """Follow another store, or the relay before it; the data is copied when this returns."""
        await self.command("REPLICAOF", "127.0.0.1", source.port)
        async with asyncio.timeout(seconds):
            while (await self.info("replication")).get("master_link_status") != "up":
                await asyncio.sleep(0.02)

    async def promote(self) -> None:
        """Become a primary with what has arrived so far."""
        await self.command("REPLICAOF", "NO", "ONE")

    async def __aenter__(self) -> Self:
        await self.start()
        try:
            return await self.wait_ready()
        except BaseException:
            await self.kill()
            raise

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        if self.front is not None:
            await self.front.kill()


@contextlib.asynccontextmanager
async def lagging(store: Store, folder: Path) -> AsyncIterator[tuple[Store, Relay]]:
    """A replica of a running store, and the relay that its replication goes through."""
    async with Relay(folder, store.port) as relay:
        replica = Store(folder / "replica", store.program, store.appendfsync, dict(store.options))
        async with replica:
            await replica.replica_of(relay)
            yield replica, relay


async def _until_open(port: int, child: Child) -> None:
    async with asyncio.timeout(10):
        while True:
            assert child.is_running, "the process ended at once"
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                return writer.close()
            await asyncio.sleep(0.01)
