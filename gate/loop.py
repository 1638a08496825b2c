"""The event loop every process of a gate runs on: uvloop's where there is one, twice the throughput of asyncio's."""

import asyncio
from collections.abc import Callable

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ImportError:  # no wheel for this platform; asyncio's own loop does
    from asyncio import new_event_loop

__all__ = ["new_event_loop"]
