"""How many idle admissions a network may have without showing a cookie: a token bucket each, in bounded memory.

Keys are hashed with a salt of this process: no address is kept, not even in memory.
"""

import hashlib
import secrets

REFILL_PER_SECOND = 5.0
_NETWORKS_MAX = 50_000


class Budget:
    """Token buckets by network."""

    def __init__(self, size: int) -> None:
        self._size = float(size)
        self._salt = secrets.token_bytes(16)
        self._buckets: dict[bytes, tuple[float, float]] = {}

    def take(self, network: str, now: float) -> bool:
        """Spend one of this network's; False if it has none left. `now` in seconds of any one clock."""
        key = hashlib.blake2b(network.encode(), key=self._salt, digest_size=8).digest()
        level, at = self._buckets.pop(key, (self._size, now))
        level = min(level + max(now - at, 0.0) * REFILL_PER_SECOND, self._size)
        spent = level >= 1
        if len(self._buckets) >= _NETWORKS_MAX:
            # The one longest unused is the fullest by now.
            del self._buckets[next(iter(self._buckets))]
        self._buckets[key] = (level - spent, now)
        return spent
