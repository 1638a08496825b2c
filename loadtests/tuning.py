"""Tuning under load: 200 people a second join at three gates while the rate goes 50/s, 200/s, 20/s, hold, resume.

    python loadtests/tuning.py

Commands are given as `gate rate` and the like. Prints, for every stretch between two commands, how far now-serving
moved against what law 4 allows, and for every command how long it took to be in force in each gate process: from
the moment on record to the first pointer document that shows it. Ends with the record verified.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import aiohttp
from release_accuracy import gates, patch, with_store

from gate.store.connection import Connection
from gate.store.keys import line_key

ROOM, JOINS_PER_SECOND, STRETCH_SECONDS, SAMPLE_SECONDS = "default", 200, 6.0, 0.01
BURST = 1.0  # as `gates` configures
# Command, what the pointer document then shows as release_rate.
COMMANDS = [
    (("rate", ROOM, "50/s"), 50.0),
    (("rate", ROOM, "200/s"), 200.0),
    (("rate", ROOM, "20/s"), 20.0),
    (("hold", ROOM), 0.0),
    (("resume", ROOM), 20.0),
    (("rate", ROOM, "200/s"), 200.0),
]


@dataclass
class Sight:
    """When a gate process was first seen to show each rate, in order: (Unix seconds, visitors a second)."""

    url: str
    rates: list[tuple[float, float]]


async def join_all(urls: list[str], end: float) -> int:
    """A steady stream of newcomers until `end` (monotonic seconds); how many took a place."""
    api, joined, tasks = {"Gate-Client": "api"}, [], set()

    async def one(session: aiohttp.ClientSession, url: str) -> None:
        async with session.post(f"{url}/_gate/join/{ROOM}", headers=api) as answer:
            pre = (await answer.json())["pre_ticket"]
        async with session.post(f"{url}/_gate/join/{ROOM}", headers={**api, "Gate-Ticket": pre}) as answer:
            joined.append((await answer.json())["position"])

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as session:
        due, number = time.monotonic(), 0
        while due < end:
            task = asyncio.ensure_future(one(session, urls[number % len(urls)]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            due, number = due + 1 / JOINS_PER_SECOND, number + 1
            await asyncio.sleep(max(due - time.monotonic(), 0))
        await asyncio.gather(*tasks)
    if len(set(joined)) != len(joined):
        raise SystemExit("a position was dealt twice")
    return len(joined)


async def look(sight: Sight) -> None:
    """Poll one gate's pointer as fast as may be, noting each new rate."""
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{sight.url}/_gate/now/{ROOM}") as answer:
                rate = json.loads(await answer.read())["release_rate"]
            if not sight.rates or sight.rates[-1][1] != rate:
                sight.rates.append((time.time(), rate))
            await asyncio.sleep(SAMPLE_SECONDS)


async def sample(connection: Connection, log: list[tuple[float, int]]) -> None:
    """Read now-serving in the store, for ever."""
    while True:
        pointer = int(await connection.command("HGET", line_key(ROOM), "sv_n"))
        log.append((time.time(), pointer))
        await asyncio.sleep(SAMPLE_SECONDS)


async def command(admin: str, words: tuple[str, ...]) -> str:
    """One command of the command line; what it said."""
    environ = {**os.environ, "GATE_ADMIN_URL": admin, "GATE_ADMIN_TOKEN": "operator"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gate", *words, env=environ, stdout=subprocess.PIPE
    )
    said, _ = await process.communicate()
    return said.decode().strip().replace("\n", " ")


def report(log: list[tuple[float, int]], changes: list[tuple[float, float]], sights: list[Sight]) -> None:
    """The two tables."""
    print("\nstretch          moved   law 4 allows      largest over the law in any window")
    caps = [max(BURST, 1) + rate * 0.25 for _, rate in changes]
    for index, (began, rate) in enumerate(changes):
        ends = changes[index + 1][0] if index + 1 < len(changes) else log[-1][0]
        part = [(moment, pointer) for moment, pointer in log if began <= moment < ends]
        took, moved = part[-1][0] - part[0][0], part[-1][1] - part[0][1]
        # At its start a stretch may release what the one before it still owed.
        cap = max(caps[index], caps[index - 1] if index else 0)
        least = max(0.98 * rate * took - cap, 0)
        excess = max(p2 - p1 - rate * (t2 - t1) for i, (t1, p1) in enumerate(part) for t2, p2 in part[i::7])
        verdict = "kept" if excess <= cap and moved >= least else "BROKEN"
        law = f"{least:7.1f} to {rate * took + cap:7.1f}"
        print(f"{rate:>6g}/s {took:4.1f} s  {moved:>6}   {law}   {excess:+.1f} of {cap:g}  {verdict}")
    if any(later < earlier for (_, earlier), (_, later) in pairwise(log)):
        print("now-serving went back: law 3 BROKEN")
    print("\ncommand to effect, ms in each gate process")
    slowest = 0.0
    for moment, rate in changes[1:]:
        seen = [next(at for at, shown in sight.rates if shown == rate and at > moment) - moment for sight in sights]
        slowest = max(slowest, *seen)
        print(f"{rate:>6g}/s  " + "  ".join(f"{1000 * each:5.0f}" for each in seen))
    print(f"slowest: {1000 * slowest:.0f} ms (allowed 200)")


async def run(store_url: str, folder: Path) -> None:
    """Everything."""
    with gates(store_url, folder) as urls:
        public, admin = [url for url, _ in urls], urls[0][1]
        connection = Connection(store_url)
        await patch(admin, mode="auto", release_rate="50/s")
        seconds = STRETCH_SECONDS * len(COMMANDS) + 12
        crowd = await asyncio.create_subprocess_exec(
            sys.executable, __file__, str(seconds), *public, stdout=subprocess.PIPE
        )
        await asyncio.sleep(6)
        log: list[tuple[float, int]] = []
        sights = [Sight(url, []) for url in public]
        watching = [asyncio.ensure_future(work) for work in (sample(connection, log), *(look(s) for s in sights))]
        await asyncio.sleep(1)
        for words, _ in COMMANDS:
            print(f"$ gate {' '.join(words)}\n  {await command(admin, words)}")
            await asyncio.sleep(STRETCH_SECONDS)
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        joined, _ = await crowd.communicate()
        print(f"{joined.decode().strip()} people joined meanwhile, every position once")
        report(log, await recorded(admin), sights)
        said = await command(admin, ("log", ROOM, "--verify"))
        print("\n$ gate log default --verify\n  …", said.rpartition("default:")[2])
        await connection.close()


async def recorded(admin: str) -> list[tuple[float, float]]:
    """Since when (Unix seconds) which rate was in force, from the record."""
    headers = {"Authorization": "Bearer operator"}
    url = f"{admin}/api/rooms/{ROOM}/log"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        entries = (await answer.json())["entries"]
    rates = [rate for _, rate in COMMANDS]
    return list(zip([entry["time"] for entry in entries[-len(rates) :]], rates, strict=True))


def main() -> None:
    """Everything started and stopped by itself."""
    if len(sys.argv) > 1:
        print(asyncio.run(join_all(sys.argv[2:], time.monotonic() + float(sys.argv[1]))))
        return
    with_store(run)


if __name__ == "__main__":
    main()
