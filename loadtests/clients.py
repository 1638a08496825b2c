"""Who asks in the benchmark: wrk for as much as a server can take, a paced client for what a request waits."""

import asyncio
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from subjects import CLIENT_CORE, Subject

CONNECTIONS = 64
# Heads that differ by the visitor's pass alone, the same header lines in the same order for every server.
GETS = """
local heads, index = {{}}, 0
for line in io.lines("{file}") do
  heads[#heads + 1] = "GET {path} HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nUser-Agent: Mozilla/5.0 (X11)\\r\\n"
    .. "Accept: */*\\r\\nCookie: " .. line .. "\\r\\n\\r\\n"
end
request = function() index = index % #heads + 1; return heads[index] end
"""
# The same with a line that no other request has, so that nothing remembered of a head is of use.
NEW_GETS = """
local lines, index, start = {{}}, 0, os.time() .. "-"
for line in io.lines("{file}") do lines[#lines + 1] = line end
request = function()
  index = index + 1
  return "GET {path} HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nUser-Agent: Mozilla/5.0 (X11)\\r\\nAccept: */*\\r\\nX-Number: "
    .. start .. index .. "\\r\\nCookie: " .. lines[index % #lines + 1] .. "\\r\\n\\r\\n"
end
"""
# Two requests a visitor: one without cookies gets a pre-ticket, the next shows it and gets a place.
JOINS = """
local pres = {{}}
local first = "POST /_gate/join/{room} HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nUser-Agent: Mozilla/5.0 (X11)\\r\\n"
  .. "Accept: */*\\r\\nContent-Length: 0\\r\\n"
request = function()
  if #pres == 0 then return first .. "\\r\\n" end
  return first .. "Cookie: " .. table.remove(pres) .. "\\r\\n\\r\\n"
end
response = function(status, headers, body)
  if status == 202 then pres[#pres + 1] = string.match(headers["Set-Cookie"], "^[^;]+") end
end
"""
# A browser's first page, of somebody who must wait.
PAGES = """
request = function()
  return "GET {path} HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nUser-Agent: Mozilla/5.0 (X11)\\r\\nAccept: text/html\\r\\n"
    .. "Accept-Encoding: br, gzip\\r\\nSec-Fetch-Mode: navigate\\r\\nSec-Fetch-Dest: document\\r\\n"
    .. "Sec-Fetch-Site: none\\r\\n\\r\\n"
end
"""
# Served tickets, from a random one on, so that hardly any is shown twice.
CLAIMS = """
local lines = {{}}
for line in io.lines("{file}") do lines[#lines + 1] = line end
math.randomseed(os.time())
local index = math.random(0, #lines - 1)
request = function()
  index = index + 1
  return "POST /_gate/claim/{room} HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nUser-Agent: Mozilla/5.0 (X11)\\r\\n"
    .. "Accept: */*\\r\\nContent-Length: 0\\r\\nCookie: " .. lines[index % #lines + 1] .. "\\r\\n\\r\\n"
end
"""


@dataclass
class Measured:
    """What one run gave; times in milliseconds."""

    per_cpu_second: float
    per_second: float
    errors: int
    p50: float
    p99: float


def run(subject: Subject, path: str, seconds: float, script: Path | None = None) -> Measured:
    """One subject under full load."""
    before = subject.cpu_seconds()
    said = _wrk(subject.port, path, seconds, script)
    used = subject.cpu_seconds() - before
    count = int(re.search(r"(\d+) requests in", said)[1])
    bad = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", said))
    bad += int(found[1]) if (found := re.search(r"Non-2xx or 3xx responses: (\d+)", said)) else 0
    return Measured(count / used, count / seconds, bad, *_percentiles(said))


def at_half_load(subject: Subject, path: str, script: Path | None, per_second: float, folder: Path, seconds: float):
    """The same where it has half of what it can take: every connection pauses between its requests."""
    pause = max(round(1000 * CONNECTIONS / (per_second / 2)), 1)
    paced = folder / "paced.lua"
    text = script.read_text() if script else "request = function() return wrk.format() end\n"
    paced.write_text(text + f"\ndelay = function() return math.random(0, {2 * pause}) end\n")
    return run(subject, path, seconds, paced)


def paced(port: int, heads: list[bytes], rate: int, seconds: float) -> tuple[float, float]:
    """p50 and p99 (ms) of requests sent at a steady rate, in a process of its own on the client's core."""
    command = ["taskset", "-c", str(CLIENT_CORE), sys.executable, __file__, str(port), str(rate), str(seconds)]
    said = subprocess.run(command, input=b"".join(heads), capture_output=True, check=True).stdout.split()
    return float(said[0]), float(said[1])


async def idle_memory(subject: Subject, count: int) -> float:
    """Bytes an idle keep-alive connection costs the server, after one poll on each."""
    before, writers = subject.memory(), []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", subject.port, limit=1_024)
        writer.write(b"GET /_gate/now/default HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writers.append(writer)
    grown = subject.memory() - before
    for writer in writers:
        writer.close()
    return grown / count


def _wrk(port: int, path: str, seconds: float, script: Path | None) -> str:
    command = ["taskset", "-c", str(CLIENT_CORE), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{round(seconds)}s", "--latency"]
    command += ["-s", str(script)] if script else []
    command.append(f"http://127.0.0.1:{port}{path}")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _percentiles(said: str) -> tuple[float, float]:
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    found = {share: float(value) * unit[u] for share, value, u in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)", said)}
    return found["50"], found["99"]


class _Paced(asyncio.Protocol):
    """One connection of the paced client: one request at a time, with the moment it was due."""

    def __init__(self, idle: list["_Paced"], times: list[float]) -> None:
        self._idle, self._times = idle, times

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._idle.append(self)

    def ask(self, head: bytes, due: float) -> None:
        """Send one request."""
        self._due, self._left = due, -1
        self._transport.write(head)

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            head, _, rest = data.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(head[:100].decode())
            self._left = int(re.search(rb"(?i)content-length: (\d+)", head)[1]) - len(rest)
        else:
            self._left -= len(data)
        if self._left == 0:
            self._times.append(time.perf_counter() - self._due)
            self._idle.append(self)


async def _pace(port: int, heads: list[bytes], rate: int, seconds: float) -> list[float]:
    loop, idle, times = asyncio.get_running_loop(), [], []
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: _Paced(idle, times), "127.0.0.1", port)
    due, end, number = time.perf_counter(), time.perf_counter() + seconds, 0
    while due < end:
        due += 1 / rate
        # The last stretch is waited for awake: a sleep is as late as the request is long.
        while (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(0)
            if left > 0.002:  # noqa: PLR2004  (seconds)
                await asyncio.sleep(left - 0.001)
        idle.pop(0).ask(heads[number % len(heads)], due)
        number += 1
    await asyncio.sleep(0.3)
    return times[len(times) // 5 :]


if __name__ == "__main__":
    import uvloop

    given = [head + b"\r\n\r\n" for head in sys.stdin.buffer.read().split(b"\r\n\r\n") if head]
    took = uvloop.run(_pace(int(sys.argv[1]), given, int(sys.argv[2]), float(sys.argv[3])))
    quantiles = statistics.quantiles(took, n=100)
    print(quantiles[49] * 1000, quantiles[98] * 1000)
