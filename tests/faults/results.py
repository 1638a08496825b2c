"""How large a fault test is, and where it tells what it saw. `make faults` asks for the long form and the table."""

import json
import os
import re
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


def table(told: list[dict[str, str]]) -> str:
    """The lines as Markdown, in the order of their numbers; of a line told twice the later one."""
    latest = {one["row"]: one for one in told}
    rows = sorted(latest.values(), key=lambda one: (int(one["row"].split()[0]), list(latest).index(one["row"])))
    cells = [f"| {one['row']} | {one['load']} | {one['result']} | {one['control']} |" for one in rows]
    return "\n".join(["| what | load | result | control |", "|---|---|---|---|", *cells])


def main(told: str, document: str) -> None:
    """Put what was told between the marks of a document."""
    lines = [json.loads(line) for line in Path(told).read_text(encoding="utf-8").splitlines()]
    path = Path(document)
    text = path.read_text(encoding="utf-8")
    begin, end = "<!-- results -->", "<!-- end of results -->"
    fresh = re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n{table(lines)}\n{end}", text, flags=re.DOTALL)
    path.write_text(fresh, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
