"""What is shipped: floors of dependencies, builds that can be repeated, a bill of materials, an image and a unit that hold little."""

import configparser
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
# Below these, something that the gate relies on is broken or unsafe.
FLOORS = {
    "aiohttp": ("3.14.5", "CVE-2026-54273 and -54277: memory by pipelining and dribbled heads"),
    "pyjwt": ("2.13", "the check of key lengths"),
    "cryptography": ("44", "no OpenSSL 1.1 in its wheels"),
    "redis": ("5.0", "its asyncio client's time limits"),
    "httptools": ("0.7", "llhttp 9, strict about chunks and lengths"),
    "altcha": ("2.3", "salts that cannot be spliced"),
    "uvloop": ("0.21", ""),
    "orjson": ("3.10", ""),
}


def test_dependencies_have_floors_and_the_lock_keeps_them():
    """Each dependency names a least version, the known floors are kept, and what is installed is what was locked."""
    asked = {one.name.lower(): one for one in map(Requirement, tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])}
    pins = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for name, requirement in asked.items():
        floors = [Version(part.version) for part in requirement.specifier if part.operator in (">=", "==")]
        assert floors, f"{name} has no floor"
        assert Version(pins[name]) >= max(floors)
        assert Version(version(name)) == Version(pins[name]), f"{name}: installed is not what was locked"
    for name, (floor, why) in FLOORS.items():
        assert not asked[name].specifier.contains(str(Version(floor).major - 1 if Version(floor).minor == 0 else "0")), (name, why)
        assert min(Version(part.version) for part in asked[name].specifier) >= Version(floor), (name, why)
    locked = (ROOT / "requirements.lock").read_text()
    assert locked.count("==") <= locked.count("--hash=sha256:"), "every pin has its hashes"


def test_the_bill_of_materials_is_the_locks():
    """`make sbom` would change nothing, and every pin is in it."""
    made = subprocess.run([sys.executable, str(ROOT / "deploy/sbom.py"), str(ROOT / "requirements.lock")], check=True, capture_output=True, text=True).stdout
    assert made == (ROOT / "deploy/sbom.json").read_text()
    document = json.loads(made)
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert {(part["name"], part["version"]) for part in document["components"]} == set(pins)
    assert all(part["hashes"] for part in document["components"])


@pytest.mark.slow
def test_builds_can_be_repeated(tmp_path):
    """Wheel and sdist from two copies made at different times in different places: the same bytes."""
    digests = []
    for index, name in enumerate(("one", "another-place")):
        copy = tmp_path / name
        for part in ("gate", "static", "tests", "docs"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", "shots"))
        for part in ("README.md", "CHANGELOG.md", "Makefile", "LICENSE", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
            shutil.copy(ROOT / part, copy / part)
        for file in copy.rglob("*"):
            os.utime(file, (1_600_000_000 + index * 86_400,) * 2)
        subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(copy / "dist")], cwd=copy, check=True, capture_output=True)
        built = sorted((copy / "dist").iterdir())
        assert [file.suffix for file in built] == [".whl", ".gz"] or [file.suffix for file in built] == [".gz", ".whl"]
        digests.append([(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in built])
    assert digests[0] == digests[1]


def test_the_image_runs_as_nobody_and_writes_only_its_state():
    """A user by number, pinned installs with hashes, no secret and no shell in the entry; state in a volume."""
    text = (ROOT / "Dockerfile").read_text()
    final = text.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.+)$", final, re.MULTILINE) == ["10001"]
    assert re.search(r"^ENTRYPOINT \[\"gate\", \"serve\"\]$", final, re.MULTILINE)
    assert "--require-hashes" in text
    assert "VOLUME /var/lib/gate" in final
    assert "GATE_STATE_DIR=/var/lib/gate" in final
    assert "PYTHONDONTWRITEBYTECODE=1" in final, "its root may be read-only"
    assert not re.search(r"(?i)(token|secret|password)\s*=", text)
    assert "ADD " not in text


def test_the_unit_has_a_tight_sandbox():
    """No root, no capability, a read-only system; `systemd-analyze` agrees where there is one."""
    path = ROOT / "deploy/systemd/gate.service"
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(path)
    service = unit["Service"]
    for key in ("DynamicUser", "NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectKernelTunables", "RestrictNamespaces", "MemoryDenyWriteExecute"):
        assert service[key] == "yes", key
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert service["StateDirectoryMode"] == "0700"
    assert "gate serve" in service["ExecStart"]
    if shutil.which("systemd-analyze"):
        said = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", str(path)], check=False, capture_output=True, text=True)
        assert said.returncode == 0, said.stdout[-500:] + said.stderr
