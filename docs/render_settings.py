"""Writes the table of docs/configuration.md from gate/setting_table.py: `python docs/render_settings.py`."""

from pathlib import Path

from gate.setting_table import TABLE

PAGE = Path(__file__).with_name("configuration.md")
BEGIN, END = "<!-- settings -->", "<!-- /settings -->"


def shown(value: object) -> str:
    """A default as it would be written."""
    match value:
        case None | "" | () | {}:
            return "–"  # noqa: RUF001
        case (str(host), int(port)):
            return f'`"{host}:{port}"`'
        case bool():
            return f"`{str(value).lower()}`"
        case float():
            return f"`{value:g}`"
    return f"`{value}`"


def table() -> str:
    """All settings, a section each."""
    lines = []
    for section in dict.fromkeys(row.table for row in TABLE):
        title = "[[room]]" if section == "room" else f"[{section}]"
        lines += [f"### `{title}`", "", "| key | environment | default | what it is |", "|---|---|---|---|"]
        lines += [
            f"| `{row.key}` | `{row.env}` | {shown(row.default)} | {row.help} |"
            for row in TABLE
            if row.table == section
        ]
        lines.append("")
    return "\n".join(lines)


def render(text: str) -> str:
    """The page with its table as it should be."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
