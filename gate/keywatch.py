"""Keeps the key ring in step with its file, so that a rotation needs no restart.

The file is looked at once a second by `run`, never during a request: an unknown kid is refused without I/O.
"""

import logging
from pathlib import Path

from gate.core.keyring import KeyRing
from gate.core.tokens import Tokens
from gate.keyfile import KeyFileError, read
from gate.loop import every

LOOK_SECONDS = 1.0
log = logging.getLogger("gate.keys")


class KeyWatch:
    """Holds the tokens made and verified with the present ring."""

    def __init__(self, path: Path, ring: KeyRing, remembered: int) -> None:
        self._path = path
        self._remembered = remembered
        self._stamp = self._look()
        self._tokens = Tokens(ring, remembered=remembered)

    def tokens(self) -> Tokens:
        """The present ring's tokens."""
        return self._tokens

    async def run(self) -> None:
        """Look until cancelled."""
        await every(LOOK_SECONDS, self._look_again)

    async def _look_again(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Read the file if it has changed. A file that cannot be used is told, and the old ring stays."""
        stamp = self._look()
        if stamp in (self._stamp, None):
            return
        self._stamp = stamp
        try:
            self._tokens = Tokens(read(self._path), remembered=self._remembered)
        except KeyFileError as error:
            log.error("keys unusable", extra={"cause": str(error)})  # noqa: TRY400  (its traceback may hold keys)
        else:
            log.info("keys read", extra={"keys": len(self._tokens.ring.keys)})

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino
