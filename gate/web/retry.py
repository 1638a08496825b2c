"""`Retry-After` with jitter, so that those who were turned away together do not come back together."""

import random

from gate.core.estimate import outage_retry

_SPREAD = 0.5


def retry_seconds(seconds: float) -> int:
    """Whole seconds, at least 1, up to half as much again at random."""
    return max(1, round(seconds * random.uniform(1, 1 + _SPREAD)))  # noqa: S311  (spreads load, guards nothing)


def outage_seconds(away: float) -> int:
    """After how long to ask again of a store that has been away for so many seconds: the longer, the later."""
    return retry_seconds(outage_retry(away))
