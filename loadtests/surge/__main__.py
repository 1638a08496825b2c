"""The whole surge, started and stopped by itself: gate, store, box office, crowd, samples, verdict, report.

    python -m loadtests.surge --visitors 500000 [--faults] [--out FOLDER] [--workers 2] [--store URL]
    python -m loadtests.surge --wall 60 --visitors 100000
    python -m loadtests.surge --judge FOLDER [--sabotage LAW]

With `--wall` everybody comes within so many seconds, from a crowd that is not Locust (`raw.py`). Everything is on
loopback and bounded in time. Exit 1 where the verdict finds a law broken.
"""

import argparse
import json
import shutil
import subprocess
import time
from pathlib import Path

from loadtests.surge import processes
from loadtests.surge.plan import ROOM, Plan
from loadtests.surge.prediction import predict
from loadtests.surge.recording import Run
from loadtests.surge.report import write_report
from loadtests.surge.sabotage import SABOTAGES, NothingRecordedError, holds, spoiled
from loadtests.surge.sampling import Sampler
from loadtests.surge.verdict import judge

_PROGRESS_SECONDS, _REST_SECONDS, _SLACK_SECONDS = 5.0, 1.5, 60.0
# Where in the wall a worker is killed and where the store, with `--faults`.
_DEATHS = (("worker", 0.4), ("store", 0.6))
_VISITORS_LEAST, _VISITORS_MOST = 1_000, 5_000_000


def main() -> None:
    """Run one, judge it, report it."""
    options = _options()
    if options.judge:
        return conclude(options.judge, options.sabotage)
    folder = options.out.resolve()
    if folder.exists() and any(folder.iterdir()) and not (folder / "plan.json").exists():
        raise SystemExit(f"{folder} holds something else than an earlier run; name another folder with --out")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    plan = Plan.wall_of(options.visitors, options.wall) if options.wall else Plan.of(options.visitors)
    plan.write(folder / "plan.json")
    print(
        f"{plan.visitors:,} visitors over {plan.arrivals.seconds:.0f} s, let in at {plan.release_rate:g}/s; "
        f"given up after {plan.limit_seconds / 60:.0f} min; everything in {folder}",
        flush=True,
    )
    run(folder, plan, options)
    return conclude(folder, None)


def conclude(folder: Path, sabotage: str | None) -> None:
    """Judge what a run has recorded and write its report; with a sabotage, show that the verdict notices it."""
    recorded = Run.read(folder)
    prediction = predict(recorded)
    recorded.predicted_polls, recorded.predicted_waits = prediction.polls, prediction.waits
    if sabotage == "all":
        return _try_all(recorded)
    if sabotage:
        recorded = spoiled(recorded, sabotage)
    checks = judge(recorded)
    if not sabotage:
        write_report(folder, recorded, checks, prediction)
    for check in checks:
        print(check)
    for pair in prediction.pairs:
        print(f"        {pair.name}: measured {pair.measured:,.1f}, simulated {pair.simulated:,.1f} ({pair.off:+.1%})")
    if not sabotage:
        print(f"report: {folder / 'report.html'}, summary: {folder / 'summary.md'}")
    if not all(check.passed for check in checks):
        raise SystemExit(1)
    return None


def _try_all(recorded: Run) -> None:
    """Each sabotage in turn: noticed is one whose check held before and does not afterwards."""
    held = {check.name for check in judge(recorded) if check.passed}
    missed = 0
    for name, (spoil, meant) in SABOTAGES.items():
        try:
            noticed = meant in held and not holds(spoiled(recorded, name), meant)
        except NothingRecordedError:
            print(f"  n/a   {name}: nothing was recorded that could be broken so")
            continue
        missed += not noticed
        print(f"{'caught' if noticed else 'MISSED'}  {name}: {spoil.__doc__}")
    raise SystemExit(1 if missed else 0)


