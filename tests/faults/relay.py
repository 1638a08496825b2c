"""A TCP relay as a program of its own: a test's busy loop does not starve it, and SIGSTOP freezes it alone.

    python relay.py PORT TARGET_PORT CONTROL_PORT

Each line on the control port is answered `ok`: `delay TO_MS FROM_MS` (later bytes wait so long on their way to the
target and back), `target PORT` (new connections go there), `cut` (drop every connection with all bytes under way,
and refuse new ones), `mend`. Bytes keep their order whatever the delay becomes.
"""

import asyncio
import contextlib
import sys
from collections import deque

# What one direction may hold back; a sender beyond it has to wait, as on a slow link.
HELD_BYTES_MAX = 256 * 1024 * 1024
HOST = "127.0.0.1"


class Delays:
    """Seconds each way, and where new connections go."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.ways = [0.0, 0.0]
        self.open: set[End] = set()


class End(asyncio.Protocol):
    """One end of a relayed connection: sends on what the other end receives, when its time has come."""

    def __init__(self, delays: Delays, way: int) -> None:
        self.delays, self.way = delays, way
        self.transport: asyncio.Transport | None = None
        self.other: End
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.held = 0
        self.last_due = 0.0
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.delays.open.add(self)

    def data_received(self, data: bytes) -> None:
        """Hold them back as long as this way takes."""
        loop = asyncio.get_running_loop()
        delay = self.delays.ways[self.way]
        if not delay and not self.waiting and self.other.transport is not None:
            return self.other.transport.write(data)
        self.last_due = max(loop.time() + delay, self.last_due)
        self.waiting.append((self.last_due, data))
        self.held += len(data)
        if self.held > HELD_BYTES_MAX and self.transport is not None:
            self.transport.pause_reading()
        return self.pump()

    def pump(self) -> None:
        """Pass on what is due."""
        loop = asyncio.get_running_loop()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.other.transport is None:
            return
        full = self.held > HELD_BYTES_MAX
        while self.waiting and self.waiting[0][0] <= loop.time() + 0.000_5:
            data = self.waiting.popleft()[1]
            self.held -= len(data)
            if not data:
                self.other.transport.close()
                return
            self.other.transport.write(data)
        if full and self.held <= HELD_BYTES_MAX and self.transport is not None:
            self.transport.resume_reading()
        if self.waiting:
            self.timer = loop.call_at(self.waiting[0][0], self.pump)

    def connection_lost(self, _error: Exception | None) -> None:
        """The other end hears of it after the bytes that came before."""
        self.delays.open.discard(self)
        if not self.other.transport or self.other.transport.is_closing():
            return
        self.transport = None
        self.last_due = max(asyncio.get_running_loop().time() + self.delays.ways[self.way], self.last_due)
        self.waiting.append((self.last_due, b""))
        self.pump()

    def drop(self) -> None:
        """End both sides at once; what is under way is lost."""
        self.waiting.clear()
        if self.timer:
            self.timer.cancel()
        if self.transport:
            self.transport.abort()


class Near(End):
    """The end that a client reached."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.other = End(self.delays, 1)
        self.other.other = self
        self.task = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self.other, HOST, self.delays.target)
        except OSError:
            return self.drop()
        if self.transport is None or self.transport.is_closing():
            return self.other.drop()
        return self.pump()


class Relay:
    """The listener and its control."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.delays = Delays(target)
        self.server: asyncio.Server | None = None

    async def mend(self) -> None:
        """Take connections."""
        if self.server is None:
            loop = asyncio.get_running_loop()
            self.server = await loop.create_server(lambda: Near(self.delays, 0), HOST, self.port, backlog=1_024)

    async def cut(self) -> None:
        """Refuse connections and drop those there are."""
        if self.server is not None:
            self.server.close()
            self.server = None
        for end in list(self.delays.open):
            end.drop()
        await asyncio.sleep(0)

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Do as each line says."""
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                match line.decode().split():
                    case ["delay", to, back]:
                        self.delays.ways[:] = int(to) / 1_000, int(back) / 1_000
                    case ["target", port]:
                        self.delays.target = int(port)
                    case ["cut"]:
                        await self.cut()
                    case ["mend"]:
                        await self.mend()
                writer.write(b"ok\n")
        writer.close()


async def main(port: int, target: int, control_port: int) -> None:
    """Relay until killed."""
    relay = Relay(port, target)
    await relay.mend()
    server = await asyncio.start_server(relay.control, HOST, control_port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*(int(word) for word in sys.argv[1:])))
