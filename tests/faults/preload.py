"""A slow disk, a full disk and a jumping clock beneath a real server: `preload.c`, compiled and steered."""

import functools
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


@functools.cache
def preload_library(folder: Path) -> Path:
    """The library, compiled once a session into this folder."""
    library = folder / "preload.so"
    source = Path(__file__).with_name("preload.c")
    command = ["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(library), str(source)]
    subprocess.run(command, check=True, timeout=60)
    return library


@dataclass
class Preload:
    """What one server (or several) finds beneath it; `folder` holds the files that steer it."""

    library: Path
    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.fsync_takes(0)
        self.clock_is_ahead(0)
        self.disk_is_full(False)

    @property
    def environ(self) -> dict[str, str]:
        """For the server's process."""
        return {
            "LD_PRELOAD": str(self.library),
            "GATE_TEST_FSYNC_MS_FILE": str(self.folder / "fsync"),
            "GATE_TEST_CLOCK_FILE": str(self.folder / "clock"),
            "GATE_TEST_FULL_FILE": str(self.folder / "full"),
        }

    def fsync_takes(self, milliseconds: int) -> None:
        """Each fsync from now on takes so much longer."""
        self._write("fsync", milliseconds)

    def clock_is_ahead(self, seconds: int) -> None:
        """The wall clock is so far ahead of the true one (or behind) within about 10 ms."""
        self._write("clock", seconds)

    def disk_is_full(self, full: bool) -> None:
        """Writes to files fail, or work again, within about 10 ms."""
        self._write("full", int(full))

    def _write(self, name: str, value: int) -> None:
        new = self.folder / f"{name}.new"
        new.write_text(f"{value}\n")
        os.replace(new, self.folder / name)  # a reader sees the old number or the new one, never half a file
