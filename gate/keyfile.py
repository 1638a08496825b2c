"""The key ring's file: made at first start, 0600, replaced whole, never printed.

The ring itself is `core/keyring.py`. Gates that share a line share this file, or a copy of it.
"""

import json
import os
import secrets
import stat
import time
from pathlib import Path

from gate.core.keyring import SECRET_BYTES, Algorithm, Key, KeyRing, dump_ring, load_ring


class KeyFileError(Exception):
    """The key file cannot be used; the message names the file and what is wrong, never a secret."""


def load_or_make(path: Path, algorithm: Algorithm) -> KeyRing:
    """The ring in this file; a new file with one key if there is none.

    Raises:
        KeyFileError: it cannot be read, is open to others, or is not a key ring.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        now_ms = int(time.time() * 1000)
        _write(path, KeyRing((_new_key(algorithm, now_ms - 60_000),), now_ms), exclusive=True)
    return read(path)


def read(path: Path) -> KeyRing:
    """The ring in this file, or KeyFileError."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise KeyFileError(f"{path}: is open to others (mode {mode:o}); run: chmod 600 {path}")
        return load_ring(json.loads(path.read_bytes()))
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise KeyFileError(f"{path}: is not a key ring: {error}") from None


def rotate(path: Path, algorithm: Algorithm, *, keep_seconds: float) -> KeyRing:
    """Add a new key that signs from now on; drop those whose tokens have all died (`keep_seconds` ago)."""
    ring = read(path)
    now_ms = int(time.time() * 1000)
    # A key's last token was signed when its successor began to sign.
    successors = [*ring.keys[1:], None]
    kept = tuple(
        key
        for key, successor in zip(ring.keys, successors, strict=True)
        if successor is None or successor.created_ms / 1000 + keep_seconds > now_ms / 1000
    )
    rotated = KeyRing((*kept, _new_key(algorithm, now_ms)), ring.created_ms)
    _write(path, rotated, exclusive=False)
    return rotated


def _new_key(algorithm: Algorithm, created_ms: int) -> Key:
    return Key(secrets.token_hex(4), secrets.token_bytes(SECRET_BYTES), algorithm, created_ms)


def _write(path: Path, ring: KeyRing, *, exclusive: bool) -> None:
    """Write beside, then link or move into place, so that no reader meets half a file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(dump_ring(ring), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    try:
        if exclusive:
            os.link(beside, path)
        else:
            beside.replace(path)
    except FileExistsError:
        pass  # another gate was first; its ring is the ring
    finally:
        beside.unlink(missing_ok=True)
