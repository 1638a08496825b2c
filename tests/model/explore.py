"""Breadth-first search through every order of steps of the store's protocol, for the shortest way to break a rule.

    python -m tests.model.explore --variant sound --scenario rollback --depth 12

`VARIANTS` are protocols, all but the first with something left out; `SCENARIOS` say which accidents may happen, and
how often. A search that ends with "all" has seen every state of its scenario.
"""

import argparse
import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.model.moves import act, hear, steps
from tests.model.protocol import HOLD, Rules, note
from tests.model.world import Step, World, first_world, judged, waiting, with_gate

_SOUND = Rules()
VARIANTS: dict[str, Rules] = {
    "sound": _SOUND,
    "as-briefed": Rules(step_checked=False, hold_again=False, mark="plain", mark_crowned=False, mark_keeps_hold=False),
    "step-unchecked": _SOUND._replace(step_checked=False),
    "hold-not-renewed": _SOUND._replace(hold_again=False),
    "mark-of-any-age": _SOUND._replace(mark="plain"),
    "mark-uncrowned": _SOUND._replace(mark_crowned=False),
    "mark-ends-holds": _SOUND._replace(mark_keeps_hold=False),
    "plain-incr": _SOUND._replace(eras=False, evidence=False),
    "highest-seen": _SOUND._replace(eras=False),
    "no-clock": _SOUND._replace(clock=False),
    "fence-run-id": _SOUND._replace(fence="run_id"),
    "no-nonce": _SOUND._replace(nonce=False),
    "believes-store": _SOUND._replace(cover=False),
    "highest-pair": _SOUND._replace(all_pairs=False),
    "highest-pair-no-hold": _SOUND._replace(all_pairs=False, revive_hold=False),
    "not-adopted": _SOUND._replace(adopt=False, cover=False),
    "small-generation": _SOUND._replace(timed_generation=False),
    "numbered-passes": _SOUND._replace(pure_pass=False),
}

SCENARIOS: dict[str, dict[str, int]] = {
    "rollback": {"join": 3, "kill": 1, "wait": 1, "show": 1},
    "restart": {"join": 2, "kill": 1, "restart": 1, "wait": 1, "show": 1},
    "two-rollbacks": {"join": 3, "kill": 2, "wait": 1},
    "storm": {"join": 2, "kill": 2, "restart": 1},
    "promotion": {"join": 2, "promote": 1, "kill": 1},
    "flush": {"join": 3, "flush": 1, "wait": 1, "show": 2},
    "reset": {"join": 2, "kill": 1, "reset": 2},
    "stop": {"join": 2, "stop": 1, "kill": 1, "wait": 1},
    "lease": {"join": 2, "kill": 1, "lease": 1, "lost": 1},
    "stale": {"join": 2, "kill": 1, "restart": 1, "wait": 1, "show": 1, "stale": 1},
    "claim": {"join": 2, "kill": 1, "claim": 2},
    "clock-back": {"join": 2, "kill": 2, "back": 1},
    "split": {"join": 3, "split": 1, "show": 1},
    # The same with more of everything: minutes each, for the command.
    "wide-rollback": {"join": 3, "kill": 2, "restart": 1, "wait": 1, "show": 1},
    "wide-storm": {"join": 3, "kill": 2, "restart": 2},
    "wide-promotion": {"join": 3, "promote": 1, "kill": 1, "wait": 1},
    "wide-flush": {"join": 3, "flush": 1, "kill": 1, "wait": 1, "show": 1},
    "wide-reset": {"join": 3, "kill": 1, "reset": 1, "flush": 1, "show": 1},
    "wide-stop": {"join": 3, "stop": 1, "kill": 1, "wait": 1, "show": 1},
}


Origins = dict[World, tuple[World, str] | None]
"""Every state seen, its gates in no order, with the state and the step it was first come to from."""


class Found(NamedTuple):
    """What a search came to: the broken rule and the steps to it, or nothing."""

    fault: str
    trace: tuple[str, ...]
    states: int
    depth: int
    complete: bool
    seconds: float


