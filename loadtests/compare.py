"""The benchmark: the gate beside nginx, HAProxy and a plain aiohttp proxy, by turns on the same core.

    python loadtests/compare.py [--rounds 5] [--seconds 3] [--only poll,relay] [--out docs/benchmarks.md]

Every server is pinned to one core and has one worker; the origin (nginx) and the client (wrk, 64 keep-alive
connections) have the other. Subjects take turns within each round, so that whatever else the machine does falls on all
of them. The figure is requests per CPU-second of the server's processes (for the gate: worker and supervisor), the
median of the rounds and of the rounds' ratios; p50 and p99 are at half of the load each can take. The gate has every
check on; where a pass is needed, 10,000 different ones take turns.

Needs nginx, haproxy and wrk (on Debian: apt install nginx-light haproxy wrk).
"""

import argparse
import asyncio
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from clients import CLAIMS, GETS, JOINS, NEW_GETS, PAGES, Measured, at_half_load, idle_memory, paced, run
from subjects import MANY, ORIGIN, TICKETS, Subject, cookies, fill_line, gate, room, servers, tickets

SIZES = {"100 B": 100, "10 kB": 10_000, "100 kB": 100_000}
PACED_RATE, IDLE, WARM_SECONDS = 1_000, 10_000, 2
Subjects = dict[str, tuple[Subject, str, Path | None]]


@dataclass
class Bench:
    """One run of it all; `page` grows by a section a row."""

    rounds: int
    seconds: float
    folder: Path
    others: list[Subject]
    ours: Subject
    socket: str
    page: list[str] = field(default_factory=list)

    def script(self, name: str, text: str, **values: object) -> Path:
        """A script for wrk."""
        path = self.folder / f"{name}.lua"
        path.write_text(text.format(file=self.folder / "cookies", **values))
        return path

    def compare(self, title: str, subjects: Subjects, *, against: str) -> dict[str, list[Measured]]:
        """All subjects by turns, some rounds; one section."""
        print(title, file=sys.stderr)
        found: dict[str, list[Measured]] = {name: [] for name in subjects}
        for subject, path, script in subjects.values():
            run(subject, path, WARM_SECONDS, script)
        for number in range(self.rounds):
            for name, (subject, path, script) in subjects.items():
                found[name].append(run(subject, path, self.seconds, script))
            told = "  ".join(f"{name} {results[-1].per_cpu_second:,.0f}" for name, results in found.items())
            print(f"  round {number + 1}: {told}", file=sys.stderr, flush=True)
        lines = [["server", "requests/CPU-s", f"ratio to {against}", "p50 ms", "p99 ms", "MB", "errors"]]
        for name, (subject, path, script) in subjects.items():
            half = at_half_load(subject, path, script, middle(found[name], "per_second"), self.folder, self.seconds)
            pairs = zip(found[name], found[against], strict=True)
            ratios = [one.per_cpu_second / other.per_cpu_second for one, other in pairs]
            lines.append([name, f"{middle(found[name], 'per_cpu_second'):,.0f}", f"{statistics.median(ratios):.2f}",
                          f"{half.p50:.2f}", f"{half.p99:.2f}", f"{subject.memory() / 1e6:.0f}",
                          str(sum(one.errors for one in found[name]) + half.errors)])  # fmt: skip
        self.page += [f"## {title}", table(lines)]
        return found

    def poll(self) -> None:
        """The pointer beside a static file."""
        subjects = {"nginx, a static file": (self.others[0], "/poll", None),
                    "gate, the pointer": (self.ours, "/_gate/now/default", None)}  # fmt: skip
        self.compare("Poll of the pointer", subjects, against="nginx, a static file")

    def relay(self) -> None:
        """Admitted GETs of three sizes, and of heads that were never seen before."""
        for label, size in SIZES.items():
            script = self.script(f"get-{size}", GETS, path=f"/{size}")
            subjects = {one.name: (one, f"/{size}", script) for one in (*self.others, self.ours)}
            self.compare(f"Relay of an admitted GET, {label}", subjects, against="nginx")
        script = self.script("new", NEW_GETS, path="/100")
        subjects = {one.name: (one, "/100", script) for one in (self.others[0], self.others[2], self.ours)}
        self.compare("Relay, 100 B, every head of headers unlike all before", subjects, against="nginx")

    def join(self) -> None:
        """Newcomers, two requests each."""
        subjects = {"nginx, return 200": (self.others[0], "/200", None),
                    "gate, joins": (self.ours, "/", self.script("join", JOINS, room="few"))}  # fmt: skip
        self.compare("Joins, every one a new visitor", subjects, against="nginx, return 200")

    def visit(self) -> None:
        """What else a visitor asks once: the page of somebody who must wait, and the claim."""
        plain = (self.others[0], "/200", None)
        page = (self.ours, "/few", self.script("page", PAGES, path="/few"))
        fill_line(self.socket, "few", 10)
        self.compare("Waiting page, every one a new visitor", {"nginx, return 200": plain, "gate, pages": page},
                     against="nginx, return 200")  # fmt: skip
        fill_line(self.socket, "default", TICKETS)
        (self.folder / "tickets").write_text(tickets(self.folder))
        claims = self.folder / "claim.lua"
        claims.write_text(CLAIMS.format(file=self.folder / "tickets", room="default"))
        self.compare("Claim of a ticket that has been served", {"nginx, return 200": plain,
                     "gate, claims": (self.ours, "/", claims)}, against="nginx, return 200")  # fmt: skip

    def length(self) -> None:
        """Polls and joins with ten in line beside a million."""
        names = {"few": "10 in line", "many": f"{MANY:,} in line"}
        for what in ("poll", "join"):
            found: dict[str, list[Measured]] = {told: [] for told in names.values()}
            for number in range(self.rounds):
                for name, told in sorted(names.items(), reverse=bool(number % 2)):
                    fill_line(self.socket, name, 10 if name == "few" else MANY)
                    script = self.script(f"join-{name}", JOINS, room=name) if what == "join" else None
                    found[told].append(run(self.ours, f"/_gate/now/{name}", self.seconds, script))
            rates = {told: middle(results, "per_cpu_second") for told, results in found.items()}
            few, many = found.values()
            cost = statistics.median(a.per_cpu_second / b.per_cpu_second for a, b in zip(few, many, strict=True))
            said = "; ".join(f"{told}: {rate:,.0f} requests/CPU-s" for told, rate in rates.items())
            self.page.append(f"A {what} with {said}: **{cost:.2f}** times the cost.")

    def latency(self) -> None:
        """What each adds to a request at a steady, light load."""
        heads = [f"GET /100 HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nCookie: {line}\r\n\r\n".encode()
                 for line in (self.folder / "cookies").read_text().splitlines()]  # fmt: skip
        ports = {"the origin itself": ORIGIN, "nginx": self.others[0].port, "gate": self.ours.port}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ports}
        for _ in range(self.rounds):
            for name, port in ports.items():
                found[name].append(paced(port, heads, PACED_RATE, 2 * self.seconds))
        base = found["the origin itself"]
        lines = [["way", "p50 ms", "p99 ms", "adds p50", "adds p99"]]
        for name, results in found.items():
            added = [(one[0] - own[0], one[1] - own[1]) for one, own in zip(results, base, strict=True)]
            middles = [statistics.median(column) for column in zip(*results, strict=True)]
            more = [statistics.median(column) for column in zip(*added, strict=True)]
            lines.append([name, *(f"{value:.3f}" for value in (*middles, *more))])
        self.page += [f"## What a relay adds at {PACED_RATE:,} requests/s, 100 B", table(lines)]

    def memory(self) -> None:
        """Idle connections."""
        cost = asyncio.run(idle_memory(self.ours, IDLE))
        self.page.append(f"An idle keep-alive connection costs the gate **{cost / 1000:.1f} kB** ({IDLE:,} held).")


def middle(results: list[Measured], name: str) -> float:
    """The median of one figure."""
    return statistics.median(getattr(result, name) for result in results)


def table(rows: list[list[str]]) -> str:
    """Markdown."""
    head, *rest = rows
    return "\n".join(["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rest)])


def facts() -> str:
    """The machine, for whoever reads the table."""
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())  # fmt: skip
    versions = [subprocess.run(words, capture_output=True, text=True, check=False) for words in
                (["nginx", "-v"], ["haproxy", "-v"], ["wrk", "-v"])]  # fmt: skip
    first = [" ".join((said.stdout + said.stderr).split()[:3]) for said in versions]
    system = f"Linux {platform.release().split('-')[0]}"
    return f"{model}, {os.cpu_count()} cores, {system}, Python {platform.python_version()}; " + "; ".join(first)


def main() -> None:
    """All rows."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--rounds", type=int, default=5)
    given.add_argument("--seconds", type=float, default=3)
    given.add_argument("--only", default="poll,relay,join,length,latency,memory,visit")
    given.add_argument("--out", type=Path, help="write the page here too, below its first section")
    asked = given.parse_args()
    for program in ("nginx", "haproxy", "wrk", "taskset"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is missing; on Debian: apt install nginx-light haproxy wrk util-linux")
    with tempfile.TemporaryDirectory(prefix="gate-compare-") as name:
        folder = Path(name)
        with servers(folder, list(SIZES.values())) as others, gate(folder) as (ours, socket):
            (folder / "cookies").write_text(cookies(folder))
            room("default")
            bench = Bench(asked.rounds, asked.seconds, folder, others, ours, socket)
            for row in asked.only.split(","):
                getattr(bench, row)()
    how = f"{asked.rounds} interleaved rounds of {asked.seconds:g} s."
    text = "\n\n".join([f"Measured on {facts()}; {how}", *bench.page]) + "\n"
    print(text)
    if asked.out:
        kept = asked.out.read_text().partition("\nMeasured on ")[0].rstrip()
        asked.out.write_text(f"{kept}\n\n{text}")


if __name__ == "__main__":
    main()
