"""The stores' protocol in its barest form: no retries, no pool, no greeting that a busy server would refuse."""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any, Self

Word = str | bytes | int | float


class AnswerError(Exception):
    """The server answered with an error; the message is its words."""


class Wire:
    """One connection: ask, and read the answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(
        cls, port: int, *, auth: Sequence[str] = (), tls: ssl.SSLContext | None = None, seconds: float = 5.0
    ) -> Self:
        """Connect, and log in where `auth` (user and password, or the password alone) is given."""
        name = "localhost" if tls else None
        async with asyncio.timeout(seconds):
            made = cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name))
        try:
            if auth:
                await made.ask("AUTH", *auth, seconds=seconds)
        except BaseException:
            made.close()
            raise
        return made

    async def ask(self, *words: Word, seconds: float = 5.0) -> Any:
        """One command's answer.

        Raises:
            AnswerError: it is an error.
            ConnectionError: the server hung up.
            TimeoutError: it does not come.
        """
        self.send(*words)
        try:
            async with asyncio.timeout(seconds):
                return await self.read()
        except asyncio.IncompleteReadError:
            raise ConnectionResetError("the server hung up") from None

    def send(self, *words: Word) -> None:
        """Send a command whose answer nobody waits for."""
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self._writer.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts))

    def close(self) -> None:
        """Hang up."""
        self._writer.transport.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def read(self) -> Any:
        """The next answer, however long it takes."""
        line = await self._reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("the server hung up")
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return rest.decode()
            case b"-":
                raise AnswerError(rest.decode())
            case b":":
                return int(rest)
            case b"$":
                return None if rest == b"-1" else (await self._reader.readexactly(int(rest) + 2))[:-2]
            case b"*":
                return None if rest == b"-1" else [await self._element() for _ in range(int(rest))]
        raise ValueError(f"not an answer: {line!r}")

    async def _element(self) -> Any:
        try:
            return await self.read()
        except AnswerError as error:  # within a transaction's answer
            return error
