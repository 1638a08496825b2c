"""The file of named tokens: names, scopes and SHA-256 digests, 0600, replaced whole. No token is kept in it.

A token is 32 random bytes, so a plain digest gives nothing to guess at.
"""

import hashlib
import json
import os
import re
import secrets
import stat
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

FILE_NAME = "admin-tokens.json"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,38}[a-z0-9])?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RESERVED = ("operator", "configuration", "gate")
_TOKEN_BYTES = 32


class Scope(StrEnum):
    """What a token opens: `read` looks, `operate` changes too."""

    READ = "read"
    OPERATE = "operate"


class TokenFileError(Exception):
    """The file cannot be used; the message names it and says what is wrong, never a digest."""


@dataclass(frozen=True, slots=True)
class NamedToken:
    """One token by its digest (hexadecimal SHA-256)."""

    name: str
    scope: Scope
    digest: str


def read_tokens(path: Path) -> tuple[NamedToken, ...]:
    """All tokens of the file; none if there is no file.

    Raises:
        TokenFileError: it cannot be read, is open to others, or holds something else.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise TokenFileError(f"{path}: is open to others (mode {mode:o}); run: chmod 600 {path}")
        rows = json.loads(path.read_bytes())
        return tuple(NamedToken(str(row["name"]), Scope(row["scope"]), _digest(row["digest"])) for row in rows)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise TokenFileError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise TokenFileError(f"{path}: is not a file of tokens") from None


def add_token(path: Path, name: str, scope: Scope) -> str:
    """Make a token and keep its digest; the token itself is returned once and kept nowhere.

    Raises:
        TokenFileError: the name is taken or is not one, or the file cannot be used.
    """
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise TokenFileError(f"{name[:40]}: is not a name; allowed: 1 to 40 of a-z, 0-9, '.', '_' and '-'; not ours")
    known = read_tokens(path)
    if any(token.name == name for token in known):
        raise TokenFileError(f"{name}: is taken; remove it first")
    text = secrets.token_urlsafe(_TOKEN_BYTES)
    _write(path, (*known, NamedToken(name, scope, hashlib.sha256(text.encode()).hexdigest())))
    return text


def remove_token(path: Path, name: str) -> None:
    """From now on it is no token; TokenFileError if there is none of this name."""
    known = read_tokens(path)
    left = tuple(token for token in known if token.name != name)
    if len(left) == len(known):
        raise TokenFileError(f"{name[:40]}: no such token")
    _write(path, left)


def _digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        raise ValueError("not a digest")
    return text


def _write(path: Path, tokens: tuple[NamedToken, ...]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump([asdict(token) for token in tokens], file, indent=1)
    beside.replace(path)
