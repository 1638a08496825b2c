"""`Retry-After` with jitter, so that those who were turned away together do not come back together."""

import random

_SPREAD = 0.5
_OUTAGE_LEAST, _OUTAGE_SHARE, _OUTAGE_MOST = 2.0, 0.25, 12.0


def retry_seconds(seconds: float) -> int:
    """Whole seconds, at least 1, up to half as much again at random."""
    return max(1, round(seconds * random.uniform(1, 1 + _SPREAD)))  # noqa: S311  (spreads load, guards nothing)


def outage_seconds(away: float) -> int:
    """After how long to ask again of a store that has been away for so many seconds: the longer, the later.

    Everybody who came meanwhile asks, so a long outage would else be met by ever more requests a second.
    """
    return retry_seconds(min(_OUTAGE_LEAST + away * _OUTAGE_SHARE, _OUTAGE_MOST))
