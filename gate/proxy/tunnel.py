"""A WebSocket, once the origin has agreed to it: bytes both ways until either side goes.

After the 101 both connections are taken out of HTTP's hands (`asyncio.Transport.set_protocol`) and joined, with
back-pressure, so that frames, extensions and close codes pass untouched and a large message is never held whole.
Nothing is tunnelled before a 101: an `Upgrade` alone opens nothing.
"""

import asyncio
import contextlib
from typing import Any

import aiohttp
from aiohttp import web

from gate.core.headers import Header
from gate.proxy.answer import Answer

_BUFFER_BYTES = 256 * 1024


class _Pipe(asyncio.Protocol):
    """One direction: what arrives on the transport this belongs to goes to `sink`."""

    def __init__(self, sink: Any, ended: "asyncio.Future[None]") -> None:
        self._sink = sink
        self._ended = ended

    def data_received(self, data: bytes) -> None:
        if not self._sink.is_closing():
            self._sink.write(data)

    def pause_writing(self) -> None:
        # The transport this belongs to is too slow to take what `sink` sends, so `sink` is not read.
        with contextlib.suppress(RuntimeError):
            self._sink.pause_reading()

    def resume_writing(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._sink.resume_reading()

    def eof_received(self) -> bool:
        self._finish()
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        self._finish()

    def _finish(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


class _Rest:
    """Takes over what the HTTP parser had read beyond the head."""

    def __init__(self) -> None:
        self.data = bytearray()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """Nothing to finish."""


async def tunnel(
    request: web.BaseRequest, response: aiohttp.ClientResponse, headers: list[Header], seconds: float | None
) -> web.StreamResponse:
    """Send the 101 on and join the two connections until one ends or `seconds` have gone by (None: no limit)."""
    upgrade = response.headers.get("Upgrade", "websocket")
    answer = Answer(101, response.reason, [*headers, ("Connection", "Upgrade"), ("Upgrade", upgrade)])
    answer._length_check = False  # noqa: SLF001  (as aiohttp's own WebSocketResponse: a 101 has no framing)
    await answer.prepare(request)
    connection = response.connection
    client, server = request.transport, connection.transport if connection else None
    if client is None or server is None or connection is None or connection.protocol is None:
        raise ConnectionResetError("gone before the tunnel stood")
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    client_rest, server_rest = _Rest(), _Rest()
    http: Any = request.protocol
    http.set_parser(client_rest)
    connection.protocol.set_parser(server_rest, None)
    for transport, pipe in ((client, _Pipe(server, ended)), (server, _Pipe(client, ended))):
        transport.set_write_buffer_limits(high=_BUFFER_BYTES)
        transport.set_protocol(pipe)
        with contextlib.suppress(RuntimeError):
            transport.resume_reading()
    server.write(bytes(client_rest.data))
    client.write(bytes(server_rest.data))
    try:
        async with asyncio.timeout(seconds):
            await ended
    except TimeoutError:
        client.write(_GOING_AWAY)
    finally:
        _give_back(client, http)
        server.close()
    answer.force_close()
    return answer


# An unmasked close frame with status 1001, "going away" (RFC 6455 section 7.4.1).
_GOING_AWAY = b"\x88\x02\x03\xe9"


def _give_back(client: asyncio.Transport, http: Any) -> None:
    """Let aiohttp's protocol see the end of its connection, which it has not seen since the 101."""
    if client.is_closing():
        client.abort()
        asyncio.get_running_loop().call_soon(http.connection_lost, None)
    else:
        client.set_protocol(http)
        client.close()
