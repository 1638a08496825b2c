"""What may happen next: gates and visitors go about their business, and things go wrong.

A fall of the store goes back to `World.copy`; a copy may be taken at any moment, so that every earlier state is tried.
Each accident takes a little time, for no process starts twice in one millisecond. Only `waits` lets a hold pass.
"""

from collections.abc import Callable, Iterator

from tests.model import protocol
from tests.model.protocol import ACCIDENT, HOLD, Gate, Rules, Store, Ticket
from tests.model.world import (
    Server,
    Step,
    World,
    call_of,
    high_of,
    judged,
    may,
    spend,
    unheard,
    used,
    with_gate,
    with_store,
)

# --- what gates do ---------------------------------------------------------------------------------------------


def joins(world: World, rules: Rules) -> Iterator[Step]:
    """A visitor joins; or the store deals and the answer is lost, so that nobody holds the number."""
    for g, gate in enumerate(world.gates):
        for s, server in enumerate(world.servers):
            store, ticket = protocol.join(server.store, gate, call_of(world, s), rules)
            after = used(with_store(world, s, store), world)
            if may(world, "join"):
                heard = protocol.note(gate, ticket.gen, ((ticket.era, ticket.n),))
                joined = with_gate(spend(after, "join"), g, heard)._replace(dealt=world.dealt | {ticket})
                yield Step(f"join(gate {g}, server {s}) -> {tuple(ticket)}", joined, _deal_fault(world, ticket))
            if may(world, "lost"):
                burnt = spend(after, "lost")._replace(burnt=world.burnt | {ticket})
                yield Step(f"join(gate {g}, server {s}) -> {tuple(ticket)}, answer lost", burnt)


def _deal_fault(world: World, ticket: Ticket) -> str:
    if ticket in world.dealt:
        return "identity dealt twice"
    if not world.strict:
        return ""
    mates = [(mate.era, mate.n) for mate in world.dealt if mate.gen == ticket.gen]
    if (ticket.era, ticket.n) in mates:
        return "number dealt twice"
    return "dealt out of order" if mates and (ticket.era, ticket.n) < max(mates) else ""


def hear(world: World, g: int, s: int, rules: Rules) -> World:
    """A gate reads the room; an answer that tells less than it can prove is healed before it is believed."""
    gate, store, call = world.gates[g], world.servers[s].store, call_of(world, s)
    closing = len(protocol.eras_of(store)) > 1 and rules.hold_again and not protocol.crowned(store, call, rules)
    if rules.cover and (closing or not protocol.covers(store, gate)):
        store = protocol.heal(store, gate.gen, protocol.evidence_of(gate), call, rules)
    gate, line = protocol.accept(gate, store)
    healed = used(with_store(world, s, store), world)
    return with_gate(healed, g, gate._replace(line=line))


def act(world: World, g: int, s: int, rules: Rules) -> World:
    """A gate writes the advance it planned on its last snapshot."""
    gate, store, call = world.gates[g], world.servers[s].store, call_of(world, s)
    assert gate.line is not None
    store = protocol.advance(store, gate.line, protocol.plan(gate.line, world.time), call, rules)
    return with_gate(with_store(world, s, store), g, gate._replace(line=None))


def ticks(world: World, rules: Rules) -> Iterator[Step]:
    """A gate reads and writes at once; or anything may happen between the two, as often as `stale` allows."""
    for g, gate in enumerate(world.gates):
        for s in range(len(world.servers)):
            if gate.line is not None:
                yield Step(f"write(gate {g}, server {s})", act(world, g, s, rules))
                continue
            heard = hear(world, g, s, rules)
            fault = _memory_fault(gate, heard.gates[g])
            if rules.cover and not protocol.covers(heard.servers[s].store, heard.gates[g]):
                fault = fault or "healing did not bring back what the gate can prove"
            # Seldom is a release due at the very tick that hears: what is heard alone must not be what saves a place.
            yield Step(f"hear(gate {g}, server {s})", with_gate(heard, g, heard.gates[g]._replace(line=None)), fault)
            yield Step(f"tick(gate {g}, server {s})", act(heard, g, s, rules), fault)
            line = heard.gates[g].line
            if may(world, "stale") and line is not None and protocol.plan(line, world.time) != line.read:
                yield Step(f"read(gate {g}, server {s})", spend(heard, "stale"), fault)


def _memory_fault(before: Gate, after: Gate) -> str:
    if after.gen < before.gen:
        return "an older generation came back"
    return "pointer went back" if after.gen == before.gen and after.pointer < before.pointer else ""


def leases(world: World) -> Iterator[Step]:
    """While the store is silent a gate runs its pointer on, but only over places it knows to be dealt."""
    for g, gate in enumerate(world.gates):
        era, n = gate.pointer
        if may(world, "lease") and gate.line is None and n < dict(gate.known).get(era, 0):
            yield Step(f"lease(gate {g})", with_gate(spend(world, "lease"), g, gate._replace(pointer=(era, n + 1))))


def shows(world: World) -> Iterator[Step]:
    """A holder shows a ticket; or, if its place was ever served, the pass that came of it."""
    for g, gate in enumerate(world.gates):
        for ticket in sorted(world.dealt) if may(world, "show") else ():
            place = (ticket.era, ticket.n)
            after = protocol.note(gate, ticket.gen, (place,))
            if after.known != gate.known or after.gen != gate.gen:
                yield Step(f"show(gate {g}, ticket {tuple(ticket)})", with_gate(spend(world, "show"), g, after))
            if ticket.gen == after.gen and after.pointer < place <= high_of(world, ticket.gen):
                proven = after._replace(pointer=place, known=protocol.merged(after.known, (), place[0]))
                yield Step(f"show(gate {g}, pass {tuple(ticket)})", with_gate(spend(world, "show"), g, proven))


def claims(world: World, rules: Rules) -> Iterator[Step]:
    """A served place is claimed, for the first time or again."""
    for ticket in sorted(world.dealt) if may(world, "claim") else ():
        for g, gate in enumerate(world.gates):
            store = world.servers[0].store
            pointer = max(store.sv, gate.pointer) if gate.gen == store.gen else store.sv
            if ticket.gen != store.gen or (ticket.era, ticket.n) > pointer:
                continue
            store, given = protocol.pass_of(store, ticket, rules)
            after = spend(with_store(world, 0, store), "claim")._replace(passes=world.passes | {(ticket, given)})
            yield Step(f"claim(gate {g}, {tuple(ticket)}) -> pass {given}", after, _pass_fault(world, ticket, given))


def _pass_fault(world: World, ticket: Ticket, given: tuple[int, ...]) -> str:
    for mate, theirs in world.passes:
        if (mate == ticket) != (theirs == given):
            return "another pass for the same place" if mate == ticket else "two places share a pass"
    return ""


# --- accidents, and what an operator does ------------------------------------------------------------------------


def _reborn(world: World, s: int, store: Store, *, same_process: bool = False) -> World:
    server = world.servers[s]
    run, serial = server.reign[0], world.serial + 1
    reign = (run if same_process else serial, serial)
    servers = (*world.servers[:s], Server(store, reign), *world.servers[s + 1 :])
    return world._replace(servers=servers, serial=serial, time=world.time + ACCIDENT)


def _falls(world: World, s: int) -> Iterator[Step]:
    """The store comes back as it was: in a new process, in the same one promoted again, or beside a second primary."""
    copy = world.copy
    if copy is None:
        return
    if world.servers[s].store != copy:
        yield Step(f"copy(server {s})", world._replace(copy=world.servers[s].store))
    if may(world, "kill"):
        yield Step(f"kill -9(server {s}), back to the copy", _reborn(spend(world, "kill"), s, copy))
    if may(world, "promote"):
        again = _reborn(spend(world, "promote"), s, copy, same_process=True)
        yield Step(f"promoted again(server {s}) from the copy", again)
    if may(world, "split") and len(world.servers) == 1:
        serial = world.serial + 1
        both = (*world.servers, Server(copy, (serial, serial)))
        split = spend(world, "split")._replace(servers=both, serial=serial, time=world.time + ACCIDENT)
        yield Step("second primary from the copy", split)


def accidents(world: World, rules: Rules) -> Iterator[Step]:
    """What goes wrong, and what an operator does; each takes a little time."""
    for s, server in enumerate(world.servers):
        yield from _falls(world, s)
        if may(world, "flush"):
            flushed = with_store(spend(world, "flush"), s, Store())
            yield Step(f"FLUSHALL(server {s})", flushed._replace(time=world.time + ACCIDENT))
        if may(world, "stop"):
            stopped = protocol.stop(server.store, call_of(world, s), rules)
            yield Step(f"clean stop(server {s})", _reborn(spend(world, "stop"), s, stopped))
        if may(world, "reset"):
            yield _reset(world, s, rules)
    for g in range(len(world.gates)) if may(world, "restart") else ():
        if world.gates[g] != Gate():
            yield Step(f"restart(gate {g})", with_gate(spend(world, "restart"), g, Gate()))
    if may(world, "back") and world.time > 1:
        yield Step("clock back", spend(world, "back")._replace(time=1))


def _reset(world: World, s: int, rules: Rules) -> Step:
    later = spend(world, "reset")._replace(time=world.time + ACCIDENT)
    store = protocol.reset(world.servers[s].store, call_of(later, s), rules)
    after = used(with_store(later, s, store), world)._replace(top_gen=max(world.top_gen, store.gen))
    # A generation that was there before makes the tickets of its first life good again.
    return Step(
        f"reset(server {s}) -> generation {store.gen}",
        after,
        "a dead generation came back" if store.gen <= world.top_gen else "",
    )


def waits(world: World) -> Iterator[Step]:
    """A whole hold passes. Gates tick far more often than that, so none still knows what its store does not."""
    settled = all(protocol.covers(server.store, gate) for server in world.servers for gate in world.gates)
    if may(world, "wait") and settled and all(gate.line is None for gate in world.gates):
        missed = frozenset().union(*(unheard(world, server) for server in world.servers))
        yield Step(
            f"a hold passes, {len(missed)} unseen", spend(world, "wait")._replace(time=world.time + HOLD, missed=missed)
        )


def steps(world: World, rules: Rules) -> Iterator[Step]:
    """All that may happen next, judged."""
    kinds: tuple[Callable[[], Iterator[Step]], ...] = (
        lambda: joins(world, rules),
        lambda: ticks(world, rules),
        lambda: leases(world),
        lambda: shows(world),
        lambda: claims(world, rules),
        lambda: accidents(world, rules),
        lambda: waits(world),
    )
    for kind in kinds:
        for step in kind():
            yield judged(world, step)
