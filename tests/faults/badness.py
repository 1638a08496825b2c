"""Each bad answer that a store can give, given by a real store for as long as a block lasts, and then taken back.

    async with with_fault(store, "oom"): ...

Only the store itself is touched, past the relay its clients may use; its data is afterwards what it was before.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from gate.store.keys import line_key
from tests.faults.children import free_port
from tests.faults.stores import Store
from tests.faults.wire import AnswerError

_FLUSH_SECONDS = 0.05
_LATE_MS = 500
_FILLERS, _FILLER_BYTES = 500, 1_200
_FILLER = "rig:filler"


@contextlib.asynccontextmanager
async def _refused(store: Store) -> AsyncIterator[None]:
    """Nobody listens, neither the server nor the relay before it. The data is kept."""
    if store.front is not None:
        await store.front.cut()
    await store.kill()
    try:
        yield
    finally:
        await store.start()
        await store.wait_ready()
        if store.front is not None:
            await store.front.mend()


@contextlib.asynccontextmanager
async def _frozen(store: Store) -> AsyncIterator[None]:
    """Connections are taken by the kernel, and nothing is ever answered."""
    await store.freeze()
    try:
        yield
    finally:
        await store.thaw()


@contextlib.asynccontextmanager
async def _late(store: Store, ms: int = _LATE_MS) -> AsyncIterator[None]:
    """Every byte takes so long each way. Clients must go through `store.front` from their start."""
    if store.front is None:
        raise ValueError("a late store needs a relay: call with_front() before its URL is used")
    await store.front.delay(ms, ms)
    try:
        yield
    finally:
        await store.front.delay(0, 0)


@contextlib.asynccontextmanager
async def _loading(store: Store, seconds: float = 3.0) -> AsyncIterator[None]:
    """LOADING, for so many seconds or until the block ends: fillers are read back one slow key after another.

    Events are served between keys only while a snapshot is read, so all data is made a snapshot first; and once in
    so many bytes of it, so the fillers are not compressed.
    """
    await store.command("CONFIG", "SET", "rdbcompression", "no")  # until it starts again
    await store.command("DEBUG", "POPULATE", _FILLERS, _FILLER, _FILLER_BYTES)
    if await store.setting("appendonly") == "yes":
        await store.command("BGREWRITEAOF")
        await _until(lambda: _says(store, "aof_rewrite_in_progress", "0", "aof_rewrite_scheduled", "0"))
    else:
        await store.command("SAVE")
    await store.stop()
    slow = {"key_load_delay": str(int(seconds / _FILLERS * 1e6)), "loading_process_events_interval_bytes": "1024"}
    await store.start(**slow)
    await _until(lambda: _is_loading(store))
    try:
        yield
    finally:
        await store.command("CONFIG", "SET", "key-load-delay", "0")
        await store.wait_ready()
        forget = f"for i = 0, {_FILLERS} do redis.call('DEL', '{_FILLER}:' .. i) end"
        await store.command("EVAL", forget, 0)


@contextlib.asynccontextmanager
async def _readonly(store: Store) -> AsyncIterator[None]:
    """A replica of nobody: it reads and does not write."""
    await store.command("REPLICAOF", "127.0.0.1", free_port())
    try:
        yield
    finally:
        await store.promote()


@contextlib.asynccontextmanager
async def _oom(store: Store) -> AsyncIterator[None]:
    """No memory is left, and nothing may be evicted."""
    async with _settings(store, {"maxmemory-policy": "noeviction", "maxmemory": "1"}):
        yield


@contextlib.asynccontextmanager
async def _misconf(store: Store) -> AsyncIterator[None]:
    """The last snapshot failed, so nothing is written: a folder stands where its file should be.

    Taking the folder's permissions away would not do where tests run as root.
    """
    snapshot = store.data / await store.setting("dbfilename")
    aside = snapshot.with_name("rig-aside")
    had_one = snapshot.exists()
    if had_one:
        snapshot.rename(aside)
    snapshot.mkdir()
    try:
        async with _settings(store, {"save": "3600 1000000", "stop-writes-on-bgsave-error": "yes"}):
            await _snapshot(store, "err")
            try:
                yield
            finally:
                snapshot.rmdir()
                await _snapshot(store, "ok")  # the only thing that clears the error
    finally:
        snapshot.rmdir() if snapshot.is_dir() else snapshot.unlink(missing_ok=True)
        if had_one:
            aside.rename(snapshot)


@contextlib.asynccontextmanager
async def _noreplicas(store: Store) -> AsyncIterator[None]:
    """It writes only with a replica, and has none."""
    async with _settings(store, {"min-replicas-to-write": "1"}):
        yield


@contextlib.asynccontextmanager
async def _noscript(store: Store) -> AsyncIterator[None]:
    """Its scripts are forgotten again and again."""
    wire = await store.connect()

    async def flush() -> None:
        while True:
            await wire.ask("SCRIPT", "FLUSH")
            await asyncio.sleep(_FLUSH_SECONDS)

    flushing = asyncio.create_task(flush())
    try:
        yield
    finally:
        flushing.cancel()
        await asyncio.gather(flushing, return_exceptions=True)
        wire.close()


@contextlib.asynccontextmanager
async def _busy(store: Store) -> AsyncIterator[None]:
    """An endless script runs. It takes a whole core."""
    async with _settings(store, {"lua-time-limit": "5"}):
        wire = await store.connect()
        wire.send("EVAL", "while true do end", 0)
        await _until(lambda: _answers(store, "BUSY"))
        try:
            yield
        finally:
            await store.command("SCRIPT", "KILL")
            wire.close()
            await store.wait_ready()


@contextlib.asynccontextmanager
async def _wrong_password(store: Store) -> AsyncIterator[None]:
    """Another password than clients know: NOAUTH where they have none, else WRONGPASS."""
    before, changed = store.auth, "changed-by-the-rig"
    wire = await store.connect()
    await wire.ask("CONFIG", "SET", "requirepass", changed)
    store.auth = (changed,)
    await wire.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    try:
        yield
    finally:
        await wire.ask("CONFIG", "SET", "requirepass", store.password)
        store.auth = before
        wire.close()


@contextlib.asynccontextmanager
async def _wrong_type(store: Store, room: str) -> AsyncIterator[None]:
    """A room's line is a string, and then the very same hash again. Each change is one step for everybody else."""
    swap = "local was = redis.call('DUMP', KEYS[1]) redis.call('SET', KEYS[1], 'not a line') return was"
    dumped = await store.command("EVAL", swap, 1, line_key(room))
    try:
        yield
    finally:
        if dumped is None:
            await store.command("DEL", line_key(room))
        else:
            await store.command("RESTORE", line_key(room), 0, dumped, "REPLACE")


