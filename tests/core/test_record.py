"""A record's chain: whole as written, and broken where it was touched."""

import json
from dataclasses import replace

import pytest

from gate.core.record import NO_ENTRY, Entry, Head, compose, verify


def chain(count: int, follows: Head = NO_ENTRY) -> list[Entry]:
    """So many entries after a head."""
    entries = []
    for number in range(count):
        note = compose(follows, time=100.5 + number, actor="ann", act="change", before={"n": number}, after={"n": number + 1})
        assert note.follows == follows
        entries.append(Entry(note.text, note.head))
        follows = note.head
    return entries


def test_an_entry_says_everything():
    """Number, time, actor, act, before, after, and the hash of the one before it."""
    first, second = chain(2)
    said = json.loads(second.text)
    assert said == {"number": 2, "time": 101.5, "actor": "ann", "act": "change", "before": {"n": 1}, "after": {"n": 2},
                    "previous": first.head.digest}  # fmt: skip


def test_a_record_as_written_is_whole():
    """Also an empty one, and one whose oldest entries were dropped for their age."""
    entries = chain(5)
    assert verify(entries, since=NO_ENTRY, head=entries[-1].head) is None
    assert verify([], since=NO_ENTRY, head=NO_ENTRY) is None
    assert verify(entries[2:], since=entries[1].head, head=entries[-1].head) is None


def altered(entry: Entry) -> Entry:
    """Another actor's name in it."""
    return replace(entry, text=entry.text.replace("ann", "bob"))


def forged(entry: Entry) -> Entry:
    """The same, with a hash that fits."""
    text = entry.text.replace("ann", "bob")
    import hashlib

    return Entry(text, Head(entry.head.number, hashlib.sha256(text.encode()).hexdigest()))


@pytest.mark.parametrize(
    ("touch", "number", "words"),
    [
        (lambda e: [e[0], altered(e[1]), *e[2:]], 2, "altered"),
        (lambda e: [e[0], forged(e[1]), *e[2:]], 3, "does not follow"),
        (lambda e: [*e[:-1], forged(e[-1])], 6, "not in the head"),
        (lambda e: [e[0], *e[2:]], 2, "is missing; the next one that is there is 3"),
        (lambda e: e[1:], 1, "is missing"),
        (lambda e: e[:-1], 5, "is missing: the room's head is further on"),
        (lambda e: [e[0], e[2], e[1], *e[3:]], 2, "is missing"),
        (lambda e: [e[0], e[0], *e[1:]], 2, "does not follow"),
        (lambda e: [e[0], Entry("{", e[1].head), *e[2:]], 2, "is not an entry"),
        (lambda e: [], 1, "is missing"),
    ],
)
def test_what_was_touched_is_found_where_it_was_touched(touch, number, words):
    """Altered, forged, removed anywhere, swapped, repeated, garbled."""
    entries = chain(5)
    broken = verify(touch(entries), since=NO_ENTRY, head=entries[-1].head)
    assert broken is not None
    assert (broken.number, words in broken.wrong) == (number, True), broken


def test_heads_are_texts_and_back():
    """`number:digest`, and nothing for no entry."""
    head = chain(3)[-1].head
    assert Head.read(str(head)) == head
    assert Head.read("") == NO_ENTRY
    assert str(NO_ENTRY) == ""
