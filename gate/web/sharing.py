"""Passes that are shown from more than one network: counted, once each, and nothing more (a phone changes networks)."""

from collections.abc import Callable

from gate.core.recent import Recent

_PASSES_MAX = 100_000
_TOLD = 0


class Sharing:
    """What one process saw of one room's passes. No network is kept, only a salted hash of this process."""

    def __init__(self, count: Callable[[], None]) -> None:
        self._count = count
        self._seen: Recent[str, int] = Recent(_PASSES_MAX)

    def note(self, identity: str, network: str) -> None:
        """A pass was shown from this network."""
        # Python salts the hashes of texts anew in each process.
        mark = hash(network) or 1
        seen = self._seen.get(identity)
        if seen is None:
            self._seen.put(identity, mark)
        elif seen not in (mark, _TOLD):
            self._seen.put(identity, _TOLD)
            self._count()
