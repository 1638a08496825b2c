"""The connection to the store: explicit time limits, scripts loaded once, every failure one exception.

redis-py's defaults would retry an INCR-like script ten times with back-off: an outage would become seconds of
held joins and burnt numbers. Nothing here retries; callers come again on their next tick.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from gate.core.meter import Count, Meter, Timing

VERBS = ("open", "join", "admit", "advance", "claim", "finish", "reset", "mark", "note", "discount")
TIMEOUT_SECONDS = 0.5
POOL_WAIT_SECONDS = 2.0


class StoreUnavailableError(Exception):
    """The store did not answer, or not as it should. The message carries no key, value or address."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What every verb answers: a verdict, extra codes, the store's time, the line's fields, new history rows."""

    verdict: int
    extra: list[int]
    time: float
    fields: dict[str, str]
    rows: list[tuple[str, str]]


class StoreClock:
    """The store's clock as this process knows it: its own monotonic clock plus the last reply's offset."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def set(self, store_time: float) -> None:
        """A reply that has just come said this time (Unix seconds)."""
        self._offset = store_time - time.monotonic()

    def now(self) -> float:
        """Unix seconds of the store's clock."""
        return time.monotonic() + self._offset


class Connection:
    """One pool to one store, and the scripts by their verb."""

    def __init__(
        self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS, pool_size: int = 64, meter: Meter | None = None
    ) -> None:
        self.clock = StoreClock()
        self._meter = meter or Meter()
        # Blocking: whoever finds all connections busy waits a moment for one instead of failing.
        pool = BlockingConnectionPool.from_url(
            url,
            timeout=POOL_WAIT_SECONDS,
            decode_responses=True,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
            max_connections=pool_size,
            protocol=2,
        )
        self._redis: Redis = Redis.from_pool(pool)
        room = (files("gate.store") / "lua/room.lua").read_text()
        self._text = {verb: room + "\n" + (files("gate.store") / f"lua/{verb}.lua").read_text() for verb in VERBS}
        self._sha: dict[str, str] = {}

    async def call(self, verb: str, keys: list[str], arguments: list[str | int | float]) -> Reply:
        """Run one verb.

        Raises:
            StoreUnavailableError: for whatever went wrong between here and an answer of the right form.
        """
        began = time.perf_counter()
        try:
            answer = await self._run(verb, keys, arguments)
            reply = _read_reply(answer)
        except (TimeoutError, RedisError, OSError, ValueError, TypeError, IndexError) as error:
            self._meter.count(Count.STORE_ERRORS, "")
            raise StoreUnavailableError(type(error).__name__) from error
        self._meter.observe(Timing.STORE_CALL, time.perf_counter() - began, verb)
        self.clock.set(reply.time)
        return reply

    async def command(self, *words: str | float) -> Any:
        """Run one plain command; the same exception as `call`."""
        return (await self.commands([words]))[0]

    async def commands(self, all_words: Sequence[tuple[str | float, ...]], *, whole: bool = False) -> list[Any]:
        """Run plain commands in one go, `whole`: with nothing in between; the same exception as `call`."""
        began = time.perf_counter()
        try:
            async with self._redis.pipeline(transaction=whole) as pipeline:
                for words in all_words:
                    pipeline.execute_command(*words)
                answers = list(await pipeline.execute())
        except (TimeoutError, RedisError, OSError, ValueError) as error:
            self._meter.count(Count.STORE_ERRORS, "")
            raise StoreUnavailableError(type(error).__name__) from error
        self._meter.observe(Timing.STORE_CALL, time.perf_counter() - began, "command")
        return answers

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self._redis.aclose()

    async def _run(self, verb: str, keys: list[str], arguments: list[str | int | float]) -> Any:
        sha = self._sha.get(verb)
        if sha is None:
            sha = self._sha[verb] = await self._redis.script_load(self._text[verb])
        try:
            return await self._redis.evalsha(sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self._redis.eval(self._text[verb], len(keys), *keys, *arguments)


def _read_reply(answer: Any) -> Reply:
    verdict, extra, clock, fields, rows = answer
    flat = iter(fields)
    return Reply(
        verdict=int(verdict),
        extra=[int(code) for code in str(extra).split()],  # one text: a client in Python reads it many times faster
        time=int(clock[0]) + int(clock[1]) / 1_000_000,
        fields=dict(zip(flat, flat, strict=True)),
        rows=[(str(row[0]), str(row[1][1])) for row in rows],
    )
