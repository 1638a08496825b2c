"""The public listener's protocol: aiohttp's, with a deadline for heads and our own words for what it refuses.

aiohttp's keep-alive time-out does not run before the first request, and its refusals are plain text with a
logged traceback. Both are mended here. Plain polls are answered before the parser runs (`lane.py`): this file
knows where a connection stands, and asks the lane only where a read must begin a request.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler

from gate.core.errors import Reason
from gate.web.problems import problem

log = logging.getLogger("gate.edge")


class EdgeHandler(RequestHandler):
    """One client connection. A request's head must be whole within `header_timeout` of its first byte."""

    __slots__ = (
        "_between",
        "_head_begun",
        "_head_deadline",
        "_header_timeout",
        "_line_limit",
        "_poll",
        "_refused",
    )

    def __init__(
        self,
        *args: Any,
        header_timeout: float,
        refused: Callable[[Reason], None],
        poll: Callable[[bytes], bytes | None],
        **kwargs: Any,
    ) -> None:
        # aiohttp's one error for both tells only the limit that was passed; so the two limits must differ.
        self._line_limit = kwargs["max_line_size"]
        kwargs["max_field_size"] += kwargs["max_field_size"] == self._line_limit
        super().__init__(*args, **kwargs)
        self._header_timeout = header_timeout
        self._refused = refused
        self._poll = poll
        self._between = True
        self._head_deadline: asyncio.TimerHandle | None = None
        self._head_begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A silent connection may stay as long as an idle one."""
        super().connection_made(transport)
        self._close_after(self._keepalive_timeout)

    def data_received(self, data: bytes) -> None:
        """Answer a plain poll at once; else start the clock at the first byte of a head, stop it at its last."""
        between = self._between and self._is_between()
        if between and (answer := self._poll(data)) is not None and self.transport is not None:
            if self._head_deadline is not None:
                self._head_arrived()
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
            self.transport.write(answer)
            return
        heads = self._request_count
        super().data_received(data)
        # Only after one whole head without a body is it certain that what comes next begins a request.
        whole = self._request_count == heads + 1 and data.endswith(b"\r\n\r\n") and bool(self._messages)
        self._between = between and whole and self._messages[-1][1] is EMPTY_PAYLOAD
        if self._request_count != heads:
            self._head_arrived()
        elif not self._head_begun and self._current_request is None:
            self._head_arrived()
            self._head_begun = True
            self._close_after(self._header_timeout)

    def _is_between(self) -> bool:
        """Whether the connection stands between two requests and its answers are taken, where `_between` allows it."""
        if self._paused or self._close or self._force_close:
            return False
        waiter = self._waiter
        return self._request_count == 0 if waiter is None else not waiter.done()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing is waited for any more."""
        self._head_arrived()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  (aiohttp's own words, not ours)
    ) -> web.StreamResponse:
        """A problem document for what could not be parsed, or for a fault of ours."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        if status < 500:  # noqa: PLR2004  (client errors)
            reason = self._parse_reason(exc)
            self._refused(reason)
            return problem(reason, close=True)
        self._refused(Reason.INTERNAL)
        log.error("fault", extra={"reason": Reason.INTERNAL.value}, exc_info=exc)
        return problem(Reason.INTERNAL, close=True)

    def _parse_reason(self, exc: BaseException | None) -> Reason:
        if isinstance(exc, LineTooLong):
            return Reason.URI_TOO_LONG if exc.args[1] == self._line_limit else Reason.HEADER_TOO_LARGE
        return Reason.BAD_REQUEST

    def _close_after(self, seconds: float) -> None:
        self._head_deadline = self._loop.call_later(seconds, self._head_is_late)

    def _head_arrived(self) -> None:
        self._head_begun = False
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _head_is_late(self) -> None:
        self._head_deadline = None
        if self.transport is not None:
            self.force_close()


class EdgeServer(web.Server):
    """Makes one `EdgeHandler` a connection.

    `refused` is told why a head was not one; `poll` answers a plain poll from its bytes (`lane.py`), or None.
    """

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        header_timeout: float,
        refused: Callable[[Reason], None],
        poll: Callable[[bytes], bytes | None],
        **kwargs: Any,
    ) -> None:
        super().__init__(handler, **kwargs)
        self._poll = poll
        self._header_timeout = header_timeout
        self._refused = refused

    def __call__(self) -> RequestHandler:
        """One connection's protocol."""
        return EdgeHandler(
            self,
            loop=self._loop,
            header_timeout=self._header_timeout,
            refused=self._refused,
            poll=self._poll,
            **self._kwargs,
        )
