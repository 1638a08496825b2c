"""Release accuracy: 12,000 wait, three gate processes share one store, and the pointer is read in the store itself.

    python loadtests/release_accuracy.py            # 20 s at 50/s and 20 s at 500/s

Prints, for each rate, the largest advance of now-serving in any 1 s window against the law's bound
rate + cap, cap = max(burst, 1) + rate / 4, and the total against rate x time.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import aiohttp

from gate.core.keyring import Algorithm
from gate.keyfile import load_or_make
from gate.store.connection import Connection
from gate.store.embedded import start_embedded
from gate.store.keys import line_key

WAITING, SECONDS, GATES, SAMPLE_SECONDS = 12_000, 20.0, 3, 0.01
ADMIN = {"Authorization": "Bearer operator"}


@contextlib.contextmanager
def gates(store_url: str, folder: Path):
    """Three gate processes on one store; yields their public and admin URLs."""
    load_or_make(folder / "keys.json", Algorithm.HS256)
    environ = {
        **os.environ,
        "GATE_STORE_URL": store_url,
        "GATE_KEYS_FILE": str(folder / "keys.json"),
        "GATE_ADMIN_TOKEN": "operator",
        "GATE_ROOM_MODE": "hold",
        "GATE_ROOM_BURST": "1",
        "GATE_DRAIN_SECONDS": "0",
    }
    command = [sys.executable, "-m", "gate", "serve", "--origin", "http://127.0.0.1:1", "--listen", "127.0.0.1:0"]
    command += ["--admin", "127.0.0.1:0"]
    logs = [folder / f"{n}.log" for n in range(GATES)]
    running = [
        subprocess.Popen([*command, "--state-dir", str(folder / str(n))], env=environ, stderr=log.open("w"))
        for n, log in enumerate(logs)
    ]
    try:
        yield [wait_until_ready(log) for log in logs]
    finally:
        for process in running:
            process.terminate()
            process.wait(10)


def wait_until_ready(log: Path) -> tuple[str, str]:
    """The public and the admin URL that a gate's log tells."""
    for _ in range(200):
        for line in log.read_text().splitlines():
            if "public" in (said := json.loads(line)):
                return said["public"], said["admin"]
        time.sleep(0.05)
    raise SystemExit(f"a gate did not start: {log.read_text()}")


async def fill(urls: list[tuple[str, str]]) -> None:
    """Let everybody join, over all gates."""
    api = {"Gate-Client": "api"}

    async def some(url: str, count: int) -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(count):
                async with session.post(f"{url}/_gate/join/default", headers=api) as answer:
                    pre = (await answer.json())["pre_ticket"]
                headers = {**api, "Gate-Ticket": pre}
                async with session.post(f"{url}/_gate/join/default", headers=headers) as answer:
                    await answer.read()

    await asyncio.gather(*(some(urls[n % GATES][0], WAITING // 60) for n in range(60)))


async def patch(admin: str, **settings: object) -> dict[str, object]:
    """Change the room as an operator."""
    async with (
        aiohttp.ClientSession() as session,
        session.patch(f"{admin}/api/rooms/default", json=settings, headers=ADMIN) as answer,
    ):
        return json.loads(await answer.read())


async def sample(connection: Connection) -> list[tuple[float, int]]:
    """Read the pointer in the store for the whole time."""
    log, end = [], time.monotonic() + SECONDS
    while time.monotonic() < end:
        log.append((time.monotonic(), int(await connection.command("HGET", line_key("default"), "sv_n"))))
        await asyncio.sleep(SAMPLE_SECONDS)
    return log


def largest_window(log: list[tuple[float, int]], width: float) -> int:
    """The largest advance within `width` seconds."""
    most, start = 0, 0
    for moment, pointer in log:
        while moment - log[start][0] > width:
            start += 1
        most = max(most, pointer - log[start][1])
    return most


async def measure(connection: Connection, admin: str, rate: int) -> None:
    """One rate, for twenty seconds."""
    await patch(admin, mode="hold")
    await asyncio.sleep(0.5)
    await patch(admin, mode="auto", release_rate=f"{rate}/s")
    log = await sample(connection)
    await patch(admin, mode="hold")
    took, total = log[-1][0] - log[0][0], log[-1][1] - log[0][1]
    bound = rate + 1 + rate / 4
    print(
        f"{rate}/s: largest 1 s window {largest_window(log, 1.0)} (bound {bound:g}); "
        f"total {total} in {took:.2f} s, wanted {rate * took:.0f}, off by {100 * (total / (rate * took) - 1):+.2f} %"
    )


async def run(store_url: str, folder: Path) -> None:
    """Fill the line, then measure both rates."""
    with gates(store_url, folder) as urls:
        connection = Connection(store_url)
        await fill(urls)
        print(f"{await connection.command('HGET', line_key('default'), 'n')} waiting, {GATES} gate processes, burst 1")
        for rate in (50, 500):
            await measure(connection, urls[0][1], rate)
        await connection.close()


def with_store(work: Callable[[str, Path], Coroutine[None, None, None]]) -> None:
    """Do this with the URL of a store and a folder; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="gate-load-") as name:
        store = start_embedded(Path(name))
        try:
            asyncio.run(work(store.url, Path(name)))
        finally:
            store.stop()


def main() -> None:
    """Everything started and stopped by itself."""
    with_store(run)


if __name__ == "__main__":
    main()
