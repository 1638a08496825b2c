"""A bounded memory of what was of use recently."""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Remembers up to `limit` in cost, and of the older half only what was asked for again.

    Two generations instead of an order of use: as good as least-recently-used for a cache of judgements, without a
    write at each read, and without the ever slower search for the oldest key of a dict that many were removed from.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit / 2
        self._spent = 0.0
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """What is remembered under this key; None if nothing is (any more)."""
        found = self._young.get(key)
        if found is None and self._old:
            found = self._old.pop(key, None)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: K, value: V, cost: float = 1) -> None:
        """Remember; `cost` counts towards the limit."""
        if self._spent >= self._limit:
            self._old, self._young, self._spent = self._young, {}, 0.0
        self._young[key] = value
        self._spent += cost

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