def explore(
    rules: Rules,
    budget: dict[str, int],
    *,
    depth: int = 40,
    gates: int = 2,
    most: int = 1_000_000,
    strand_every: int = 0,
) -> Found:
    """The shortest way to break a rule, if there is one within `depth` steps and `most` states.

    Of every `strand_every`-th state it also asks whether all who hold a ticket can still be served.
    """
    start, began, reached = first_world(gates, budget), time.monotonic(), 0
    came_from: Origins = {_nameless(start): None}
    ring = [start]
    while ring and reached < depth and len(came_from) < most:
        reached += 1
        following: list[World] = []
        for world in ring:
            here = _nameless(world)
            for step in steps(world, rules):
                fault, key = step.fault, _nameless(step.after)
                if key in came_from and not fault:
                    continue
                if strand_every and not fault and len(came_from) % strand_every == 0:
                    fault = stranded(step.after, rules)
                if fault:
                    trace = (*_trace(came_from, here), step.name)
                    return Found(fault, trace, len(came_from), reached, False, time.monotonic() - began)
                came_from[key] = (here, step.name)
                following.append(step.after)
        ring = following
    return Found("", (), len(came_from), reached, not ring, time.monotonic() - began)


def _nameless(world: World) -> World:
    """The same for two states that differ only in which gate is which."""
    return world._replace(gates=tuple(sorted(world.gates, key=hash)))


def stranded(world: World, rules: Rules, turns: int = 60) -> str:
    """What keeps somebody from being served for ever although all holders show their tickets; or nothing."""
    gen = max(gate.gen for gate in world.gates)
    gen = max(gen, world.servers[0].store.gen)
    for ticket in sorted(world.dealt):
        if ticket.gen == gen:
            world = with_gate(world, 0, note(world.gates[0], gen, ((ticket.era, ticket.n),)))
    for turn in range(turns):
        for g in range(len(world.gates)):
            step = judged(world, Step("", act(hear(world, g, 0, rules), g, 0, rules)))
            if step.fault and turn:
                return step.fault
            world = step.after
        if not waiting(world, gen):
            return ""
        # Half a hold at a time: nobody is unseen, for all have shown themselves to a gate.
        world = world._replace(time=world.time + HOLD // 2)
    return f"never served: {waiting(world, gen)}"


def _trace(came_from: Origins, world: World) -> Iterator[str]:
    names: list[str] = []
    while (origin := came_from[world]) is not None:
        world, name = origin
        names.append(name)
    return reversed(names)


def report(variant: str, scenario: str, found: Found) -> str:
    """What a search found, for people."""
    extent = "all" if found.complete else f"to depth {found.depth}"
    result = f"{variant:20} {scenario:14} {found.fault or 'no counter-example':34}"
    lines = [f"{result} {found.states:8} states, {extent}, {found.seconds:.1f} s"]
    lines += [f"    {number:2}. {name}" for number, name in enumerate(found.trace, 1)]
    return "\n".join(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", choices=VARIANTS, default="sound")
    parser.add_argument("--scenario", choices=[*SCENARIOS, "each"], default="each")
    parser.add_argument("--depth", type=int, default=40)
    parser.add_argument("--strand-every", type=int, default=0, help="ask every so many states whether all get served")
    parser.add_argument("--gates", type=int, default=2)
    parser.add_argument("--most", type=int, default=1_000_000, help="states to look at, at most")
    asked = parser.parse_args()
    for scenario in SCENARIOS if asked.scenario == "each" else (asked.scenario,):
        found = explore(
            VARIANTS[asked.variant],
            SCENARIOS[scenario],
            depth=asked.depth,
            gates=asked.gates,
            most=asked.most,
            strand_every=asked.strand_every,
        )
        print(report(asked.variant, scenario, found), flush=True)  # noqa: T201  (a command speaks)


if __name__ == "__main__":
    main()
