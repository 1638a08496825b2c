"""The live snapshot: the last line of each room, in memory. The hot path reads nothing else.

Owns what a gate remembers beyond one reply: history rows, the highest pointer it has shown (it never shows a
lower one within a generation), the highest ticket it has seen, the deny list, and when the store last answered.
"""

import time
from dataclasses import dataclass, field, replace

from gate.core.line import Line, Row
from gate.core.place import Place

_HISTORY_ROWS_MAX = 9_000
# After this long without an answer the store counts as away.
SILENCE_SECONDS = 1.5
# Answers of several connections may overtake one another by this much; a larger step is the store's clock going back.
_REORDER_SECONDS = 1.0


@dataclass(slots=True)
class _Memory:
    line: Line | None = None
    pointer: Place | None = None
    evidence: Place | None = None
    opened: bool = False
    history_seen: str = "0-0"
    heard_at: float = 0.0
    denied: frozenset[Place] = field(default_factory=frozenset)
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

    def evidence(self, room: str) -> Place | None:
        """The highest place of the present generation that this gate knows to be dealt."""
        memory = self._memory(room)
        evidence = memory.evidence
        return evidence if evidence and memory.line and evidence.generation == memory.line.generation else None

    def show(self, room: str, place: Place) -> None:
        """A store's answer or a validly signed token tells of this place: the store must know at least it."""
        memory = self._memory(room)
        if memory.evidence is None or place > memory.evidence:
            memory.evidence = place

    def accept(self, line: Line, seen: str | None) -> Line:
        """Take a line that has just come; returns it with all history, the pointer never lower than shown."""
        memory = self._memory(line.room)
        known = memory.line
        memory.heard_at = time.monotonic()
        if known is not None and line.generation < known.generation and line.time < known.time:
            return known  # overtaken by the answer that told of a reset
        if known is None or known.generation != line.generation:
            memory.pointer = None
        else:
            older = line.newest.number <= known.newest.number and 0 < known.time - line.time < _REORDER_SECONDS
            if older:
                return known
            line = replace(line, history=_joined(known, line))
        if memory.pointer is not None:
            line = line.raised_to(memory.pointer)
        memory.pointer = max(memory.pointer or line.pointer, line.pointer)
        if line.newest.last:
            self.show(line.room, Place(line.generation, line.newest.number, line.newest.last))
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

    def deny_list_is_stale(self, room: str) -> bool:
        """Whether the store's deny list has changed since it was read."""
        memory = self._memory(room)
        return memory.line is not None and memory.line.denied_revision != memory.denied_revision

    def set_denied(self, room: str, places: frozenset[Place], revision: int) -> None:
        """The deny list as it was at `revision`."""
        memory = self._memory(room)
        memory.denied, memory.denied_revision = places, revision

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