def run(folder: Path, plan: Plan, options: argparse.Namespace) -> None:
    """Everything up, the crowd through, everything down."""
    started = processes.Processes(folder)
    try:
        origin = f"127.0.0.1:{processes.free_port()}"
        shop = started.start("origin", ["-m", "gate.demo.origin", json.dumps({"listen": origin})])
        (folder / "gate.toml").write_text(plan.config())
        gate = started.start("gate", _serve(folder, origin, options), {"GATE_ADMIN_TOKEN": "surge"})
        url = processes.until_ready(folder / "gate.log", gate)
        store = options.store or processes.embedded_url(gate)
        sampler = Sampler(folder, store, ROOM, {"gate": gate.pid, "origin": shop.pid})
        sampler.start()
        parts = 1 if options.wall else options.processes
        environ = {"SURGE_FOLDER": str(folder), "SURGE_PARTS": str(parts), "SURGE_URL": url}
        environ["SURGE_KEYS"] = str(folder / "state/keys.json")
        name, command = ("raw", ["-m", "loadtests.surge.raw"]) if options.wall else ("locust", _locust(url, parts))
        crowd = started.start(name, command, environ)
        sampler.roots[name] = crowd.pid
        faults = _follow(folder, plan, crowd, gate, sampler, faulty=options.faults)
        if options.faults and len(faults) < len(_DEATHS):
            raise SystemExit("the crowd had gone before everything was killed")
        time.sleep(_REST_SECONDS)
        sampler.stop()
        starts = [json.loads(path.read_text())["start"] for path in folder.glob("start-*.json")]
        ends = [json.loads(path.read_text()) for path in folder.glob("end-*.json")]
        made = {"workers": options.workers, "parts": parts, "start": min(starts), "faults": faults, "crowd": name}
        made["late"] = (
            [max(end[name] for end in ends) for name in ("latest", "newcomers")] if len(ends) == parts else []
        )
        (folder / "run.json").write_text(json.dumps(made))
    finally:
        started.stop()


def _follow(
    folder: Path, plan: Plan, crowd: subprocess.Popen, gate: subprocess.Popen, sampler: Sampler, *, faulty: bool
) -> list[dict]:
    """Show progress until the crowd has ended; in the middle of the wall break what is to be broken."""
    begin, end = plan.wall
    todo = [(what, begin + share * (end - begin)) for what, share in (_DEATHS if faulty else ())]
    done: list[dict] = []
    started, told, deadline = None, 0.0, time.monotonic() + plan.limit_seconds + _SLACK_SECONDS
    while crowd.poll() is None:
        now = time.monotonic()
        if now > deadline:
            raise SystemExit("the run took too long and was stopped")
        time.sleep(0.05)
        if started is None:
            started = now if (folder / "start-0.json").exists() else None
            continue
        if todo and now - started >= todo[0][1]:
            what, _ = todo.pop(0)
            processes.kill(gate, what)
            done.append({"what": what, "time": time.monotonic()})
            print(f"       kill -9 of the {what}", flush=True)
        if now - told >= _PROGRESS_SECONDS and sampler.looks:
            told, look = now, sampler.looks[-1]
            print(
                f"{now - started:5.0f} s  joined {look.issued:>9,}  let in {look.served:>9,}  "
                f"waiting {look.issued - look.served:>9,}",
                flush=True,
            )
    return done


def _serve(folder: Path, origin: str, options: argparse.Namespace) -> list[str]:
    command = ["-m", "gate", "serve", "--origin", f"http://{origin}", "--config", str(folder / "gate.toml")]
    command += ["--workers", str(options.workers), "--state-dir", str(folder / "state")]
    command += ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    return command + (["--store", options.store] if options.store else [])


def _locust(url: str, parts: int) -> list[str]:
    command = ["-m", "locust", "-f", str(Path(__file__).with_name("locustfile.py")), "--host", url]
    command += ["--headless", "--only-summary", "--stop-timeout", "1"]
    return command + (["--processes", str(parts)] if parts > 1 else [])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.surge", description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=5_000)
    parser.add_argument("--workers", type=int, default=2, help="workers of the gate")
    parser.add_argument("--processes", type=int, default=2, help="processes of Locust")
    parser.add_argument("--store", metavar="URL", help="a running store; else the embedded one")
    parser.add_argument("--faults", action="store_true", help="kill a worker and the store within the wall")
    parser.add_argument("--wall", type=float, metavar="SECONDS", help="all within so many seconds, from a raw crowd")
    parser.add_argument("--judge", type=Path, metavar="FOLDER", help="judge an earlier run again instead")
    parser.add_argument(
        "--sabotage", choices=[*SABOTAGES, "all"], help="with --judge: break a law in what was recorded"
    )
    parser.add_argument("--out", type=Path, default=Path("surge-report"))
    options = parser.parse_args()
    if not _VISITORS_LEAST <= options.visitors <= _VISITORS_MOST:
        parser.error(f"--visitors: from {_VISITORS_LEAST:,} to {_VISITORS_MOST:,}")
    if options.faults and options.store:
        parser.error("--faults kills the embedded store; it cannot be used with --store")
    if options.sabotage and not options.judge:
        parser.error("--sabotage changes what an earlier run has recorded: name it with --judge FOLDER")
    return options


if __name__ == "__main__":
    main()
