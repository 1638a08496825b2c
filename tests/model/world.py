"""The world around the protocol: servers, gates, tickets; and what must hold whatever happens to them.

Owns the state of the world and the rules each step is judged by. The protocol is in `protocol.py`, the steps that
may happen in `moves.py`, the search in `explore.py`. What only the judge knows (every ticket dealt, how far the pointer ever came, who let a
whole hold pass unseen) is kept beside the state and never shown to a gate or a store.
"""

from typing import NamedTuple

from tests.model import protocol
from tests.model.protocol import Call, Gate, Place, Reign, Store, Ticket

ACCIDENTS = "join lost kill promote flush restart stop reset wait lease split back show claim stale".split()
FALLS = ("kill", "promote", "split")


class Server(NamedTuple):
    """One process of the store, with the reign it answers under."""

    store: Store
    reign: Reign


class World(NamedTuple):
    """Everything at one moment; `left` is how often each accident may still happen."""

    servers: tuple[Server, ...]
    gates: tuple[Gate, ...]
    time: int = 1
    serial: int = 1
    copy: Store | None = None
    dealt: frozenset[Ticket] = frozenset()
    highs: tuple[tuple[int, Place], ...] = ()
    missed: frozenset[Ticket] = frozenset()
    passes: frozenset[tuple[Ticket, tuple[int, ...]]] = frozenset()
    burnt: frozenset[Ticket] = frozenset()
    top_gen: int = 1
    strict: bool = True
    left: tuple[int, ...] = ()


class Step(NamedTuple):
    """An action that may happen: its name, what comes of it, and the rule it broke, if any."""

    name: str
    after: World
    fault: str = ""


def first_world(gates: int, budget: dict[str, int]) -> World:
    """A room that was just made, by gates that know nothing yet."""
    store = Store(gen=1, era=1, nonce=1, fence=(0, 0), sv=(1, 0))
    left = tuple(budget.get(name, 0) for name in ACCIDENTS)
    # With two primaries or a clock that goes back only identity and the monotone pointer are promised.
    strict = not (budget.get("back") or budget.get("split"))
    return World(
        (Server(store, (0, 0)),), (Gate(),) * gates, copy=store, highs=((1, (1, 0)),), strict=strict, left=left
    )


def may(world: World, accident: str) -> bool:
    """Whether an accident may still happen."""
    return world.left[ACCIDENTS.index(accident)] > 0


def spend(world: World, accident: str) -> World:
    """One accident fewer left."""
    index = ACCIDENTS.index(accident)
    world = world._replace(left=(*world.left[:index], world.left[index] - 1, *world.left[index + 1 :]))
    # A copy that can no more come back need not tell two states apart.
    return world if any(may(world, fall) for fall in FALLS) else world._replace(copy=None)


def with_store(world: World, index: int, store: Store) -> World:
    """The same world with another state in one server."""
    server = world.servers[index]._replace(store=store)
    return world._replace(servers=(*world.servers[:index], server, *world.servers[index + 1 :]))


def with_gate(world: World, index: int, gate: Gate) -> World:
    """The same world with another memory in one gate."""
    return world._replace(gates=(*world.gates[:index], gate, *world.gates[index + 1 :]))


def call_of(world: World, index: int) -> Call:
    """What a script on this server learns."""
    return Call(world.servers[index].reign, world.time, world.serial + 1)


def used(world: World, before: World) -> World:
    """Draws a new nonce if one was used; a nonce that nobody saw need not tell two states apart."""
    nonces = {server.store.nonce for server in world.servers} - {server.store.nonce for server in before.servers}
    return world._replace(serial=max(world.serial, *nonces)) if nonces else world


def high_of(world: World, gen: int) -> Place:
    """How far the pointer of a generation ever came, in any store or gate."""
    return dict(world.highs).get(gen, (0, 0))


def waiting(world: World, gen: int) -> list[Ticket]:
    """The tickets of a generation that the pointer has not passed yet."""
    high = high_of(world, gen)
    return [ticket for ticket in world.dealt if ticket.gen == gen and (ticket.era, ticket.n) > high]


def unheard(world: World, server: Server) -> frozenset[Ticket]:
    """The waiting tickets that a store does not know of."""
    gen = server.store.gen
    holders = ((ticket, Gate(gen, known=((ticket.era, ticket.n),))) for ticket in waiting(world, gen))
    return frozenset(ticket for ticket, gate in holders if not protocol.covers(server.store, gate))


def judged(world: World, step: Step) -> Step:
    """The step with how far the pointer came by it, and the rule it broke, if any."""
    after = step.after
    places = [(server.store.gen, server.store.sv) for server in after.servers]
    places += [(gate.gen, gate.pointer) for gate in after.gates]
    highs, fault = dict(world.highs), step.fault
    for gen, place in places:
        old = highs.get(gen, (0, 0))
        if place > old:
            highs[gen] = place
            fault = fault or _rise_fault(after, gen, old, place)
            fault = fault or _end_fault(after, gen, place)
    if tuple(highs.items()) != world.highs:
        after = after._replace(highs=tuple(sorted(highs.items())))
    if after.missed:
        # Who was missed by a whole hold and shows at last is owed the place again.
        still = frozenset().union(*(unheard(after, server) for server in after.servers))
        after = after._replace(missed=after.missed & still)
    return Step(step.name, after, fault)


def _rise_fault(after: World, gen: int, old: Place, new: Place) -> str:
    """A place is served when the pointer comes to it; one that the pointer jumps over was let in unasked."""
    if not after.strict:
        return ""
    dealt = [(ticket.era, ticket.n) for ticket in after.dealt if ticket.gen == gen and ticket not in after.missed]
    jumped = [place for place in dealt if old < place < new]
    return f"jumped over {min(jumped)}" if jumped else ""


def _end_fault(after: World, gen: int, place: Place) -> str:
    lasts = [ticket.n for ticket in after.dealt | after.burnt if (ticket.gen, ticket.era) == (gen, place[0])]
    return "pointer passed the last number dealt" if place[1] > max(lasts, default=0) else ""
