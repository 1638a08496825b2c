"""The benchmark: the gate beside nginx, HAProxy and a plain aiohttp proxy, by turns on the same core.

    python loadtests/compare.py [--rounds 5] [--seconds 3] [--only poll,relay] [--out docs/benchmarks.md]

Every server is pinned to core 0 and has one worker; the origin and the client (wrk) have core 1. Subjects take turns
within each round, so that whatever else the machine does falls on all of them. The figure is requests per
CPU-second of the server's processes (for the gate: worker and supervisor), the median of the rounds; then p50 and p99
at half of the load each can take. The gate has every check on; 10,000 different passes take turns.

Needs nginx, haproxy and wrk (on Debian: apt install nginx-light haproxy wrk).
"""

import argparse
import asyncio
import contextlib
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from gate.core.place import Place
from gate.core.tokens import Tokens
from gate.keyfile import read

SERVER_CORE, CLIENT_CORE = 0, 1
CONNECTIONS, PASSES = 64, 10_000
SIZES = {"100 B": 100, "10 kB": 10_000, "100 kB": 100_000}
ORIGIN, NGINX, HAPROXY, PLAIN, GATE, ADMIN = 18300, 18301, 18302, 18303, 18304, 18305
_NGINX = """
worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.log;
events {{ worker_connections 8192; }}
http {{
 access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 75; types {{}}
 default_type application/json; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
 fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
 {servers}
}}
"""
_ORIGIN = "server {{ listen 127.0.0.1:{port} reuseport; root {folder}/www; }}"
_PROXY = """
 upstream origin {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 1000000000; }}
 server {{ listen 127.0.0.1:{port}; location = /poll {{ root {folder}/www; }} location = /200 {{ return 200 "ok"; }}
  location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
   proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; }} }}
"""
_HAPROXY = """
global
 nbthread 1
defaults
 mode http
 timeout connect 5s
 timeout client 75s
 timeout server 60s
 option forwardfor
 http-reuse always
frontend f
 bind 127.0.0.1:{port}
 default_backend b
backend b
 server origin 127.0.0.1:{origin}
"""
_LUA = """
local heads, index = {{}}, 0
for line in io.lines("{file}") do
  heads[#heads + 1] = "GET {path} HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nUser-Agent: Mozilla/5.0 (X11)\\r\\n"
    .. "Accept: */*\\r\\nCookie: " .. line .. "\\r\\n\\r\\n"
end
request = function() index = index % #heads + 1; return heads[index] end
"""


