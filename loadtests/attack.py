"""Attacks on one gate of one worker, from one machine, bounded in count and time: what honest visitors feel meanwhile.

    python loadtests/attack.py [slow] [joins] [rotation]

`slow`: 5,000 slow headers, 2,000 slow bodies and 500 slow readers at once. `joins`: 100,000 joins a minute without
cookies while a line stands. `rotation`: the key is rotated under 1,000 admitted requests a second. Exits 1 where an aim
is missed.
"""

import asyncio
import contextlib
import functools
import gc
import json
import re
import resource
import socket
import sys
import tempfile
import time
from collections import Counter
from http import HTTPStatus
from pathlib import Path

import aiohttp
import psutil
from aiohttp import web

from gate.core.keyring import Algorithm
from gate.keyfile import rotate
from loadtests.surge.processes import Processes, until_ready

_SLOW_HEADS, _SLOW_BODIES, _SLOW_READERS = 5_000, 2_000, 500
_SLOW_SECONDS, _KEYS = 120, 4
_LENGTH = re.compile(rb"Content-Length: (\d+)")
_PIECE = b"x" * 2**16
_PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
_CONFIG = """
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
max_connections_per_address = 0
[origin]
url = "{origin}"
pool = 4096
[store]
state_dir = "{folder}/state"
[[room]]
name = "held"
paths = ["/held"]
mode = "hold"
[[room]]
name = "open"
release_rate = 100000
idle_per_network = 100000
"""


@contextlib.asynccontextmanager
async def gate_before_origin():
    """A gate as a process before an origin in this one: its URL, its folder, its process."""
    folder = Path(tempfile.mkdtemp(prefix="gate-attack-"))
    app = web.Application(client_max_size=2**30)
    app.router.add_get("/large", _large)
    app.router.add_route("*", "/{rest:.*}", _echo)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4_096).start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    (folder / "gate.toml").write_text(_CONFIG.format(origin=origin, folder=folder))
    processes = Processes(folder)
    gate = processes.start("gate", ["-m", "gate", "serve", "--config", str(folder / "gate.toml")])
    try:
        url = await asyncio.to_thread(until_ready, folder / "gate.log", gate)
        yield url, folder, gate
    finally:
        await asyncio.to_thread(processes.stop)
        await runner.cleanup()


