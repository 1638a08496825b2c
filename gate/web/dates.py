"""The `Date` of answers, made once a second (RFC 9110 section 5.6.7)."""

import time
from email.utils import formatdate

_made = (0, "")


def http_date() -> str:
    """Now."""
    global _made  # noqa: PLW0603  (one clock a process)
    now = int(time.time())
    if _made[0] != now:
        _made = (now, formatdate(now, usegmt=True))
    return _made[1]
