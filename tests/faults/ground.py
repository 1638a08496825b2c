"""Whole gates before a real origin, on any store: what visitors of them see while something breaks."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

from tests.faults.httpwire import head_of
from tests.processes import Tree, gate_tree

ROOM = "sale"


def room(**settings: object) -> str:
    """A room's table in a configuration."""
    return f'[[room]]\nname = "{ROOM}"\n' + "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())


@contextlib.asynccontextmanager
async def gates(
    folder: Path, origin: str, config: str, *, store: str = "", count: int = 1, **environ: str
) -> AsyncIterator[list[Tree]]:
    """Several gates on one line: one store and one key ring."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {"GATE_KEYS_FILE": str(folder / "keys.json"), **environ} | ({"GATE_STORE_URL": store} if store else {})
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(gate_tree(folder / f"gate-{index}", origin, config, **given))
            for index in range(count)
        ]


def get(url: str, *, cookie: str = "", page: bool = True) -> tuple[int, dict[str, str], bytes]:
    """One request of a visitor: status, cookies set, body."""
    request = urllib.request.Request(url)
    if page:
        request.add_header("Accept", "text/html")
    if cookie:
        request.add_header("Cookie", cookie)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            said, status, body = answer.headers, answer.status, answer.read()
    except urllib.error.HTTPError as error:
        said, status, body = error.headers, error.code, error.read()
    cookies = [line.split(";")[0].partition("=") for line in said.get_all("Set-Cookie", [])]
    return status, {name: value for name, _, value in cookies if value}, body


async def admitted(url: str, count: int) -> list[str]:
    """Cookies of so many visitors, let in while nobody waited."""
    passes = []
    while len(passes) < count:
        _, cookies, _ = await asyncio.to_thread(get, f"{url}/x")
        found = cookies.get(f"gate_pass_{ROOM}")
        if found is None:
            await asyncio.sleep(0.05)
        else:
            passes.append(f"gate_pass_{ROOM}={found}")
    return passes


def asks(url: str, cookies: list[str]) -> list[bytes]:
    """An admitted visitor's requests."""
    return [head_of("GET /x", url, f"Cookie: {cookie}") for cookie in cookies]


def poll(url: str) -> bytes:
    """A poll of the pointer."""
    return head_of(f"GET /_gate/now/{ROOM}", url)


def end_whole_tree(tree: Tree) -> None:
    """kill -9 of a gate: supervisor, workers and embedded store, in one moment."""
    said = subprocess.run(["pgrep", "-P", str(tree.process.pid)], capture_output=True, text=True, check=False)
    for pid in (tree.process.pid, *map(int, said.stdout.split())):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
