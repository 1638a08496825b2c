"""`gate simulate`: files with all their faults at once, text, JSON and plots."""

import json
import subprocess
import sys

import pytest

NIGHT = """
visitors = 3_000
sample = 500
[room]
release_rate = "50/s"
poll_max = "20 s"
[[arrivals]]
share = 0.2
over = "10 s"
[[arrivals]]
share = 0.8
over = "5 s"
shape = "falling"
[crowd]
leave = 0.1
patience = "1 min"
[[change]]
at = "20 s"
release_rate = "100/s"
[[change]]
at = "30 s"
mode = "hold"
[[change]]
at = "40 s"
mode = "auto"
[[outage]]
at = "12 s"
for = "3 s"
[gates]
count = 4
edges = 20
"""


def simulate(*words):
    """Run the command."""
    return subprocess.run([sys.executable, "-m", "gate", "simulate", *words], capture_output=True, text=True, check=False, timeout=120)


def test_a_night_from_a_file_in_text_json_and_plots(tmp_path):
    """The same night three ways."""
    file, plots = tmp_path / "night.toml", tmp_path / "night.html"
    file.write_text(NIGHT)
    said = simulate(str(file), "--json", "--plots", str(plots))
    assert said.returncode == 0, said.stderr
    document = json.loads(said.stdout)
    assert (document["visitors"], document["served"]) == (3_000, 3_000)
    assert plots.read_text().count("<svg role=") == 4
    text = simulate(str(file)).stdout
    assert "3,000 visitors; 3,000 let in" in text
    assert "behind one" in text


def test_a_night_by_options():
    """A wall of a minute, as the help says."""
    said = simulate("--visitors", "20000", "--rate", "200/s", "--early", "30 s", "--wall", "20 s", "--tail", "1 min", "--json")
    document = json.loads(said.stdout)
    assert document["served"] == 20_000
    assert document["most_waiting"] > 5_000


def test_every_fault_of_a_file_at_once(tmp_path):
    """File, key, what is wrong, what is allowed; exit 2."""
    file = tmp_path / "night.toml"
    file.write_text(
        'visitors = -3\nfoo = 1\n[room]\nrelease_rate = "x"\nhosts = ["a"]\n[[arrivals]]\nshare = 0.5\nshap = "even"\n'
        '[[change]]\nmode = "prequeue"\n[[outage]]\nfor = -1\n[gates]\ncount = 0\n'
    )
    said = simulate(str(file))
    assert said.returncode == 2
    for key in ("visitors", "foo", "room.release_rate", "room.hosts", "arrivals[0].shap", "arrivals:", "change[0].mode", "outage[0].for", "gates.count"):
        assert f"{file}: {key}" in said.stderr
    assert all("; allowed: " in line for line in said.stderr.splitlines())


@pytest.mark.parametrize(
    ("words", "wrong"),
    [(["--rate", "-3"], "--rate"), (["--wall", "soon"], "--wall"), (["--visitors", "0"], "--visitors"), (["nowhere.toml"], "nowhere.toml"), (["nowhere.toml", "--rate", "5/s"], "--rate cannot stand beside")],
)
def test_what_is_no_night_is_one_line(words, wrong):
    """Exit 2, no traceback."""
    said = simulate(*words)
    assert said.returncode == 2
    assert wrong in said.stderr
    assert "Traceback" not in said.stderr


def test_plots_that_cannot_be_written_are_one_line(tmp_path):
    """A folder that is not there."""
    said = simulate("--visitors", "100", "--plots", str(tmp_path / "no/where.html"))
    assert said.returncode == 1
    assert "No such file" in said.stderr
