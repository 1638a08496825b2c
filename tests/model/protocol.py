"""The store's protocol as pure functions on small immutable values; `explore.py` tries every order of its steps.

Owns what a script does to the store and what a gate keeps of an answer. Knows nothing of accidents, budgets or
of what must hold: those are in `world.py`. Times are whole units of the store's clock.
"""

from typing import NamedTuple

ACCIDENT = 5
"""Units an accident or an operator's act takes: more than eras can be opened in, for each may run one unit ahead."""

HOLD = 100
"""Units for which a new or revived era may not be stepped into."""

MARK_LIFE = ACCIDENT
"""Units for which a mark is believed: one clean restart."""

FIRST_GENERATION = 1

Place = tuple[int, int]
Pairs = tuple[Place, ...]
Reign = tuple[int, int]


class Rules(NamedTuple):
    """What a variant of the protocol does; the defaults are the protocol as it should be."""

    eras: bool = True
    evidence: bool = True
    fence: str = "both"
    clock: bool = True
    adopt: bool = True
    timed_generation: bool = True
    cover: bool = True
    all_pairs: bool = True
    revive_hold: bool = True
    step_checked: bool = True
    hold_again: bool = True
    mark: str = "timed"
    mark_crowned: bool = True
    mark_keeps_hold: bool = True
    pure_pass: bool = True
    nonce: bool = True


class Ticket(NamedTuple):
    """A number that was dealt to somebody."""

    gen: int
    era: int
    nonce: int
    n: int


class Era(NamedTuple):
    """An era the store knows: its last number, and the time before which it may not be stepped into."""

    number: int
    last: int
    hold: int


class Mark(NamedTuple):
    """What the last writer of a store that stopped in good order left behind."""

    era: int
    n: int
    time: int


class Store(NamedTuple):
    """A room as the store keeps it; `closed` holds the eras from the served one up to, not with, the newest."""

    gen: int = 0
    era: int = 0
    n: int = 0
    nonce: int = 0
    fence: Reign | None = None
    closed: tuple[Era, ...] = ()
    hold: int = 0
    sv: Place = (0, 0)
    mark: Mark | None = None
    bits: tuple[tuple[Place, int], ...] = ()


class Line(NamedTuple):
    """What a gate works out its next advance from: the pointer as read, the pointer as shown, the eras."""

    gen: int
    read: Place
    shown: Place
    eras: tuple[Era, ...]


class Gate(NamedTuple):
    """A gate's memory, gone with its process."""

    gen: int = 0
    pointer: Place = (0, 0)
    known: Pairs = ()
    line: Line | None = None


class Call(NamedTuple):
    """What a script learns beside the room: the reign of its server, the time, and a fresh nonce."""

    reign: Reign
    now: int
    nonce: int


def eras_of(store: Store) -> tuple[Era, ...]:
    """The eras from the served one to the newest, as a reply tells them."""
    newest = Era(store.era, store.n, store.hold)
    eras = tuple(era for era in store.closed if era.number >= store.sv[0])
    eras += (newest,) if newest.number >= store.sv[0] else ()
    if not eras or eras[0].number != store.sv[0]:
        eras = (Era(*store.sv, 0), *eras)
    return eras


def merged(pairs: Pairs, more: Pairs, since: int) -> Pairs:
    """The highest known position of each era, from the era `since` on: memory does not grow with the eras."""
    highest: dict[int, int] = {}
    for era, n in pairs + more:
        if era >= since:
            highest[era] = max(highest.get(era, 0), n)
    return tuple(sorted(highest.items()))


def evidence_of(gate: Gate) -> Pairs:
    """All that a gate can prove to be dealt, its pointer among it."""
    return merged(gate.known, (gate.pointer,) if gate.pointer[0] else (), 0)


def covers(store: Store, gate: Gate) -> bool:
    """Whether a reply tells at least what the gate can prove; if not, the store has lost something."""
    if store.gen != gate.gen:
        return store.gen > gate.gen
    lasts = {era.number: era.last for era in eras_of(store)}
    return all(era < store.sv[0] or lasts.get(era, -1) >= n for era, n in evidence_of(gate))


