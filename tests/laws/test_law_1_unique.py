"""Law 1: no two tickets of one room and generation carry the same position."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections import defaultdict

import aiohttp
import pytest

from gate.core.keyring import Algorithm
from gate.keyfile import load_or_make
from tests.harness import EchoOrigin

GATES, CONNECTIONS, JOINS = 3, 200, 10_000


@contextlib.asynccontextmanager
async def gate_processes(count, store_url, tmp_path, room, *, origin="http://127.0.0.1:1", **settings):
    """Gate processes on one store, as they would be deployed; yields their URLs, workers' numbers and admin URLs."""
    load_or_make(tmp_path / "keys.json", Algorithm.HS256)
    environ = {**os.environ, "GATE_STORE_URL": store_url, "GATE_KEYS_FILE": str(tmp_path / "keys.json"),
               "GATE_ROOM_NAME": room, "GATE_DRAIN_SECONDS": "0", **settings}  # fmt: skip
    processes, urls, admins = [], [], []
    try:
        for index in range(count):
            command = [sys.executable, "-m", "gate", "serve", "--origin", origin, "--listen", "127.0.0.1:0",
                       "--admin", "127.0.0.1:0", "--state-dir", str(tmp_path / f"gate-{index}")]  # fmt: skip
            process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
            processes.append(process)
        for process in processes:
            while "public" not in (ready := json.loads(await asyncio.to_thread(process.stderr.readline))):
                pass
            urls.append(ready["public"])
            admins.append(ready["admin"])
            # The log must be read on, or a full pipe would stop the gate.
            drain = asyncio.get_running_loop().run_in_executor(None, process.stderr.read)
            process.drained = drain
        yield urls, [worker_of(process.pid) for process in processes], admins
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(15)
            with contextlib.suppress(Exception):
                await process.drained
            process.stderr.close()


def worker_of(supervisor):
    """The process number of a gate's only worker."""
    command = ["pgrep", "-P", str(supervisor), "-f", "gate.worker"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


async def join_once(session, url, room):
    """One new visitor: pre-ticket, then a place."""
    api = {"Gate-Client": "api"}
    async with session.post(f"{url}/_gate/join/{room}", headers=api) as answer:
        pre = (await answer.json())["pre_ticket"]
    async with session.post(f"{url}/_gate/join/{room}", headers={**api, "Gate-Ticket": pre}) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


@pytest.mark.slow
async def test_law_1_unique_10_000_joins_over_200_connections_and_3_gate_processes(store_url, tmp_path, room_name):
    """10,000 different positions, none missing, in join order within each connection (law 2)."""
    async with gate_processes(GATES, store_url, tmp_path, room_name, GATE_ROOM_MODE="hold") as (urls, _, _):

        async def connection(index):
            places = []
            connector = aiohttp.TCPConnector(limit=1)
            async with aiohttp.ClientSession(connector=connector) as session:
                for _ in range(JOINS // CONNECTIONS):
                    place = await join_once(session, urls[index % GATES], room_name)
                    places.append((place["era"], place["position"]))
            return places

        by_connection = await asyncio.gather(*(connection(index) for index in range(CONNECTIONS)))
    every = [place for places in by_connection for place in places]
    assert len(every) == JOINS
    assert len({era for era, _ in every}) == 1
    assert sorted(position for _, position in every) == list(range(1, JOINS + 1))
    for places in by_connection:
        assert places == sorted(places)


@pytest.mark.slow
async def test_law_1_unique_through_kills_of_gate_store_and_both(tmp_path):
    """A gate on its embedded store is killed with -9, or its store is, or both: no place twice, order kept."""
    seen = defaultdict(int)
    highest = (0, 0)
    for victim in ("gate", "store", "both", "store"):
        async with EchoOrigin():
            command = [sys.executable, "-m", "gate", "serve", "--origin", "http://127.0.0.1:1", "--listen", "127.0.0.1:0",
                       "--admin", "127.0.0.1:0", "--state-dir", str(tmp_path / "state")]  # fmt: skip
            environ = {**os.environ, "GATE_ROOM_MODE": "hold", "GATE_ROOM_NAME": "sale"}
            process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
            while "public" not in (ready := json.loads(await asyncio.to_thread(process.stderr.readline))):
                pass
            reading = asyncio.get_running_loop().run_in_executor(None, process.stderr.read)
            children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
            store_pid = int(children.stdout.split()[0])
            places = []

            async def crowd(url=ready["public"], places=places):
                async with aiohttp.ClientSession() as session:
                    while True:
                        with contextlib.suppress(aiohttp.ClientError, AssertionError, KeyError, ValueError):
                            place = await join_once(session, url, "sale")
                            places.append((place["era"], place["position"]))
                        await asyncio.sleep(0)

            crowds = [asyncio.create_task(crowd()) for _ in range(8)]
            await asyncio.sleep(1.0)
            if victim == "store":
                os.kill(store_pid, 9)
                before, back_at = len(places), asyncio.get_running_loop().time() + 10
                while len(places) < before + 100 and asyncio.get_running_loop().time() < back_at:
                    await asyncio.sleep(0.05)  # the gate starts its store again, and joins go on
                assert len(places) >= before + 100
            elif victim == "both":
                os.kill(store_pid, 9)
                process.kill()
            else:
                process.kill()
            await asyncio.sleep(0.2)
            for task in crowds:
                task.cancel()
            await asyncio.gather(*crowds, return_exceptions=True)
            if victim == "store":
                process.terminate()
            process.wait(15)
            await reading
            process.stderr.close()
            while os.path.exists(f"/proc/{store_pid}"):
                await asyncio.sleep(0.02)
        assert len(places) > 50, "the crowd got through before the kill"
        assert min(places) > highest, "later joins are behind all earlier ones (law 2)"
        highest = max(places)
        for place in places:
            seen[place] += 1
    assert max(seen.values()) == 1