@dataclass
class Subject:
    """One server under test: its address, and the processes whose time counts."""

    name: str
    port: int
    processes: list[psutil.Process]

    def cpu_seconds(self) -> float:
        """Time used so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)

    def memory(self) -> int:
        """Resident bytes."""
        return sum(process.memory_info().rss for process in self.processes)


@dataclass
class Measured:
    """What one run gave."""

    per_cpu_second: float
    per_second: float
    errors: int
    p50: float
    p99: float


def wrk(port: int, path: str, seconds: float, *, connections: int = CONNECTIONS, script: Path | None = None) -> str:
    """One run of the client on its core."""
    command = ["taskset", "-c", str(CLIENT_CORE), "wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--latency"]
    command += ["-s", str(script)] if script else []
    command.append(f"http://127.0.0.1:{port}{path}")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def run(subject: Subject, path: str, seconds: float, script: Path | None = None) -> Measured:
    """One subject under full load."""
    before = subject.cpu_seconds()
    said = wrk(subject.port, path, seconds, script=script)
    used = subject.cpu_seconds() - before
    count = int(re.search(r"(\d+) requests in", said)[1])
    bad = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", said))
    bad += int(found[1]) if (found := re.search(r"Non-2xx or 3xx responses: (\d+)", said)) else 0
    return Measured(count / used, count / seconds, bad, *percentiles(said))


def percentiles(said: str) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    found = {share: float(value) * unit[u] for share, value, u in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)", said)}
    return found["50"], found["99"]


def pinned(command: list[str], core: int, **options: object) -> "subprocess.Popen[bytes]":
    """A process on its core."""
    return subprocess.Popen(["taskset", "-c", str(core), *command], **options)  # noqa: S607  (the system's own)


@contextlib.contextmanager
def servers(folder: Path, sizes: dict[str, int]):
    """Everything but the gate: the origin, nginx, HAProxy, the plain proxy."""
    folder.chmod(0o755)  # nginx reads as nobody
    (folder / "www").mkdir()
    for name, size in {**{str(size): size for size in sizes.values()}, "poll": 440}.items():
        (folder / "www" / name).write_bytes(b"x" * size)
    texts = {"origin": _ORIGIN.format(port=ORIGIN, folder=folder),
             "nginx": _PROXY.format(port=NGINX, origin=ORIGIN, folder=folder)}  # fmt: skip
    for name, text in texts.items():
        (folder / f"{name}.conf").write_text(_NGINX.format(folder=folder, name=name, servers=text))
    (folder / "haproxy.cfg").write_text(_HAPROXY.format(port=HAPROXY, origin=ORIGIN))
    running = [
        pinned(["nginx", "-c", str(folder / "origin.conf"), "-p", str(folder)], CLIENT_CORE),
        pinned(["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)], SERVER_CORE),
        pinned(["haproxy", "-f", str(folder / "haproxy.cfg")], SERVER_CORE),
        pinned([sys.executable, __file__, "--plain-proxy"], SERVER_CORE),
    ]
    time.sleep(2)
    try:
        yield [Subject(name, port, whole(process)) for name, port, process in
               zip(("nginx", "HAProxy", "aiohttp"), (NGINX, HAPROXY, PLAIN), running[1:], strict=True)]  # fmt: skip
    finally:
        for process in running:
            process.terminate()
            process.wait(10)


def whole(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """A process and all beneath it."""
    root = psutil.Process(process.pid)
    return [root, *root.children(recursive=True)]


@contextlib.contextmanager
def gate(folder: Path):
    """The gate with one worker, everything on, and a file of 10,000 cookies with passes."""
    state = folder / "state"
    environ = {**os.environ, "GATE_ADMIN_TOKEN": "t", "GATE_ROOM_RELEASE_RATE": "1000000", "GATE_ROOM_BURST": "1",
               "GATE_ORIGIN_POOL": "256"}  # fmt: skip
    command = [sys.executable, "-m", "gate", "serve", "--origin", f"http://127.0.0.1:{ORIGIN}"]
    command += ["--state-dir", str(state), "--listen", f"127.0.0.1:{GATE}", "--admin", f"127.0.0.1:{ADMIN}"]
    with (folder / "gate.log").open("w") as log:
        process = pinned(command, SERVER_CORE, env=environ, stderr=log)
    time.sleep(4)
    try:
        parts = [part for part in whole(process) if "valkey" not in part.name() and "redis" not in part.name()]
        yield Subject("gate", GATE, parts), state
    finally:
        process.terminate()
        process.wait(30)


async def cookies(state: Path) -> str:
    """Ten thousand visitors' passes of the room's present generation, as their browsers would send them, by line."""
    headers = {"Authorization": "Bearer t"}
    url = f"http://127.0.0.1:{ADMIN}/api/rooms/default"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        room = await answer.json()
    tokens, now = Tokens(read(state / "keys.json")), time.time()
    lines = []
    for position in range(1, PASSES + 1):
        place = Place(room["generation"], room["era"], position)
        text = tokens.mint_pass("default", place, "0" * 16, now=now, life=3_000, cap=now + 3_600)
        lines.append(f"gate_pass_default={text}")
    return "\n".join(lines) + "\n"


def table(rows: list[list[str]]) -> str:
    """Markdown."""
    head, *rest = rows
    return "\n".join(["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rest)])


Subjects = dict[str, tuple[Subject, str, Path | None]]


def compare(subjects: Subjects, rounds: int, seconds: float) -> dict[str, list[Measured]]:
    """All subjects by turns, some rounds."""
    found: dict[str, list[Measured]] = {name: [] for name in subjects}
    for number in range(rounds):
        for name, (subject, path, script) in subjects.items():
            found[name].append(run(subject, path, seconds, script))
        told = "  ".join(f"{name} {results[-1].per_cpu_second:,.0f}" for name, results in found.items())
        print(f"  round {number + 1}: {told}", file=sys.stderr, flush=True)
    return found


def rows(found: dict[str, list[Measured]], against: str, half: dict[str, Measured]) -> list[list[str]]:
    """One row a subject."""
    base = [result.per_cpu_second for result in found[against]]
    lines = [["server", "requests/CPU-s", f"ratio to {against}", "p50 ms", "p99 ms", "errors"]]
    for name, results in found.items():
        ratios = [result.per_cpu_second / other for result, other in zip(results, base, strict=True)]
        middle = statistics.median(result.per_cpu_second for result in results)
        lines.append([name, f"{middle:,.0f}", f"{statistics.median(ratios):.2f}", f"{half[name].p50:.2f}",
                      f"{half[name].p99:.2f}", str(sum(result.errors for result in results))])  # fmt: skip
    return lines


def at_half_load(
    subjects: Subjects, found: dict[str, list[Measured]], folder: Path, seconds: float
) -> dict[str, Measured]:
    """p50 and p99 where each has half of what it can take: every connection pauses between its requests."""
    half = {}
    for name, (subject, path, script) in subjects.items():
        most = statistics.median(result.per_second for result in found[name])
        pause = max(round(1000 * CONNECTIONS / (most / 2)), 1)
        paced = folder / "paced.lua"
        text = script.read_text() if script else "request = function() return wrk.format() end\n"
        paced.write_text(text + f"\ndelay = function() return math.random(0, {2 * pause}) end\n")
        half[name] = run(subject, path, seconds, paced)
    return half


def facts() -> str:
    """The machine, for whoever reads the table."""
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())  # fmt: skip
    versions = [subprocess.run(words, capture_output=True, text=True, check=False) for words in
                (["nginx", "-v"], ["haproxy", "-v"], ["wrk", "-v"])]  # fmt: skip
    first = [(said.stdout + said.stderr).splitlines()[0][:60] for said in versions]
    python = platform.python_version()
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {python}; " + "; ".join(first) + "."


async def idle_memory(subject: Subject, count: int) -> float:
    """Bytes an idle keep-alive connection costs the server, after one poll on each."""
    before, writers = subject.memory(), []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", subject.port)
        writer.write(b"GET /_gate/now/default HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writers.append(writer)
    grown = subject.memory() - before
    for writer in writers:
        writer.close()
    return grown / count


def plain_proxy() -> None:
    """What one would write in an afternoon: aiohttp's server and its ClientSession."""
    from aiohttp import web  # noqa: PLC0415  (another process's program)

    async def main() -> None:
        async with aiohttp.ClientSession(auto_decompress=False) as session:

            async def handle(request: web.BaseRequest) -> web.StreamResponse:
                async with session.request(request.method, f"http://127.0.0.1:{ORIGIN}{request.path_qs}") as upstream:
                    answer = web.StreamResponse(status=upstream.status, headers={"Content-Type": "text/plain"})
                    answer.content_length = upstream.content_length
                    await answer.prepare(request)
                    async for chunk in upstream.content.iter_any():
                        await answer.write(chunk)
                    return answer

            runner = web.ServerRunner(web.Server(handle, access_log=None))
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", PLAIN, backlog=4096).start()
            await asyncio.Event().wait()

    import uvloop  # noqa: PLC0415

    uvloop.run(main())