def crowned(store: Store, call: Call, rules: Rules) -> bool:
    """Whether the reign that asks is the one that dealt last."""
    if rules.fence == "none":
        return store.fence is not None
    if rules.fence == "run_id":
        return store.fence is not None and store.fence[0] == call.reign[0]
    return store.fence == call.reign


def heal(store: Store, gen: int, pairs: Pairs, call: Call, rules: Rules) -> Store:
    """Brings the store up to what the pairs prove, and opens an era if this reign has not dealt or lost something."""
    if store.gen < gen and rules.adopt:
        # Nothing of the older generation's line may stay, or its places would be served in the newer one.
        store = store._replace(gen=gen, n=0, closed=(), hold=0, sv=(0, 0), fence=None, mark=None)
    if not store.gen:
        store = store._replace(gen=FIRST_GENERATION)
    pairs = pairs if store.gen == gen and rules.evidence else ()
    if not rules.eras:
        return _lifted(store, pairs)
    beyond = bool(pairs) and max(pairs) > (store.era, store.n)
    if beyond or not crowned(store, call, rules):
        store = _opened(store, pairs, call, rules)
    return _revived(store, pairs, call, rules)


def _lifted(store: Store, pairs: Pairs) -> Store:
    """The usual advice: no eras, the counter goes on from the highest number seen."""
    era = max(store.era, 1)
    return store._replace(era=era, n=max(store.n, dict(pairs).get(era, 0)), sv=max(store.sv, (era, 0)))


def _opened(store: Store, pairs: Pairs, call: Call, rules: Rules) -> Store:
    beyond = bool(pairs) and max(pairs) > (store.era, store.n)
    last = max(store.n, dict(pairs).get(store.era, 0))
    closed = store.closed
    if last and store.era >= store.sv[0]:
        closed += (Era(store.era, last, store.hold),)
    marked = not beyond and _mark_holds(store, call, rules)
    if rules.hold_again and not crowned(store, call, rules) and not marked:
        # What a lost state knew of these eras is lost too: their holders must be able to show themselves again.
        closed = tuple(era._replace(hold=call.now + HOLD) if era.number > store.sv[0] else era for era in closed)
    highest = max(pairs)[0] if pairs else 0
    era = max(store.era + 1, highest + 1, call.now if rules.clock else 0)
    # A mark says that nothing was lost since; it does not end a hold that is still owed for something older.
    hold = (store.hold if rules.mark_keeps_hold else 0) if marked else call.now + HOLD
    return store._replace(era=era, n=0, nonce=call.nonce, fence=call.reign, closed=closed, hold=hold, mark=None)


def _mark_holds(store: Store, call: Call, rules: Rules) -> bool:
    """Whether nothing can have been lost since the mark; a mark in a backup is old, and proves nothing."""
    mark = store.mark
    if mark is None or rules.mark == "none" or (mark.era, mark.n) != (store.era, store.n):
        return False
    return rules.mark == "plain" or call.now - mark.time <= MARK_LIFE


def _revived(store: Store, pairs: Pairs, call: Call, rules: Rules) -> Store:
    if not rules.all_pairs:
        pairs = pairs and (max(pairs),)
    closed = {era.number: era for era in store.closed}
    hold = call.now + HOLD if rules.revive_hold else 0
    for number, n in pairs:
        if store.sv[0] <= number < store.era:
            era = closed.get(number, Era(number, 0, hold))
            closed[number] = era._replace(last=max(era.last, n))
    return store._replace(closed=tuple(sorted(closed.values())))


def stop(store: Store, call: Call, rules: Rules) -> Store:
    """The last writer goes in good order; only a reign that dealt can say that nothing is missing."""
    if rules.mark == "none" or (rules.mark_crowned and not crowned(store, call, rules)):
        return store
    return store._replace(mark=Mark(store.era, store.n, call.now))


