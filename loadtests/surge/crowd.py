"""The visitors of one Locust process: records, and who of them acts next."""

import heapq
import itertools
import random
import time
from dataclasses import dataclass, field

import gevent
from gevent.queue import PriorityQueue

from gate.core.place import Place
from gate.simulation.arrivals import Arrivals
from loadtests.surge.answers import Kind

# Which part of the visitors is of which kind; forgers and bots come only while a line stands.
SHARES = {
    Kind.PATIENT: 0.86,
    Kind.IMPATIENT: 0.05,
    Kind.NO_SHOW: 0.04,
    Kind.API: 0.03,
    Kind.FORGER: 0.01,
    Kind.BOT: 0.01,
}
_GOLDEN = 0.6180339887498949
_LONGEST_SLEEP_SECONDS = 0.05


@dataclass(slots=True)
class Visitor:
    """One person, or what pretends to be one."""

    number: int
    kind: Kind
    step: str = "arrive"
    cookies: dict[str, str] = field(default_factory=dict)
    place: Place | None = None
    failures: int = 0
    notes: int = 0
    """Whatever a kind counts."""
    tokens: dict[str, str] = field(default_factory=dict)
    """What an API client holds, by the names of the headers it sends them in."""
    spent: str = ""
    """A pre-ticket that has been used."""

    @property
    def address(self) -> str:
        """An address of its own."""
        return f"10.{self.number >> 16 & 255}.{self.number >> 8 & 255}.{self.number & 255}"


def kind_of(number: int, early: int) -> Kind:
    """Which kind a visitor is: spread evenly over all, the same in every process; `early` ones all are patient."""
    if number < early:
        return Kind.PATIENT
    draw, share = number * _GOLDEN % 1, 0.0
    for kind, part in SHARES.items():
        share += part
        if draw < share:
            return kind
    return Kind.PATIENT


class Crowd:
    """Those of `arrivals` whose number falls to this part, from their arrival until nothing is left to do."""

    def __init__(self, arrivals: Arrivals, part: int, parts: int) -> None:
        self._arrivals = arrivals
        # Ten in a hundred of the wall have joined by then: there is a line, so nobody is let in for the asking.
        first, wall = arrivals.phases[:2]
        self._early = round((first.share + wall.share / 10) * arrivals.visitors)
        self._numbers = iter(range(part, arrivals.visitors, parts))
        self._left = len(range(part, arrivals.visitors, parts))
        self._due: list[tuple[float, int, Visitor]] = []
        self._order = itertools.count()
        self._start = 0.0
        # Where hands are short, those who wait already go first: newcomers then come later, and no wait gets longer.
        self._acting: PriorityQueue = PriorityQueue()
        self.latest = 0.0
        """The most by which anybody who waited acted late, in seconds: Locust's own slowness; below it, a newcomer."""
        self.newcomers = 0.0
        self.unfinished: dict[int, Visitor] = {}
        self.broken = False
        self.let_in = ""
        """The pass of somebody who was let in, for those who forge."""

    @property
    def finished(self) -> bool:
        """Whether nobody is left, or nothing more can come of it."""
        return self._left == 0 or self.broken

    def run(self) -> None:
        """Hand out visitors as they are due, for ever; a greenlet of its own."""
        self._start = time.monotonic()
        self._plan_next()
        while not self.finished:
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                due, order, visitor = heapq.heappop(self._due)
                newcomer = visitor.number not in self.unfinished
                if newcomer:
                    self.unfinished[visitor.number] = visitor
                    self._plan_next()
                self._acting.put((newcomer, order, due, visitor))
            gevent.sleep(
                min(max(self._due[0][0] - now, 0.001), _LONGEST_SLEEP_SECONDS) if self._due else _LONGEST_SLEEP_SECONDS
            )

    def next(self) -> Visitor:
        """Who acts next; waits until somebody does."""
        newcomer, _, due, visitor = self._acting.get()
        late = time.monotonic() - due
        if newcomer:
            self.newcomers = max(self.newcomers, late)
        else:
            self.latest = max(self.latest, late)
        return visitor

    def again(self, visitor: Visitor, step: str, seconds: float) -> None:
        """This visitor acts again, after so many seconds."""
        visitor.step = step
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), visitor))

    def done(self, visitor: Visitor) -> None:
        """This visitor has come to its end."""
        del self.unfinished[visitor.number]
        self._left -= 1

    def _plan_next(self) -> None:
        number = next(self._numbers, None)
        if number is not None:
            due = self._start + self._arrivals.of(number)
            heapq.heappush(self._due, (due, next(self._order), Visitor(number, kind_of(number, self._early))))


def jitter(seconds: float, share: float = 0.2) -> float:
    """As the waiting page spreads its polls."""
    return seconds * random.uniform(1 - share, 1 + share)
