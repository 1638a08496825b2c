"""The table of `docs/threat-model.md` is whole: every row has its test, by name."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (\d+) \| .* \| \[`[a-z_.]+`\]\(\.\./(tests/[a-z_/.]+)\) \|$", re.MULTILINE)


def test_every_row_has_its_test():
    """Forty-eight rows, each with a `test_row_N_` in the file that it names; row 46 has the differential test."""
    rows = {int(number): ROOT / path for number, path in ROW.findall((ROOT / "docs/threat-model.md").read_text())}
    assert sorted(rows) == list(range(1, 49))
    for number, path in rows.items():
        text = path.read_text()
        assert f"def test_row_{number}_" in text, (number, path.name)
