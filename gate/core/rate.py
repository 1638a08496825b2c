"""Release rates as people write them: "500/s", "30/min", "90/h" or 0.5 (visitors per second)."""

import re
from math import isclose

RATE_MAX_PER_SECOND = 1_000_000.0
# One a day: less is nobody, and the moment it was earned would lie beyond what a clock can tell.
RATE_MIN_PER_SECOND = 1 / 86_400
_UNITS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
_FORM = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:/\s*([a-z]+)\s*)?")
RATE_ALLOWED = '"500/s", "30/min", "90/h" or a number of visitors per second, above 0'


def parse_rate(text: object) -> float:
    """Visitors per second; ValueError says what is allowed. Releasing nobody is mode `hold`, not a rate."""
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise ValueError(f"must be {RATE_ALLOWED}")
    form = _FORM.fullmatch(text.lower() if isinstance(text, str) else format(text, ".9f"))
    unit = _UNITS.get(form[2] or "s") if form else None
    if form is None or unit is None:
        raise ValueError(f"must be {RATE_ALLOWED}")
    rate = float(form[1]) / unit
    if not RATE_MIN_PER_SECOND <= rate <= RATE_MAX_PER_SECOND:
        raise ValueError(
            f"must be above 0 (at least one a day) and at most {RATE_MAX_PER_SECOND:,.0f}/s; "
            "to release nobody use mode hold"
        )
    return rate


def format_rate(per_second: float) -> str:
    """The rate as a person would write it: whole numbers per second, minute or hour where there are some."""
    for unit, seconds in (("s", 1), ("min", 60), ("h", 3600)):
        whole = round(per_second * seconds)
        if whole > 0 and isclose(per_second * seconds, whole, rel_tol=1e-9):
            return f"{whole}/{unit}"
    return f"{per_second:g}/s"
