"""How large a fault test is, and where it tells what it saw. `make faults` asks for the long form and the table."""

import json
import os
import sys
from pathlib import Path

LONG = os.environ.get("GATE_FAULTS") == "long"
_OUT = os.environ.get("GATE_FAULTS_OUT", "")


def sized(short: int, long: int) -> int:
    """This many in the short form, that many in the long one."""
    return long if LONG else short


def tell(row: str, load: str, result: str, control: str = "–") -> None:  # noqa: RUF001
    """One line of the table in `docs/reliability.md`."""
    sys.stderr.write(f"\n[{row}] {load}: {result}; control: {control}\n")
    if _OUT:
        with Path(_OUT).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"row": row, "load": load, "result": result, "control": control}) + "\n")
