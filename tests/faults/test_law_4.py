"""Laws 3 and 4 in every window, by the pointer documents of many gates: over rates, leaping clocks and frozen gates.

A document's own time is the store's, so that what a slow reader sees late is not taken for a late release. Where that
clock leaps, the reader's own clock is taken instead, with what a document may be old by.
"""

import asyncio
from dataclasses import dataclass

import pytest

from tests.faults.dealers import Dealers, Shown, steps_back
from tests.faults.preload import Preload, preload_library
from tests.faults.results import LONG, sized, tell
from tests.faults.stores import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
GATES = (1, 4, 16)
RATES = (0.5, 30.0, 2_000.0)
# In the short form one rate for each number of gates.
CASES = [(gates, rate) for gates in GATES for rate in RATES] if LONG else list(zip(GATES, RATES, strict=True))
SECONDS = sized(5, 30)
# A tick and a look at the document, each a tenth of a second at most on a machine with little to spare.
OLD_SECONDS = 0.4
# Documents tell their time to the millisecond.
ROUNDED_SECONDS = 0.001


@dataclass
class Windows:
    """Releases by time: the highest pointer that anybody had shown by then, with the number of places before its era."""

    moments: list[float]
    released: list[int]

    @classmethod
    def of(cls, lives: list[list[Shown]], *, store_time: bool) -> "Windows":
        """From all documents, oldest first."""
        events = sorted((one.at if store_time else one.time, one.now_serving) for life in lives for one in life)
        moments: list[float] = []
        released: list[int] = []
        for moment, position in events:
            if not released or position > released[-1]:
                moments.append(moment)
                released.append(position)
        return cls(moments, released)

    def most_above(self, rate: float, cap: float, slack: float) -> float:
        """By how many places the worst window exceeds `rate * w + cap`; at most 0 is the law.

        The worst window is that of the largest difference of `released - rate * time`, which one pass finds.
        """
        worst, lowest = float("-inf"), float("inf")
        for moment, released in zip(self.moments, self.released, strict=True):
            stands = released - rate * moment
            worst = max(worst, stands - lowest)
            lowest = min(lowest, stands)
        return worst - cap - rate * slack

    def share(self, rate: float, cap: float) -> float:
        """What was released of what the law wants at least, over the whole run."""
        passed = self.moments[-1] - self.moments[0]
        return (self.released[-1] - self.released[0] + cap) / (0.98 * rate * passed)


def cap_of(rate: float, burst: float) -> float:
    """What may be released at once."""
    return max(burst, 1.0) + rate * 0.25


async def _line_up(store: Store, folder, room: str, count: int, options: dict[str, object]) -> None:
    """So many wait, before anybody is let in."""
    async with Dealers(folder, "gate", [store.url] * 2, room, {**options, "mode": "hold", "size": 500, "joins": 1}) as dealers:
        async with asyncio.timeout(60):
            while sum(deal.last - deal.first + 1 for deal in dealers.deals()) < count:
                await asyncio.sleep(0.2)


@pytest.mark.parametrize(("gates", "rate"), CASES)
async def test_law_4_with_many_gates(gates, rate, tmp_path):
    """However many gates tick: never above rate x w + cap in any window, and not below 0.98 of it; two freeze for 5 s."""
    burst = 1.0
    options: dict[str, object] = {"rate": rate, "burst": burst, "joins": 0}
    async with Store(tmp_path / "store") as store:
        await _line_up(store, tmp_path / "line", "sale", int(rate * SECONDS * 1.5) + 100, options)
        async with Dealers(tmp_path / "gates", "gate", [store.url] * gates, "sale", {**options, "mode": "auto"}) as dealers:
            await asyncio.sleep(2.0 + gates * 0.1)
            if gates > 1:
                for dealer in dealers.all[:2]:
                    await dealer.freeze()
                await asyncio.sleep(sized(2, 5))
                for dealer in dealers.all[:2]:
                    await dealer.thaw()
            await asyncio.sleep(SECONDS)
    windows = Windows.of(dealers.shown(), store_time=True)
    cap = cap_of(rate, burst)
    above, share = windows.most_above(rate, cap, ROUNDED_SECONDS), windows.share(rate, cap)
    back = steps_back(dealers.shown())
    tell(
        f"7 · {gates} gates at {rate:g}/s",
        f"{windows.moments[-1] - windows.moments[0]:.0f} s" + (", two stopped for a while" if gates > 1 else ""),
        f"worst window {above:+.1f} places against the bound, {share:.2f} of the least, {back} documents lower",
    )
    assert above <= 1e-6
    assert share >= 1.0
    assert back == 0


async def test_law_4_through_leaps_of_the_clock(tmp_path):
    """TIME goes back by ten minutes, then ahead by an hour: at most a cap more for each leap, and nothing stands still."""
    rate, burst = 100.0, 1.0
    options: dict[str, object] = {"rate": rate, "burst": burst, "joins": 0}
    preload = Preload(preload_library(tmp_path), tmp_path / "steer")
    async with Store(tmp_path / "store", preload=preload) as store:
        await _line_up(store, tmp_path / "line", "sale", int(rate * SECONDS * 2) + 500, options)
        async with Dealers(tmp_path / "gates", "gate", [store.url] * 4, "sale", {**options, "mode": "auto"}) as dealers:
            await asyncio.sleep(2.0)
            for seconds in (-600, 3_600, 0):
                await asyncio.sleep(SECONDS / 3)
                preload.clock_is_ahead(seconds)
            await asyncio.sleep(SECONDS / 3)
    windows = Windows.of(dealers.shown(), store_time=False)
    cap = cap_of(rate, burst)
    above, share = windows.most_above(rate, 4 * cap, OLD_SECONDS), windows.share(rate, 4 * cap)
    back = steps_back(dealers.shown())
    tell(
        "7 · clock leaps",
        f"4 gates at {rate:g}/s; 10 min back, an hour ahead, right again",
        f"worst window {above:+.1f} places against the bound with a cap for each leap, {share:.2f} of the least, "
        f"{back} documents lower",
    )
    assert above <= 0
    assert share >= 1.0
    assert back == 0
