"""What a store says of itself, for whoever checks a deployment."""

import time
from dataclasses import dataclass

from gate.store.connection import Connection, StoreUnavailableError


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """A store's own words. `None` where it may not be asked (an ACL, a managed service)."""

    server: str
    version: tuple[int, ...]
    role: str
    latency_seconds: float
    clock_ahead_seconds: float
    appendonly: str | None
    appendfsync: str | None
    eviction: str | None
    script_sees_info: bool


async def inspect(connection: Connection) -> StoreHealth:
    """Ask a store how it is.

    Raises:
        StoreUnavailableError: it does not answer.
    """
    began = time.perf_counter()
    clock = await connection.command("TIME")
    latency = time.perf_counter() - began
    ahead = int(clock[0]) + int(clock[1]) / 1e6 - time.time() + latency / 2
    info: dict[str, str] = {key: str(value) for key, value in (await connection.command("INFO")).items()}
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version") or info.get("redis_version", "0")
    return StoreHealth(
        server=f"{name} {version}",
        version=tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()),
        role=info.get("role", "?"),
        latency_seconds=latency,
        clock_ahead_seconds=ahead,
        appendonly=await _setting(connection, "appendonly"),
        appendfsync=await _setting(connection, "appendfsync"),
        eviction=await _setting(connection, "maxmemory-policy"),
        script_sees_info=await _script_sees_info(connection),
    )


async def _setting(connection: Connection, name: str) -> str | None:
    try:
        answer = await connection.command("CONFIG", "GET", name)
    except StoreUnavailableError:
        return None
    return dict(zip(answer[::2], answer[1::2], strict=True)).get(name)


async def _script_sees_info(connection: Connection) -> bool:
    """The fence of law 1 reads the store's reign within the script."""
    try:
        return "run_id" in str(await connection.command("EVAL", "return redis.call('INFO', 'server')", 0))
    except StoreUnavailableError:
        return False
