"""The key ring: which secret signs, which still verify, and the one key derived for each kind and room.

Pure: reading and writing the file is `gate/keyfile.py`'s. A ring's `created_ms` is also the first generation of
every room, because no token can be older than the key that signed it, and it is the same for every gate that
shares the ring, even when the store comes back empty.
"""

import base64
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET_BYTES = 32
# A new key verifies at once and signs a little later, so that no gate meets a kid it has not read yet.
SIGNS_AFTER_SECONDS = 5
_KID = re.compile(r"[A-Za-z0-9_-]{1,32}")


class Algorithm(StrEnum):
    """What signs passes; tickets are always HS256, since only gates read them."""

    HS256 = "HS256"
    EDDSA = "EdDSA"


@dataclass(frozen=True, slots=True)
class Key:
    """One secret of the ring. `pass_algorithm` is fixed for its life: one algorithm a kid and kind."""

    kid: str
    secret: bytes = field(repr=False)
    pass_algorithm: Algorithm
    created_ms: int


@dataclass(frozen=True, slots=True)
class Derived:
    """A key for one kind of token of one room; for HS256 both halves are the same bytes."""

    algorithm: Algorithm
    signs: bytes | Ed25519PrivateKey = field(repr=False)
    verifies: bytes | Ed25519PublicKey = field(repr=False)


class KeyRing:
    """All keys, newest last. Immutable but for its memory of derived keys."""

    def __init__(self, keys: tuple[Key, ...], created_ms: int) -> None:
        if not keys:
            raise ValueError("the key ring has no key")
        self.keys = keys
        self.created_ms = created_ms
        self._by_kid = {key.kid: key for key in keys}
        self._derived: dict[tuple[str, str, str], Derived] = {}

    def signer(self, now: float) -> Key:
        """The newest key that every gate has had time to read; `now` in Unix seconds."""
        newest = self.keys[-1]
        if newest.created_ms / 1000 + SIGNS_AFTER_SECONDS <= now:
            return newest
        ready = [key for key in self.keys if key.created_ms / 1000 + SIGNS_AFTER_SECONDS <= now]
        return (ready or self.keys[:1])[-1]

    def find(self, kid: str) -> Key | None:
        """The key of this id, or None: an unknown kid is refused without any I/O."""
        return self._by_kid.get(kid)

    def derive(self, key: Key, kind: str, room: str) -> Derived:
        """The key for one kind and room (HKDF, RFC 5869): a ticket can never stand in for a pass."""
        name = (key.kid, kind, room)
        derived = self._derived.get(name)
        if derived is None:
            derived = self._derived[name] = _derive(key, kind, room)
        return derived


def _derive(key: Key, kind: str, room: str) -> Derived:
    algorithm = key.pass_algorithm if kind == "pass" else Algorithm.HS256
    info = f"token-gate/1/{algorithm}/{kind}/{room}".encode()
    material = HKDF(algorithm=SHA256(), length=SECRET_BYTES, salt=None, info=info).derive(key.secret)
    if algorithm is Algorithm.EDDSA:
        private = Ed25519PrivateKey.from_private_bytes(material)
        return Derived(algorithm, private, private.public_key())
    return Derived(algorithm, material, material)


def dump_ring(ring: KeyRing) -> dict[str, Any]:
    """The ring as its file holds it."""
    return {
        "created_ms": ring.created_ms,
        "keys": [
            {
                "kid": key.kid,
                "secret": base64.b64encode(key.secret).decode(),
                "pass_algorithm": key.pass_algorithm.value,
                "created_ms": key.created_ms,
            }
            for key in ring.keys
        ],
    }


def load_ring(data: Any) -> KeyRing:
    """The ring a file's JSON describes; ValueError says which field is wrong, never its value."""
    if not isinstance(data, dict) or not isinstance(data.get("keys"), list):
        raise ValueError('must be an object with "created_ms" and a list "keys"')
    if not isinstance(data.get("created_ms"), int):
        raise ValueError('"created_ms" must be a whole number of milliseconds')
    keys = tuple(_load_key(entry, index) for index, entry in enumerate(data["keys"]))
    if len({key.kid for key in keys}) != len(keys):
        raise ValueError('two keys have the same "kid"')
    return KeyRing(keys, data["created_ms"])


def _load_key(entry: Any, index: int) -> Key:
    try:
        secret = base64.b64decode(entry["secret"], validate=True)
        key = Key(entry["kid"], secret, Algorithm(entry["pass_algorithm"]), int(entry["created_ms"]))
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"keys[{index}] must have kid, secret (base64), pass_algorithm and created_ms") from None
    if len(secret) < SECRET_BYTES or not _KID.fullmatch(key.kid):
        raise ValueError(f"keys[{index}] must have a secret of {SECRET_BYTES} bytes or more and a plain kid")
    return key
