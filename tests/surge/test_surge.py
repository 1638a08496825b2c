"""The surge in small: everything started and stopped by itself, every law kept, and every sabotage noticed."""

import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.surge.sabotage import SABOTAGES

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def surge(*words):
    """Run it."""
    command = [sys.executable, "-m", "loadtests.surge", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One surge of five thousand, and what it said."""
    folder = tmp_path_factory.mktemp("surge") / "report"
    return folder, surge("--visitors", "5000", "--out", str(folder))


def test_five_thousand_visitors_of_every_kind_break_no_law(run):
    """The verdict is the exit code; a page of plots and a summary are left."""
    folder, said = run
    assert said.returncode == 0, said.stdout + said.stderr
    assert "BROKEN" not in said.stdout
    assert said.stdout.count("kept  ") == 12
    assert (folder / "report.html").read_text().count("<svg role=") == 7
    summary = (folder / "summary.md").read_text()
    assert "5,000" in summary
    assert "no errors | yes" in summary


def test_each_sabotage_is_noticed_by_the_check_that_is_meant_for_it(run):
    """A verdict that cannot fail is none."""
    folder, _ = run
    said = surge("--judge", str(folder), "--sabotage", "all")
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.count("caught") == len(SABOTAGES)


def test_a_broken_law_is_the_exit_code(run):
    """For scripts."""
    folder, _ = run
    said = surge("--judge", str(folder), "--sabotage", "unique")
    assert said.returncode == 1
    assert "BROKEN  law 1, unique" in said.stdout
    assert "kept    law 3, monotone" in said.stdout


def test_a_wall_by_the_crowd_that_costs_less(tmp_path):
    """All within three seconds."""
    said = surge("--visitors", "2000", "--wall", "3", "--out", str(tmp_path / "report"))
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.count("kept  ") == 11


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--visitors", "10"], "--visitors: from 1,000"),
        (["--faults", "--store", "redis://127.0.0.1:1"], "--faults kills the embedded store"),
        (["--sabotage", "all"], "name it with --judge"),
        (["--sabotage", "gravity"], "invalid choice"),
    ],
)
def test_what_cannot_be_run_is_one_line(words, wrong):
    """Exit 2."""
    said = surge(*words)
    assert said.returncode == 2
    assert wrong in said.stderr
