"""The public listener's server: one `EdgeHandler` a connection, all with the same limits."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gate.core.errors import Reason
from gate.web.deadlines import Deadlines
from gate.web.edge import EdgeHandler
from gate.web.lanes import Client, UnderWay


class EdgeServer(web.Server):
    """Makes one `EdgeHandler` a connection.

    `refused` is told why a head was not one; `lanes` may take a request before the parser (`lanes.py`).
    """

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        deadlines: Deadlines,
        refused: Callable[[Reason], None],
        lanes: Callable[[bytes, Client], bytes | UnderWay | None],
        **kwargs: Any,
    ) -> None:
        super().__init__(handler, **kwargs)
        self._lanes = lanes
        self._deadlines = deadlines
        self._refused = refused

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
