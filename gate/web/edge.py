"""The public listener's protocol: aiohttp's, with a deadline for heads and our own words for what it refuses.

aiohttp's keep-alive time-out does not run before the first request, and its refusals are plain text with a
logged traceback. Both are mended here. Plain requests are offered to the lanes before the parser runs (`lanes.py`):
this file knows where a connection stands, and asks them only where a read must begin a request. While a lane has a
request under way, whatever else arrives is kept for later.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler

from gate.core.errors import Reason, RefusalError
from gate.web.boundary import Boundary
from gate.web.deadlines import BodyWatch, Deadlines, reset
from gate.web.lanes import Client, UnderWay
from gate.web.problems import problem

log = logging.getLogger("gate.edge")
# What a visitor may send ahead of an answer before no more is read.
_LATER_BYTES_MAX = 64 * 1024


class EdgeHandler(RequestHandler):
    """One client connection, held to its `deadlines`: a head counts from its first byte."""

    __slots__ = (
        "_at_rest", "_between", "_body", "_boundary", "_closing", "_deadlines", "_head_begun", "_head_deadline",
        "_lanes", "_later", "_line_limit", "_reader_deadline", "_refused", "_under_way", "_verdict", "peer", "scheme",
    )  # fmt: skip

    def __init__(
        self,
        *args: Any,
        deadlines: Deadlines,
        refused: Callable[[Reason], None],
        lanes: Callable[[bytes, Client], bytes | UnderWay | None],
        **kwargs: Any,
    ) -> None:
        # aiohttp's one error for both tells only the limit that was passed; so the two limits must differ.
        self._line_limit = kwargs["max_line_size"]
        kwargs["max_field_size"] += kwargs["max_field_size"] == self._line_limit
        super().__init__(*args, **kwargs)
        self._deadlines = deadlines
        self._refused = refused
        self._lanes = lanes
        self._under_way: UnderWay | None = None
        self._at_rest: asyncio.Future[None] | None = None
        self._closing = False
        self._later = b""
        self._verdict: RefusalError | None = None
        self._boundary = Boundary()
        self._between = True
        self.peer = self.scheme = ""
        self._head_deadline: asyncio.TimerHandle | None = None
        self._head_begun = False
        self._reader_deadline: asyncio.TimerHandle | None = None
        self._body: BodyWatch | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A silent connection may stay as long as an idle one."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if isinstance(peer, tuple) else str(peer)
        self.scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        self._close_after(self._keepalive_timeout)

    def data_received(self, data: bytes) -> None:
        """Let a lane have what it can take; the parser has everything else."""
        if self._under_way is not None:
            return self._keep(data)
        between = self._between and self._is_between()
        taken = self._offer(data) if between else None
        if taken is None:
            return self._parse(data)
        if isinstance(taken, bytes):
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
            self.send(taken)
        else:
            self._under_way = taken
        if self._head_deadline is not None:
            self._head_arrived()
        return None

    def _offer(self, data: bytes) -> bytes | UnderWay | None:
        try:
            return self._lanes(data, self)
        except Exception as error:  # a fault of a lane's is not the visitor's
            log.exception("fault", exc_info=error)
            return None

    def _parse(self, data: bytes) -> None:
        """The ordinary way; start the clock at the first byte of a head, stop it at its last."""
        heads = self._request_count
        super().data_received(data)
        arrived = self._request_count - heads
        self._between = self._boundary.passed(data, arrived, self._body_length() if arrived == 1 else None)
        if self._body is not None:
            self._body.measure()
        if arrived:
            self._head_arrived()
            self._watch_body()
        elif not self._head_begun and self._is_idle():
            self._head_arrived()
            self._head_begun = True
            self._close_after(self._deadlines.head)

    def _watch_body(self) -> None:
        """A body that is still to come must come at some pace; one that came with its head has nothing to prove."""
        payload: Any = self._messages[-1][1] if self._messages else None
        if payload is not None and not payload.is_eof():
            self._body = BodyWatch(self._loop, payload, self._deadlines, self._refuse_body)

    def _refuse_body(self, payload: Any, reason: Reason) -> None:
        """Whoever reads it is told, and answers; what is left of a body that nobody wants ends the connection."""
        self._lingering_time = 0.0  # aiohttp would wait for it once more before it closes
        if self._current_request is None and not self._messages:
            self.force_close()
        else:
            payload.set_exception(RefusalError(reason))

    def _body_length(self) -> int | None:
        """Of the request that has just arrived, in bytes; None where only the parser knows."""
        message: Any = self._messages[-1][0]
        if not hasattr(message, "headers") or message.upgrade or message.chunked:  # an error has no headers
            return None
        return 0 if self._messages[-1][1] is EMPTY_PAYLOAD else int(message.headers.get("Content-Length", "-1"))

    def send(self, data: bytes, more: bytes | memoryview = b"") -> None:
        """Send a lane's answer, or a piece of one."""
        if self.transport is None:
            return
        if more:
            self.transport.writelines((data, more))
        else:
            self.transport.write(data)

    def finished(self, *, close: bool) -> None:
        """An answer is whole: end here, or go on with what arrived meanwhile."""
        self._rest()
        if close or self._closing:
            return self.force_close()
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._later:
            self._go_on()
        return None

    def broken_off(self) -> None:
        """An answer will never be whole, and only the connection's end can say so."""
        self._rest()
        if self.transport is not None:
            self.transport.abort()

    def take_ordinary_way(self, head: bytes, verdict: RefusalError | None) -> None:
        """A lane's request was not answered; `verdict` is how it shall be, if that is known."""
        self._rest()
        self._verdict = verdict
        self._parse(head)
        if self._closing:
            super().close()
        elif self._later:
            self._go_on()

    def take_verdict(self) -> RefusalError | None:
        """How the request that is now handled is to be answered, if a lane has found out."""
        verdict, self._verdict = self._verdict, None
        return verdict

    def _keep(self, data: bytes) -> None:
        self._later += data
        if len(self._later) >= _LATER_BYTES_MAX:
            self._pause_transport_reading()

    def _go_on(self) -> None:
        data, self._later = self._later, b""
        if len(data) >= _LATER_BYTES_MAX:
            self._resume_transport_reading()
        self.data_received(data)

    def pause_writing(self) -> None:
        """The visitor is slow: the origin is not read."""
        super().pause_writing()
        self._reader_deadline = self._loop.call_later(self._deadlines.write, self._reader_is_late)
        if self._under_way is not None:
            self._under_way.pause()

    def resume_writing(self) -> None:
        """The visitor has caught up."""
        super().resume_writing()
        self._reader_caught_up()
        if self._under_way is not None:
            self._under_way.resume()

    def _process_keepalive(self) -> None:
        if self._under_way is not None:  # not idle, whatever aiohttp sees
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    def close(self) -> None:
        """What a lane has under way is answered first."""
        self._closing = True
        if self._under_way is None:
            super().close()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109  (aiohttp's own signature)
        """A lane's answer is finished first, as any other."""
        if self._under_way is not None:
            self._at_rest = self._loop.create_future()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._at_rest
        await super().shutdown(timeout)

    def _rest(self) -> None:
        """No lane has a request under way any more."""
        self._under_way = None
        if self._at_rest is not None and not self._at_rest.done():
            self._at_rest.set_result(None)

    def _is_between(self) -> bool:
        """Whether nothing is under way and answers are taken, where `_between` says that a request must begin."""
        if self._paused or self._close or self._force_close or self.transport is None:
            return False
        return self._is_idle()

    def _is_idle(self) -> bool:
        """Whether aiohttp waits for a request: what comes next must begin one."""
        waiter = self._waiter
        return self._request_count == 0 if waiter is None else not waiter.done()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing is waited for any more."""
        self._head_arrived()
        self._reader_caught_up()
        if self._body is not None:
            self._body.end()
        if self._under_way is not None:
            self._under_way.leave()
            self._rest()
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
        return Reason.HEADER_TOO_LARGE if "Too many headers" in str(exc) else Reason.BAD_REQUEST

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

    def _reader_caught_up(self) -> None:
        if self._reader_deadline is not None:
            self._reader_deadline.cancel()
            self._reader_deadline = None

    def _reader_is_late(self) -> None:
        """An answer that hardly leaves holds memory, and a connection to the origin: what is left of it is dropped."""
        self._reader_deadline = None
        self._refused(Reason.REQUEST_TIMEOUT)
        if self.transport is not None:
            reset(self.transport)
