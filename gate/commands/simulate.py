"""`gate simulate`: what a night will look like, before it comes."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table

from gate import values
from gate.commands import words
from gate.core.room import PollRule, Room
from gate.fault import ConfigError
from gate.simulation.arrivals import on_sale
from gate.simulation.night import Night
from gate.simulation.outcome import Outcome, poll_choices
from gate.simulation.scenario import VISITORS_MAX, Scenario, read_scenario
from gate.simulation.visitors import follow

_DAY = 86_400
_OF_A_NIGHT = ("visitors", "rate", "early", "wall", "tail", "poll_max", "gates", "edges", "seed")


def _seconds(_context: click.Context, parameter: click.Parameter, text: str) -> float:
    return _parsed(values.seconds(1, 30 * _DAY), text, parameter)


def _rate(_context: click.Context, parameter: click.Parameter, text: str) -> float:
    return _parsed(values.rate, text, parameter)


def _parsed(parse: Any, text: str, parameter: click.Parameter) -> float:
    try:
        return float(parse(text))
    except ValueError as error:
        raise click.BadParameter(f"{text!r}; allowed: {error}", param=parameter) from None


@click.command()
@click.argument("scenario", required=False, type=click.Path(path_type=Path))
@click.option("--visitors", default=500_000, show_default=True, type=click.IntRange(1, VISITORS_MAX), help="How many.")
@click.option("--rate", default="500/s", show_default=True, callback=_rate, help="Release rate.")
@click.option("--early", default="10 min", show_default=True, callback=_seconds, help="How long early birds drip in.")
@click.option("--wall", default="60 s", show_default=True, callback=_seconds, help="How long the wall takes.")
@click.option("--tail", default="30 min", show_default=True, callback=_seconds, help="How long the tail is.")
@click.option("--poll-max", default="30 s", show_default=True, callback=_seconds, help="Longest time between polls.")
@click.option("--gates", default=6, show_default=True, type=click.IntRange(1, 1_000), help="Gate processes.")
@click.option("--edges", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Places of the CDN.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="The same seed, the same night.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON, for scripts.")
@click.option(
    "--plots", metavar="FILE", type=click.Path(path_type=Path), help="Write a page of plots (needs the extra plots)."
)
def command(
    scenario: Path | None,
    visitors: int,
    rate: float,
    early: float,
    wall: float,
    tail: float,
    poll_max: float,
    gates: int,
    edges: int,
    seed: int,
    as_json: bool,
    plots: Path | None,
) -> None:
    """Work out a night: waits, polls, what it asks of gates and store. A SCENARIO file says more than the options.

    \b
    Example:
      gate simulate --visitors 5000000 --rate 2000/s --wall 60s
      gate simulate night.toml --json
    """
    telling = _telling() if plots else None
    _refuse_both(scenario)
    if scenario is None:
        arrivals = on_sale(visitors, early_seconds=early, wall_seconds=wall, tail_seconds=tail)
        room = Room(release_rate=rate, poll=PollRule(min(2.0, poll_max), poll_max, 0.1))
        night_asked = Scenario(arrivals, room, gates=gates, edges=edges, seed=seed)
    else:
        night_asked = _read(scenario)
    document = simulate(night_asked)
    if plots and telling:
        _write(plots, telling.plots(document))
    if as_json:
        click.echo(json.dumps(document, indent=1))
    else:
        _tell(document)


def simulate(scenario: Scenario) -> dict[str, Any]:
    """The document of a night, with progress on a terminal."""
    shows = sys.stderr.isatty()

    def line(now: float, come: int, waiting: int) -> None:
        if shows:
            click.echo(f"\r{words.duration(now)}: {come:,} have come, {waiting:,} wait   ", nl=False, err=True)

    def visitors(done: int, of: int) -> None:
        if shows:
            click.echo(f"\rfollowing visitors: {done:,} of {of:,}           ", nl=False, err=True)

    night = Night(scenario).run(line)
    outcome = Outcome(night, follow(night, visitors))
    document = outcome.document(poll_choices(night))
    if shows:
        click.echo("\r" + " " * 60 + "\r", nl=False, err=True)
    return document


def _refuse_both(scenario: Path | None) -> None:
    """A file says it all; an option beside it would be heeded by nobody."""
    context = click.get_current_context()
    said = [name for name in _OF_A_NIGHT if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if scenario and said:
        raise click.UsageError(f"--{said[0].replace('_', '-')} cannot stand beside a SCENARIO file; write it there")


def _read(path: Path) -> Scenario:
    try:
        return read_scenario(path)
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise SystemExit(2) from None


def _telling() -> Any:
    try:
        return import_module("gate.simulation.telling")
    except ImportError:
        raise click.ClickException("--plots needs matplotlib: pip install 'token-gate[plots]'") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None


def _tell(night: dict[str, Any]) -> None:
    console = Console()
    peak, cores, mbit = night["peak_per_second"], night["cores"], night["megabit_per_second"]
    console.print(
        f"{night['visitors']:,} visitors; {night['served']:,} let in within {words.duration(night['seconds'])}; "
        f"at most {night['most_waiting']:,} waiting"
        + (f"; {night['turned_away']:,} turned away" if night["turned_away"] else ""),
        highlight=False,
    )
    waits = _table("came", "visitors", "half wait at most", "nine in ten", "99 in 100")
    for band in night["waits"]:
        waits.add_row(
            f"{words.duration(band['since'])} to {words.duration(band['until'])}",
            f"{band['visitors']:,}",
            *(words.duration(band[name]) for name in ("p50", "p90", "p99")),
        )
    console.print(waits)
    needs = _table("at the busiest", "without a CDN", "behind one")
    needs.add_row("polls a second at the gates", f"{peak['poll']:,.0f}", f"{peak['poll_behind_cdn']:,.0f}")
    needs.add_row("joins, claims a second", f"{peak['join']:,.0f}, {peak['claim']:,.0f}", "the same")
    needs.add_row("store calls a second, at most", f"{peak['store_calls']:,.0f}", "the same")
    needs.add_row("answers of the gates, Mbit/s", f"{mbit['without_cdn']:,.0f}", f"{mbit['with_cdn']:,.0f}")
    needs.add_row("cores for gates, at half load", str(cores["without_cdn"]), str(cores["with_cdn"]))
    console.print(needs)
    choices = _table(
        "poll settings: max", "fraction", "polls a visitor", "busiest second", "turn seen after (half, 99 in 100)"
    )
    for row in night["poll_settings"]:
        choices.add_row(
            f"{row['poll_max']:g} s",
            f"{row['poll_fraction']:g}",
            f"{row['polls_per_visitor']:.1f}",
            f"{row['peak_polls_per_second']:,.0f}",
            f"{row['notice_p50']:.1f} s, {row['notice_p99']:.1f} s",
        )
    console.print(choices)


def _table(first: str, *others: str) -> Table:
    found = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    found.add_column(first)
    for name in others:
        found.add_column(name, justify="right")
    return found
