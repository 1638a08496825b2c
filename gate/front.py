"""The public side of one process: the desks, the pages, the way to the origin, and the server that visitors meet."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Sequence

from aiohttp import web

from gate.core.errors import Reason
from gate.core.meter import Count, Meter
from gate.core.readiness import Readiness
from gate.loop import every
from gate.parts import Parts
from gate.proxy.limits import Limits
from gate.proxy.origin import Origin
from gate.proxy.pool import Pool
from gate.settings import Config
from gate.sockets import BACKLOG, tls_context
from gate.store.connection import StoreUnavailableError
from gate.web.assets import Assets, static_root
from gate.web.crowding import Crowding
from gate.web.deadlines import Deadlines
from gate.web.desk import Desk
from gate.web.edge_server import EdgeServer
from gate.web.gatekeeper import Gatekeeper
from gate.web.join_lane import JOIN, JoinLane
from gate.web.lanes import Lanes
from gate.web.languages import load_catalogues
from gate.web.poll_lane import POLL, PollLane
from gate.web.relay_lane import RelayLane
from gate.web.sight import Sight, Trust
from gate.web.trouble import TroublePage
from gate.web.verifying import Verifying
from gate.web.visitors import Visitors
from gate.web.waiting import WaitingPages
from gate.web.ways import Ways

_FLUSH_SECONDS = 1.0


class Front:
    """One process's public side. `start` it, `drain` it, `stop` it; each once."""

    def __init__(self, parts: Parts) -> None:
        config, clock, gate_id = parts.config, parts.connection.clock, secrets.token_hex(4)
        self._parts = parts
        self._pool, self._origin = _ways_to_origin(config, parts.meter)
        self.desks = {
            room.name: Desk(room, parts.keys.tokens, parts.store, clock, gate_id, parts.active, parts.owed)
            for room in config.rooms
        }
        self._verifying = Verifying()
        assets, root = Assets(), static_root()
        catalogues = load_catalogues(root)
        visitors = Visitors(self.desks, assets, self.readiness, parts.meter, self._verifying)
        trust = Trust(config.server["trusted_proxies"], config.server["public_scheme"])
        sight = Sight(config.rooms, self.desks, trust, parts.meter)
        self._lanes = _lanes(parts, self.desks, sight, visitors, self._pool)
        pages = WaitingPages(config.rooms, assets, root, catalogues)
        for desk in self.desks.values():
            desk.solver = pages.solver
        self._gatekeeper = Gatekeeper(
            sight,
            self._origin,
            visitors,
            pages,
            TroublePage(assets, root, catalogues),
            parts.meter,
            body_bytes_max=config.server["max_body_bytes"],
        )
        self._leaving = False
        self._runner: web.ServerRunner | None = None
        self._sites: list[web.BaseSite] = []

    def readiness(self) -> Readiness:
        """Whether visitors may be sent here; not where this process is on its way out for good."""
        return Readiness.NOT_READY if self._leaving else self._parts.readiness()

    async def start(self, listeners: Sequence[socket.socket]) -> None:
        """Serve on these sockets."""
        server = self._parts.config.server
        edge = EdgeServer(
            self._gatekeeper.handle,
            deadlines=Deadlines(
                server["header_timeout"], server["body_rate"], server["write_timeout"], server["max_body_bytes"]
            ),
            crowding=Crowding(
                server["max_connections"], server["max_connections_per_address"], server["trusted_proxies"]
            ),
            refused=self._count_refused,
            lanes=self._lanes.take,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=server["keepalive_timeout"],
            max_line_size=server["max_line_bytes"],
            max_field_size=server["max_field_bytes"],
            max_headers=server["max_headers"],
            read_bufsize=256 * 1024,
        )
        self._runner = web.ServerRunner(edge, shutdown_timeout=server["finish_seconds"])
        await self._runner.setup()
        tls = tls_context(server["tls_cert"], server["tls_key"])
        for listener in listeners:
            site = _Site(self._runner, listener, ssl_context=tls, backlog=BACKLOG)
            site.handshake_seconds = server["header_timeout"]
            await site.start()
            self._sites.append(site)

    async def drain(self, *, for_good: bool) -> None:
        """Say goodbye on open connections before they are closed; takes `drain_seconds`.

        `for_good`: the whole gate goes. For the first half it says that it is not ready, so that load balancers look
        elsewhere, and serves on; then every answer ends its connection. Otherwise a successor listens on the same
        sockets, and newcomers are its own from now on.
        """
        seconds = self._parts.config.server["drain_seconds"]
        if for_good:
            self._leaving = True
            await asyncio.sleep(seconds / 2)
            seconds /= 2
        else:
            for site in self._sites:
                await site.stop()
            self._sites.clear()
        self._gatekeeper.drain()
        self._lanes.close()
        await asyncio.sleep(seconds)

    async def stop(self) -> None:
        """Stop listening, finish what is under way within `finish_seconds`, close the way to the origin."""
        if self._runner is not None:
            await self._runner.cleanup()
        await self._pool.close()
        await self._origin.close()
        await self._verifying.close()

    async def tell_active(self) -> None:
        """Tell the store of the passes made, once a second, until cancelled."""
        await every(_FLUSH_SECONDS, self._flush)

    async def _flush(self) -> None:
        with contextlib.suppress(StoreUnavailableError):
            await self._parts.active.flush()

    def _count_refused(self, reason: Reason) -> None:
        self._parts.meter.count(Count.DECISIONS, "", reason)


class _Site(web.SockSite):
    """A listening socket whose TLS handshakes have a deadline too; aiohttp leaves them the loop's minute."""

    handshake_seconds = 15.0

    async def start(self) -> None:
        """Listen."""
        await web.BaseSite.start(self)
        server = self._runner.server
        assert server is not None  # noqa: S101  (the runner is set up)
        self._server = await asyncio.get_running_loop().create_server(
            server,
            sock=self._sock,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=self.handshake_seconds if self._ssl_context else None,
        )


def _ways_to_origin(config: Config, meter: Meter) -> tuple[Pool, Origin]:
    """The relay lane's connections and those of the ordinary way.

    Each has its share of `origin.pool`, so that a checkout's POST does not queue behind everybody's pages.
    """
    given = config.origin
    relayed = max(given["pool"] * 3 // 4, 1)
    shares = [
        Limits(
            pool=max(share, 1),
            idle=given["idle_timeout"],
            connect=given["connect_timeout"],
            first_byte=given["first_byte_timeout"],
            read=given["read_timeout"],
        )
        for share in (relayed, given["pool"] - relayed)
    ]
    return Pool(given["url"], shares[0], given["verify"]), Origin(given["url"], shares[1], given["verify"], meter)


def _lanes(parts: Parts, desks: dict[str, Desk], sight: Sight, visitors: Visitors, pool: Pool) -> Lanes:
    config, meter = parts.config, parts.meter
    head_bytes = min(config.server["max_line_bytes"], config.server["max_field_bytes"])
    headers = config.server["max_headers"]
    counters = {room.name: meter.counter(Count.POLLS, room.name) for room in config.rooms}
    polls = PollLane(visitors.pointers, parts.live.line, counters, head_bytes=head_bytes, headers=headers)
    joins = JoinLane(desks, sight, meter, head_bytes=head_bytes, headers=headers)
    ways = Ways(sight, config.rooms, meter, headers_max=headers)
    relays = RelayLane(ways, pool, meter, head_bytes=head_bytes)
    return Lanes(((POLL, polls), (JOIN, joins)), relays)
