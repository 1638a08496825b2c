"""A line: what the store said of a room at one moment, and what can be worked out from it alone.

Owns the arithmetic of places (who is served, how many are ahead, when someone was served). Never asks the
store: `store/decoding.py` makes these values, `release.py` says how they may change.
"""

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from math import inf

from gate.core.place import Place
from gate.core.record import NO_ENTRY, Head
from gate.core.room import Mode

# A place counts as served at the end of the slot in which the pointer passed it: one row a slot is kept,
# so that the moment is the same for every gate that is asked, now or an hour later.
SLOT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Era:
    """One reign of the store: its number, its nonce, its last position, and when it may be stepped into."""

    number: int
    last: int
    nonce: str = ""
    hold_until: float = 0.0


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One slot of a room's history: by `time`, the pointer stood at `(era, now_serving)`.

    `(newest, issued)` is the last number dealt by then. Times are Unix seconds of the store's clock.
    """

    time: int
    era: int
    now_serving: int
    newest: int
    issued: int


@dataclass(frozen=True, slots=True)
class Read:
    """The texts that compare-and-set compares with what the store holds by then."""

    generation: str = ""
    era: str = ""
    now_serving: str = ""
    at: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A room's numbers as read at `time` (Unix seconds of the store's clock).

    `eras` runs from the era being served to the newest, oldest first; in a life without accidents it has one
    entry. `at` is the moment up to which release has been paid out. `read` is what compare-and-set compares: the
    very texts the store held. `lifted` is the part of the pointer that the store did not know (`raised_to`).
    `hold_span` is how long a new era is held (seconds).
    `guests` hold links that lead past the line; `canaries` took places that do not count. `record` is the head of
    the room's record, `record_since` the last entry that was dropped from it.
    """

    room: str
    generation: int
    now_serving: int
    eras: tuple[Era, ...]
    at: float
    release_rate: float
    burst: float | None
    mode: Mode
    max_issued: int | None
    message: str
    revision: int
    dealt_before: int
    claimed: int
    slot: int
    time: float
    seed: str = ""
    denied_revision: int = 0
    lifted: int = 0
    hold_span: float = inf
    guests: int = 0
    canaries: int = 0
    record: Head = NO_ENTRY
    record_since: Head = NO_ENTRY
    read: Read = Read()
    history: tuple[Row, ...] = field(default=(), repr=False)
    pointer: Place = field(init=False, compare=False, repr=False)
    """Now serving, as a place."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "pointer", Place(self.generation, self.serving.number, self.now_serving))

    @property
    def serving(self) -> Era:
        """The era being served."""
        return self.eras[0]

    @property
    def newest(self) -> Era:
        """The era in which numbers are dealt."""
        return self.eras[-1]

    @property
    def waiting(self) -> int:
        """How many places are not served yet, over all eras."""
        return sum(era.last for era in self.eras) - self.now_serving

    @property
    def issued(self) -> int:
        """Places dealt in this generation, over all eras."""
        return self.dealt_before + self.newest.last

    @property
    def visitors(self) -> int:
        """Places dealt in this generation to visitors; the canary is none."""
        return self.issued - self.canaries

    @property
    def let_in(self) -> int:
        """Visitors who may enter or have, of this generation."""
        return max(self.visitors - self.waiting, 0)

    @property
    def full(self) -> bool:
        """Whether all places of this generation have been dealt."""
        return self.max_issued is not None and self.visitors >= self.max_issued

    @property
    def cap(self) -> float:
        """The most that may be released at once: max(burst, 1) + a quarter second of rate, in visitors."""
        return release_cap(self.release_rate, self.burst)

    @property
    def releases(self) -> bool:
        """Whether the room lets its line move: `closed` still serves those who stand in it."""
        return self.mode in (Mode.AUTO, Mode.CLOSED)

    def held(self, era: Era, now: float) -> bool:
        """Whether an era may not be stepped into yet. A hold far ahead is of a clock that has gone back since."""
        return now < era.hold_until <= now + 2 * self.hold_span

    def served(self, place: Place) -> bool:
        """Whether a place is at or below the pointer."""
        return place.generation == self.generation and place <= self.pointer

    def raised_to(self, pointer: Place) -> "Line":
        """This line with the pointer at least at `pointer`: a gate never shows less than it has shown.

        What that adds was let in while the store was silent or was lost by it, and is `lifted`.
        """
        if pointer.generation != self.generation or pointer <= self.pointer:
            return self
        eras = tuple(era for era in self.eras if era.number >= pointer.era)
        if not eras or eras[0].number != pointer.era or eras[0].last < pointer.position:
            return self  # the store has lost that era, and is told of it first (`core/evidence.py`)
        passed = sum(era.last for era in self.eras if era.number < pointer.era)
        lifted = passed + pointer.position - self.now_serving
        return replace(self, eras=eras, now_serving=pointer.position, lifted=self.lifted + lifted)

    def ahead(self, place: Place) -> int:
        """How many stand before a place: the number people see."""
        if place <= self.pointer:
            return 0
        before = sum([era.last for era in self.eras if era.number < place.era])
        return max(before - self.now_serving + place.position - 1, 0)

    def rank(self, place: Place) -> int:
        """A place's number over all eras of its generation: what people see, unbroken by a restart of the store."""
        from_there_on = sum([era.last for era in self.eras if era.number >= place.era])
        return self.issued - from_there_on + place.position

    def served_at(self, place: Place) -> float:
        """When a served place was served: the end of its slot, in Unix seconds, the same whoever asks."""
        key = (place.era, place.position)
        index = bisect_left(self.history, key, key=lambda row: (row.era, row.now_serving))
        if index < len(self.history):
            return float(self.history[index].time)
        return float((self.slot + 1) * SLOT_SECONDS)

    def joined_at(self, place: Place) -> float:
        """When a place was dealt, to the slot; for the age of the oldest who waits."""
        key = (place.era, place.position)
        index = bisect_left(self.history, key, key=lambda row: (row.newest, row.issued))
        return float(self.history[index].time if index < len(self.history) else self.time)


def release_cap(rate: float, burst: float | None) -> float:
    """Visitors that one tick may release at once (law 4); `burst` defaults to one second of rate."""
    return max(rate if burst is None else burst, 1.0) + rate * 0.25
