"""What a gate knows to have been dealt, beyond what the store says at the moment: the proof of what a store lost.

A store can come back lower than it was (failover, rollback, restore). Gates remember, and visitors show signed tokens;
both are told to the store (`heal` in `store/lua/room.lua`), which then never deals those places again and serves them
first. Evidence never makes numbers unique by itself: that is the fence's work (`docs/adr/0002`).
"""

from dataclasses import dataclass, field

from gate.core.line import Line
from gate.core.place import GUEST_ERA, Place


@dataclass(slots=True)
class Evidence:
    """By era, the highest position known to be dealt in one generation; and how often operators had spoken by then."""

    generation: int = 0
    lasts: dict[int, int] = field(default_factory=dict)
    revision: int = 0

    def note(self, place: Place) -> None:
        """A store's answer or a validly signed token tells of this place."""
        if place.generation < self.generation or place.era == GUEST_ERA:
            return
        if place.generation > self.generation:
            self.generation, self.lasts, self.revision = place.generation, {}, 0
        if place.position > self.lasts.get(place.era, -1):
            self.lasts[place.era] = place.position

    def note_line(self, line: Line) -> None:
        """A store's answer, with all its eras; those before the one being served are nobody's concern any more."""
        if line.generation < self.generation:
            return
        if line.generation > self.generation:
            self.generation, self.lasts, self.revision = line.generation, {}, 0
        self.revision = max(self.revision, line.revision)
        for era in line.eras:
            if era.last > self.lasts.get(era.number, 0):
                self.lasts[era.number] = era.last
        self.note(line.pointer)
        if len(self.lasts) > len(line.eras):
            serving = line.serving.number
            self.lasts = {era: last for era, last in self.lasts.items() if era >= serving}

    def lost_by(self, line: Line) -> bool:
        """Whether a store that answers so has lost something of it."""
        if line.generation != self.generation:
            return line.generation < self.generation
        known = {era.number: era.last for era in line.eras}
        serving = line.serving.number
        lost = any(known.get(era, -1) < last for era, last in self.lasts.items() if era >= serving)
        return lost or line.revision < self.revision

    def text(self) -> str:
        """As the scripts read it: the generation, then `era:position` pairs."""
        return " ".join([str(self.generation), *(f"{era}:{last}" for era, last in sorted(self.lasts.items()))])
