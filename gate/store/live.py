"""The live snapshot: the last line of each room, in memory. The hot path reads nothing else.

Owns what a gate remembers beyond one reply: history rows, the highest pointer it has shown (it never shows a
lower one within a generation), the places it knows to be dealt, the deny list, and since when the store is silent.
"""

import time
from dataclasses import dataclass, field, replace

from gate.core.evidence import Evidence
from gate.core.line import Line, Row
from gate.core.place import GUEST_ERA, Place
from gate.core.release import on_lease

_HISTORY_ROWS_MAX = 9_000
# After this long without an answer the store counts as away, and people are told.
SILENCE_SECONDS = 1.5
# Answers of several connections may overtake one another by this much; a larger step is the store's clock going back.
_REORDER_SECONDS = 1.0
# A store that has answered for so long is well again.
_WELL_SECONDS = 10.0
_DENIED_HERE_MAX = 10_000


@dataclass(slots=True)
class _Memory:
    line: Line | None = None
    pointer: Place | None = None
    evidence: Evidence = field(default_factory=Evidence)
    ruled: Line | None = None
    """The line in which operators had the last word, as far as this gate has heard."""
    lacks: bool = False
    opened: bool = False
    history_seen: str = "0-0"
    heard_at: float = 0.0
    failing_since: float | None = None
    well_since: float = 0.0
    outage_since: float = 0.0
    denied: frozenset[Place] = field(default_factory=frozenset)
    denied_here: dict[Place, float] = field(default_factory=dict)
    """Revoked in this process, until when (Unix seconds): not forgotten because a store forgets."""
    denied_revision: int = 0


