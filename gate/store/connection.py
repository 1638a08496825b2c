"""The connection to the store: scripts by their verb, limits in time, every failure one exception.

Nothing here retries; callers come again on their next tick. Which stores there are is `backends.py`'s.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.exceptions import ClusterDownError, NoScriptError, RedisClusterException, RedisError
from redis.exceptions import ConnectionError as StoreConnectionError
from redis.exceptions import TimeoutError as StoreTimeoutError

from gate.core.meter import Count, Meter, Timing
from gate.store.backends import StoreTls, close, connect

VERBS = ("open", "join", "admit", "advance", "claim", "finish", "reset", "mark", "note", "discount")
TIMEOUT_SECONDS = 0.5
# The whole of a call: waiting for a free connection, asking Sentinels, following a moved slot, the answer.
CALL_SECONDS = 1.5
# Connections kept for ticks, a few for each room.
_SPARE = 16
# A step of the store's clock beyond this is a leap, which `StoreClock.steady` follows at this share of real time.
_LEAP_SECONDS = 2.0
_SLEW = 0.1


class StoreUnavailableError(Exception):
    """The store did not answer, or not as it should. The message carries no key, value or address."""

    @property
    def silent(self) -> bool:
        """Whether there was no answer at all, so that the next call would wait in vain too."""
        return isinstance(self.__cause__, _SILENT)


# A Cluster of which no node is left raises what is no RedisError.
_SILENT = (StoreConnectionError, StoreTimeoutError, TimeoutError, OSError, RedisClusterException, ClusterDownError)
_FAILURES = (*_SILENT, RedisError, ValueError, TypeError, IndexError)


@dataclass(frozen=True, slots=True)
class Reply:
    """What every verb answers: a verdict, extra codes, the store's time, the line's fields, new history rows."""

    verdict: int
    extra: list[int]
    time: float
    fields: dict[str, str]
    rows: list[tuple[str, str]]


class StoreClock:
    """The store's clock as this process knows it: its own monotonic clock plus the last reply's offset.

    A store's clock can leap (a failover to a machine that is set wrong, an operator). `now` follows at once, since the
    line's own times are of that clock; `steady` follows slowly, so that no leap ends anybody's ticket or pass.
    """

    def __init__(self) -> None:
        self._offset = self._steady = time.time() - time.monotonic()
        self._set_at: float | None = None
        self.skew = 0.0
        """Seconds by which this machine's own clock was ahead of the store's at the last reply."""

    def set(self, store_time: float, asked: float | None = None) -> None:
        """A reply that has just come, to what was asked then (monotonic seconds), said this time (Unix seconds).

        The store read its clock at some moment between question and answer. While the offset agrees with that it
        stays: taken anew from each reply it would go back and forth with every delay of this process, and release
        would follow it (law 4).
        """
        own = time.monotonic()
        least, most = store_time - own, store_time - (own if asked is None else asked)
        self._offset = min(max(self._offset, least), most)
        leap = self._offset - self._steady
        if self._set_at is None or abs(leap) <= _LEAP_SECONDS:
            self._steady = self._offset
        else:
            step = (own - self._set_at) * _SLEW
            self._steady += max(-step, min(leap, step))
        self._set_at = own
        self.skew = time.time() - store_time

    def begin(self, steady: float) -> None:
        """Go on with a predecessor's steady time, an offset to the monotonic clock that all processes here share."""
        self._steady, self._set_at = steady, time.monotonic()

    @property
    def steady_offset(self) -> float:
        """What a successor on this machine may begin with."""
        return self._steady

    def now(self) -> float:
        """Unix seconds of the store's clock."""
        return time.monotonic() + self._offset

    def steady(self) -> float:
        """The same without its leaps: what tokens are made and judged in."""
        return time.monotonic() + self._steady

    @property
    def lead(self) -> float:
        """Seconds by which `now` is ahead of `steady`."""
        return self._offset - self._steady


class Connection:
    """One pool to one store, and the scripts by their verb."""

    def __init__(
        self,
        url: str,
        *,
        tls: StoreTls | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        pool_size: int = 64,
        meter: Meter | None = None,
    ) -> None:
        self.clock = StoreClock()
        self._meter = meter or Meter()
        connections = pool_size + _SPARE
        self._redis = connect(url, tls=tls or StoreTls(), timeout_seconds=timeout_seconds, pool_size=connections)
        # Whoever finds all connections busy waits a moment for one instead of failing.
        self._turns = asyncio.Semaphore(pool_size)
        room = (files("gate.store") / "lua/room.lua").read_text()
        self._text = {verb: room + "\n" + (files("gate.store") / f"lua/{verb}.lua").read_text() for verb in VERBS}
        self._sha = {verb: hashlib.sha1(text.encode()).hexdigest() for verb, text in self._text.items()}  # noqa: S324

    async def call(
        self, verb: str, keys: list[str], arguments: list[str | int | float], *, urgent: bool = False
    ) -> Reply:
        """Run one verb; an `urgent` one (a tick) does not queue for a connection behind the others.

        Raises:
            StoreUnavailableError: for whatever went wrong between here and an answer of the right form.
        """
        began = time.perf_counter()
        async with self._turn(urgent=urgent):
            asked = time.monotonic()
            reply = _read_reply(await self._run(verb, keys, arguments))
        self._meter.observe(Timing.STORE_CALL, time.perf_counter() - began, verb)
        self.clock.set(reply.time, asked)
        return reply

    async def command(self, *words: str | float) -> Any:
        """Run one plain command; the same exception as `call`."""
        return (await self.commands([words]))[0]

    async def commands(self, all_words: Sequence[tuple[str | float, ...]], *, whole: bool = False) -> list[Any]:
        """Run plain commands in one go, `whole`: with nothing in between; the same exception as `call`."""
        began = time.perf_counter()
        async with self._turn(), self._redis.pipeline(transaction=whole) as pipeline:
            for words in all_words:
                pipeline.execute_command(*words)
            answers = list(await pipeline.execute())
        self._meter.observe(Timing.STORE_CALL, time.perf_counter() - began, "command")
        return answers

    async def close(self) -> None:
        """Close every connection of the pool."""
        await close(self._redis)

    @contextlib.asynccontextmanager
    async def _turn(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """One of the pool's connections for a bounded time; whatever goes wrong is `StoreUnavailableError`."""
        try:
            async with asyncio.timeout(CALL_SECONDS), contextlib.nullcontext() if urgent else self._turns:
                yield
        except _FAILURES as error:
            self._meter.count(Count.STORE_ERRORS, "")
            raise StoreUnavailableError(type(error).__name__) from error

    async def _run(self, verb: str, keys: list[str], arguments: list[str | int | float]) -> Any:
        try:
            return await self._redis.evalsha(self._sha[verb], len(keys), *keys, *arguments)
        except NoScriptError:
            # Once a script and server: it knows the text from then on.
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