def join(store: Store, gate: Gate, call: Call, rules: Rules) -> tuple[Store, Ticket]:
    """Deals one number; the gate sends only its highest pair, the next tick sends the rest."""
    store = heal(store, gate.gen, evidence_of(gate)[-1:], call, rules)
    store = store._replace(n=store.n + 1, mark=None)
    return store, Ticket(store.gen, store.era, store.nonce if rules.nonce else 0, store.n)


def note(gate: Gate, gen: int, pairs: Pairs) -> Gate:
    """Keeps proof; a higher generation makes all that was known of the older one void."""
    if gen < gate.gen:
        return gate
    if gen > gate.gen:
        gate = Gate(gen=gen)
    return gate._replace(known=merged(gate.known, pairs, gate.pointer[0]))


def accept(gate: Gate, store: Store) -> tuple[Gate, Line]:
    """Takes a reply as the next snapshot, with the pointer raised to what was shown, if the reply has its era."""
    same = store.gen == gate.gen
    eras = eras_of(store)
    gate = note(gate, store.gen, tuple((era.number, era.last) for era in eras if era.last)) if same else Gate(store.gen)
    shown = store.sv
    if gate.pointer > shown and gate.pointer[0] in {era.number for era in eras}:
        shown = gate.pointer
    eras = tuple(era for era in eras if era.number >= shown[0])
    known = merged(gate.known, tuple((era.number, era.last) for era in eras if era.last), shown[0])
    gate = gate._replace(pointer=shown, known=known)
    return gate, Line(store.gen, store.sv, shown, eras)


def plan(line: Line, now: int) -> Place:
    """Where the pointer may go in one step: by one place in its era, or to the start of the next one."""
    era, n = line.shown
    if n < line.eras[0].last:
        return era, n + 1
    if len(line.eras) > 1 and now >= line.eras[1].hold:
        return line.eras[1].number, 0
    return line.shown


def advance(store: Store, line: Line, target: Place, call: Call, rules: Rules) -> Store:
    """Moves the pointer if the store's is as the gate read it; never past the end of its era as the store has it."""
    if store.gen != line.gen or store.sv != line.read or target <= store.sv:
        return store
    lasts = {era.number: era.last for era in eras_of(store)}
    if rules.step_checked and not _step_stands(store, line.shown, target, call, rules):
        return store
    sv = max(store.sv, (target[0], min(target[1], lasts.get(target[0], 0))))
    closed = tuple(era for era in store.closed if era.number >= sv[0])
    return store._replace(sv=sv, closed=closed)


def _step_stands(store: Store, start: Place, target: Place, call: Call, rules: Rules) -> bool:
    """Whether a step to another era is still right by what the store knows now, not when the gate read it."""
    eras = {era.number: era for era in eras_of(store)}
    if target[0] not in eras:
        return False
    if target[0] == start[0]:
        return True
    between = [era for era in eras.values() if start[0] < era.number < target[0]]
    ended = start[0] not in eras or eras[start[0]].last <= start[1]
    reigns = crowned(store, call, rules) or not rules.hold_again
    return ended and not between and call.now >= eras[target[0]].hold and reigns


def reset(store: Store, call: Call, rules: Rules) -> Store:
    """A new generation and an empty line."""
    gen = max(store.gen + 1, call.now if rules.timed_generation else 0)
    era = max(store.era + 1, call.now)
    return Store(gen=gen, era=era, nonce=call.nonce, fence=call.reign, sv=(era, 0), bits=store.bits)


def pass_of(store: Store, ticket: Ticket, rules: Rules) -> tuple[Store, tuple[int, ...]]:
    """The pass of a served ticket: worked out from the ticket alone, so that a forgotten bit changes nothing."""
    bit = ((ticket.gen, ticket.era), ticket.n)
    bits = store.bits if bit in store.bits else (*store.bits, bit)
    # The control numbers passes as it gives them out: a store that forgot a bit gives the next place its number.
    return store._replace(bits=bits), tuple(ticket) if rules.pure_pass else (bits.index(bit) + 1,)
