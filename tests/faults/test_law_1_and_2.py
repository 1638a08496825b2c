"""Laws 1, 2 and 3 through every misfortune of a store; judged by what was dealt and shown, never by the store.

Each is also suffered by plain INCR and by "never below the highest number seen": both must fail, or it proves nothing.
"""

import asyncio

import pytest

from tests.faults import misfortunes as m
from tests.faults.dealers import duplicates, inversions, joined, steps_back
from tests.faults.results import LONG, sized, tell

CONTROLS = ("incr", "highest")
# Rounds in the short form and in the long one.
ROUNDS = {
    m.rollback_storm: (4, 100),
    m.old_snapshot: (1, 10),
    m.flushed: (1, 10),
    m.empty_restart: (1, 10),
    m.slow_disk: (1, 20),
    m.lagging_replica: (1, 10),
    m.promoted_again: (1, 10),
    m.two_primaries: (1, 1),
    m.leaping_clock: (3, 3),
}
# Two primaries deal side by side, and a clock that goes back is no judge of what came first: there the identity of a
# place (its number with the nonce of its era) is what must be unique.
UNORDERED = (m.two_primaries, m.leaping_clock)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("misfortune", ROUNDS, ids=lambda misfortune: misfortune.__name__)
async def test_law_1_no_place_is_dealt_twice(misfortune, tmp_path):
    """No place twice, later joins behind earlier ones, no pointer taken back; both controls deal numbers twice."""
    short, long = ROUNDS[misfortune]
    grounds = {
        subject: m.Ground(tmp_path / subject, subject, sized(short, min(long, 20) if subject in CONTROLS else long))
        for subject in ("gate", *CONTROLS)
    }
    for ground in grounds.values():
        ground.folder.mkdir()
    if LONG:
        dealers = {subject: await misfortune(ground) for subject, ground in grounds.items()}
    else:
        suffered = await asyncio.gather(*(misfortune(ground) for ground in grounds.values()))
        dealers = dict(zip(grounds, suffered, strict=True))
    deals, shown = dealers["gate"].deals(), dealers["gate"].shown()
    by_nonce = misfortune is m.leaping_clock
    twice, disorder, back = duplicates(deals, by_nonce=by_nonce), inversions(deals), steps_back(shown)
    controls = {subject: duplicates(dealers[subject].deals()) for subject in CONTROLS}
    tell(
        f"1 · {misfortune.__name__.replace('_', ' ')}",
        f"{grounds['gate'].rounds} times, {joined(deals):,} joins by {m.DEALERS} gates",
        f"{twice} places twice, {disorder} inversions, {back} of {sum(map(len, shown)):,} documents lower",
        ", ".join(f"{subject} {count:,} twice" for subject, count in controls.items()),
    )
    assert twice == 0
    assert back == 0
    if misfortune not in UNORDERED:
        assert disorder == 0
    assert joined(deals) > 500
    assert all(controls.values()), f"void: {controls}"
