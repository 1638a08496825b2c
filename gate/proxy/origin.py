"""Forwarding a request to the origin and its answer back, streaming both ways with back-pressure.

Owns the connection pool, the time limits and the one retry. Never decides whether a request may go (that is
`core/decision.py`) nor which headers it carries (`core/headers.py`); it is handed both. The session keeps no
cookies, follows no redirects, unpacks nothing and reads no environment: each of these defaults has leaked one
visitor's answer to another, or bytes that nobody sent.
"""

import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from gate.core.errors import Reason, RefusalError
from gate.core.fetch import is_websocket
from gate.core.headers import Header, read_pairs
from gate.core.meter import Count, Meter, Timing
from gate.proxy.answer import Answer
from gate.proxy.heads import OddAnswerError, framing_of
from gate.proxy.limits import Limits, origin_tls
from gate.proxy.tunnel import tunnel

_RETRIED_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SWITCHING_PROTOCOLS = 101
_AUTO_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_READ_BYTES = 256 * 1024
# Under this name a request carries the moment it came (seconds of `time.perf_counter`).
BEGAN: web.RequestKey[float] = web.RequestKey("began", float)


Amend = Callable[[list[Header]], Awaitable[list[Header]]]


class Origin:
    """The site behind the gate."""

    def __init__(self, url: str, limits: Limits, verify: bool | str, meter: Meter) -> None:
        self._meter = meter
        self._base = url
        self._limits = limits
        self.draining = False
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=limits.pool, keepalive_timeout=limits.idle, ssl=origin_tls(verify), enable_cleanup_closed=False
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=_READ_BYTES,
            max_line_size=16_384,
            max_field_size=65_536,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect, sock_read=limits.first_byte),
            trace_configs=[_reuse_trace()],
        )
        # aiohttp retries PUT and DELETE too, whose bodies are spent by then; `_send` retries what is safe.
        self._session._retry_connection = False  # noqa: SLF001

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self._session.close()

    async def forward(
        self,
        request: web.BaseRequest,
        target: str,
        headers: list[Header],
        amend: Amend,
        *,
        tunnel_until: Callable[[], float | None],
    ) -> web.StreamResponse:
        """Send the request on and its answer back.

        Args:
            request: what came; only its method, body and connection are used.
            target: in origin-form, sent byte for byte.
            headers: all that the origin shall see; framing is added.
            amend: given the answer's headers, returns the headers the visitor shall see.
            tunnel_until: seconds after which a WebSocket ends, or None for never.

        Raises:
            RefusalError: `origin-unreachable` or `origin-timeout`, if nothing was sent to the visitor yet.
            ConnectionResetError: the origin broke off in the middle of an answer; so must we.
        """
        upgrades = request.method == "GET" and is_websocket(request.headers)
        if upgrades:
            headers = [*headers, ("Connection", "Upgrade"), ("Upgrade", "websocket")]
        asked = time.perf_counter()
        response = await self._send(request, target, headers)
        answered = time.perf_counter()
        self._meter.observe(Timing.ORIGIN_FIRST_BYTE, answered - asked)
        try:
            self._check_framing(response)
            if response.status == _SWITCHING_PROTOCOLS:
                if not upgrades or not is_websocket(response.headers):
                    raise RefusalError(Reason.ORIGIN_UNREACHABLE, "The site switched protocols unasked.")
                passed_on = await amend(read_pairs(response.raw_headers))
                return await tunnel(request, response, passed_on, tunnel_until())
            answer = Answer(response.status, response.reason, await amend(read_pairs(response.raw_headers)))
            own = time.perf_counter() - answered + asked - request.get(BEGAN, asked)
            self._meter.observe(Timing.OVERHEAD, own)
            if self.draining or "Upgrade" in request.headers:
                answer.force_close()  # what follows an Upgrade on this connection was never read
            await self._stream(request, response, answer)
            return answer
        finally:
            # A connection goes back to the pool only with nothing left on it in either direction.
            if response.content.at_eof() and request.content.at_eof():
                response.release()
            else:
                response.close()

    async def _send(self, request: web.BaseRequest, target: str, headers: list[Header]) -> aiohttp.ClientResponse:
        body = None
        if request.can_read_body:
            if request.headers.get("Expect", "").lower() == "100-continue":
                await request.writer.write(_CONTINUE)
                request.writer.output_size = 0
            body = request.content
        context = SimpleNamespace(reused=False)
        try:
            try:
                return await self._request(request.method, target, headers, body, context)
            except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                if not context.reused or body is not None or request.method not in _RETRIED_METHODS:
                    raise
                # The origin closed a connection that idled in the pool; nothing was answered, nothing is changed.
                return await self._request(request.method, target, headers, body, context)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            late = request.content.exception()
            if isinstance(late, RefusalError):  # the visitor's body, not the origin
                raise late from error
            raise self._trouble(error) from error

    def _check_framing(self, response: aiohttp.ClientResponse) -> None:
        """aiohttp reads some answers in one way that can be read in two."""
        try:
            framing_of(response.status, response.raw_headers)
        except OddAnswerError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: Exception) -> RefusalError:
        """What an origin that did not answer is to the visitor; counted."""
        reason = Reason.ORIGIN_TIMEOUT if isinstance(error, TimeoutError) else Reason.ORIGIN_UNREACHABLE
        self._meter.count(Count.ORIGIN_ERRORS, "", reason)
        return RefusalError(reason, retry_after=5)

    async def _request(
        self, method: str, target: str, headers: list[Header], body: Any, context: SimpleNamespace
    ) -> aiohttp.ClientResponse:
        return await self._session.request(
            method,
            URL(self._base + target, encoded=True),
            headers=CIMultiDict(_in_one_spelling(headers)),
            data=body,
            allow_redirects=False,
            skip_auto_headers=_AUTO_HEADERS,
            trace_request_ctx=context,
        )

    async def _stream(self, request: web.BaseRequest, response: aiohttp.ClientResponse, answer: Answer) -> None:
        connection = response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = self._limits.read
        await answer.prepare(request)
        try:
            async for chunk in response.content.iter_any():
                await answer.write(chunk)
        except (TimeoutError, aiohttp.ClientError) as error:
            # The head is gone; only a broken connection says that the body is not whole.
            raise ConnectionResetError("the origin broke off") from error
        await answer.write_eof()


def _in_one_spelling(headers: list[Header]) -> list[Header]:
    """Equal names spelt as the first of them: aiohttp's client keeps only the last of `X-A` and `x-a`."""
    spelt: dict[str, str] = {}
    return [(spelt.setdefault(name.lower(), name), value) for name, value in headers]


def _reuse_trace() -> aiohttp.TraceConfig:
    async def note_reuse(_session: Any, context: Any, _params: Any) -> None:
        if context.trace_request_ctx is not None:
            context.trace_request_ctx.reused = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(note_reuse)
    return trace
