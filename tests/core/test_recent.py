"""The memory of what was of use recently: bounded in cost, and what is asked for stays."""

from hypothesis import given
from hypothesis import strategies as st

from gate.core.recent import Recent


@given(steps=st.lists(st.tuples(st.integers(0, 50), st.integers(1, 5)), max_size=300))
def test_it_never_holds_more_than_its_limit(steps):
    """Whatever is put and asked for; one entry more at most, since the last one may cross the line."""
    memory: Recent[int, int] = Recent(40)
    costs = {}
    for key, cost in steps:
        if memory.get(key) is None:
            costs[key] = cost
            memory.put(key, key, cost)
        assert memory.get(key) == key
        held = {*memory._young, *memory._old}
        assert sum(costs[name] for name in held) <= 40 + 2 * 5


def test_what_is_asked_for_stays_and_the_rest_goes():
    """A thousand strangers do not drive out who comes again and again."""
    memory: Recent[str, int] = Recent(100)
    memory.put("regular", 1)
    for number in range(1_000):
        memory.put(f"stranger {number}", number)
        assert memory.get("regular") == 1
    assert memory.get("stranger 0") is None
    assert len(memory) <= 102
