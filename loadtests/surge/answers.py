"""Every answer that a visitor got, as one short row: written by Locust's processes, read by the verdict."""

import struct
from enum import IntEnum
from pathlib import Path

import numpy as np

# sent, got (monotonic seconds of this machine), visitor, position, era, status, kind, step, whether it was let in
_ROW = struct.Struct("<ddIIQHBB?")
ROW = np.dtype(
    [
        ("sent", "<f8"),
        ("got", "<f8"),
        ("visitor", "<u4"),
        ("position", "<u4"),
        ("era", "<u8"),
        ("status", "<u2"),
        ("kind", "u1"),
        ("step", "u1"),
        ("admitted", "?"),
    ]
)
_BUFFER_ROWS = 4_096


class Kind(IntEnum):
    """Who a visitor is."""

    PATIENT = 0
    IMPATIENT = 1
    NO_SHOW = 2
    API = 3
    FORGER = 4
    BOT = 5


class Step(IntEnum):
    """What was asked."""

    PAGE = 0
    JOIN = 1
    POLL = 2
    CLAIM = 3
    BROWSE = 4
    BUY = 5
    RELOAD = 6
    TAB = 7
    LEAVE = 8
    FORGED = 9
    BARE = 10
    """Asked without any cookie."""
    LOST = 11
    """No request: this visitor had not come to the end when the run ended."""
    GONE = 12
    """No request: this visitor went away by choice."""
    BARE_JOIN = 13
    """A join without any cookie."""


class Answers:
    """The file of one process."""

    def __init__(self, folder: Path, part: int) -> None:
        self._file = (folder / f"answers-{part}.rows").open("wb")
        self._rows: list[bytes] = []

    def add(
        self,
        sent: float,
        got: float,
        visitor: int,
        place: tuple[int, int],
        status: int,
        kind: int,
        step: int,
        admitted: bool,
    ) -> None:
        """One answer; `place` is era and position, both 0 where there is none; status 0 means that none came."""
        self._rows.append(_ROW.pack(sent, got, visitor, place[1], place[0], status, kind, step, admitted))
        if len(self._rows) >= _BUFFER_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered."""
        self._file.write(b"".join(self._rows))
        self._file.flush()
        self._rows.clear()


def read(folder: Path) -> np.ndarray:
    """All answers of a run, by the moment they came."""
    parts = [np.fromfile(path, dtype=ROW) for path in sorted(folder.glob("answers-*.rows"))]
    rows = np.concatenate(parts) if parts else np.empty(0, dtype=ROW)
    return rows[np.argsort(rows["got"], kind="stable")]
