"""The public listener's server: one `EdgeHandler` a connection, all with the same limits."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gate.core.errors import Reason
from gate.web.crowding import Crowding
from gate.web.deadlines import Deadlines, reset
from gate.web.edge import EdgeHandler
from gate.web.lanes import Client, UnderWay


class EdgeServer(web.Server):
    """Makes one `EdgeHandler` a connection.

    `refused` is told why a head was not one, or that there are too many; `lanes` may take a request before the parser
    (`lanes.py`); `crowding` says who may connect at all.
    """

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        deadlines: Deadlines,
        refused: Callable[[Reason], None],
        lanes: Callable[[bytes, Client], bytes | UnderWay | None],
        crowding: Crowding,
        **kwargs: Any,
    ) -> None:
        super().__init__(handler, **kwargs)
        self._crowding = crowding
        self._lanes = lanes
        self._deadlines = deadlines
        self._refused = refused
        self._sweeping = False
        self._left: dict[RequestHandler, int] = {}

    def __call__(self) -> RequestHandler:
        """One connection's protocol."""
        return EdgeHandler(
            self,
            loop=self._loop,
            deadlines=self._deadlines,
            refused=self._refused,
            lanes=self._lanes,
            **self._kwargs,
        )

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count it; one too many is dropped before it has said a word."""
        super().connection_made(handler, transport)
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(self._deadlines.write, self._sweep)
        peer = transport.get_extra_info("peername")
        if not self._crowding.enter(handler, str(peer[0]) if isinstance(peer, tuple) else ""):
            self._refused(Reason.RATE_LIMITED)
            transport.abort()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """One less."""
        self._crowding.leave(handler)
        self._left.pop(handler, None)
        super().connection_lost(handler, exc)

    def _sweep(self) -> None:
        """Drop whoever has taken nothing of an answer since the last look, even the small rest of one that was closed.

        `EdgeHandler` sees readers who are slow about much; a rest that fits the buffers pauses nobody, and would be
        kept for as long as the reader likes.
        """
        left = {}
        for handler, transport in list(self._connections.items()):
            size = transport.get_write_buffer_size()
            if size and self._left.get(handler) == size:
                self._refused(Reason.REQUEST_TIMEOUT)
                reset(transport)
            elif size:
                left[handler] = size
        self._left = left
        self._sweeping = bool(self._connections)
        if self._sweeping:
            self._loop.call_later(self._deadlines.write, self._sweep)