FAULTS: dict[str, Callable[..., contextlib.AbstractAsyncContextManager[None]]] = {
    "refused": _refused,
    "frozen": _frozen,
    "late": _late,
    "loading": _loading,
    "readonly": _readonly,
    "oom": _oom,
    "misconf": _misconf,
    "noreplicas": _noreplicas,
    "noscript": _noscript,
    "busy": _busy,
    "wrong-password": _wrong_password,
    "wrong-type": _wrong_type,
}


def with_fault(store: Store, kind: str, **options: Any) -> contextlib.AbstractAsyncContextManager[None]:
    """The fault is there when the block begins, and gone when it has ended.

    `options`: `room` for wrong-type, `seconds` for loading, `ms` for late.
    """
    return FAULTS[kind](store, **options)


@contextlib.asynccontextmanager
async def _settings(store: Store, wanted: dict[str, str]) -> AsyncIterator[None]:
    before = {name: await store.setting(name) for name in wanted}
    try:
        for name, value in wanted.items():
            await store.command("CONFIG", "SET", name, value)
        yield
    finally:
        for name, value in reversed(before.items()):
            await store.command("CONFIG", "SET", name, value)


async def _snapshot(store: Store, outcome: str) -> None:
    """One attempt at a snapshot, with this outcome."""
    await store.command("BGSAVE")
    await _until(lambda: _says(store, "rdb_bgsave_in_progress", "0", "rdb_last_bgsave_status", outcome))


async def _says(store: Store, *expected: str) -> bool:
    said = await store.info("persistence")
    return all(said.get(name) == value for name, value in zip(expected[::2], expected[1::2], strict=True))


async def _is_loading(store: Store) -> bool:
    try:
        return await _answers(store, "LOADING")
    except ConnectionError:
        assert store.is_running, store.log()[-600:]
        return False


async def _answers(store: Store, code: str) -> bool:
    try:
        await store.command("GET", "rig:nothing")
    except AnswerError as error:
        return str(error).startswith(code)
    return False


async def _until(check: Callable[[], Any], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.01)
