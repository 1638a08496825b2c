"""A crowd that costs less than Locust's: for a wall that comes within a minute. Each visitor is a record here too.

It joins, waits by the page's rule and claims; it does not browse. The rows it writes are those of Locust's run, so
that one verdict judges both.
"""

import asyncio
import gc
import heapq
import itertools
import json
import os
import time
from collections import deque
from pathlib import Path

import orjson
import uvloop

from gate.core.place import Place
from gate.core.pointer import Pointer
from loadtests.surge.answers import Answers, Kind, Step
from loadtests.surge.asking import OK, PRE, TICKET
from loadtests.surge.crowd import jitter
from loadtests.surge.kinds.page import PENDING, TOO_EARLY
from loadtests.surge.plan import ROOM, Plan
from tests.faults.httpwire import Connection, Crew, head_of, retry_after

_CONNECTIONS, _PATIENCE_SECONDS, _STEP_SECONDS = 200, 30.0, 0.002
_FAILED_SECONDS = 1.0
_VERBS = {
    Step.JOIN: f"POST /_gate/join/{ROOM}",
    Step.POLL: f"GET /_gate/now/{ROOM}",
    Step.CLAIM: f"POST /_gate/claim/{ROOM}",
}


class Visitor:
    """One of the crowd."""

    __slots__ = ("cookie", "number", "place", "step")

    def __init__(self, number: int) -> None:
        self.number, self.step, self.cookie = number, Step.JOIN, ""
        self.place: Place | None = None


class Wall(Crew):
    """All visitors of a plan, each as its turn to act comes, over shared connections."""

    def __init__(self, url: str, plan: Plan, answers: Answers) -> None:
        super().__init__([url], _CONNECTIONS, _PATIENCE_SECONDS)
        self._url, self._plan, self._answers = url, plan, answers
        self._free: deque[Connection] = deque()
        self._acting: dict[int, Visitor] = {}
        self._waiting: deque[Visitor] = deque()
        self._due: list[tuple[float, int, Visitor]] = []
        self._order = itertools.count()
        self._left = plan.visitors

    async def run(self) -> None:
        """Everybody through, or until the plan gives up."""
        start, arrived = time.monotonic(), 0
        while self._left and time.monotonic() - start < self._plan.limit_seconds:
            now = time.monotonic()
            come = self._plan.arrivals.by(now - start)
            self._waiting.extend(map(Visitor, range(arrived, come)))
            arrived = come
            while self._due and self._due[0][0] <= now:
                self._waiting.append(heapq.heappop(self._due)[2])
            while self._waiting and self._free:
                connection = self._free.popleft()
                if connection.is_free:
                    self._send(connection, self._waiting.popleft())
            await asyncio.sleep(_STEP_SECONDS)
        now = time.monotonic()
        for visitor in [*self._acting.values(), *self._waiting, *(visitor for _, _, visitor in self._due)]:
            self._answers.add(now, now, visitor.number, _place(visitor), 0, Kind.PATIENT, Step.LOST, False)

    def idle(self, connection: Connection) -> None:
        """Free for whoever is due next."""
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._free.append(connection)

    def failed(self, connection: Connection, why: str) -> None:
        """The one under way tries again."""
        super().failed(connection, why)
        visitor = self._acting.pop(connection.index, None)
        if visitor is not None:
            self._row(connection, visitor, 0, let_in=False)
            self._again(visitor, _FAILED_SECONDS)

    def answered(self, connection: Connection, status: int, head: bytes, body: bytes) -> None:
        """What comes next for the visitor whose answer this is."""
        visitor = self._acting.pop(connection.index)
        self.note(status, body)
        step, pause = visitor.step, 0.0
        if status == PENDING:
            visitor.cookie = _cookie(head, PRE)
        elif status == OK and step is Step.JOIN:
            said = orjson.loads(body)
            visitor.place = Place(said["generation"], said["era"], said["position"])
            visitor.cookie, visitor.step = _cookie(head, TICKET), Step.POLL
        elif status == OK and step is Step.POLL:
            pointer = Pointer.read(orjson.loads(body))
            self._row(connection, visitor, status, place=(pointer.era, pointer.now_serving))
            if pointer.serves(visitor.place, pointer.time):
                visitor.step = Step.CLAIM
            else:
                pause = jitter(pointer.poll_seconds(visitor.place, pointer.time))
            return self._again(visitor, pause)
        elif status == OK:
            self._left -= 1
            return self._row(connection, visitor, status, let_in=True)
        else:
            pause = jitter(1.0 if status == TOO_EARLY else retry_after(head) or _FAILED_SECONDS)
        self._row(connection, visitor, status, step=step)
        return self._again(visitor, pause)

    def _send(self, connection: Connection, visitor: Visitor) -> None:
        # No time is lost between the answer to one request and the next of the same visitor, as in a browser.
        self._acting[connection.index] = visitor
        lines = ["Content-Length: 0"] if visitor.step is not Step.POLL else []
        if visitor.cookie:
            lines.append(f"Cookie: {visitor.cookie}")
        connection.send(head_of(_VERBS[visitor.step], self._url, *lines), time.monotonic())

    def _again(self, visitor: Visitor, seconds: float) -> None:
        if seconds:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), visitor))
        else:
            self._waiting.appendleft(visitor)

    def _row(
        self,
        connection: Connection,
        visitor: Visitor,
        status: int,
        *,
        step: Step | None = None,
        place: tuple[int, int] | None = None,
        let_in: bool = False,
    ) -> None:
        step = visitor.step if step is None else step
        place = _place(visitor) if place is None else place
        row = connection.began, time.monotonic(), visitor.number, place, status, Kind.PATIENT, step, let_in
        self._answers.add(*row)


def _place(visitor: Visitor) -> tuple[int, int]:
    return (visitor.place.era, visitor.place.position) if visitor.place else (0, 0)


def _cookie(head: bytes, name: str) -> str:
    start = head.find(f": {name}=".encode()) + 2
    return head[start : head.find(b";", start)].decode()


async def _crowd(folder: Path) -> None:
    answers = Answers(folder, 0)
    (folder / "start-0.json").write_text(json.dumps({"start": time.monotonic()}))
    async with Wall(os.environ["SURGE_URL"], Plan.read(folder / "plan.json"), answers) as wall:
        await wall.run()
    answers.flush()


if __name__ == "__main__":
    gc.freeze()
    gc.disable()  # a collection of so many records would show as a gate's latency
    uvloop.run(_crowd(Path(os.environ["SURGE_FOLDER"])))
