"""Who takes part in the benchmark: the origin, nginx, HAProxy, a plain aiohttp proxy and the gate, each on its core."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
import redis
from aiohttp import web

from gate.core.place import Place
from gate.core.tokens import Tokens
from gate.keyfile import read
from gate.store.keys import line_key

SERVER_CORE, CLIENT_CORE = 0, 1
PASSES, TICKETS, MANY = 10_000, 100_000, 1_000_000
ORIGIN, NGINX, HAPROXY, PLAIN, GATE, ADMIN = 18300, 18301, 18302, 18303, 18304, 18305
_NGINX = """
worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.log;
events {{ worker_connections 16384; }}
worker_rlimit_nofile 65536;
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
# The room that lets in whoever has a pass, and two where people wait.
_GATE = """
[server]
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:{admin}"
[origin]
url = "http://127.0.0.1:{origin}"
pool = 512
[store]
state_dir = "{folder}/state"
[[room]]
name = "default"
release_rate = 1000000
burst = 1
[[room]]
name = "few"
paths = ["/few"]
mode = "hold"
[[room]]
name = "many"
paths = ["/many"]
mode = "hold"
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


def pinned(command: list[str], core: int, **options: object) -> "subprocess.Popen[bytes]":
    """A process on its core."""
    return subprocess.Popen(["taskset", "-c", str(core), *command], **options)  # noqa: S607  (the system's own)


@contextlib.contextmanager
def servers(folder: Path, sizes: list[int]):
    """Everything but the gate: the origin, nginx, HAProxy, the plain proxy."""
    folder.chmod(0o755)  # nginx reads as nobody
    (folder / "www").mkdir()
    for name, size in {**{str(size): size for size in sizes}, "poll": 440}.items():
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
        pinned([sys.executable, __file__], SERVER_CORE, stderr=subprocess.DEVNULL),
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
    """The gate with one worker, every check on, and the socket of its store."""
    (folder / "gate.toml").write_text(_GATE.format(port=GATE, admin=ADMIN, origin=ORIGIN, folder=folder))
    command = [sys.executable, "-m", "gate", "serve", "--config", str(folder / "gate.toml")]
    with (folder / "gate.log").open("w") as log:
        process = pinned(command, SERVER_CORE, env={**os.environ, "GATE_ADMIN_TOKEN": "t"}, stderr=log)
    time.sleep(4)
    try:
        stores = [part for part in whole(process) if "valkey" in part.name() or "redis" in part.name()]
        parts = [part for part in whole(process) if part not in stores]
        socket = re.search(r"unixsocket[: ](\S+)", " ".join(stores[0].cmdline()))[1]
        yield Subject("gate", GATE, parts), socket
    finally:
        process.terminate()
        process.wait(30)


def room(name: str, method: str = "GET", path: str = "", body: dict[str, object] | None = None) -> dict[str, object]:
    """What the gate's API says of a room."""

    async def ask() -> dict[str, object]:
        url = f"http://127.0.0.1:{ADMIN}/api/rooms/{name}{path}"
        headers = {"Authorization": "Bearer t"}
        async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers, json=body) as got:
            return await got.json()

    return asyncio.run(ask())


def cookies(folder: Path) -> str:
    """Ten thousand visitors' passes of the room's present generation, as their browsers would send them, by line."""
    present = room("default")
    tokens, now = Tokens(read(folder / "state" / "keys.json")), time.time()
    lines = []
    for position in range(1, PASSES + 1):
        place = Place(present["generation"], present["era"], position)
        text = tokens.mint_pass("default", place, "0" * 16, now=now, life=3_000, cap=now + 3_600)
        lines.append(f"gate_pass_default={text}")
    return "\n".join(lines) + "\n"


def tickets(folder: Path) -> str:
    """A hundred thousand visitors' tickets of the room's present generation, by line."""
    present = room("default")
    tokens, now = Tokens(read(folder / "state" / "keys.json")), time.time()
    lines = []
    for position in range(1, TICKETS + 1):
        place = Place(present["generation"], present["era"], position)
        text, _ = tokens.mint_ticket("default", place, "0" * 16, now=now, life=3_000)
        lines.append(f"gate_ticket_default={text}")
    return "\n".join(lines) + "\n"


def fill_line(socket: str, name: str, length: int) -> None:
    """Begin a room's line anew and make it so long, as the store would have it after as many joins."""
    room(name, "POST", "/reset", {"confirm": name})
    store = redis.Redis(unix_socket_path=socket)
    store.hset(line_key(name), "n", length)
    store.close()
    for _ in range(100):
        if room(name)["issued"] == length:
            return
        time.sleep(0.1)
    raise SystemExit(f"the room {name} does not have {length} in line")


def plain_proxy() -> None:
    """What one would write in an afternoon: aiohttp's server and its ClientSession."""

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

    import uvloop  # noqa: PLC0415  (another process's program)

    uvloop.run(main())


if __name__ == "__main__":
    plain_proxy()
