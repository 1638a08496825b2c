"""Lines for tests: one call, sensible numbers, anything changed by name."""

from dataclasses import replace
from typing import Any

from gate.core.line import Era, Line
from gate.core.room import Mode

BASE = Line(
    room="r",
    generation=1,
    now_serving=0,
    eras=(Era(10, 0),),
    at=0.0,
    release_rate=10.0,
    burst=None,
    mode=Mode.AUTO,
    max_issued=None,
    message="",
    revision=1,
    dealt_before=0,
    claimed=0,
    slot=0,
    time=0.0,
)


def line(issued: int = 0, **changes: Any) -> Line:
    """A line of one era with `issued` places dealt."""
    changes.setdefault("eras", (Era(10, issued),))
    return replace(BASE, **changes)
