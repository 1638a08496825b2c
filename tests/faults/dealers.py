"""Dealers as processes of their own, and what they told: the evidence that laws are judged by."""

import asyncio
import itertools
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from tests.faults.children import Child

ROOT = Path(__file__).parents[2]
# Joins that were under way at the same time may be in either order; so may those within this of one another.
ORDER_SECONDS = 0.2
_numbers = itertools.count(1)


class Deal(NamedTuple):
    """A batch that was dealt and heard of."""

    asked: float
    answered: float
    generation: int
    era: int
    first: int
    last: int
    nonce: str


class Shown(NamedTuple):
    """A pointer document, when it was seen, and the store's time that it was made at."""

    time: float
    at: float
    generation: int
    era: int
    now_serving: int
    issued: int


class Dealer(Child):
    """One dealer; started again it has forgotten everything."""

    def __init__(self, folder: Path, subject: str, url: str, room: str, options: Iterable[str]) -> None:
        self.folder, self._words, self._options = folder, (subject, url, room), tuple(options)
        self.books: list[Path] = []

    def start(self) -> None:
        """Begin anew, in a book of its own."""
        self.books.append(self.folder / f"book-{next(_numbers)}")
        command = [sys.executable, "-m", "tests.faults.dealer", *self._words, str(self.books[-1]), *self._options]
        self.launch(command, self.folder / "dealers.log", {"PYTHONPATH": str(ROOT)})


@dataclass
class Dealers:
    """Several dealers over one store, or over one each."""

    folder: Path
    subject: str
    urls: list[str]
    room: str = "sale"
    options: dict[str, object] = field(default_factory=dict)
    all: list[Dealer] = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        words = [f"{key}={value}" for key, value in self.options.items()]
        self.all = [Dealer(self.folder, self.subject, url, self.room, words) for url in self.urls]

    async def __aenter__(self) -> Self:
        for dealer in self.all:
            dealer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for dealer in self.all:
            if dealer.is_running:
                await dealer.thaw()
            await dealer.kill()

    async def restart(
        self, dealers: Iterable[Dealer], meanwhile: Callable[[], Awaitable[object]] | None = None
    ) -> object:
        """Kill some and start them anew; what happens `meanwhile` they do not live to see."""
        chosen = list(dealers)
        for dealer in chosen:
            await dealer.kill()
        happened = await meanwhile() if meanwhile is not None else None
        for dealer in chosen:
            dealer.start()
        return happened

    async def until_dealt(self, count: int, seconds: float = 30.0) -> None:
        """Until each has dealt so many batches since it was started."""
        async with asyncio.timeout(seconds):
            while any(_lines(dealer.books[-1], b"deal") < count for dealer in self.all):
                assert all(dealer.is_running for dealer in self.all), (self.folder / "dealers.log").read_text()[-2000:]
                await asyncio.sleep(0.02)

    def deals(self) -> list[Deal]:
        """All that was dealt, by the time it was asked for."""
        return sorted(_deal(words) for dealer in self.all for book in dealer.books for words in _events(book, "deal"))

    def shown(self) -> list[list[Shown]]:
        """Pointer documents, one list a life of a gate, each in order of time."""
        books = [book for dealer in self.all for book in dealer.books]
        return [[_shown(words) for words in _events(book, "show")] for book in books]


def duplicates(deals: Iterable[Deal], *, by_nonce: bool = False) -> int:
    """Places that were dealt more than once; `by_nonce` takes the identity of a place, not only its number."""
    edges: dict[tuple[object, ...], list[tuple[int, int]]] = {}
    for deal in deals:
        key = (deal.generation, deal.era, deal.nonce if by_nonce else "")
        edges.setdefault(key, []).append((deal.first, deal.last))
    twice = 0
    for spans in edges.values():
        counted: Counter[int] = Counter()
        for first, last in spans:
            counted[first] += 1
            counted[last + 1] -= 1
        depth = before = 0
        for position in sorted(counted):
            twice += max(depth - 1, 0) * (position - before)
            depth, before = depth + counted[position], position
    return twice


def inversions(deals: Iterable[Deal]) -> int:
    """Batches asked for more than `ORDER_SECONDS` after another was answered, and yet dealt places before it."""
    ordered = sorted(deals)
    ended = sorted(ordered, key=lambda deal: deal.answered)
    highest, index, found = (0, 0, 0), 0, 0
    for deal in ordered:
        while index < len(ended) and ended[index].answered + ORDER_SECONDS < deal.asked:
            highest = max(highest, (ended[index].generation, ended[index].era, ended[index].last))
            index += 1
        found += (deal.generation, deal.era, deal.first) < highest
    return found


def steps_back(lives: Iterable[list[Shown]]) -> int:
    """Pointer documents lower than one that the same gate has shown in the same generation before."""
    found = 0
    for life in lives:
        highest = (0, 0, 0)
        for shown in life:
            place = (shown.generation, shown.era, shown.now_serving)
            found += place < highest
            highest = max(highest, place)
    return found


def joined(deals: Iterable[Deal]) -> int:
    """How many places."""
    return sum(deal.last - deal.first + 1 for deal in deals)


def _deal(words: list[str]) -> Deal:
    return Deal(float(words[0]), float(words[1]), *(int(word) for word in words[2:6]), words[6])  # type: ignore[call-arg]


def _shown(words: list[str]) -> Shown:
    return Shown(float(words[0]), float(words[1]), *(int(word) for word in words[2:6]))  # type: ignore[call-arg]


def _events(book: Path, kind: str) -> Iterable[list[str]]:
    if not book.exists():
        return
    for line in book.read_text().splitlines():
        words = line.split()
        if words and words[0] == kind and len(words) == (8 if kind == "deal" else 7):
            yield words[1:]


def _lines(book: Path, kind: bytes) -> int:
    return book.read_bytes().count(b"\n" + kind) if book.exists() else 0