async def _large(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": str(len(_PIECE) * 160)})
    await answer.prepare(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(160):
            await answer.write(_PIECE)
    return answer


async def _echo(request: web.Request) -> web.Response:
    with contextlib.suppress(ConnectionError):
        await request.read()
    return web.Response(text="ok")


def memory_of(gate) -> float:
    """Resident MiB of the gate's worker, which is its largest process but the store."""
    found = psutil.Process(gate.pid).children(recursive=True)
    return max(one.memory_info().rss for one in found if "python" in one.name()) / 2**20


class Probe:
    """One honest visitor who asks for something every 10 ms, on a connection of its own kept alive."""

    def __init__(self, url: str, target: str) -> None:
        self.took: list[float] = []
        self.failed: Counter = Counter()
        self._url, self._target = url, target

    async def run(self) -> None:
        """Until cancelled."""
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar, headers=_PAGE) as session:
            while True:
                began = time.perf_counter()
                try:
                    async with session.get(self._url + self._target) as answer:
                        await answer.read()
                        if answer.status != HTTPStatus.OK:
                            self.failed[answer.status] += 1
                except aiohttp.ClientError as error:
                    self.failed[type(error).__name__] += 1
                self.took.append(time.perf_counter() - began)
                await asyncio.sleep(0.01)

    def told(self) -> str:
        """p50, p99, worst and failures."""
        took = sorted(self.took)
        middle, late = took[len(took) // 2] * 1e3, took[len(took) * 99 // 100] * 1e3
        return (f"{len(took):,} asked, p50 {middle:.1f} ms, p99 {late:.1f} ms, "
                f"worst {took[-1] * 1e3:.0f} ms, failed {dict(self.failed) or 0}")  # fmt: skip


class Dripper(asyncio.Protocol):
    """A client that says `first`, then a little once a second."""

    def __init__(self, first: bytes, drip: bytes, gone: list[float]) -> None:
        self._first, self._drip, self._gone = first, drip, gone
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport) -> None:
        """Begin."""
        self._transport = transport
        transport.write(self._first)

    def go_on(self) -> None:
        """A second has passed."""
        if self._transport is not None:
            self._transport.write(self._drip)

    def connection_lost(self, _exc) -> None:
        """The gate has had enough."""
        self._transport = None
        self._gone.append(time.monotonic())


class Sipper:
    """A client that reads 16 bytes a second of a large answer."""

    def __init__(self, port: int, gone: list[float]) -> None:
        self._gone = gone
        self._socket: socket.socket | None = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setblocking(False)
        self._socket.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")

    def go_on(self) -> None:
        """A second has passed."""
        if self._socket is None:
            return
        # What came before a reset can still be read; that there was one, only the socket itself tells.
        over = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
        with contextlib.suppress(BlockingIOError, ConnectionError):
            over = over or self._socket.recv(16) == b""
        if over:
            self._socket.close()
            self._socket = None
            self._gone.append(time.monotonic())


async def slow() -> bool:
    """Slow heads, bodies and readers at once."""
    async with gate_before_origin() as (url, _, gate):
        port, loop = int(url.rpartition(":")[2]), asyncio.get_running_loop()
        probes = [Probe(url, "/_gate/now/held"), Probe(url, "/page")]
        asking = [asyncio.create_task(probe.run()) for probe in probes]
        await asyncio.sleep(3)
        print("before:   poll", probes[0].told(), "· page", probes[1].told(), f"· {memory_of(gate):.0f} MiB")
        for probe in probes:
            probe.took.clear()
        gone: dict[str, list[float]] = {"slow headers": [], "slow bodies": [], "slow readers": []}
        wanted = dict(zip(gone, (_SLOW_HEADS, _SLOW_BODIES, _SLOW_READERS), strict=True))
        drips = {"slow headers": (b"GET /page HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n"),
                 "slow bodies": (b"POST /page HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b"x")}  # fmt: skip
        began, clients = time.monotonic(), []
        for name, (first, drip) in drips.items():
            make = functools.partial(Dripper, first, drip, gone[name])
            for _ in range(wanted[name] // 250):
                batch = [loop.create_connection(make, "127.0.0.1", port) for _ in range(250)]
                clients += [client for _, client in await asyncio.gather(*batch)]
        for _ in range(_SLOW_READERS):
            clients.append(Sipper(port, gone["slow readers"]))
            await asyncio.sleep(0)
        all_in, peak = time.monotonic() - began, memory_of(gate)
        while any(len(gone[name]) < wanted[name] for name in gone) and time.monotonic() - began < _SLOW_SECONDS:
            for client in clients:
                client.go_on()
            await asyncio.sleep(1)
            peak = max(peak, memory_of(gate))
        for task in asking:
            task.cancel()
        print(f"all {len(clients):,} connected within {all_in:.1f} s; memory at the most {peak:.0f} MiB, "
              f"after it {memory_of(gate):.0f} MiB")  # fmt: skip
        for name, ends in gone.items():
            last = max(ends, default=float("inf")) - began
            print(f"  {name}: {len(ends):,} of {wanted[name]:,} gone, the last after {last:.1f} s")
        print("meanwhile: poll", probes[0].told(), "· page", probes[1].told())
        return all(len(gone[name]) == wanted[name] for name in gone) and not any(probe.failed for probe in probes)


async def joins() -> bool:
    """100,000 joins without cookies in a minute, while people who keep cookies join."""
    async with gate_before_origin() as (url, _, gate):
        port, counts = int(url.rpartition(":")[2]), Counter()
        request = b"POST /_gate/join/held HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        ends = time.monotonic() + 60

        async def bot() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            began, sent = time.monotonic(), 0
            while time.monotonic() < ends:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                counts[head[9:12].decode()] += 1
                await reader.readexactly(int(_LENGTH.search(head)[1]))
                sent += 1
                await asyncio.sleep(max(began + sent * 50 / 1_700 - time.monotonic(), 0))
            writer.close()

        took, positions = [], []

        async def people() -> None:
            while time.monotonic() < ends:
                async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as visitor:
                    began = time.perf_counter()
                    for _ in range(2):
                        async with visitor.post(f"{url}/_gate/join/held") as answer:
                            document = await answer.json()
                    took.append(time.perf_counter() - began)
                    positions.append(document["position"])
                await asyncio.sleep(0.1)

        await asyncio.gather(*(bot() for _ in range(50)), people())
        async with aiohttp.ClientSession() as session, session.get(f"{url}/_gate/now/held") as answer:
            issued = json.loads(await answer.read())["issued"]
        took.sort()
        spent = issued - len(positions)
        print(f"{sum(counts.values()):,} joins without cookies in 60 s from one address: {dict(counts)}; "
              f"numbers spent on them: {spent}")  # fmt: skip
        middle, late = took[len(took) // 2] * 1e3, took[len(took) * 99 // 100] * 1e3
        print(f"{len(took)} people joined meanwhile, both calls: p50 {middle:.1f} ms, p99 {late:.1f} ms, "
              f"worst {took[-1] * 1e3:.0f} ms; {memory_of(gate):.0f} MiB")  # fmt: skip
        return spent == 0 and positions == list(range(1, len(positions) + 1))


async def rotation() -> bool:
    """Three rotations under 1,000 admitted requests a second."""
    async with gate_before_origin() as (url, folder, _):
        passes, statuses, rotated, made = [], Counter(), [], Counter()
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            for _ in range(40):
                async with session.get(f"{url}/page", headers=_PAGE) as answer:
                    set_cookies = answer.headers.getall("Set-Cookie", [])
                    passes += [one.partition(";")[0] for one in set_cookies if one.startswith("gate_pass_open=ey")]
            print(f"{len(passes)} visitors inside")
            ends = time.monotonic() + 40

            async def visitor(cookie: str) -> None:
                began, asked = time.monotonic(), 0
                while time.monotonic() < ends:
                    shown = {"Cookie": cookie, "Sec-Fetch-Mode": "cors"}
                    async with session.get(f"{url}/page", headers=shown) as answer:
                        await answer.read()
                        statuses[answer.status] += 1
                    asked += 1
                    await asyncio.sleep(max(began + asked * len(passes) / 1_000 - time.monotonic(), 0))

            async def rotate_often() -> None:
                for _ in range(3):
                    await asyncio.sleep(9)
                    path = folder / "state" / "keys.json"
                    await asyncio.to_thread(rotate, path, Algorithm.HS256, keep_seconds=86_400)
                    rotated.append(time.monotonic())

            async def newcomers() -> None:
                while time.monotonic() < ends:
                    async with session.post(f"{url}/_gate/join/held", headers={"Gate-Client": "api"}) as answer:
                        made[(await answer.json())["pre_ticket"].partition(".")[0]] += 1
                    await asyncio.sleep(0.5)

            await asyncio.gather(*(visitor(cookie) for cookie in passes), rotate_often(), newcomers())
        total = sum(statuses.values())
        print(f"{len(rotated)} rotations; {total:,} admitted requests in 40 s ({total / 40:,.0f}/s): {dict(statuses)}; "
              f"newcomers' pre-tickets by key: {dict(made)}")  # fmt: skip
        return statuses.keys() == {200} and len(made) == _KEYS


async def main(wanted: list[str]) -> int:
    """Each in turn."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536)), hard))
    gc.disable()
    failed = 0
    for attack in (slow, joins, rotation):
        if not wanted or attack.__name__ in wanted:
            print(f"== {attack.__name__}", flush=True)
            kept = await attack()
            print("kept" if kept else "MISSED", flush=True)
            failed += not kept
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
