"""What operators set of a room: as the store keeps it, as the file asks for it, and which of the two speaks."""

import json
from dataclasses import dataclass
from typing import Any

from gate.core.line import Line
from gate.core.room import Room


@dataclass(frozen=True, slots=True)
class Settings:
    """What operators set of a room, as the store keeps it. Rates per second."""

    release_rate: float
    burst: float | None
    mode: str
    max_issued: int | None
    message: str

    def fields(self) -> list[str]:
        """Field, value, ... for a script."""
        return [
            "rate", repr(self.release_rate),
            "burst", "" if self.burst is None else repr(self.burst),
            "mode", self.mode,
            "max_issued", "" if self.max_issued is None else str(self.max_issued),
            "message", self.message,
        ]  # fmt: skip

    def seed(self) -> str:
        """A text that differs whenever the configured values do: a changed file speaks, an unchanged one does not."""
        return json.dumps(self.fields(), separators=(",", ":"))


def configured(room: Room) -> Settings:
    """The settings a room's configuration asks for. Its messages are the page's; the store's is the live one."""
    return Settings(room.release_rate, room.burst, room.mode.value, room.max_issued, "")


def changed_since(seed: str, now: Settings) -> dict[str, Any]:
    """Those of the configured settings that are others than they were when `seed` was made; never the live message."""
    try:
        words = json.loads(seed)
        old = dict(zip(words[::2], words[1::2], strict=True))
    except (ValueError, TypeError):
        old = {}
    words = now.fields()
    fresh = dict(zip(words[::2], words[1::2], strict=True))
    names = {"rate": "release_rate", "burst": "burst", "mode": "mode", "max_issued": "max_issued"}
    return {name: getattr(now, name) for field, name in names.items() if old.get(field) != fresh[field]}


def current(line: Line) -> Settings:
    """The settings in force."""
    return Settings(line.release_rate, line.burst, line.mode.value, line.max_issued, line.message)
