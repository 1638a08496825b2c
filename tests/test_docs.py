"""The docs tell the truth: settings, files, commands, slugs and endpoints they name exist, and the reverse."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gate.cli import _VERBS
from gate.core.errors import Reason
from gate.settings import load

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_table_of_settings_is_the_tables():
    """docs/configuration.md holds each setting as it is; `python docs/render_settings.py` mends it."""
    sys.path.insert(0, str(ROOT / "docs"))
    from render_settings import PAGE, render

    text = PAGE.read_text(encoding="utf-8")
    assert text == render(text)


def test_the_example_configuration_is_valid(tmp_path):
    """What the page shows can be used."""
    example = re.search(r"```toml\n(.*?)```", (ROOT / "docs/configuration.md").read_text(), re.DOTALL)[1]
    path = tmp_path / "gate.toml"
    path.write_text(example)
    assert [room.name for room in load(path, environ={}).rooms] == ["sale", "rest"]


def test_the_recipes_for_bypass_are_valid(tmp_path):
    """Each rule of the table is one."""
    rules = re.findall(r"`(\{ .*? \})`", (ROOT / "docs/operations.md").read_text())
    assert len(rules) >= 5
    path = tmp_path / "gate.toml"
    path.write_text("[[room]]\nbypass = [" + ", ".join(rules) + "]\n")
    assert len(load(path, environ={}).rooms[0].bypass) == len(rules)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Every relative link is a file, and so is every path that is named in code marks."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", text):
        assert (page.parent / target).exists(), target
    for target in re.findall(r"`((?:gate|tests|docs|static|loadtests|deploy)/[\w./]+?)`", text):
        assert (ROOT / target).exists(), target


def test_make_targets_and_verbs_that_the_docs_name_exist():
    """`make x` and `gate x`."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets
    verbs = set(re.findall(r"`gate ([a-z]+)", text)) | set(re.findall(r"^gate ([a-z]+)", text, re.MULTILINE))
    said = subprocess.run([sys.executable, "-m", "gate", "--help"], capture_output=True, text=True, check=True).stdout
    assert all(f"\n  {verb} " in said for verb in verbs)


def test_every_verb_explains_itself_with_an_example():
    """`gate VERB --help`."""
    for verb in _VERBS:
        said = subprocess.run(
            [sys.executable, "-m", "gate", verb, "--help"], capture_output=True, text=True, check=True
        )
        assert "Example:" in said.stdout


def test_slugs_in_the_docs_are_reasons():
    """A slug that is shown is one that is sent."""
    text = (ROOT / "docs/http-api.md").read_text()
    for slug in re.findall(r"`(ticket-\w+|room-\w+|must-wait|pass-\w+)`", text):
        assert slug in set(Reason)


def test_every_dependency_has_its_line():
    """One reason each in docs/dependencies.md, and none without."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text = (ROOT / "docs/dependencies.md").read_text()
    for requirement in project["project"]["dependencies"]:
        name = re.match(r"[\w-]+", requirement)[0]
        assert f"\n| {name} |" in text, name
    for requirement in project["dependency-groups"]["dev"]:
        assert re.match(r"[\w-]+", requirement)[0] in text, requirement


def test_nothing_of_a_machine_is_in_the_tree():
    """No registry's host and no home directory in any tracked file."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    words = ["pypi" + ".org/simple", "find-" + "links", "/ro" + "ot/", "index-" + "url", "/wo" + "rk/"]
    for name in tracked:
        text = (ROOT / name).read_text(encoding="utf-8", errors="ignore") if (ROOT / name).is_file() else ""
        for word in words:
            assert word not in text, (name, word)


def test_adrs_are_listed():
    """The index names every decision."""
    index = (ROOT / "docs/adr/README.md").read_text()
    for page in (ROOT / "docs/adr").glob("0*.md"):
        assert f"({page.name})" in index
