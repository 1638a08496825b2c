"""Fixtures only: a real store, a real origin, a real gate before it, and visitors."""

import asyncio
import contextlib
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop

from gate.core.keyring import Algorithm
from gate.keyfile import load_or_make
from gate.settings import load
from gate.store.connection import Connection
from gate.store.embedded import start_embedded
from gate.store.live import Live
from gate.store.rooms import RoomStore
from gate.ticker import Ticker
from tests.harness import Browser, EchoOrigin, Running, toml_of

_numbers = itertools.count(1)


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Callable[[], Any]]:
    """Every async test runs on the loop the gate runs on; Playwright's child wants asyncio's own."""
    if "e2e" in item.nodeid:
        return {"asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    """A real Valkey, one for the session; tests keep apart by their rooms' names."""
    folder = Path(tempfile.mkdtemp(prefix="gate-test-"))
    store = start_embedded(folder)
    yield store.url
    store.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def room_name() -> str:
    """A room nobody else uses."""
    return f"r{next(_numbers)}"


@pytest.fixture
async def connection(store_url: str) -> AsyncIterator[Connection]:
    """A connection of one gate."""
    connection = Connection(store_url)
    yield connection
    await connection.close()


@pytest.fixture
def store(connection: Connection) -> RoomStore:
    """The rooms of one gate."""
    return RoomStore(connection, Live(), first_generation=1_000, fresh=True)


@pytest.fixture
def make_ticker(store: RoomStore, connection: Connection) -> Callable[..., Ticker]:
    """A ticker over the same store; `now` may be handed in."""
    return lambda *rooms, now=None: Ticker(store, rooms, now or connection.clock.now)


@pytest.fixture
async def origin() -> AsyncIterator[EchoOrigin]:
    """A real aiohttp origin that remembers what it was asked."""
    async with EchoOrigin() as origin:
        yield origin


@pytest.fixture
async def start_gate(store_url: str, origin: EchoOrigin, room_name: str, tmp_path: Path) -> AsyncIterator[Any]:
    """Start a gate before the origin: `await start_gate(release_rate=..., ...)`; several share store and keys."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            *, rooms: list[dict[str, Any]] | None = None, name: str | None = None, **settings: Any
        ) -> Running:
            tables = {key: settings.pop(key) for key in ("server", "tokens", "canary") if key in settings}
            origin_table = {"url": origin.url, **settings.pop("origin", {})}
            state = tmp_path / "state"
            load_or_make(state / "keys.json", Algorithm(tables.get("tokens", {}).get("algorithm", "HS256")))
            path = tmp_path / f"gate-{next(_numbers)}.toml"
            path.write_text(
                toml_of(
                    {
                        "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "drain_seconds": 0}
                        | tables.get("server", {}),
                        "origin": origin_table,
                        "store": {"url": store_url, "state_dir": str(state)},
                        "tokens": tables.get("tokens", {}),
                        "canary": tables.get("canary", {}),
                    },
                    rooms or [{"name": name or room_name, **settings}],
                )
            )
            config = load(path, environ={"GATE_ADMIN_TOKEN": "secret-of-staff"})
            return await stack.enter_async_context(Running.start(config, store_url))

        yield start


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that keeps no cookies and follows nothing."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session:
        yield session


@pytest.fixture
async def new_browser() -> AsyncIterator[Callable[[Running], Browser]]:
    """Visitors with cookies, each its own."""
    async with contextlib.AsyncExitStack() as stack:
        made: list[Browser] = []

        def make(running: Running) -> Browser:
            browser = Browser(running)
            made.append(browser)
            return browser

        yield make
        for browser in made:
            await stack.enter_async_context(browser.session)
