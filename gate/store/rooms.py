"""The rooms' verbs on the store: one method a script, values in, values out.

Every answer is the whole line as it was at that moment, given to `Live` before the caller sees it, so that the
gate's snapshot is never older than the last thing it was told. Raises only `StoreUnavailableError`.
"""

import secrets
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import NamedTuple

from gate.core.line import Line
from gate.core.place import Place
from gate.core.record import NO_ENTRY, Entry, Head, Note, compose
from gate.core.release import Advance
from gate.core.room import Room
from gate.core.tokens import PRE_BUCKET_SECONDS, PRE_TICKET_LIFE_SECONDS, PreTicket
from gate.store import keys
from gate.store.connection import Connection, Reply, StoreUnavailableError
from gate.store.decoding import read_line
from gate.store.live import Live
from gate.store.room_settings import Settings, configured

DENIED_MAX = 10_000
# Bits outlive every token that could ask for them.
_BITS_LIFE_SECONDS = 45 * 86_400
_PRE_SLACK_SECONDS = 15
RECORD_LIFE_SECONDS = 400 * 86_400.0
RECORD_PAGE = 1_000
# What a tick asks, ten times a second whatever the store does.
_PROBES = ("open", "advance")
# `advance` would step into the next era, but this reign of the store has not been opened yet.
_NOT_OPENED = -2


class Dealt(NamedTuple):
    """What became of one of a batch: a position above 0, 0 where none was dealt, -1 where the proof was spent."""

    position: int
    era: int
    nonce: str
    generation: int

    @property
    def place(self) -> Place:
        """The place dealt; only where `position` is above 0."""
        return Place(self.generation, self.era, self.position)


@dataclass(frozen=True, slots=True)
class RecordPage:
    """A part of a record: the last entry dropped for its age, the head, and some entries, all of one moment."""

    since: Head
    head: Head
    entries: list[Entry]
    more: bool


