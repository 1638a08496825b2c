"""Who may do what: bearer tokens with a name and a scope, compared in constant time, guessing slowed down.

The operator's own token is made at first start in the file `admin-token` (0600), or given by the environment.
Further ones are named in `admin-tokens.json` by digest alone (`tokenfile.py`); it is read again when it changes.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from gate.admin.tokenfile import NamedToken, Scope, TokenFileError, read_tokens

_TOKEN_BYTES = 32
_TOKEN_LENGTH_MIN = 8
FAILURES_MAX = 10
REFILL_SECONDS = 6.0
_PEERS_MAX = 10_000


def load_or_make_token(state_dir: Path, given: str) -> tuple[str, Path | None]:
    """The operator's token, and the file it is kept in; a token given by the environment is in no file.

    Raises:
        TokenFileError: the file holds none.
    """
    if given:
        return given, None
    path = state_dir / "admin-token"
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        # Written beside and linked into place, so that no reader meets an empty file.
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(_TOKEN_BYTES) + "\n")
        with contextlib.suppress(FileExistsError):  # another gate was first
            os.link(beside, path)
        beside.unlink()
    token = path.read_text(encoding="utf-8").strip()
    if len(token) < _TOKEN_LENGTH_MIN:
        raise TokenFileError(f"{path}: holds no token; remove it, and the next start makes one")
    return token, path


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever a token belongs to; `name` goes on record."""

    name: str
    scope: Scope


class Operators:
    """All tokens that are good."""

    def __init__(self, token: str, named: Path) -> None:
        self._own = NamedToken("operator", Scope.OPERATE, hashlib.sha256(token.encode()).hexdigest())
        self._path = named
        self._stamp: tuple[int, ...] | None = None
        self._named: tuple[NamedToken, ...] = ()

    def refresh(self) -> str:
        """Read the named tokens if their file has changed; what is wrong with it, if anything is. Then none is good."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return ""
        self._stamp = stamp
        try:
            self._named = read_tokens(self._path) if stamp else ()
        except TokenFileError as error:
            self._named = ()
            return str(error)
        return ""

    def knows(self, name: str) -> bool:
        """Whether there is still a token of this name."""
        return any(token.name == name for token in (self._own, *self._named))

    def find(self, shown: str) -> Operator | None:
        """Whose token this is; every one is compared, in constant time."""
        if not shown:
            return None
        digest, found = hashlib.sha256(shown.encode("utf-8", "surrogateescape")).hexdigest(), None
        for token in (self._own, *self._named):
            if hmac.compare_digest(digest, token.digest):
                found = Operator(token.name, token.scope)
        return found


class Failures:
    """How many wrong tokens a peer may still show: a bucket each, refilled slowly, in bounded memory."""

    def __init__(self) -> None:
        self._peers: dict[str, tuple[float, float]] = {}

    def wait(self, peer: str, now: float) -> float:
        """Seconds until this peer may show a token again; 0 for most. `now` in seconds of any one clock."""
        level = self._level(peer, now)
        return 0.0 if level >= 1 else (1 - level) * REFILL_SECONDS

    def add(self, peer: str, now: float) -> None:
        """It showed a wrong one."""
        level = self._level(peer, now)
        self._peers.pop(peer, None)
        if len(self._peers) >= _PEERS_MAX:
            del self._peers[next(iter(self._peers))]
        self._peers[peer] = (max(level - 1, 0.0), now)

    def _level(self, peer: str, now: float) -> float:
        level, at = self._peers.get(peer, (float(FAILURES_MAX), now))
        return min(level + (now - at) / REFILL_SECONDS, float(FAILURES_MAX))


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode
