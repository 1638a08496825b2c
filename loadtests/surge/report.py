"""A run as a page of plots and a page of words."""

import html
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from gate.core.line import release_cap
from gate.simulation.plots import Curve, Plot, page
from loadtests.surge.answers import Kind, Step
from loadtests.surge.prediction import Pair, Prediction
from loadtests.surge.recording import OK, Run, gate_bytes
from loadtests.surge.verdict import MIB, Check

_WINDOW_SECONDS = 5.0
_SHARES = (50, 99)


def write_report(folder: Path, run: Run, checks: list[Check], prediction: Prediction) -> None:
    """`report.html` and `summary.md`."""
    figures = {**_crowd_figures(run), **_line_figures(run), **_machine_figures(run)}
    title = f"Surge of {run.plan.visitors:,} visitors"
    broken = [check for check in checks if not check.passed]
    verdict = f"{len(broken)} of {len(checks)} checks broken" if broken else f"All {len(checks)} checks kept"
    tables = [
        (["what", "seen"], [[name, text] for name, text in figures.items()]),
        (["check", "held", "seen"], [[c.name, "yes" if c.passed else "NO", c.said] for c in checks]),
        (["simulator against measurement", "measured", "simulated", "off"], [_pair(p) for p in prediction.pairs]),
    ]
    text = [f"# {title}", "", f"**{verdict}.** {_what_it_is(run)}", *("\n" + _markdown(*table) for table in tables)]
    (folder / "summary.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    intro = f"<p><strong>{verdict}.</strong> {_what_it_is(run)}</p>" + "".join(_html(*table) for table in tables)
    (folder / "report.html").write_text(page(title, intro, _plots(run, prediction)), encoding="utf-8")


def _what_it_is(run: Run) -> str:
    """What was simulated and what was not, in a few words."""
    kinds = [(len(np.unique(run.kind(kind)["visitor"])), kind.name.lower().replace("_", "-")) for kind in Kind]
    return (
        f"Gate, store, box office and crowd ({run.crowd}) shared one machine and its loopback. A visitor is a record "
        "with its own cookies, address, place and schedule, not a connection of its own; it does not fetch the page's "
        "files. Kinds: " + ", ".join(f"{number:,} {name}" for number, name in kinds if number) + "."
    )


def _crowd_figures(run: Run) -> dict[str, str]:
    joins, asked = run.of(Step.JOIN, status=OK), run.of(Step.POLL)
    moments = np.sort(run.placed["got"][np.unique(run.placed["visitor"], return_index=True)[1]])
    idle = int(np.sum(run.placed["step"] == Step.PAGE))
    most = f"{_busiest(moments, 1.0):,.0f} in one second, {_busiest(moments, 10.0):,.0f} over ten"
    return {
        "visitors": f"{run.plan.visitors:,}, of whom {len(moments):,} took a place ({idle:,} while nobody waited)",
        "duration": f"{(run.rows['got'][-1] - run.start) / 60:.1f} min",
        "requests": f"{len(run.rows):,}",
        "joined a second, at the peak": most,
        "join, p50 and p99": _percentiles(joins),
        "poll, p50 and p99": _percentiles(asked),
        "claim, p50 and p99": _percentiles(run.of(Step.CLAIM)),
        "polls a second, most over ten seconds": f"{_busiest(np.sort(asked['got']), 10.0):,.0f}",
        "acts late by the crowd's own slowness": _late(run.late),
        "errors (5xx, lost answers)": f"{len(run.errors)}",
    }


def _late(late: list[float]) -> str:
    return f"at most {late[0]:.2f} s of those who waited, {late[1]:.1f} s of newcomers" if late else "not measured"


def _line_figures(run: Run) -> dict[str, str]:
    waiting = (run.looks["issued"] - run.looks["served"]).astype(np.int64)
    killed = ", ".join(f"{fault['what']} at {fault['time'] - run.start:.0f} s" for fault in run.faults)
    return {
        "waiting at once, at most": f"{int(waiting.max()):,}",
        "let in": f"{int(run.looks['served'][-1]):,} at {run.plan.release_rate:g}/s",
        "killed on purpose": killed or "nothing",
    }


def _machine_figures(run: Run) -> dict[str, str]:
    used, keys = gate_bytes(run), [size["store"]["keys"] for size in run.sizes if "store" in size]
    calls = [size["calls"] for size in run.sizes if "calls" in size]
    busiest = max((later - earlier for earlier, later in pairwise(calls)), default=0)
    grown = (keys[-1] - keys[0]) / int(run.looks["issued"][-1])
    spent: dict[str, float] = defaultdict(float)
    for size in run.sizes:
        for name, one in size["processes"].items():
            spent[_role(name)] += one["cpu"]
    return {
        "store memory, keys": f"{_kib(keys[0])} at the start, {_kib(max(keys))} at most, {_kib(keys[-1])} at the end",
        "store memory a visitor": f"{grown:.2f} bytes",
        "gate memory": f"{_mib(used[0])} at the start, {_mib(max(used))} at most, {_mib(used[-1])} at the end",
        "store calls a second, at most": f"{busiest:,}",
        "CPU seconds": ", ".join(f"{name} {seconds:,.0f}" for name, seconds in spent.items()),
    }


def _kib(size: float) -> str:
    return f"{size / 1024:,.0f} KiB"


def _mib(size: float) -> str:
    return f"{size / MIB:,.0f} MiB"


def _plots(run: Run, prediction: Prediction) -> list[Plot]:
    time = run.looks["asked"] - run.start
    step = max(len(time) // 1_500, 1)
    time, looks = time[::step], run.looks[::step]
    end = float(time[-1])
    marks = [(fault["time"] - run.start, f"{fault['what']} killed") for fault in run.faults]
    across = "seconds since the first visitor"
    night = prediction.night
    thin = max(len(night.times) // 1_500, 1)
    law = looks["served"][0] + run.plan.release_rate * np.maximum(time, 0) + release_cap(run.plan.release_rate, None)
    joined = run.placed["got"][np.unique(run.placed["visitor"], return_index=True)[1]] - run.start
    polls = run.of(Step.POLL)["got"] - run.start
    simulated = np.array(prediction.visits.polls)
    return [
        Plot("Joins", across, "joins a second", [_rate("joins", joined, end)], marks),
        Plot(
            "Waiting",
            across,
            "visitors",
            [
                Curve("measured", time, (looks["issued"] - looks["served"]).astype(np.int64)),
                Curve("simulated", night.times[::thin], (np.array(night.issued) - np.array(night.served))[::thin]),
            ],
            marks,
        ),
        Plot(
            "Now serving, against the law",
            across,
            "places",
            [
                Curve("dealt", time, looks["issued"]),
                Curve("now serving", time, looks["served"]),
                Curve("the most law 4 allows from the start", time, np.minimum(law, looks["issued"][-1])),
            ],
            marks,
        ),
        Plot(
            "Polls",
            across,
            "requests a second",
            [_rate("measured", polls, end), _rate("simulated by the rule", simulated, end, prediction.visits.weight)],
            marks,
        ),
        Plot("Latency, as Locust saw it", across, "milliseconds", _latencies(run, end), marks, logarithmic=True),
        Plot("CPU", across, "cores", _by_process(run, "cpu", 1.0), marks),
        Plot("Memory", across, "MiB", _by_process(run, "rss", 1 / MIB), marks),
    ]


def _rate(label: str, moments: np.ndarray, end: float, weight: float = 1.0) -> Curve:
    edges = np.arange(0, end + _WINDOW_SECONDS, _WINDOW_SECONDS)
    counts, _ = np.histogram(moments, edges)
    return Curve(label, edges[:-1] + _WINDOW_SECONDS / 2, counts * weight / _WINDOW_SECONDS)


def _latencies(run: Run, end: float) -> list[Curve]:
    edges = np.arange(0, end + _WINDOW_SECONDS, _WINDOW_SECONDS)
    curves = []
    for name, steps in (("join", (Step.JOIN,)), ("poll", (Step.POLL,)), ("claim", (Step.CLAIM,))):
        rows = run.of(*steps)
        slot = np.digitize(rows["got"] - run.start, edges)
        took = (rows["got"] - rows["sent"]) * 1000
        for share in _SHARES:
            points = [
                (edges[s - 1], np.percentile(took[slot == s], share)) for s in np.unique(slot) if 0 < s < len(edges)
            ]
            curves.append(Curve(f"{name} p{share}", [x for x, _ in points], [y for _, y in points]))
    return curves


def _by_process(run: Run, what: str, scale: float) -> list[Curve]:
    """One curve a process, numbered where there are several of a kind."""
    times = [size["time"] - run.start for size in run.sizes]
    names = dict.fromkeys(name for size in run.sizes for name in size["processes"])
    curves, seen = [], Counter()
    for name in names:
        kind = name.rpartition(" ")[0]
        seen[kind] += 1
        label = f"{kind} {seen[kind]}" if kind.endswith("worker") else kind
        sizes = [size["processes"].get(name) for size in run.sizes]
        curves.append(Curve(label, times, [one[what] * scale if one else float("nan") for one in sizes]))
    return curves


def _role(name: str) -> str:
    return name.split(maxsplit=1)[0]


def _busiest(moments: np.ndarray, width: float) -> float:
    """The most a second in any window of that width."""
    ends = np.searchsorted(moments, moments + width, side="left")
    return float(np.max(ends - np.arange(len(moments)))) / width if len(moments) else 0.0


def _percentiles(rows: np.ndarray) -> str:
    took = (rows["got"] - rows["sent"]) * 1000
    return ", ".join(f"{np.percentile(took, share):.1f} ms" for share in _SHARES) if len(took) else "none"


def _pair(pair: Pair) -> list[str]:
    return [pair.name, f"{pair.measured:,.1f}", f"{pair.simulated:,.1f}", f"{pair.off:+.1%}"]


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _html(head: list[str], rows: list[list[str]]) -> str:
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _cell(text: str) -> str:
    return f'<td class="bad">{text}</td>' if text == "NO" else f"<td>{html.escape(text)}</td>"
