"""`Retry-After` with jitter, so that those who were turned away together do not come back together."""

import random

_SPREAD = 0.5


def retry_seconds(seconds: float) -> int:
    """Whole seconds, at least 1, up to half as much again at random."""
    return max(1, round(seconds * random.uniform(1, 1 + _SPREAD)))  # noqa: S311  (spreads load, guards nothing)
