"""A simulated night in words and pictures."""

import html
from typing import Any

from gate.simulation.plots import Curve, Plot, page


def plots(night: dict[str, Any]) -> str:
    """The page of plots of an outcome's document."""
    series = night["series"]
    times = series["time"]
    waits = night["waits"]
    middle = [(band["since"] + band["until"]) / 2 for band in waits]
    pictures = [
        Plot("Waiting", "seconds of the night", "visitors", [Curve("waiting", times, series["waiting"])]),
        Plot(
            "Places dealt, and now serving",
            "seconds of the night",
            "places",
            [Curve("dealt", times, series["issued"]), Curve("now serving", times, series["served"])],
        ),
        Plot(
            "Polls",
            "seconds of the night",
            "requests a second",
            [Curve("polls without a CDN", times, series["polls_per_second"])],
        ),
        Plot(
            "How long people wait, by when they came",
            "arrival, seconds of the night",
            "seconds",
            [Curve(name, middle, [band[name] for band in waits]) for name in ("p50", "p90", "p99")],
        ),
    ]
    title = f"A night of {night['visitors']:,} visitors"
    let_in, seconds, most = night["served"], night["seconds"], night["most_waiting"]
    text = f"{let_in:,} let in within {seconds:,.0f} s; at most {most:,} waiting at once."
    return page(title, f"<p>{html.escape(text)}</p>", pictures)
