"""Curves of a night as one HTML page that needs nothing else: drawn by matplotlib, the extra `plots`."""

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import matplotlib as mpl
from matplotlib.figure import Figure

# Distinguishable without colours too: the styles differ as well (Okabe and Ito's palette).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
_STYLES = ("-", "--", "-.", ":", "-", "--", "-.")
_SIZE_INCHES = (9.0, 3.2)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title>
<style>
 body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff }}
 figure {{ margin: 2rem 0 }} figcaption {{ font-weight: 600; margin-bottom: .25rem }} svg {{ width: 100%; height: auto }}
 table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }} td, th {{ border-bottom: 1px solid #ccc; padding: .25rem .75rem; text-align: left }}
 td.number {{ text-align: right }} .bad {{ color: #b00020; font-weight: 600 }}
</style></head><body>
<h1>{title}</h1>
{intro}
{figures}
</body></html>
"""  # noqa: E501  (a page, not code)


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a plot."""

    label: str
    xs: Sequence[float]
    ys: Sequence[float]


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture: what it shows, what is on its axes, its lines, and moments to mark."""

    title: str
    across: str
    up: str
    curves: list[Curve]
    marks: list[tuple[float, str]] = field(default_factory=list)
    logarithmic: bool = False


def page(title: str, intro: str, plots: list[Plot]) -> str:
    """The whole page; `intro` is HTML."""
    figures = "\n".join(
        [f"<figure><figcaption>{html.escape(plot.title)}</figcaption>{draw(plot)}</figure>" for plot in plots]
    )
    return _PAGE.format(title=html.escape(title), intro=intro, figures=figures)


def draw(plot: Plot) -> str:
    """One picture as SVG text."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": plot.title, "font.size": 9}):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        for number, curve in enumerate(plot.curves):
            colour, style = _COLOURS[number % len(_COLOURS)], _STYLES[number % len(_STYLES)]
            axes.plot(curve.xs, curve.ys, style, color=colour, label=curve.label, linewidth=1.3)
        for moment, text in plot.marks:
            axes.axvline(moment, color="#666666", linewidth=0.8, linestyle=":")
            axes.annotate(text, (moment, 1), xycoords=("data", "axes fraction"), fontsize=7, rotation=90, va="top")
        axes.set_xlabel(plot.across)
        axes.set_ylabel(plot.up)
        if plot.logarithmic:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.grid(visible=True, linewidth=0.3)
        if len(plot.curves) > 1:
            axes.legend(fontsize=8)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    label = f'<svg role="img" aria-label="{html.escape(plot.title, quote=True)}"'
    return text[text.index("<svg") :].replace("<svg", label, 1)
