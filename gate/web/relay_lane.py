"""The relay lane: plain GETs that may go to the origin are sent on before the parser runs, and without a task.

Owns what a plain GET is; `edge.py` asks only between two requests, with one whole read in hand. Whether it may go is
remembered in `ways.py`, its answer's way back is `relayed.py`'s. Whatever is not taken here takes the ordinary way,
which does the same or refuses.
"""

import asyncio
import logging
import re
from collections.abc import Coroutine
from time import perf_counter

from gate.core.errors import Reason
from gate.core.meter import Count, Meter, Timing
from gate.core.recent import Recent
from gate.proxy.pool import Pool
from gate.web.lanes import Client
from gate.web.relayed import Relayed
from gate.web.ways import Ways

log = logging.getLogger("gate.relay")
# RFC 3986's characters and those that browsers send raw (`core/target.py`); an empty query goes the ordinary way.
_CHARACTERS = rb"!$%&'()*+,\-./0-9:;=@A-Z\[\\\]^_`a-z{|}~\"<>"
_LINE = re.compile(rb"GET ((/[" + _CHARACTERS + rb"]*)(?:\?[" + _CHARACTERS + rb"?]+)?) HTTP/1\.1\r\n")
# Paths whose answers only the ordinary way can read.
_ODD_MAX = 1_024


class RelayLane:
    """One process's relay lane. Once `closed`, every request takes the ordinary way, which says goodbye."""

    def __init__(self, ways: Ways, pool: Pool, meter: Meter, *, head_bytes: int) -> None:
        self._ways = ways
        self._pool = pool
        self._meter = meter
        self._head_bytes = head_bytes
        self._odd: Recent[bytes, bool] = Recent(_ODD_MAX)
        self._obeying: set[asyncio.Task[None]] = set()
        self.closed = False
        self.first_byte = meter.observer(Timing.ORIGIN_FIRST_BYTE)
        self.overhead = meter.observer(Timing.OVERHEAD)

    def take(self, data: bytes, client: Client) -> Relayed | None:
        """Send on the one plain GET that `data` is, if it may go; None if it is to take the ordinary way."""
        began = perf_counter()
        line = _LINE.match(data)
        if line is None or self.closed or len(data) > self._head_bytes:
            return None
        target, path = line.groups()
        if self._odd and self._odd.get(path):
            return None
        way = self._ways.find(client.peer, client.scheme, target, path, data[line.end() :])
        if way is None:
            return None
        exchange = Relayed(self, client, way, data, began)
        self._pool.ask(b"GET " + target + way.after, exchange)
        return exchange

    def leave(self, relayed: Relayed) -> None:
        """The visitor of this one has gone."""
        self._pool.leave(relayed)

    def avoid(self, data: bytes) -> None:
        """The answer to this request cannot be read here: the next one like it takes the ordinary way."""
        line = _LINE.match(data)
        if line is not None:
            self._odd.put(line[2], value=True)

    def count_failure(self, reason: Reason) -> None:
        """The origin did not answer."""
        self._meter.count(Count.ORIGIN_ERRORS, "", reason)

    def obey(self, work: Coroutine[None, None, None]) -> None:
        """A command of an origin's takes time; its answer waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._obeying.add(task)
        task.add_done_callback(self._obeyed)

    def _obeyed(self, task: "asyncio.Task[None]") -> None:
        self._obeying.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("fault", extra={"reason": Reason.INTERNAL.value}, exc_info=error)
