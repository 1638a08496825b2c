"""The pointer document: what a gate says of its line to everybody who waits, and what a reader makes of it.

The browser's twin of the reader is `static/waiting.js`; the demo's crowd, the load tests and the simulator read
through this file. Only the claim decides: a reader works out no more than when to ask.
"""

from dataclasses import dataclass
from math import floor
from typing import Any

from gate.core.estimate import poll_after
from gate.core.line import Line
from gate.core.place import Place
from gate.core.release import plan
from gate.core.room import PollRule, Room


@dataclass(frozen=True, slots=True)
class Pointer:
    """Now serving, and all that a page needs to work out its own place and its next poll.

    `now_serving` and `issued` belong to `era`, the one being served; `eras` are `(number, last position)` of those
    still to come. `release_rate` is 0 while nobody is released, `resume_rate` what it would be. Times are Unix
    seconds of the store's clock: `time` when the document was made, `at` up to when release has been paid out.
    """

    room: str
    generation: int
    era: int
    mode: str
    now_serving: int
    issued: int
    eras: tuple[tuple[int, int], ...]
    hold_until: float | None
    release_rate: float
    resume_rate: float
    time: float
    at: float
    lease_until: float
    poll: PollRule
    message: str

    @classmethod
    def of(cls, line: Line, room: Room) -> "Pointer":
        """What a line shows, as of the moment it was read."""
        due = plan(line, line.time, lease=room.lease)
        # `at` such that rate * (t - at) is what is owed: an idle hour banks at most the cap, for readers too.
        at = line.time - (due.owed + due.released) / line.release_rate if line.releases else line.time
        upcoming = line.eras[1:]
        return cls(
            room=line.room,
            generation=line.generation,
            era=line.serving.number,
            mode=line.mode.value,
            now_serving=line.now_serving,
            issued=line.serving.last,
            eras=tuple([(era.number, era.last) for era in upcoming]),
            hold_until=upcoming[0].hold_until if upcoming else None,
            release_rate=line.release_rate if line.releases else 0,
            resume_rate=line.release_rate,
            time=round(line.time, 3),
            at=round(at, 3),
            lease_until=round(line.time + room.lease, 3),
            poll=room.poll,
            message=line.message,
        )

    @classmethod
    def read(cls, document: dict[str, Any]) -> "Pointer":
        """The pointer that a document describes.

        Raises:
            KeyError, TypeError: where it is none.
        """
        poll = document["poll"]
        eras = tuple([(number, last) for number, last in document["eras"]])
        rule = PollRule(poll["min"], poll["max"], poll["fraction"])
        return cls(**{**{name: document[name] for name in cls.__slots__}, "eras": eras, "poll": rule})

    def document(self) -> dict[str, Any]:
        """As JSON."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        rule = {"min": self.poll.minimum, "max": self.poll.maximum, "fraction": self.poll.fraction}
        return {**fields, "eras": [list(era) for era in self.eras], "poll": rule}

    def serving(self, now: float) -> int:
        """Now serving, as far as it may be worked out for `now` (seconds of the store's clock): within the lease."""
        earned = self.now_serving + self.release_rate * (min(now, self.lease_until) - self.at)
        return max(self.now_serving, floor(min(self.issued, earned)))

    def ahead(self, place: Place, now: float) -> int:
        """How many stand before a place of this generation."""
        if place.era < self.era:
            return 0
        if place.era == self.era:
            return max(place.position - self.serving(now) - 1, 0)
        between = sum([last for number, last in self.eras if number < place.era])
        return self.issued - self.serving(now) + between + place.position - 1

    def serves(self, place: Place, now: float) -> bool:
        """Whether a place of this generation may try its claim."""
        return place.era < self.era or (place.era == self.era and place.position <= self.serving(now))

    def poll_seconds(self, place: Place, now: float) -> float:
        """When to ask next, in seconds, before jitter; a hidden tab asks at `poll.maximum` instead."""
        wait = (self.ahead(place, now) + 1) / (self.release_rate or self.resume_rate)
        return poll_after(self.poll, wait)
