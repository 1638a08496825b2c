"""Every order of the store protocol's steps in small worlds; each part left out must be missed.

`explore.py` run as a command searches wider worlds and prints the steps to a broken rule.
"""

import pytest

from tests.model.explore import SCENARIOS, VARIANTS, Found, explore, report, stranded
from tests.model.moves import steps
from tests.model.protocol import Rules, Store, Ticket, pass_of
from tests.model.world import first_world

# What a test may look at; a control that needs more than this to fail would prove nothing.
MOST = 35_000
SMALL = [name for name in SCENARIOS if not name.startswith("wide-")]

# What is left out, in which world, and the rule that breaks.
CONTROLS = [
    ("plain-incr", "rollback", "identity dealt twice"),
    ("highest-seen", "storm", "identity dealt twice"),
    ("no-clock", "storm", "number dealt twice"),
    ("fence-run-id", "promotion", "identity dealt twice"),
    ("no-nonce", "clock-back", "identity dealt twice"),
    ("believes-store", "two-rollbacks", "pointer went back"),
    ("highest-pair", "rollback", "healing did not bring back what the gate can prove"),
    ("highest-pair-no-hold", "two-rollbacks", "jumped over"),
    ("hold-not-renewed", "two-rollbacks", "jumped over"),
    ("step-unchecked", "stale", "jumped over"),
    ("mark-of-any-age", "stop", "jumped over"),
    ("mark-uncrowned", "stop", "jumped over"),
    ("mark-ends-holds", "stop", "jumped over"),
    ("not-adopted", "reset", "an older generation came back"),
    ("small-generation", "reset", "a dead generation came back"),
    ("numbered-passes", "claim", "two places share a pass"),
]


def search(variant: str, scenario: str, **limits: int) -> Found:
    """A search within a test's limits."""
    return explore(VARIANTS[variant], SCENARIOS[scenario], most=MOST, **limits)


@pytest.mark.parametrize("scenario", SMALL)
def test_no_order_of_steps_breaks_a_rule(scenario):
    """Whatever happens in whatever order, no number is dealt twice, no pointer goes back and no place is jumped over."""
    found = search("sound", scenario)
    assert not found.fault, report("sound", scenario, found)


@pytest.mark.parametrize(("variant", "scenario", "fault"), CONTROLS)
def test_every_part_of_the_protocol_is_needed(variant, scenario, fault):
    """A protocol with any one part left out breaks a rule, or the search would not be able to see it break."""
    found = search(variant, scenario)
    assert fault in found.fault, report(variant, scenario, found)


@pytest.mark.parametrize("scenario", ["rollback", "flush", "lease", "reset"])
def test_everyone_is_served_in_the_end(scenario):
    """From wherever accidents led, all tickets whose holders show them are served, and none is jumped over."""
    found = explore(VARIANTS["sound"], SCENARIOS[scenario], most=6_000, strand_every=25)
    assert not found.fault, report("sound", scenario, found)


def test_someone_who_is_never_served_is_noticed():
    """The question whether everyone is served says no where the pointer has no time to come to them."""
    world = next(step.after for step in steps(first_world(1, SCENARIOS["rollback"]), Rules()) if step.after.dealt)
    assert "never served" in stranded(world, Rules(), turns=0)
    assert not stranded(world, Rules())


def test_a_counter_example_is_the_shortest_list_of_steps():
    """What the search reports can be read as a story: the steps in order, and none that is not needed."""
    found = search("plain-incr", "rollback")
    assert [name.split("(")[0] for name in found.trace] == ["join", "kill -9", "join"]
    assert "    3. join" in report("plain-incr", "rollback", found)


def test_a_pass_does_not_depend_on_the_claim_bit():
    """A store that forgot that a place was claimed gives the same pass again."""
    ticket, rules = Ticket(gen=1, era=1, nonce=1, n=1), Rules()
    remembering, first = pass_of(Store(gen=1), ticket, rules)
    assert pass_of(remembering, ticket, rules)[1] == first == pass_of(Store(gen=1), ticket, rules)[1]