class RoomStore:
    """One store, all rooms."""

    def __init__(
        self,
        connection: Connection,
        live: Live,
        *,
        first_generation: int,
        fresh: bool,
        record_life: float = RECORD_LIFE_SECONDS,
    ) -> None:
        self.live = live
        self._connection = connection
        self._record_ms = int(record_life * 1000)
        self._first_generation = first_generation
        self._fresh = fresh

    @property
    def clock_skew(self) -> float:
        """Seconds by which this machine's clock is ahead of the store's."""
        return self._connection.clock.skew

    async def open(self, room: Room, settings: Settings, revision: int = 0) -> Line:
        """Make the room if it is not there, begin an era if this reign of the store has dealt none yet, and heal.

        `revision` is the one that `settings` are of: a store that has gone back behind it is given them again.
        """
        known = self.live.line(room.name)
        generation = known.generation if known else self._first_generation
        began = compose(
            NO_ENTRY,
            time=self._connection.clock.now(),
            actor="gate",
            act="open",
            before={"head": str(known.record)} if known else {},
            after={"generation": generation, **asdict(settings)},
        )
        arguments: list[str | int | float] = [
            *self._heal_arguments(room, newborn=self._fresh and not self.live.has_evidence(room.name)),
            generation,
            revision,
            self.live.history_seen(room.name),
            *self._note_arguments(began),
            *settings.fields(),
            "seed",
            configured(room).seed(),
        ]
        line = self._accept(room.name, await self._call("open", room.name, [keys.record_key(room.name)], arguments))
        self.live.set_open(room.name)
        return line

    async def join(self, room: Room, batch: Sequence[PreTicket]) -> list[Dealt]:
        """Deal a number to each of a batch, in its order."""
        names, triples = self._deal_arguments(room, batch)
        reply = await self._call("join", room.name, names, [*self._heal_arguments(room), *triples])
        return self._dealt(room.name, reply)

    async def admit(self, room: Room, batch: Sequence[PreTicket | None], line: Line, plan: Advance) -> list[Dealt]:
        """Deal and release the whole batch if the line still is as `plan` saw it; else an empty list."""
        names, triples = self._deal_arguments(room, batch)
        paid = plan.at - plan.released / line.release_rate
        now, least = _full_bank(line, plan, 0)
        arguments: list[str | int | float] = [
            *astuple(line.read), f"{paid:.6f}", now, least,
            plan.era, _left(line, plan), *self._heal_arguments(room), *triples,
        ]  # fmt: skip
        reply = await self._call("admit", room.name, names, arguments)
        dealt = self._dealt(room.name, reply)
        return dealt if reply.verdict == 1 else []

    async def advance(
        self, line: Line, plan: Advance | None, fields: Sequence[str] = (), note: Note | None = None
    ) -> bool:
        """Write an advance (and an operator's fields), or only read with None. False: another gate was first."""
        target: list[str | int | float] = ["", "", "", "", "0", ""]
        if plan is not None:
            # What an operator does is not the release of a moment: it stays as it was worked out.
            bound = ("", "0") if note or fields else _full_bank(line, plan, plan.released)
            target = [plan.era, plan.now_serving, f"{plan.at:.6f}", *bound, _left(line, plan)]
        arguments: list[str | int | float] = [
            *astuple(line.read), *target, self.live.history_seen(line.room), *self._note_arguments(note), *fields,
        ]  # fmt: skip
        reply = await self._call("advance", line.room, [keys.record_key(line.room)], arguments)
        if reply.verdict == -1:
            self.live.lose(line.room)
            return False
        self._accept(line.room, reply)
        if reply.verdict == _NOT_OPENED:
            self.live.set_lacking(line.room)
        return reply.verdict == 1

    async def claim(self, room: str, place: Place) -> int:
        """Mark a place as claimed: 1 done, 0 not served yet, -1 another generation, -2 its visit has ended."""
        names = [keys.claimed_key(room, place), keys.ended_key(room, place)]
        line = self.live.line(room)
        shown = (line.pointer.era, line.pointer.position) if line else (0, 0)
        arguments: list[str | int | float] = [
            place.generation, place.era, place.position,
            keys.page_offset(place), keys.PAGE_BITS, _BITS_LIFE_SECONDS, self.live.history_seen(room), *shown,
        ]  # fmt: skip
        reply = await self._call("claim", room, names, arguments)
        self._accept(room, reply)
        return reply.verdict

    async def finish(self, room: str, place: Place, *, deny_until: float | None = None) -> bool:
        """End a place's visit; with `deny_until` (Unix seconds) in every gate at once. False: it was over already."""
        names = [keys.ended_key(room, place), keys.denied_key(room)]
        denied = f"{place.generation}:{place.era}:{place.position}" if deny_until is not None else ""
        # Asked for in the time that tokens are judged in, kept in the store's.
        until = int((deny_until + self._connection.clock.lead) * 1000) if deny_until is not None else 0
        arguments: list[str | int | float] = [
            keys.page_offset(place), keys.PAGE_BITS, _BITS_LIFE_SECONDS, denied, until, DENIED_MAX,
        ]  # fmt: skip
        reply = await self._call("finish", room, names, arguments)
        self._accept(room, reply)
        return reply.verdict == 1

    async def has_ended(self, room: str, place: Place) -> bool:
        """Whether a place's visit was ended."""
        answer = await self._connection.command("GETBIT", keys.ended_key(room, place), keys.page_offset(place))
        return bool(answer == 1)

    async def denied(self, room: str) -> frozenset[Place]:
        """The places on the deny list."""
        answer = await self._connection.command("ZRANGE", keys.denied_key(room), 0, -1)
        try:
            return frozenset(Place(*(int(part) for part in str(member).split(":"))) for member in answer)
        except (TypeError, ValueError) as error:
            raise StoreUnavailableError(f"room {room}: the deny list holds something else") from error

    async def reset(self, room: str, generation: int, note: Note) -> bool:
        """Begin a new generation; every old ticket and pass dies. False: the line is another by now."""
        names = [keys.denied_key(room), keys.record_key(room)]
        arguments: list[str | int | float] = [secrets.token_hex(8), generation, *self._note_arguments(note)]
        reply = await self._call("reset", room, names, arguments)
        self.live.lose(room)
        self._accept(room, reply)
        return reply.verdict == 1

    async def note(self, line: Line, note: Note, *, raises: str = "") -> bool:
        """Append to the record, and raise one counting field. False: the line is another by now."""
        arguments: list[str | int | float] = [line.generation, raises, *self._note_arguments(note)]
        reply = await self._call("note", line.room, [keys.record_key(line.room)], arguments)
        self._accept(line.room, reply)
        return reply.verdict == 1

    async def discount(self, line: Line, *, claimed: bool) -> None:
        """Give back what the canary's visit took of the line; `claimed`: it took its turn."""
        self._accept(line.room, await self._call("discount", line.room, [], [line.generation, int(claimed)]))

    async def record(self, room: str, *, after: int = 0, limit: int = RECORD_PAGE) -> RecordPage:
        """Entries with numbers above `after`, oldest first, at most `limit`, with the head of the same moment."""
        fields, rows = await self._connection.commands(
            [
                ("HMGET", keys.line_key(room), "log", "log_since"),
                ("XRANGE", keys.record_key(room), f"({after}-0", "+", "COUNT", limit + 1),
            ],
            whole=True,
        )
        try:
            entries = [Entry(row["text"], Head.read(row["head"])) for _, row in rows]
            head, since = (Head.read(text or "") for text in fields)
        except (ValueError, TypeError, KeyError) as error:
            raise StoreUnavailableError(f"room {room}: the record holds something else") from error
        return RecordPage(since, head, entries[:limit], more=len(entries) > limit)

    async def mark(self, room: str) -> None:
        """Leave the mark of a writer that goes in good order."""
        await self._call("mark", room, [], [])

    def _note_arguments(self, note: Note | None) -> list[str | int | float]:
        if note is None:
            return ["", "", "", ""]
        return [str(note.follows), str(note.head), note.text, self._record_ms]

    def _heal_arguments(self, room: Room, *, newborn: bool = False) -> list[str | int | float]:
        """`newborn`: as young as its keys and never heard of, so there are no old tickets to wait for."""
        hold_ms = 0 if newborn else int(room.hold_seconds * 1000)
        gate_ms = int(self._connection.clock.now() * 1000)
        return [self.live.evidence(room.name), gate_ms, secrets.token_hex(8), hold_ms]

    def _deal_arguments(
        self, room: Room, batch: Sequence[PreTicket | None]
    ) -> tuple[list[str], list[str | int | float]]:
        names: dict[str, int] = {}
        triples: list[str | int | float] = []
        for pre in batch:
            if pre is None:
                triples += [0, 0, 0]
                continue
            index = names.setdefault(keys.pre_key(room.name, pre.gate, pre.bucket), len(names) + 3)
            expires = (pre.bucket + 1) * PRE_BUCKET_SECONDS + PRE_TICKET_LIFE_SECONDS + _PRE_SLACK_SECONDS
            triples += [index, pre.serial, int((expires + self._connection.clock.lead) * 1000)]
        return list(names), triples

    def _dealt(self, room: str, reply: Reply) -> list[Dealt]:
        line = self._read(room, reply)
        self.live.accept(line, None)
        # The era is this very answer's: what the gate knows may be of another by now.
        newest = line.newest
        return [Dealt(code, newest.number, newest.nonce, line.generation) for code in reply.extra]

    async def _call(self, verb: str, room: str, names: list[str], arguments: list[str | int | float]) -> Reply:
        """One verb, unless the store is silent and this is not the ticker's: a breaker that ticks close again."""
        if verb not in _PROBES and self.live.fails(room):
            raise StoreUnavailableError("silent")
        try:
            names = [keys.line_key(room), keys.history_key(room), *names]
            return await self._connection.call(verb, names, arguments, urgent=verb in _PROBES)
        except StoreUnavailableError as error:
            if verb in _PROBES or error.silent:
                self.live.set_failing(room)
            raise

    def _accept(self, room: str, reply: Reply) -> Line:
        seen = reply.rows[-1][0] if reply.rows else None
        return self.live.accept(self._read(room, reply), seen)

    def _read(self, room: str, reply: Reply) -> Line:
        if not reply.fields:
            self.live.lose(room)
            raise StoreUnavailableError(f"room {room}: the store has lost it")
        try:
            return read_line(room, reply)
        except StoreUnavailableError:
            self.live.set_failing(room)
            raise


def _full_bank(line: Line, plan: Advance, released: int) -> tuple[str, str]:
    """When an advance was worked out, and the `at` that a full bank leaves behind after releasing so many then."""
    if not line.releases:
        return "", "0"
    now = plan.at + plan.owed / line.release_rate
    return f"{now:.6f}", f"{now - (line.cap - released) / line.release_rate:.6f}"


def _left(line: Line, plan: Advance) -> str:
    """The eras that an advance leaves behind, with their ends as the gate knew them; the scripts look again."""
    return " ".join(f"{era.number}:{era.last}" for era in line.eras if era.number < plan.era)
