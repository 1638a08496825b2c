"""Writes what is inside as CycloneDX 1.6 from a lock: `python deploy/sbom.py requirements.lock > deploy/sbom.json`.

Nothing in it depends on when or where it was made, so the same lock gives the same bytes.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?: ; ([^\\\n]+?))? *\\?$", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def components(lock: str) -> list[dict[str, object]]:
    """One a pin, with the hashes that an installer would accept, and where it is needed."""
    found = []
    pins = list(_PIN.finditer(lock))
    for pin, following in zip(pins, [*pins[1:], None], strict=True):
        name, version, where = pin.groups()
        block = lock[pin.end() : following.start() if following else len(lock)]
        purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
        component: dict[str, object] = {"type": "library", "bom-ref": purl, "purl": purl}
        component |= {"name": name, "version": version}
        component["hashes"] = [{"alg": "SHA-256", "content": digest} for digest in sorted(_HASH.findall(block))]
        if where:
            component["properties"] = [{"name": "python:marker", "value": where.strip()}]
        found.append(component)
    return found


def document(lock: Path) -> dict[str, object]:
    """The whole bill of materials."""
    project = tomllib.loads((lock.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    parts = components(lock.read_text(encoding="utf-8"))
    own = f"pkg:pypi/{project['name']}@{project['version']}"
    refs = [str(part["bom-ref"]) for part in parts]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": project["name"],
                "version": project["version"],
                "purl": own,
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": parts,
        "dependencies": [{"ref": own, "dependsOn": refs}],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(Path(sys.argv[1]).resolve()), indent=1) + "\n")
