"""How numbers of a room are said on a terminal."""

import time
from typing import Any

from gate.core.rate import format_rate

_MINUTE, _HOUR = 60, 3_600


def duration(seconds: float | None) -> str:
    """A length of time as people say it."""
    if seconds is None:
        return "–"  # noqa: RUF001
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def last_wait(room: dict[str, Any], rate: float) -> float:
    """Seconds that the last in line waits at a rate (visitors a second)."""
    return float(room["waiting"]) / rate


def releases(room: dict[str, Any]) -> bool:
    """Whether the room lets its line move."""
    return room["mode"] in ("auto", "closed")


def rate(per_second: float) -> str:
    """A rate, wanted or measured."""
    return format_rate(per_second) if per_second else "0"


def moment(seconds: float | None) -> str:
    """A time of the store's clock, in the reader's own zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds is not None else "?"


def plain(text: Any) -> str:
    """A text on one line, whatever is in it."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in str(text))


def change(before: Any, after: Any) -> str:
    """Values before and after, in one line."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return "?"
    keys = [*before, *(key for key in after if key not in before)]
    return ", ".join(
        f"{key} {_said(before[key])} → {_said(after.get(key))}" if key in before else f"{key} {_said(after[key])}"
        for key in keys
    )


def _said(value: Any) -> str:
    if not isinstance(value, str):
        return str(value)
    shown = plain(value)
    return f"“{shown}”" if not shown or " " in shown else shown
