"""The composition root: builds one gate from its configuration, runs it, and takes it down in order.

Start: store, keys, ticker, listeners. Serve. Stop: not ready, `Connection: close` for a moment, listeners closed,
what is under way finished, the store marked, the store closed.
"""

import asyncio
import contextlib
import logging
import secrets
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from aiohttp import web

from gate.admin.auth import load_or_make_token
from gate.admin.routes import make_admin
from gate.keyfile import load_or_make
from gate.keywatch import KeyWatch
from gate.operations import RoomOperations
from gate.proxy.origin import Limits, Origin
from gate.settings import Config
from gate.store.connection import Connection
from gate.store.embedded import EmbeddedStore, start_embedded
from gate.store.live import Live
from gate.store.rooms import RoomStore
from gate.ticker import Ticker
from gate.web.assets import Assets, static_root
from gate.web.desk import Desk
from gate.web.edge import EdgeServer
from gate.web.gatekeeper import Gatekeeper, Trust
from gate.web.languages import load_catalogues
from gate.web.trouble import TroublePage
from gate.web.visitors import Visitors
from gate.web.waiting import WaitingPages

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ImportError:  # no wheel for this platform; asyncio's own loop does
    from asyncio import new_event_loop

log = logging.getLogger("gate.app")
_FRESH_MS = 60_000
_FINISH_SECONDS = 10.0
_STORE_LOOK_SECONDS = 0.1
_STORE_REST_SECONDS = 0.5


class Gate:
    """One gate process, built and not yet started. `store_url` names a running store."""

    def __init__(self, config: Config, store_url: str) -> None:
        self.config = config
        rooms = config.rooms
        ring = load_or_make(config.keys_file, config.algorithm)
        self.keys = KeyWatch(config.keys_file, ring, config.tokens["remembered"])
        self.connection = Connection(store_url)
        self.live = Live()
        now = self.connection.clock.now
        fresh = now() * 1000 - ring.created_ms < _FRESH_MS
        self.store = RoomStore(self.connection, self.live, first_generation=ring.created_ms, fresh=fresh)
        self.ticker = Ticker(self.store, rooms, now)
        gate_id = secrets.token_hex(4)
        self.desks = {room.name: Desk(room, self.keys.tokens, self.store, now, gate_id) for room in rooms}
        self.gatekeeper: Gatekeeper | None = None
        self.listen: tuple[str, int] = config.server["listen"]
        self.admin_listen: tuple[str, int] = config.server["admin_listen"]

    def ready(self) -> bool:
        """Every room heard of within its lease, and not on the way out."""
        if self.gatekeeper is None or self.gatekeeper.draining:
            return False
        return all(self.live.silent_for(room.name) < room.lease for room in self.config.rooms)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Gate"]:
        """Start everything; stop it in order at the end. `listen` and `admin_listen` tell the ports in use."""
        async with contextlib.AsyncExitStack() as stack:
            origin = self._make_origin()
            stack.push_async_callback(self.connection.close)
            stack.push_async_callback(self.ticker.leave_mark)
            stack.push_async_callback(origin.close)
            await self._first_tick()
            for work in (self.ticker.run(), self.keys.run()):
                stack.push_async_callback(_cancel, asyncio.create_task(work))
            self.admin_listen = await self._start_admin(stack)
            self.listen = await self._start_public(stack, origin)
            yield self

    async def drain(self) -> None:
        """Say goodbye on open connections before they are closed."""
        if self.gatekeeper is not None:
            self.gatekeeper.drain()
        await asyncio.sleep(self.config.server["drain_seconds"])

    async def _first_tick(self) -> None:
        """Hear of the rooms before the first request, if the store is there; else begin without it."""
        for room in self.config.rooms:
            with contextlib.suppress(Exception):
                await self.ticker.tick(room)
            if self.live.line(room.name) is None:
                log.warning("store away", extra={"room": room.name, "cause": "no answer at start"})

    def _make_origin(self) -> Origin:
        given = self.config.origin
        limits = Limits(
            pool=given["pool"],
            idle=given["idle_timeout"],
            connect=given["connect_timeout"],
            first_byte=given["first_byte_timeout"],
            read=given["read_timeout"],
        )
        return Origin(given["url"], limits, given["verify"])

    async def _start_public(self, stack: contextlib.AsyncExitStack, origin: Origin) -> tuple[str, int]:
        server, rooms = self.config.server, self.config.rooms
        assets, root = Assets(), static_root()
        catalogues = load_catalogues(root)
        pages, trouble = WaitingPages(rooms, assets, root, catalogues), TroublePage(assets, root, catalogues)
        visitors = Visitors(self.desks, assets, self.ready)
        trust = Trust(server["trusted_proxies"], server["public_scheme"])
        self.gatekeeper = Gatekeeper(rooms, self.desks, origin, visitors, pages, trouble, trust)
        edge = EdgeServer(
            self.gatekeeper.handle,
            header_timeout=server["header_timeout"],
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=server["keepalive_timeout"],
            max_line_size=server["max_line_bytes"],
            max_field_size=server["max_field_bytes"],
            max_headers=server["max_headers"],
            read_bufsize=256 * 1024,
        )
        runner = web.ServerRunner(edge, shutdown_timeout=_FINISH_SECONDS)
        return await _listen(stack, runner, self.config.server["listen"], _tls(server["tls_cert"], server["tls_key"]))

    async def _start_admin(self, stack: contextlib.AsyncExitStack) -> tuple[str, int]:
        token, path = load_or_make_token(self.config.state_dir, self.config.admin_token)
        log.info("admin token", extra={"file": str(path) if path else "from the environment"})
        operations = RoomOperations(self.config.rooms, self.store, self.live, self.ticker, self.ready)
        runner = web.AppRunner(make_admin(operations, token), access_log=None, shutdown_timeout=1.0)
        return await _listen(stack, runner, self.config.server["admin_listen"], None)


