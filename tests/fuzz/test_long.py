"""Row 46 of the threat model: mutated requests, cut at every offset, down both ways of one gate; the same answers.

Some dozens in `make test`; as many as `GATE_FUZZ_REQUESTS` says for `make fuzz`.
"""

import os
import random
import sys
import time

import pytest

from gate.web import poll_lane

COUNT = int(os.environ.get("GATE_FUZZ_REQUESTS", "6000"))
SEED = int(os.environ.get("GATE_FUZZ_SEED", "5"))


@pytest.mark.slow
@pytest.mark.timeout(7_200)
async def test_row_46_whole_requests_both_ways(differ, caplog):
    """Every request whole, then in two at every offset, with the lanes and without: no difference, no 500, no traceback."""
    one, began = differ(SEED), time.monotonic()
    tally = one.tally
    told = began
    while tally.requests < COUNT and len(tally.findings) < 5:
        # In the short run each form is cut at every seventh place, at another seventh each time.
        step = 1 if COUNT > 100_000 else 7
        await one.try_one(lambda length, step=step: range(1 + random.Random(tally.mutants).randrange(step), length, step))
        if COUNT > 100_000 and time.monotonic() - told > 30:
            told = time.monotonic()
            sys.stderr.write(f"[seed {SEED}] {tally.requests:,} requests of {tally.mutants:,} forms, {told - began:.0f} s\n")
    statuses = ", ".join(f"{status.decode()} {count:,}" for status, count in sorted(tally.statuses.items()))
    sys.stderr.write(
        f"\n[46 · seed {SEED}] {tally.requests:,} requests of {tally.mutants:,} forms in {time.monotonic() - began:.0f} s, "
        f"{tally.by_lane:,} taken by a lane; {statuses}; findings: {len(tally.findings)}\n"
    )
    for cut, form, fast, slow in tally.findings:
        sys.stderr.write(f"cut at {cut}: {form!r}\n  lanes:    {fast!r}\n  ordinary: {slow!r}\n")
    assert not tally.findings
    assert tally.by_lane > tally.mutants / 50, "both ways were tried"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.slow
async def test_a_difference_would_be_seen(differ, monkeypatch):
    """The control: a lane that looks at the first line alone is found out."""
    def careless(lane, data):
        return (next(iter(lane._pointers)), None) if data.startswith(poll_lane.POLL) else None

    monkeypatch.setattr(poll_lane.PollLane, "_read", careless)
    one = differ(3)
    while not one.tally.findings and one.tally.mutants < 400:
        await one.try_one(lambda _length: ())
    assert one.tally.findings
