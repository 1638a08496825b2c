"""The long runs: `python -m tests.fuzz parsers --seconds 1800`, `python -m tests.fuzz requests --count 1000000`.

Parsers are driven by atheris (coverage-guided) where it is installed, else by mutation alone; whole requests by the
grammar, one process a core. Both end by themselves, tell what they did, and exit 1 if they found anything.
"""

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

try:
    import atheris  # not a dependency: `make fuzz` brings it
except ImportError:
    atheris = None
# What is imported within this is watched: a fuzzer that is guided by coverage sees which branches an input takes.
with atheris.instrument_imports(include=["gate"]) if atheris and "one" in sys.argv else contextlib.nullcontext():
    from tests.fuzz.parsers import PARSERS, run

_RUN_REQUESTS = "tests/fuzz/test_long.py::test_row_46_whole_requests_both_ways"


def parsers(seconds: int) -> int:
    """Every parser for its share of the time, one after another in two processes at a time."""
    each, failed, total = max(seconds * 2 // len(PARSERS), 1), 0, time.monotonic()
    names, running = list(PARSERS), {}
    while names or running:
        while names and len(running) < 2:
            name = names.pop()
            running[name] = subprocess.Popen([sys.executable, "-m", "tests.fuzz", "one", name, "--seconds", str(each)])
        for name, process in list(running.items()):
            if process.poll() is not None:
                failed += process.returncode != 0
                print(f"{name}: {'FOUND SOMETHING' if process.returncode else 'nothing found'}", flush=True)
                del running[name]
        time.sleep(0.5)
    print(f"{len(PARSERS)} parsers, {time.monotonic() - total:.0f} s, findings: {failed}")
    return int(failed > 0)


def one(name: str, seconds: int) -> int:
    """One parser."""
    parser, seeds = PARSERS[name]
    try:
        import atheris
    except ImportError:
        print(f"{name}: {run(name, random.Random(), seconds=seconds):,} calls by mutation", flush=True)
        return 0
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for index, seed in enumerate(seeds):
        (folder / f"seed-{index}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-max_len=2048", "-print_final_stats=1", "-verbosity=0", "-timeout=10"]
    atheris.Setup([sys.argv[0], str(folder), *options], parser)
    atheris.Fuzz()
    return 0


def requests(count: int) -> int:
    """Whole requests, in two processes."""
    given = {**os.environ, "GATE_FUZZ_REQUESTS": str(count // 2)}
    command = [sys.executable, "-m", "pytest", "-q", "-s", "--timeout=7200", _RUN_REQUESTS]
    processes = [subprocess.Popen(command, env={**given, "GATE_FUZZ_SEED": str(seed)}) for seed in (1, 2)]
    ends = [process.wait() for process in processes]
    return int(any(ends))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("what", choices=("parsers", "one", "requests"))
    parser.add_argument("name", nargs="?")
    parser.add_argument("--seconds", type=int, default=1_800)
    parser.add_argument("--count", type=int, default=1_000_000)
    given = parser.parse_args()
    if given.what == "one":
        return one(given.name, given.seconds)
    return parsers(given.seconds) if given.what == "parsers" else requests(given.count)


if __name__ == "__main__":
    sys.exit(main())
