"""How much a network may take: a token bucket each, in bounded memory.

Keys are hashed with a salt of this process: no address is kept, not even in memory.
"""

import hashlib
import secrets

_NETWORKS_MAX = 50_000


class Budget:
    """Token buckets by network, each of `size`, filled again by `refill` a second."""

    def __init__(self, size: int, refill: float) -> None:
        self._size = float(size)
        self._refill = refill
        self._salt = secrets.token_bytes(16)
        self._buckets: dict[bytes, tuple[float, float]] = {}

    def take(self, network: str, now: float) -> bool:
        """Spend one of this network's; False if it has none left. `now` in seconds of any one clock."""
        key = self._key(network)
        level, at = self._buckets.pop(key, (self._size, now))
        level = min(level + max(now - at, 0.0) * self._refill, self._size)
        spent = level >= 1
        if len(self._buckets) >= _NETWORKS_MAX:
            # The one longest unused is the fullest by now.
            del self._buckets[next(iter(self._buckets))]
        self._buckets[key] = (level - spent, now)
        return spent

    def give_back(self, network: str) -> None:
        """One that was taken was not used."""
        key = self._key(network)
        if key in self._buckets:
            level, at = self._buckets[key]
            self._buckets[key] = (min(level + 1, self._size), at)

    def _key(self, network: str) -> bytes:
        return hashlib.blake2b(network.encode(), key=self._salt, digest_size=8).digest()
