"""The event loop every process of a gate runs on, and work that goes on for as long as the process does."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import Awaitable, Callable

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop  # twice the throughput of asyncio's own
except ImportError:  # no wheel for this platform; asyncio's own loop does
    from asyncio import new_event_loop

__all__ = ["cancelled", "every", "heed_end", "new_event_loop", "rest_collector"]
log = logging.getLogger("gate.loop")


# Objects made and not freed before the collector looks: it is for cycles, of which the hot path makes none.
_COLLECT_AFTER = (25_000, 25, 100)


def rest_collector() -> None:
    """Let the cycle collector look seldom, and never again at what is there now.

    With tens of thousands of tokens and heads remembered, a full look took 50 ms (measured), and came again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


async def every(seconds: float, turn: Callable[[], Awaitable[None]]) -> None:
    """One turn after another until cancelled; a turn that fails is told, and the next one comes all the same."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        try:
            await turn()
        except Exception as error:
            log.exception("fault", exc_info=error)
        heed_end()
        due = max(due + seconds, loop.time())
        await asyncio.sleep(due - loop.time())


def heed_end() -> None:
    """End here if this task was told to: a store's client may keep that to itself (redis-py 8.1, measured).

    Raises:
        asyncio.CancelledError: it was.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def cancelled(task: "asyncio.Future[None]") -> None:
    """End a task and wait until it has ended."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
