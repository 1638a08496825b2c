"""A place in line, the one value that orders everything: page, claim and tick."""

import hashlib
from typing import NamedTuple

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TWO_LETTERS = [first + second for first in _CROCKFORD for second in _CROCKFORD]


# Guests of the house (staff, press) hold places of an era before every real one: always served, never in the line.
GUEST_ERA = 0


class Place(NamedTuple):
    """`(generation, era, position)`, compared in that order.

    `generation` and `era` are milliseconds of the store's clock at which they began; `position` is 1-based.
    The pointer is a place too, where position 0 means that nobody of that era was served yet.
    """

    generation: int
    era: int
    position: int


def reference(place: Place, nonce: str) -> str:
    """What a visitor reads to support: the position and four letters that a guess would get wrong."""
    seed = f"{place.generation}:{place.era}:{nonce}:{place.position}".encode()
    digest = int.from_bytes(hashlib.blake2b(seed, digest_size=4).digest())
    return f"{place.position}-{_TWO_LETTERS[digest >> 10 & 1023]}{_TWO_LETTERS[digest & 1023]}"


def pass_id(place: Place, nonce: str) -> str:
    """The `jti` of the one pass that belongs to a place: claiming twice gives the same admission."""
    seed = f"pass:{place.generation}:{place.era}:{nonce}:{place.position}".encode()
    return hashlib.blake2b(seed, digest_size=12).hexdigest()
