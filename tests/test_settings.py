"""The configuration: every fault at once, later sources win, and the docs tell the truth about the table."""

import socket
import subprocess
import sys

import pytest

from gate.fault import ConfigError
from gate.setting_table import TABLE
from gate.settings import load, warnings

BROKEN = """
[server]
listen = "nowhere"
lisen = ":1"
[origin]
url = "ftp://x/y"
[store]
url = "http://:hunter2@x"
[[room]]
release_rate = 0
mode = "prequeue"
paths = ["book"]
[[room]]
max_active = 3
pass_life = "ten minutes"
waiting_status = 418
[oops]
"""


def test_every_fault_is_found_at_once(tmp_path):
    """File, key, what is wrong, what is allowed, a line each; no secret repeated."""
    path = tmp_path / "gate.toml"
    path.write_text(BROKEN)
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    text = str(caught.value)
    for key in ("server.listen", "server.lisen", "origin.url", "store.url", "room[0].release_rate", "room[0].mode",
                "room[0].paths", "room[1].max_active", "room[1].pass_life", "room[1].waiting_status", "room[1].name", "oops"):  # fmt: skip
        assert sum(line.startswith(f"{path}: {key}: ") for line in text.splitlines()) == 1, key
    assert all("; allowed: " in line for line in text.splitlines())
    assert "did you mean listen?" in text
    assert "hunter2" not in text


def test_gate_check_exits_2_with_a_line_a_fault(tmp_path):
    """On the command line, and 0 for a file without faults, with a warning where cookies would not reach."""
    broken, fine = tmp_path / "broken.toml", tmp_path / "fine.toml"
    broken.write_text(BROKEN)
    fine.write_text('[[room]]\nname = "sale"\nhosts = ["shop.example", "www.shop.example"]\n')
    gate = [sys.executable, "-m", "gate", "check"]
    bad = subprocess.run([*gate, str(broken)], capture_output=True, text=True, check=False)
    assert (bad.returncode, len(bad.stderr.splitlines())) == (2, 12)
    good = subprocess.run([*gate, str(fine)], capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr.count("cookie_domain")) == (0, 1)
    assert subprocess.run([*gate, str(tmp_path / "none.toml")], capture_output=True, check=False).returncode == 2


def test_later_sources_win(tmp_path):
    """Command line above environment above file above default."""
    path = tmp_path / "gate.toml"
    path.write_text('[server]\nlisten = "127.0.0.1:1"\n[[room]]\nrelease_rate = "1/s"\n')
    environ = {"GATE_LISTEN": "127.0.0.1:2", "GATE_ROOM_RELEASE_RATE": "30/min"}
    assert load(path, environ={}).server["listen"] == ("127.0.0.1", 1)
    config = load(path, environ=environ)
    assert (config.server["listen"][1], config.rooms[0].release_rate) == (2, 0.5)
    assert load(path, environ=environ, overrides={("server", "listen"): ":3"}).server["listen"] == ("0.0.0.0", 3)


def test_without_a_file_one_room_protects_everything():
    """Defaults alone are a gate."""
    config = load(None, environ={"GATE_ORIGIN_URL": "http://shop.internal"})
    assert [(room.name, room.hosts, room.paths) for room in config.rooms] == [("default", (), ())]
    assert warnings(config) == []


def test_environment_faults_name_the_variable():
    """So that whoever set it can find it."""
    with pytest.raises(ConfigError, match="environment GATE_ROOM_MODE: room.0..mode: is 'x'; allowed: one of auto"):
        load(None, environ={"GATE_ROOM_MODE": "x"})


def test_names_of_variables_differ():
    """No two settings share one."""
    assert len({row.env for row in TABLE}) == len(TABLE)


def test_serve_needs_an_origin(tmp_path):
    """One line and exit 2, not a gate before nothing."""
    command = [sys.executable, "-m", "gate", "serve", "--state-dir", str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert (said.returncode, len(said.stderr.splitlines())) == (2, 1)
    assert "origin.url: is missing" in said.stderr


def test_twins_and_slips_are_told(tmp_path):
    """Two rooms of the same URLs are a fault; `[rooms]` is pointed to `[[room]]`; a missing origin is a warning."""
    path = tmp_path / "gate.toml"
    path.write_text('[rooms]\n[[room]]\nname = "a"\npaths = ["/x"]\n[[room]]\nname = "b"\npaths = ["/x"]\n')
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    assert "did you mean [[room]]?" in str(caught.value)
    assert "room[1].paths: are those of room 'a'" in str(caught.value)
    path.write_text("[server]\n")
    said = subprocess.run(
        [sys.executable, "-m", "gate", "check", str(path)], capture_output=True, text=True, check=True
    )
    assert "origin.url is not set" in said.stderr


def test_a_demo_whose_port_is_taken_invites_nobody():
    """One line a port, with the option that helps, and exit 2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "gate", "demo", "--origin-listen", f"127.0.0.1:{port}", "--listen", "127.0.0.1:0",
                   "--admin", "127.0.0.1:0"]  # fmt: skip
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.count("\n") == 1
    assert "--origin-listen" in said.stderr
