"""What can be checked on the gate's own machine: files, configuration, store, and the admin side's own word."""

import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gate.doctor.finding import Finding, fail, fine, judge, warn
from gate.settings import Config, warnings
from gate.store.backends import StoreTls, urls_to_inspect
from gate.store.connection import Connection, StoreUnavailableError
from gate.store.health import StoreHealth, inspect

_FREE_BYTES_MIN = 200 * 2**20
_CLOCK_WARN_SECONDS, _CLOCK_FAIL_SECONDS = 1.0, 5.0
_LATENCY_WARN_SECONDS = 0.02
_OLDEST = {"Redis": (6, 2), "Valkey": (7, 2)}
_LOCAL = ("127.0.0.1", "::1", "localhost")


def check_files(config: Config) -> Iterator[Finding]:
    """Secrets are nobody else's, and there is room on the disk."""
    for path in (config.keys_file, config.state_dir / "admin-token", config.state_dir / "admin-tokens.json"):
        if path.exists():
            yield _mode(path, 0o077, "600")
    if config.state_dir.is_dir():
        yield _mode(config.state_dir, 0o077, "700")
        free = shutil.disk_usage(config.state_dir).free
        mend = "make room; the embedded store stops taking joins on a full disk"
        yield judge(free >= _FREE_BYTES_MIN, "disk", f"{free / 2**30:.1f} GiB free in {config.state_dir}", mend)
    else:
        mend = "run the doctor where the gate runs, or name its folder with GATE_STATE_DIR"
        yield warn("files", f"{config.state_dir} is not here", mend)


def _mode(path: Path, forbidden: int, wanted: str) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    return judge(not mode & forbidden, "files", f"{path} has mode {mode:o}", f"chmod {wanted} {path}")


def check_config(config: Config) -> Iterator[Finding]:
    """What is allowed but hardly meant."""
    for text in warnings(config):
        yield warn("config", text, "see docs/configuration.md")
    wide = [str(network) for network in config.server["trusted_proxies"] if network.prefixlen == 0]
    if wide:
        yield fail(
            "config", f"trusted_proxies holds {wide[0]}: anybody may claim any address", "name your proxies only"
        )
    host = config.server["admin_listen"][0]
    if host not in _LOCAL:
        mend = "bind it to a private address, or put TLS before it; the token travels with every request"
        yield warn("config", f"the admin listener is on {host}, in clear", mend)


def check_admin(gate: dict[str, Any]) -> Iterator[Finding]:
    """What the gate says of itself."""
    workers, store = gate["workers"], gate["store"]
    yield judge(gate["ready"], "gate", "ready" if gate["ready"] else "not ready", "look at its log")
    found = f"{workers['serving']} of {workers['wanted']} workers serve, {workers['restarts']} died so far"
    yield judge(workers["serving"] == workers["wanted"], "workers", found, "look at the log for why they die")
    found = "the gate hears it" if store["up"] else f"silent for {store['silent']:.0f} s"
    yield judge(store["up"], "store", found, "start it, or mend the way to it; places are kept meanwhile")
    skew = abs(gate["time"] - time.time())
    found = f"the store's clock and this machine's differ by {skew:.2f} s"
    if skew < _CLOCK_WARN_SECONDS:
        yield fine("clocks", found)
    else:
        level = warn if skew < _CLOCK_FAIL_SECONDS else fail
        yield level("clocks", found, "run NTP (chrony) on both; tokens bear five seconds")


async def check_store(url: str, tls: StoreTls | None = None) -> list[Finding]:
    """Reachable, durable, and nothing is evicted; of a Cluster, each node that is named."""
    if not url:
        return [fine("store", "embedded: writes its log before it answers")]
    return [finding for one in urls_to_inspect(url) for finding in await _check_one(one, tls)]


async def _check_one(url: str, tls: StoreTls | None) -> list[Finding]:
    connection = Connection(url, tls=tls)
    try:
        return list(_store(await inspect(connection)))
    except StoreUnavailableError as error:
        return [fail("store", f"does not answer ({error})", "check GATE_STORE_URL, the password and the way to it")]
    finally:
        await connection.close()


def _store(health: StoreHealth) -> Iterator[Finding]:
    oldest = _OLDEST[health.server.partition(" ")[0]]
    wanted = ".".join(map(str, oldest))
    yield judge(health.version >= oldest, "store", health.server, f"{wanted} or newer is needed")
    yield judge(health.role == "master", "store", f"its role is {health.role}", "name the primary, not a replica")
    mend = "allow INFO in scripts to the gate's user; without it no number can be proved unique"
    seen = "scripts may read its reign" if health.script_sees_info else "scripts may not read INFO"
    yield judge(health.script_sees_info, "store", seen, mend)
    slow = health.latency_seconds > _LATENCY_WARN_SECONDS
    found = f"answers in {health.latency_seconds * 1000:.1f} ms"
    yield warn("store", found, "put it nearer to the gates") if slow else fine("store", found)
    yield _durable(health)
    if health.eviction is None:
        yield warn("store", "its eviction policy may not be asked", "make sure that it is noeviction")
    else:
        found = f"maxmemory-policy is {health.eviction}"
        yield judge(health.eviction == "noeviction", "store", found, "CONFIG SET maxmemory-policy noeviction")


def _durable(health: StoreHealth) -> Finding:
    if health.appendonly is None:
        return warn("store", "its durability may not be asked", "make sure that it writes an append-only file")
    if health.appendonly != "yes":
        return fail("store", "keeps nothing over a restart", "appendonly yes, appendfsync always (or everysec)")
    if health.appendfsync == "always":
        return fine("store", "durable: appendfsync always")
    mend = "appendfsync always keeps every place; with everysec up to two seconds of joins may sort behind"
    return warn("store", f"appendfsync {health.appendfsync}", mend)
