"""The documents of the admin API: a room, its record, the gate as a whole."""

from dataclasses import asdict
from typing import Any

import orjson

from gate.admin.trends import Sample, Service
from gate.core.line import Line
from gate.core.place import Place
from gate.core.record import Entry, Head
from gate.store.rooms import RecordPage


def room_document(line: Line, sample: Sample | None) -> dict[str, Any]:
    """A room as operators see it. Counts are of its generation; rates are visitors a second over ten seconds."""
    return {
        "room": line.room,
        "mode": line.mode.value,
        "generation": line.generation,
        "era": line.serving.number,
        "revision": line.revision,
        "release_rate": line.release_rate,
        "burst": line.burst,
        "max_issued": line.max_issued,
        "message": line.message,
        "issued": line.visitors,
        "now_serving": line.now_serving,
        "served": line.let_in,
        "waiting": line.waiting,
        "claimed": line.claimed,
        "guests": line.guests,
        "active": sample.active if sample else 0,
        "measured_rate": sample.measured if sample else 0.0,
        "joins_per_second": sample.joins if sample else 0.0,
        "claims_per_second": sample.claims if sample else 0.0,
        "oldest_wait": oldest_wait(line),
        "log_head": head_document(line.record),
    }


def oldest_wait(line: Line) -> int | None:
    """For how long the first in line has waited, in seconds to the ten; null while nobody waits."""
    if not line.waiting or line.now_serving >= line.serving.last:
        return None
    first = Place(line.generation, line.serving.number, line.now_serving + 1)
    return round(max(line.time - line.joined_at(first), 0))


def head_document(head: Head) -> dict[str, Any] | None:
    """The end of a record; null before its first entry."""
    return {"number": head.number, "hash": head.digest} if head.number else None


def record_document(room: str, page: RecordPage) -> dict[str, Any]:
    """A part of a record: what each entry says, and the exact text that its hash is of."""
    return {
        "room": room,
        "since": head_document(page.since),
        "head": head_document(page.head),
        "entries": [entry_document(entry) for entry in page.entries],
        "more": page.more,
    }


def entry_document(entry: Entry) -> dict[str, Any]:
    """One entry; what an altered text does not say any more is null."""
    try:
        said = orjson.loads(entry.text)
    except orjson.JSONDecodeError:
        said = {}
    said = said if isinstance(said, dict) else {}
    fields = ("time", "actor", "act", "before", "after")
    return {
        "number": entry.head.number,
        **{field: said.get(field) for field in fields},
        "hash": entry.head.digest,
        "text": entry.text,
    }


def service_document(service: Service | None) -> dict[str, Any]:
    """Origin and store over the last ten seconds."""
    return asdict(service) if service else {}
