"""The admin side of one process: who may come, what they see, what they may do, and the canary.

Stands on the same parts as the public side, and on a `Fleet`: the processes that serve visitors, of which this one
may be the only one or none.
"""

import asyncio
import hashlib
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from gate.admin.auth import Operators, load_or_make_token
from gate.admin.pages import PageRoutes
from gate.admin.routes import Rules, make_admin
from gate.admin.tokenfile import FILE_NAME
from gate.admin.trends import Trends
from gate.admin.watch import Sources, Watch
from gate.canary import Canary
from gate.core.meter import Reading
from gate.core.place import Place
from gate.core.readiness import Readiness
from gate.core.room import host_matches
from gate.loop import every
from gate.operations import RoomOperations
from gate.parts import Parts
from gate.preview import Previews
from gate.sockets import BACKLOG
from gate.web.assets import Assets, static_root
from gate.web.crowding import Crowding
from gate.web.deadlines import Deadlines
from gate.web.edge_server import EdgeServer
from gate.web.languages import load_catalogues
from gate.web.page import fill
from gate.web.waiting import WaitingPages, safe_back

log = logging.getLogger("gate.control")
LOOK_SECONDS = 1.0
Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_HEAD_SECONDS, _IDLE_SECONDS, _LINE_BYTES, _CONNECTIONS_MAX = 15.0, 75.0, 8_190, 1_000
_DASHBOARD_FILES = ("dashboard.css", "chart.js", "dashboard.js", "icon.svg")


@dataclass(slots=True)
class Fleet:
    """The processes that serve visitors, as the admin side sees them."""

    meters: Sequence[Callable[[], Reading]]
    readiness: Callable[[], Readiness]
    """Whether visitors can be served."""
    counts: Callable[[], tuple[int, int, int]] = field(default=lambda: (1, 1, 0))
    trends: Trends = field(default_factory=Trends)
    """What was drawn so far; a reload hands it on."""

    def read(self) -> Reading:
        """The counts of all."""
        total = Reading()
        for meter in self.meters:
            total = total + meter()
        return total

    def workers(self) -> tuple[int, int, int]:
        """How many serve, how many should, how many were replaced."""
        return self.counts()


class Control:
    """One process's admin side. `start` it, let `watch` run, `stop` it."""

    def __init__(self, parts: Parts, fleet: Fleet, listen: tuple[str, int]) -> None:
        config, now = parts.config, parts.connection.clock.now
        self._parts = parts
        self._public_url = config.public_url(listen)
        token, path = load_or_make_token(config.state_dir, config.admin_token)
        log.info("admin token", extra={"file": str(path) if path else "from the environment"})
        self._operators = Operators(token, config.state_dir / FILE_NAME)
        self._read_tokens()
        self._operations = RoomOperations(config.rooms, parts.store, parts.ticker, now, self._link)
        self.canary = Canary(config, listen, parts.live, parts.store, now)
        names = tuple(room.name for room in config.rooms)
        self.watch_all = Watch(
            Sources(
                rooms=names,
                live=parts.live,
                fleet=fleet,
                now=now,
                skew=lambda: parts.connection.clock.skew,
                count_active=parts.active.count,
                record=parts.store.record,
                canary=self.canary.numbers,
                trends=fleet.trends,
            )
        )
        rules = Rules(
            self._operators,
            (*config.server["admin_hosts"], config.server["admin_listen"][0]),
            config.server["open_metrics"],
        )
        app = make_admin(self._operations, self.watch_all, self._make_pages(names, token), rules)
        # The public listener's own protocol: a deadline for heads, and our own words for what is no request.
        edge = EdgeServer(
            cast("Handle", app._handle),  # noqa: SLF001  (what aiohttp's own AppRunner hands to its server)
            request_factory=app._make_request,  # noqa: SLF001
            deadlines=Deadlines(head=_HEAD_SECONDS),
            crowding=Crowding(_CONNECTIONS_MAX, 0, ()),
            refused=lambda _reason: None,
            lanes=lambda _data, _client: None,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=_IDLE_SECONDS,
            max_line_size=_LINE_BYTES,
            max_field_size=_LINE_BYTES,
        )
        self._app = app
        # A stream of events ends when it is told to (`stop`), not when the last watcher goes.
        self._runner = web.ServerRunner(edge, shutdown_timeout=1.0)

    async def start(self, listener: socket.socket) -> None:
        """Serve on this socket."""
        self._app.freeze()
        await self._runner.setup()
        await web.SockSite(self._runner, listener, backlog=BACKLOG).start()

    async def watch(self) -> None:
        """Look at everything once a second, and send the canary, until cancelled."""
        canary = asyncio.ensure_future(self.canary.run())
        try:
            await every(LOOK_SECONDS, self._look)
        finally:
            canary.cancel()

    async def _look(self) -> None:
        self._read_tokens()
        await self.watch_all.look()

    def _read_tokens(self) -> None:
        wrong = self._operators.refresh()
        if wrong:
            log.error("tokens unusable", extra={"cause": wrong})

    async def stop(self) -> None:
        """Let all watchers go and close."""
        self.watch_all.events.close()
        await self._runner.cleanup()

    def _link(self, room: str, place: Place, life: float, next_path: str) -> dict[str, Any]:
        """A guest's link: a ticket for his place, in a URL of the public listener."""
        now = self._parts.connection.clock.now()
        ticket, _ = self._parts.keys.tokens().mint_ticket(room, place, secrets.token_hex(8), now=now, life=life)
        query = urlencode({"ticket": ticket, "next": safe_back(next_path)})
        url = f"{self._url_of(room)}/_gate/enter/{room}?{query}"
        return {"room": room, "guest": place.position, "url": url, "expires": int(now + life)}

    def _url_of(self, name: str) -> str:
        """Where visitors find a room: the gate's own address, unless the room goes by another host."""
        room = next(room for room in self._parts.config.rooms if room.name == name)
        parts = urlsplit(self._public_url)
        if not room.hosts or any(host_matches(pattern, parts.hostname or "") for pattern in room.hosts):
            return self._public_url
        host = room.hosts[0].removeprefix("*.")
        return f"{parts.scheme}://{host}:{parts.port}" if parts.port else f"{parts.scheme}://{host}"

    def _make_pages(self, names: tuple[str, ...], token: str) -> PageRoutes:
        assets, root = Assets(), static_root()
        catalogues = load_catalogues(root)
        links = {name.replace(".", "_"): assets.add_file(root / name) for name in _DASHBOARD_FILES}
        dashboard = fill((root / "dashboard.html").read_text(encoding="utf-8"), links)
        pages = WaitingPages(self._parts.config.rooms, assets, root, catalogues)
        rooms = {room.name: room for room in self._parts.config.rooms}
        previews = Previews(pages, rooms, assets.add_file(root / "preview.js"))

        def render(room: str, state: str, ahead: int, language: str) -> str:
            line = self._parts.live.line(room)
            message, rate = (line.message, line.release_rate) if line else ("", None)
            return previews.render(room, state, ahead, language, message, rate)

        # Links outlive a reload, since the token does.
        key = hashlib.sha256(b"preview:" + token.encode()).digest()
        return PageRoutes(names, dashboard, render, assets.answer, tuple(sorted(catalogues)), key)
