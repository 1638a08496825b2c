"""Three real Sentinels over a primary and a replica that lags: failovers that forget what was acknowledged.

What makes Sentinel take part in this:

- It promotes a replica however far behind its data is. What it asks (sentinelSelectSlave) is that the replica itself
  answers, has priority > 0, was asked for INFO a moment ago, and that its link to the primary has not been down for
  longer than ten times `down-after-milliseconds` (plus the time the primary has been down). Lag in a link that is
  up counts for nothing, so bytes on their way through a relay are lost without a word.
- It sends a replica that follows another address than the primary's own straight to the primary, `failover-timeout`
  after it has seen that (`+fix-slave-config`), and our replica follows the relay. So Sentinels log in as a user who may
  say `REPLICAOF NO ONE`, which is promotion, and no other REPLICAOF or SLAVEOF.
- A failover is tried again only after twice `failover-timeout` (180 s by default), so that is small here.
- After a switch it may take a second until it connects to the new primary, whatever `down-after-milliseconds` is.
  At 1000 ms or less it thus finds the new primary down at times, and promotes the next replica beside it: two
  primaries, with all of them alive.
"""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.faults.children import Child, free_port
from tests.faults.stores import Relay, Store, program_path
from tests.faults.wire import AnswerError, Wire, Word

SERVICE = "gate"
_SENTINELS, _QUORUM = 3, 2
_DOWN_AFTER_MS, _FAILOVER_TIMEOUT_MS = 1_500, 1_000
_PASSWORD = "rig-sentinel"
_USER = f"sentinel on >{_PASSWORD} ~* &* +@all -replicaof -slaveof +replicaof|no +slaveof|no"


class Sentinel(Child):
    """One Sentinel process."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder, self.program, self.port = folder, program, free_port()

    async def start(self, primary_port: int) -> None:
        """Watch this primary."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {self.folder.resolve()}",
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary_port} {_QUORUM}",
            f"sentinel down-after-milliseconds {SERVICE} {_DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} {_FAILOVER_TIMEOUT_MS}",
            f"sentinel auth-user {SERVICE} sentinel",
            f"sentinel auth-pass {SERVICE} {_PASSWORD}",
        ]
        config = self.folder / "sentinel.conf"  # Sentinel writes what it learns into it
        config.write_text("\n".join(lines) + "\n")
        command = [program_path(self.program), str(config), "--sentinel"]
        self.launch(command, self.folder / "sentinel.log")

    async def ask(self, *words: Word) -> object:
        """One command."""
        async with await Wire.open(self.port) as wire:
            return await wire.ask(*words)

    async def primary_port(self) -> int:
        """Whom it takes for the primary."""
        _, port = await self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return int(port)

    async def sees(self, primary: int, replica: int) -> bool:
        """Whether it finds this pair healthy, and knows all other Sentinels."""
        try:
            said = _pairs(await self.ask("SENTINEL", "MASTER", SERVICE))
            replicas = [_pairs(row) for row in await self.ask("SENTINEL", "REPLICAS", SERVICE)]
        except (OSError, AnswerError):
            return False
        healthy = {int(row["port"]): row["master-link-status"] for row in replicas if row["flags"] == "slave"}
        return (
            said["flags"] == "master"
            and int(said["port"]) == primary
            and int(said["num-other-sentinels"]) == _SENTINELS - 1
            and healthy.get(replica) == "ok"
        )


@dataclass
class SentinelGroup:
    """A primary, a replica that is `lag` seconds behind it, and three Sentinels."""

    folder: Path
    program: str = "valkey"
    appendfsync: str = "always"
    lag: float = 2.0
    primary: Store = field(init=False)
    replica: Store = field(init=False)
    relay: Relay = field(init=False)
    sentinels: list[Sentinel] = field(init=False)

    def __post_init__(self) -> None:
        self.primary, self.replica = self._store("a"), self._store("b")
        self.relay = Relay(self.folder, self.primary.port)
        self.sentinels = [Sentinel(self.folder / f"sentinel-{number}", self.program) for number in range(_SENTINELS)]

    @property
    def url(self) -> str:
        """For the gate: all Sentinels and the service's name."""
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{places}/{SERVICE}"

    async def start(self) -> Self:
        """Start all; a failover can come when this returns."""
        for child in (self.primary, self.replica, self.relay):
            await child.start()
        for store in (self.primary, self.replica):
            await store.wait_ready()
        for sentinel in self.sentinels:
            await sentinel.start(self.primary.port)
        await self._follow()
        return self

    async def failover(self, seconds: float = 30.0) -> float:
        """Lose the primary, and all that is on its way to the replica; when the replica became the primary.

        Monotonic time. When this returns all Sentinels name the new primary, and `primary` is it.
        """
        # Frozen first: what the dying primary's kernel still holds must not slip through before the cut.
        await self.relay.freeze()
        await self.primary.kill()
        await self.relay.kill()
        async with asyncio.timeout(seconds):
            while not await _is_primary(self.replica):
                await asyncio.sleep(0.01)
            promoted = time.monotonic()
            while {await sentinel.primary_port() for sentinel in self.sentinels} != {self.replica.port}:
                await asyncio.sleep(0.01)
        self.primary, self.replica = self.replica, self.primary
        return promoted

    async def rejoin(self) -> None:
        """The lost server comes back empty, as the replica of the new primary; the next failover can come."""
        self.relay = await Relay(self.folder, self.primary.port).start()
        self.replica.wipe()
        # It says whom it follows from its first moment: a primary that nobody promoted would be put right by Sentinel.
        await self.replica.start(replicaof=f"127.0.0.1 {self.relay.port}")
        await self.replica.wait_ready()
        await self._follow()

    async def _follow(self) -> None:
        """Replicate, lag, and wait until Sentinel would promote the replica."""
        # The first copy takes several round trips, so the delay comes after it; and one way is enough for a lag.
        await self.replica.replica_of(self.relay)
        await self.relay.delay(0, round(self.lag * 1_000))
        async with asyncio.timeout(30):
            while not all([await self._is_seen(sentinel) for sentinel in self.sentinels]):
                await asyncio.sleep(0.05)

    async def _is_seen(self, sentinel: Sentinel) -> bool:
        return await sentinel.sees(self.primary.port, self.replica.port)

    def _store(self, name: str) -> Store:
        return Store(self.folder / name, self.program, self.appendfsync, {"user": _USER})

    async def __aenter__(self) -> Self:
        try:
            return await self.start()
        except BaseException:
            await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        for child in (*self.sentinels, self.relay, self.primary, self.replica):
            await child.kill()


async def _is_primary(store: Store) -> bool:
    """Sentinel hangs up on all clients of the server it promotes, so on whoever asks at that moment too."""
    try:
        return (await store.command("ROLE"))[0] == b"master"
    except OSError:
        return False


def _pairs(row: list[bytes]) -> dict[str, str]:
    flat = [word.decode() for word in row]
    return dict(zip(flat[::2], flat[1::2], strict=True))