def serve(config: Config) -> None:
    """Run one gate until SIGINT or SIGTERM. Call it from the main thread.

    Raises:
        EmbeddedStoreError: no store was named and none can be run.
        KeyFileError: the key ring cannot be used.
    """
    embedded = None if config.store["url"] else start_embedded(_private(config.state_dir))
    try:
        url = embedded.url if embedded else config.store["url"]
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_serve(config, url, embedded))
    finally:
        if embedded:
            embedded.stop()


async def _serve(config: Config, store_url: str, embedded: EmbeddedStore | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Gate(config, store_url).running() as gate, contextlib.AsyncExitStack() as stack:
        if embedded is not None:
            stack.push_async_callback(_cancel, asyncio.create_task(_keep_alive(embedded)))
        log.info(
            "ready",
            extra={
                "public": f"{'https' if config.server['tls_cert'] else 'http'}://{address(gate.listen)}",
                "admin": f"http://{address(gate.admin_listen)}",
                "origin": config.origin["url"],
            },
        )
        await stop.wait()
        log.info("stopping")
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)  # a second signal ends at once
        await gate.drain()


async def _keep_alive(embedded: EmbeddedStore) -> None:
    """Start the embedded store again when it dies; on this thread, to which its life is tied."""
    while True:
        await asyncio.sleep(_STORE_LOOK_SECONDS)
        if embedded.revive():
            log.warning("store died", extra={"cause": "started again"})
            await asyncio.sleep(_STORE_REST_SECONDS)


async def _listen(
    stack: contextlib.AsyncExitStack,
    runner: web.BaseRunner,
    where: tuple[str, int],
    tls: ssl.SSLContext | None,
) -> tuple[str, int]:
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, *where, ssl_context=tls, backlog=4_096)
    await site.start()
    host, port = runner.addresses[0][:2]
    return str(host), int(port)


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def address(where: tuple[str, int]) -> str:
    """HOST:PORT, for people."""
    host, port = where
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _private(state_dir: Path) -> Path:
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return state_dir


def _tls(cert: str, key: str) -> ssl.SSLContext | None:
    if not cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["http/1.1"])
    return context
