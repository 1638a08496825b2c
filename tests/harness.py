"""What tests are made with: an origin that remembers, a gate in this process, visitors, and raw bytes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from gate.app import Gate
from gate.settings import Config
from gate.sockets import address

PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FETCH = {"Accept": "application/json", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class EchoOrigin:
    """A real site: answers what it was asked, remembers it, and does as a test's handler says for its path."""

    def __init__(self) -> None:
        self.seen: list[web.Request] = []
        self.handlers: dict[str, Handler] = {}
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> "EchoOrigin":
        app = web.Application(client_max_size=2**40)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        options = {"access_log": None, "auto_decompress": False, "handler_cancellation": True}
        self._runner = web.AppRunner(app, shutdown_timeout=1, **options)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def on(self, path: str) -> Callable[[Handler], Handler]:
        """Answer a path with this handler."""

        def keep(handler: Handler) -> Handler:
            self.handlers[path] = handler
            return handler

        return keep

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        handler = self.handlers.get(request.rel_url.raw_path)
        if handler is not None:
            return await handler(request)
        body = await request.read()
        return web.json_response(
            {
                "method": request.method,
                "target": request.raw_path,
                "headers": [[key.decode(), value.decode("latin-1")] for key, value in request.raw_headers],
                "body": body.decode("latin-1"),
            }
        )


class BytesOrigin:
    """A TCP server that speaks as its `_serve` does, in bytes of its own choice."""

    async def __aenter__(self) -> "Any":
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        await self.server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


@dataclass
class Running:
    """A gate that runs in this process."""

    gate: Gate
    url: str
    admin_url: str
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, config: Config, store_url: str) -> AsyncIterator["Running"]:
        """Run a gate until the end of the block."""
        async with Gate(config, store_url).running() as gate:
            scheme = "https" if config.server["tls_cert"] else "http"
            yield cls(gate, f"{scheme}://{address(gate.listen)}", f"http://{address(gate.admin_listen)}")

    @property
    def port(self) -> int:
        """The public port."""
        return self.gate.listen[1]

    def line(self, room: str) -> Any:
        """A room's line as this gate last heard of it."""
        line = self.gate.parts.live.line(room)
        assert line is not None
        return line

    async def patch(self, web: aiohttp.ClientSession, room: str, **settings: Any) -> dict[str, Any]:
        """Change a room as an operator."""
        headers = {"Authorization": "Bearer secret-of-staff"}
        async with web.patch(f"{self.admin_url}/api/rooms/{room}", json=settings, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return json.loads(await answer.read())

    async def until_seen(self, room: str, check: Callable[[Any], bool]) -> None:
        """Until this gate's snapshot says so."""
        async with asyncio.timeout(5):
            while not check(self.line(room)):
                await asyncio.sleep(0.02)


class Browser:
    """A visitor with a cookie jar. It does not run the page's script; it does what the script does when told."""

    def __init__(self, running: Running) -> None:
        self.base = running.url
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    def cookies(self) -> dict[str, str]:
        """What the jar holds."""
        return {cookie.key: cookie.value for cookie in self.session.cookie_jar}

    async def get(self, path: str = "/", **headers: str) -> "Answer":
        """Open a page."""
        return await self.send("GET", path, headers={**PAGE, **headers})

    async def send(self, method: str, path: str, **options: Any) -> "Answer":
        """Any request."""
        async with self.session.request(method, self.base + path, allow_redirects=False, **options) as answer:
            return Answer(answer.status, answer.headers.copy(), await answer.read())

    async def join(self, room: str) -> "Answer":
        """Take a place: the page, then join as its script does."""
        await self.get("/")
        return await self.send("POST", f"/_gate/join/{room}")


@dataclass
class Answer:
    """An answer, read whole."""

    status: int
    headers: Any
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def slug(self) -> str:
        """A problem's type."""
        return str(self.json()["type"])


async def raw(port: int, data: bytes, *, seconds: float = 5.0) -> bytes:
    """Send bytes, end our side, and read until the other side closes or the time is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    try:
        writer.write(data)
        await writer.drain()
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                while chunk := await reader.read(65_536):
                    got += chunk
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return got


def head(method: str, target: str, *lines: str) -> bytes:
    """A request's head that closes its connection."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", "Connection: close", *lines, "", ""]).encode(
        "latin-1"
    )


def toml_of(tables: dict[str, dict[str, Any]], rooms: list[dict[str, Any]]) -> str:
    """A configuration as text; JSON's scalars and lists are TOML's too."""
    lines = []
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    for room in rooms:
        lines += ["[[room]]", *(f"{key} = {_toml(value)}" for key, value in room.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    return json.dumps(value)
