"""A worker under steady load with some errors keeps its size: memory, descriptors, tasks; and so does the store."""

import asyncio
import json
import statistics
import sys
from pathlib import Path

import pytest

from tests.faults.children import Child
from tests.faults.crowd import JoinCrowd, Steady
from tests.faults.ground import ROOM, admitted, asks, poll, room
from tests.faults.httpwire import head_of
from tests.faults.results import LONG, sized, tell
from tests.faults.stores import Store
from tests.harness import BytesOrigin

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4_000)]
WARM_SECONDS, SECONDS = sized(3, 600), sized(10, 2_400)
BLOCK_SECONDS = 60
# Student's t for 95 % on either side with 38 degrees of freedom; more blocks make it smaller.
T_95 = 2.03
MIB = 1024 * 1024


class PlainOrigin(BytesOrigin):
    """Answers everything at once, but `/reset`, where it hangs up."""

    async def _serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /reset"):
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: no-store\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def slope_per_hour(samples: list[tuple[float, float]]) -> tuple[float, float]:
    """Least squares through the means of blocks, which are nearly independent: the slope, and its upper 95 % bound."""
    start = samples[0][0]
    blocks: dict[int, list[float]] = {}
    for moment, value in samples:
        blocks.setdefault(int((moment - start) // BLOCK_SECONDS), []).append(value)
    xs, ys = list(blocks), [statistics.fmean(values) for values in blocks.values()]
    if len(xs) < 3:
        return float("nan"), float("nan")
    slope, intercept = statistics.linear_regression(xs, ys)
    spread = sum((x - statistics.fmean(xs)) ** 2 for x in xs)
    error = (sum((y - intercept - slope * x) ** 2 for x, y in zip(xs, ys, strict=True)) / (len(xs) - 2) / spread) ** 0.5
    hours = 3_600 / BLOCK_SECONDS
    return slope * hours, (slope + T_95 * error) * hours


def in_a_hundred(url: str, cookies: list[str]) -> list[bytes]:
    """What those inside ask: mostly what the lanes take, some of it by the ordinary way, one in a hundred a fault."""
    ordinary = [head_of("GET /x", url, f"Cookie: {cookie}", "TE: trailers") for cookie in cookies]
    turns = (asks(url, cookies) + ordinary) * (100 // (2 * len(cookies)))
    return [*turns[:-1], head_of("GET /reset", url, f"Cookie: {cookies[0]}")]


async def test_a_worker_keeps_its_size(tmp_path):
    """Forty minutes after ten of warming up: memory's slope below 4 MiB an hour, nothing else grows."""
    rate = sized(200, 1_200)
    config = tmp_path / "gate.toml"
    async with PlainOrigin() as origin, Store(tmp_path / "store", appendfsync="everysec") as store:
        config.write_text(
            f'[server]\nlisten = "127.0.0.1:0"\n[origin]\nurl = "{origin.url}"\n'
            # Few enough that what is remembered is full before the measuring begins: a cache that fills is no leak.
            f'[store]\nstate_dir = "{tmp_path}/state"\n[tokens]\nremembered = 2000\n' + room(release_rate=300, pass_life=86_400, pass_cap="7d")
        )
        worker = Child()
        out = tmp_path / "sizes"
        command = [sys.executable, "-m", "tests.faults.soaked", str(config), store.url, str(out)]
        worker.launch(command, tmp_path / "log", {"PYTHONPATH": str(Path(__file__).parents[2])})
        try:
            async with asyncio.timeout(20):
                while not out.exists() or not out.read_text().endswith("\n"):
                    await asyncio.sleep(0.05)
            host, port = json.loads(out.read_text().splitlines()[0])["listen"]
            url = f"http://{host}:{port}"
            cookies = await admitted(url, 10)
            keys = []
            async with (
                Steady(url, in_a_hundred(url, cookies), rate=rate, connections=32) as inside,
                Steady(url, [poll(url), poll(url), b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"], rate=rate / 3, connections=8) as waiting,
                JoinCrowd([url], ROOM, connections=8, rate=rate / 12) as crowd,
            ):
                await asyncio.sleep(WARM_SECONDS)
                for _ in range(SECONDS // 5):
                    await asyncio.sleep(5)
                    keys.append(int(await store.command("DBSIZE")))
                    inside.done.clear()
                    waiting.done.clear()
                    crowd.raw.clear()
        finally:
            await worker.kill()
    samples = [json.loads(line) for line in out.read_text().splitlines()[1:]]
    steady = [sample for sample in samples if sample["time"] >= samples[0]["time"] + WARM_SECONDS]
    slope, bound = slope_per_hour([(sample["time"], sample["rss"]) for sample in steady])
    load = (steady[-1]["cpu"] - steady[0]["cpu"]) / (steady[-1]["time"] - steady[0]["time"])
    half = len(steady) // 2
    spans = {
        name: [(min(part), max(part)) for part in ([one[name] for one in steady[:half]], [one[name] for one in steady[half:]])]
        for name in ("fds", "tasks")
    }
    halves = (keys[: len(keys) // 2], keys[len(keys) // 2 :])
    statuses = inside.statuses + waiting.statuses + crowd.statuses
    tell(
        "8 · soak",
        f"{SECONDS // 60} min after {WARM_SECONDS // 60} at {load:.0%} of a core, {sum(statuses.values()):,} requests",
        f"memory {steady[0]['rss'] / MIB:.1f} → {steady[-1]['rss'] / MIB:.1f} MiB, slope {slope / MIB:+.2f} MiB/h (at most "
        f"{bound / MIB:+.2f}); by halves descriptors {spans['fds']}, tasks {spans['tasks']}, "
        f"store keys {[(min(part), max(part)) for part in halves]}; statuses {dict(statuses)}",
    )
    assert spans["fds"][1][1] <= spans["fds"][0][1] + 8
    assert spans["tasks"][1][1] <= spans["tasks"][0][1] + 8
    assert max(halves[1]) <= max(halves[0]) + 4
    if LONG:
        assert bound < 4 * MIB
