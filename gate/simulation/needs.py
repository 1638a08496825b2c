"""What a night asks of machines: requests by kind, and what each kind costs a gate.

The costs are of one core of the machine in `docs/benchmarks.md`, which says how they were measured and names it;
a machine of another kind needs figures of its own (`make bench`).
"""

from dataclasses import dataclass
from math import ceil, exp

TICKS_PER_SECOND = 10
# A gate at half of what it can take has room for a neighbour's load, and for latency.
_LOAD_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request: what a core serves of it in a second, and the bytes of its answer with the head."""

    name: str
    per_core: float
    answer_bytes: int


# Requests a CPU-second as the rows of docs/benchmarks.md have them: "Waiting page", "Joins" (two requests, so half of
# it), "Poll of the pointer", "Claim", "every head of headers unlike all before" and "Relay of an admitted GET, 100 B".
# Bytes are head and body as sent with HTTP/1.1, the page in brotli; what the site sends is its own.
PAGE = Kind("page", 6_000, 2_400)
JOIN = Kind("join", 12_700, 900)
POLL = Kind("poll", 171_000, 620)
CLAIM = Kind("claim", 1_280, 900)
FIRST = Kind("first", 8_300, 0)
MORE = Kind("more", 45_000, 0)
KINDS = (PAGE, JOIN, POLL, CLAIM, FIRST, MORE)


def cores(rates: dict[str, float]) -> int:
    """Cores of gates for so many requests a second of each kind, at half load."""
    return max(ceil(sum(rates[kind.name] / kind.per_core for kind in KINDS) / _LOAD_SHARE), 1)


def behind_cdn(polls: float, edges: int) -> float:
    """Polls a second that reach the gates through a CDN of so many places that share no cache.

    Each keeps the document for a second (`s-maxage=1`) and asks once then, whoever wants it: as many as the places
    that got at least one poll in that second, if polls fall on them evenly.
    """
    return edges * (1 - exp(-polls / edges))