class Live:
    """What one gate process knows of all rooms."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Memory] = {}

    def line(self, room: str) -> Line | None:
        """The last line of a room, or None while the store has not been heard."""
        memory = self._rooms.get(room)
        return memory.line if memory else None

    def silent_for(self, room: str) -> float:
        """Seconds since the store last spoke of this room."""
        return time.monotonic() - self._memory(room).heard_at

    def store_away(self, room: str) -> bool:
        """Whether the store has been silent for too long."""
        return self.silent_for(room) > SILENCE_SECONDS

    def history_seen(self, room: str) -> str:
        """The last history row this gate holds, for the scripts to send only newer ones."""
        return self._memory(room).history_seen

    def fails(self, room: str) -> bool:
        """Whether the last call of the store came to nothing: until one succeeds, only the ticker asks (a breaker)."""
        return self._memory(room).failing_since is not None

    def failing_for(self, room: str) -> float:
        """Seconds since the first call of this outage came to nothing; 0 where there is none."""
        since = self._memory(room).failing_since
        return 0.0 if since is None else time.monotonic() - since

    def outage_for(self, room: str) -> float:
        """Seconds of the present outage, once it is one; a store that answers now and then does not begin another."""
        return time.monotonic() - self._memory(room).outage_since if self.failing_for(room) > SILENCE_SECONDS else 0.0

    def set_failing(self, room: str) -> None:
        """A call of the store came to nothing."""
        memory, now = self._memory(room), time.monotonic()
        if memory.failing_since is None:
            memory.failing_since = now
            if now - memory.well_since > _WELL_SECONDS:
                memory.outage_since = now

    def seed(self, line: Line) -> None:
        """Begin with what a predecessor in this gate knew; the store has not been heard yet."""
        memory = self._memory(line.room)
        memory.line, memory.pointer, memory.ruled = line, line.pointer, line
        memory.evidence.note_line(line)

    def run_ahead(self, room: str, now: float, lease: float) -> None:
        """The store is silent: let the pointer go on as far as the lease allows (law 7); `now` in store time."""
        memory = self._memory(room)
        if memory.line is not None:
            memory.line = on_lease(memory.line, now, lease=lease)
            memory.pointer = max(memory.pointer or memory.line.pointer, memory.line.pointer)

    def evidence(self, room: str) -> str:
        """What this gate knows to be dealt, as the scripts read it."""
        return self._memory(room).evidence.text()

    def has_evidence(self, room: str) -> bool:
        """Whether this gate has heard of the room before, or seen a token of it."""
        return bool(self._memory(room).evidence.generation)

    def lacks(self, room: str) -> bool:
        """Whether the store's last answer lacked something that this gate knows."""
        return self._memory(room).lacks

    def knows_more(self, room: str) -> bool:
        """Whether this gate knows of places that the last line does not have; tokens shown since, above all."""
        memory = self._memory(room)
        return memory.line is not None and memory.evidence.lost_by(memory.line)

    def set_lacking(self, room: str) -> None:
        """The store must be opened anew before it is asked again."""
        self._memory(room).lacks = True

    def ruled(self, room: str) -> Line | None:
        """The line of the last word that operators had, as far as this gate has heard."""
        return self._memory(room).ruled

    def show(self, room: str, place: Place) -> None:
        """A validly signed token tells of this place: the store must know at least it."""
        self._memory(room).evidence.note(place)

    def show_served(self, room: str, place: Place) -> None:
        """A validly signed pass tells that the pointer had come to this place."""
        memory = self._memory(room)
        line = memory.line
        if place.era == GUEST_ERA or (line is not None and place <= line.pointer):
            return
        memory.evidence.note(place)
        if line is not None and place.generation == line.generation:
            memory.pointer = max(memory.pointer or line.pointer, place)

    def accept(self, line: Line, seen: str | None) -> Line:
        """Take a line that has just come; returns it with all history, the pointer never lower than shown.

        One that lacks what this gate knows is not taken: the store is told first (`lacks`).
        """
        memory = self._memory(line.room)
        known = memory.line
        memory.heard_at = time.monotonic()
        if memory.failing_since is not None:
            memory.failing_since, memory.well_since = None, memory.heard_at
        if known is not None and _overtaken(line, known):
            return known
        memory.lacks = memory.evidence.lost_by(line)
        if memory.lacks and known is not None:
            return known
        if known is None or known.generation != line.generation:
            memory.pointer = None
        else:
            line = replace(line, history=_joined(known, line))
        if memory.pointer is not None:
            line = line.raised_to(memory.pointer)
        memory.pointer = max(memory.pointer or line.pointer, line.pointer)
        memory.evidence.note_line(line)
        if memory.ruled is None or memory.ruled.generation != line.generation or line.revision >= memory.ruled.revision:
            memory.ruled = line
        memory.history_seen = seen or memory.history_seen
        memory.line = line
        return line

    def is_open(self, room: str) -> bool:
        """Whether this gate has made sure that the store has this room."""
        return self._memory(room).opened

    def set_open(self, room: str) -> None:
        """The store has this room."""
        self._memory(room).opened = True

    def lose(self, room: str) -> None:
        """The store no longer has this room, or has begun it anew: its rows are to be read from the start."""
        memory = self._memory(room)
        memory.history_seen, memory.opened = "0-0", False

    def is_denied(self, room: str, place: Place) -> bool:
        """Whether a place was revoked."""
        denied = self._memory(room).denied
        return bool(denied) and place in denied

    def deny(self, room: str, place: Place, until: float) -> None:
        """A place was revoked here, until then (Unix seconds); the store may hear of it later, and forget it."""
        memory = self._memory(room)
        memory.denied_here[place] = until
        if len(memory.denied_here) > _DENIED_HERE_MAX:
            del memory.denied_here[next(iter(memory.denied_here))]
        memory.denied |= {place}

    def denied_here(self, room: str) -> dict[Place, float]:
        """What was revoked in this process, and until when."""
        return self._memory(room).denied_here

    def deny_list_is_stale(self, room: str) -> bool:
        """Whether the store's deny list has changed since it was read."""
        memory = self._memory(room)
        return memory.line is not None and memory.line.denied_revision != memory.denied_revision

    def set_denied(self, room: str, places: frozenset[Place], revision: int) -> None:
        """The deny list as it was at `revision`."""
        memory = self._memory(room)
        memory.denied, memory.denied_revision = places | memory.denied_here.keys(), revision

    def _memory(self, room: str) -> _Memory:
        memory = self._rooms.get(room)
        if memory is None:
            memory = self._rooms[room] = _Memory()
        return memory


def _joined(known: Line, line: Line) -> tuple[Row, ...]:
    if not line.history:
        return known.history
    last = known.history[-1].time if known.history else -1
    fresh = tuple(row for row in line.history if row.time > last)
    return (known.history + fresh)[-_HISTORY_ROWS_MAX:] if fresh else known.history


def _overtaken(line: Line, known: Line) -> bool:
    """Whether a newer answer of the same life came on another connection first."""
    same = line.generation == known.generation and line.newest.number <= known.newest.number
    return same and 0 < known.time - line.time < _REORDER_SECONDS
