"""The table of docs/capacity.md, from the simulator: what nights from ten thousand to ten million visitors ask.

    python loadtests/capacity.py docs/capacity.md

Each night is the on-sale of `gate simulate` with a wall of 60 s, let in within about an hour, pages asking by the
default rule. Some minutes of one core.
"""

import re
import sys
from pathlib import Path

from gate.core.rate import format_rate
from gate.core.room import Room
from gate.simulation import needs
from gate.simulation.arrivals import on_sale
from gate.simulation.night import Night
from gate.simulation.outcome import Outcome, megabits
from gate.simulation.scenario import Scenario
from gate.simulation.visitors import follow

SIZES = (10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000)
_HOUR_SECONDS = 3_000
_HEAD = (
    "visitors", "release rate", "most waiting", "longest wait (99 in 100)", "joins/s", "polls/s",
    "polls/s behind a CDN",
    "store calls/s", "Mbit/s, without and with a CDN", "cores for gates, without and with a CDN",
)  # fmt: skip


def row(visitors: int) -> list[str]:
    """One night."""
    rate = max(round(visitors / _HOUR_SECONDS), 5)
    arrivals = on_sale(visitors, early_seconds=600, wall_seconds=60, tail_seconds=1_800)
    scenario = Scenario(arrivals, Room(release_rate=float(rate)), gates=2, sample=20_000)
    night = Night(scenario).run()
    outcome = Outcome(night, follow(night))
    peak = outcome.peak()
    cdn = {**peak, "poll": needs.behind_cdn(peak["poll"], scenario.edges)}
    longest = max(band.waits[-1] for band in outcome.bands())
    return [
        f"{visitors:,}",
        format_rate(rate),
        f"{outcome.most_waiting:,}",
        f"{longest / 60:.0f} min",
        f"{peak['join']:,.0f}",
        f"{peak['poll']:,.0f}",
        f"{cdn['poll']:,.0f}",
        f"{outcome.store_calls():,.0f}",
        f"{megabits(peak):,.0f}, {megabits(cdn):,.0f}",
        f"{needs.cores(peak)}, {needs.cores(cdn)}",
    ]


def main(document: str) -> None:
    """Put the table between the marks of a document."""
    rows = []
    for visitors in SIZES:
        rows.append(row(visitors))
        print(" | ".join(rows[-1]), flush=True)
    lines = ["| " + " | ".join(cells) + " |" for cells in (_HEAD, ["---"] * len(_HEAD), *rows)]
    path = Path(document)
    begin, end = "<!-- nights -->", "<!-- end of nights -->"
    text = re.sub(f"{begin}.*{end}", lambda _: "\n".join([begin, *lines, end]), path.read_text(), flags=re.DOTALL)
    path.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
