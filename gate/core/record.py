"""A room's record: who did what and when, in entries that are chained by hash.

Each entry's text holds the digest of the one before it, and the room's document shows the digest of the last
(the *head*). So no entry can be changed, removed or put in between without breaking the chain at that place, or
changing a head that somebody has written down. The store keeps the texts (`lua/room.lua`, `note`); old entries
are dropped by age, and `since` says where the rest begins.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_NOTHING = "0" * 64
_HEAD = re.compile(r"(\d{1,15}):([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: the number of its last entry, and that entry's SHA-256."""

    number: int = 0
    digest: str = _NOTHING

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}" if self.number else ""

    @classmethod
    def read(cls, text: str) -> "Head":
        """The head a text stands for; ValueError if it stands for none. An empty one begins a chain."""
        if not text:
            return cls()
        form = _HEAD.fullmatch(text)
        if form is None:
            raise ValueError("not the head of a record")
        return cls(int(form[1]), form[2])


NO_ENTRY = Head()


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it was read: its exact text, and the head that was kept with it."""

    text: str
    head: Head


@dataclass(frozen=True, slots=True)
class Note:
    """An entry about to be appended: the head it follows, and the head it makes."""

    follows: Head
    text: str
    head: Head


@dataclass(frozen=True, slots=True)
class Break:
    """Where a record is not what was written: the first entry that is wrong, and what is wrong with it."""

    number: int
    wrong: str


def compose(
    follows: Head, *, time: float, actor: str, act: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Note:
    """The entry that follows a head.

    Args:
        follows: the chain's present end.
        time: Unix seconds of the store's clock.
        actor: a token's name, or `configuration` or `gate`.
        act: what was done, one word.
        before: the values that changed, as they were.
        after: the same, as they are now.
    """
    body = {
        "number": follows.number + 1,
        "time": round(time, 3),
        "actor": actor,
        "act": act,
        "before": dict(before),
        "after": dict(after),
        "previous": follows.digest,
    }
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Note(follows, text, Head(follows.number + 1, _digest(text)))


def verify(entries: Iterable[Entry], *, since: Head, head: Head) -> Break | None:
    """The first place at which a record is broken, or None.

    Args:
        entries: all that is kept, oldest first.
        since: the last entry that was dropped for its age.
        head: the chain's end as the room's document tells it.
    """
    last = since
    for entry in entries:
        wrong = _wrong(entry, last)
        if wrong:
            return Break(max(last.number + 1, 1), wrong)
        last = entry.head
    if last != head:
        missing = last.number < head.number
        return Break(last.number + 1, "is missing: the room's head is further on" if missing else "is not in the head")
    return None


def _wrong(entry: Entry, last: Head) -> str:
    try:
        body = json.loads(entry.text)
        number, previous = body["number"], body["previous"]
    except (ValueError, KeyError, TypeError):
        return "is not an entry"
    if type(number) is int and number > last.number + 1:
        return f"is missing; the next one that is there is {number}"
    if type(number) is not int or _digest(entry.text) != entry.head.digest or number != entry.head.number:
        return "was altered: its text does not give its hash"
    if number != last.number + 1 or previous != last.digest:
        return "does not follow from the one before it"
    return ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
