"""What the lanes' tests share: one gate asked twice, by the lanes and by the ordinary way."""

import asyncio
import json

TIMES = ("time", "at", "lease_until")
VARYING = (b"date", b"etag", b"retry-after")
QUIET_SECONDS = 0.03


class BothWays:
    """Asks one gate by the lanes and then with all lanes shut."""

    def __init__(self, running, quiet=QUIET_SECONDS):
        self.running, self.quiet = running, quiet
        self._server, self._taken = running.gate.front._runner.server, []
        self._lanes = self._server._lanes

    async def __call__(self, *parts, seconds=1.0):
        """What came by the lanes, what came by the ordinary way, and whether a lane took anything."""
        fast = await self.fast(*parts, seconds=seconds)
        by_lane = any(self._taken)
        return fast, await self.slow(*parts, seconds=seconds), by_lane

    async def fast(self, *parts, seconds=1.0):
        """With the lanes, which are watched."""
        self._taken.clear()
        self._server._lanes = self._watch
        return await talk(self.running.port, parts, seconds, self.quiet)

    async def slow(self, *parts, seconds=1.0):
        """Without them."""
        self._server._lanes = lambda _data, _client: None
        return await talk(self.running.port, parts, seconds, self.quiet)

    def open_lanes(self):
        """As a gate is by itself."""
        self._server._lanes = self._lanes

    def _watch(self, data, client):
        found = self._lanes(data, client)
        self._taken.append(found is not None)
        return found


async def talk(port, parts, seconds, quiet=QUIET_SECONDS):
    """Send bytes in parts, each its own packet, and read until there is no more, or nothing for a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.004 if len(parts) > 1 else 0)
        while chunk := await asyncio.wait_for(reader.read(65_536), seconds if not got else quiet):
            got += chunk
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return got


def without_time(answer: bytes) -> list:
    """Answers on one connection, each as status, headers and body, less what tells the time."""
    found = []
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(b": ")
            headers.setdefault(name.lower(), []).append(value)
        length = int(headers.get(b"content-length", [b"0"])[0]) if b" 304 " not in first else 0
        if b"transfer-encoding" in headers:
            body, rest = unchunk(rest)
            answer = rest
        else:
            body, answer = rest[:length], rest[length:]
        if headers.get(b"content-type") == [b"application/json"]:
            document = json.loads(body or b"{}")
            body = {key: value for key, value in document.items() if key not in TIMES}
            headers.pop(b"content-length", None)
        found.append((first, {k: v for k, v in headers.items() if k not in VARYING}, body))
    return found


def unchunk(data: bytes) -> tuple[bytes, bytes]:
    """A chunked body and what follows it; what is cut off is marked."""
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        if not size:
            return body + b"<cut off>", b""
        length = int(size, 16)
        if not length:
            return body, data.partition(b"\r\n")[2]
        body, data = body + data[:length], data[length + 2 :]