def main() -> None:
    """All rows."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--rounds", type=int, default=5)
    given.add_argument("--seconds", type=float, default=3)
    given.add_argument("--only", default="poll,relay,memory")
    given.add_argument("--out", type=Path)
    given.add_argument("--plain-proxy", action="store_true")
    asked = given.parse_args()
    if asked.plain_proxy:
        return plain_proxy()
    for program in ("nginx", "haproxy", "wrk", "taskset"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is missing; on Debian: apt install nginx-light haproxy wrk util-linux")
    with tempfile.TemporaryDirectory(prefix="gate-compare-") as name:
        folder = Path(name)
        with servers(folder, SIZES) as others, gate(folder) as (ours, state):
            text = measure(asked, folder, others, ours, state)
    print(text)
    if asked.out:
        asked.out.write_text(text)
    return None


def measure(asked: argparse.Namespace, folder: Path, others: list[Subject], ours: Subject, state: Path) -> str:
    """The page."""
    nginx = others[0]
    (folder / "cookies").write_text(asyncio.run(cookies(state)))
    how = f"{asked.rounds} interleaved rounds of {asked.seconds:g} s, {CONNECTIONS} connections."
    page = [f"Measured on {facts()} {how}"]
    wanted = asked.only.split(",")
    if "poll" in wanted:
        subjects: Subjects = {
            "nginx, a static file": (nginx, "/poll", None),
            "gate, the pointer": (ours, "/_gate/now/default", None),
        }
        found = compare(subjects, asked.rounds, asked.seconds)
        half = at_half_load(subjects, found, folder, asked.seconds)
        page += ["## Poll of the pointer", table(rows(found, "nginx, a static file", half))]
    if "relay" in wanted:
        for label, size in SIZES.items():
            with_pass = folder / f"pass-{size}.lua"
            with_pass.write_text(_LUA.format(file=folder / "cookies", path=f"/{size}"))
            subjects = {subject.name: (subject, f"/{size}", with_pass) for subject in (*others, ours)}
            found = compare(subjects, asked.rounds, asked.seconds)
            half = at_half_load(subjects, found, folder, asked.seconds)
            page += [f"## Relay of an admitted GET, {label}", table(rows(found, "nginx", half))]
    if "memory" in wanted:
        cost = asyncio.run(idle_memory(ours, 5_000))
        page += [f"An idle keep-alive connection costs the gate {cost / 1000:.1f} kB."]
    return "\n\n".join(page) + "\n"


if __name__ == "__main__":
    main()
