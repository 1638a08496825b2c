"""The decision: facts, line and time in, one tagged answer out."""

import pytest

from gate.core.decision import (
    Claim,
    Facts,
    Forward,
    LetIn,
    Newcomer,
    Refuse,
    ShowPage,
    Standing,
    decide,
    pass_standing,
    ticket_standing,
)
from gate.core.errors import Reason
from gate.core.fetch import Kind
from gate.core.place import Place
from gate.core.room import Mode, Room
from gate.core.tokens import Pass, Ticket
from tests.core.lines import line

ROOM = Room(pass_life=600, pass_cap=3600, pass_grace=600, claim_within=1800)
NOW = 10_000.0


def ticket(position: int = 7, **changes) -> Ticket:
    """A ticket of the line's generation."""
    return Ticket(**{"room": "r", "place": Place(1, 10, position), "nonce": "n", "issued_at": 9_000,
                     "expires": 50_000, **changes})  # fmt: skip


def admission(expires: float, cap: float = 20_000, generation: int = 1) -> Pass:
    """A pass with this life."""
    return Pass("r", Place(generation, 10, 3), "n", 9_000, int(expires), "id", int(cap))


def facts(kind: Kind = Kind.NAVIGATION, method: str = "GET", **rest) -> Facts:
    """The facts of a request."""
    return Facts(kind, method, **rest)


@pytest.mark.parametrize("kind", list(Kind))
def test_law_5_nothing_is_forwarded_without_a_pass_or_a_rule(kind):
    """Whoever shows nothing waits, whatever kind of request it is; preflights are forwarded by rule."""
    decision = decide(facts(kind), ROOM, line(10), NOW)
    assert isinstance(decision, Forward) is (kind is Kind.PREFLIGHT)


def test_what_is_forwarded_without_a_pass():
    """An open rule, mode off, a preflight, and parts for holders of another room's pass; nothing else."""
    held = line(10, mode=Mode.HOLD)
    assert decide(facts(bypassed=True), ROOM, held, NOW) == Forward()
    assert decide(facts(), ROOM, line(10, mode=Mode.OFF), NOW) == Forward()
    assert decide(facts(Kind.PART, elsewhere_admitted=True), ROOM, held, NOW) == Forward()
    assert isinstance(decide(facts(Kind.API, elsewhere_admitted=True), ROOM, held, NOW), Newcomer)
    refusing = Room(preflight="refuse")
    assert isinstance(decide(facts(Kind.PREFLIGHT), refusing, held, NOW), Newcomer)


def test_a_served_ticket_is_claimed_by_whoever_opens_a_page():
    """Navigations and forms claim inline; scripts claim for themselves."""
    state = line(10, now_serving=7)
    assert decide(facts(ticket=ticket()), ROOM, state, NOW) == Claim(ticket())
    assert decide(facts(Kind.FORM, "POST", ticket=ticket()), ROOM, state, NOW) == Claim(ticket())
    assert decide(facts(Kind.API, ticket=ticket()), ROOM, state, NOW) == Refuse(Reason.MUST_WAIT)


def test_a_waiting_ticket_sees_the_page():
    """With its place, and for forms the word that nothing was sent."""
    assert decide(facts(ticket=ticket()), ROOM, line(10), NOW) == ShowPage(ticket())
    form = decide(facts(Kind.FORM, "POST", ticket=ticket()), ROOM, line(10), NOW)
    assert form == ShowPage(ticket(), form_not_sent=True)


def test_a_bad_token_is_no_token():
    """The page for a browser, its slug for an API."""
    browser = decide(facts(showed_bad=Reason.PASS_INVALID), ROOM, line(10), NOW)
    assert browser == Newcomer(ShowPage())
    api = decide(facts(Kind.API, showed_bad=Reason.PASS_INVALID), ROOM, line(10), NOW)
    assert api == Newcomer(Refuse(Reason.PASS_INVALID))


def test_early_data_is_only_for_safe_methods():
    """RFC 8470: a replayable POST is 425 `too-early`."""
    good = admission(NOW + 500)
    assert decide(facts(method="POST", early_data=True, admission=good), ROOM, line(), NOW) == Refuse(Reason.TOO_EARLY)
    assert isinstance(decide(facts(early_data=True, admission=good), ROOM, line(), NOW), Forward)


def test_crawlers_are_told_to_come_back():
    """503 instead of the page."""
    assert decide(facts(crawler=True), ROOM, line(10), NOW) == Newcomer(Refuse(Reason.MUST_WAIT, 503))


def test_without_a_line_nobody_can_know():
    """The store was never heard: kindly refused."""
    assert decide(facts(), ROOM, None, NOW) == Refuse(Reason.STORE_UNAVAILABLE)


@pytest.mark.parametrize(
    ("expires", "cap", "method", "expected"),
    [
        (NOW + 500, 20_000, "GET", Standing.GOOD),
        (NOW + 200, 20_000, "GET", Standing.AGEING),
        (NOW + 200, NOW + 200, "GET", Standing.GOOD),  # at its cap: nothing to gain
        (NOW - 60, 20_000, "GET", Standing.EXPIRED),
        (NOW - 60, 20_000, "POST", Standing.EXPIRED),
        (NOW - 601, 20_000, "GET", Standing.OVER),
        (NOW - 60, NOW - 60, "POST", Standing.LAST),
        (NOW - 60, NOW - 60, "GET", Standing.OVER),
        (NOW - 601, NOW - 601, "POST", Standing.OVER),
    ],
)
def test_the_sliding_life_of_a_pass(expires, cap, method, expected):
    """Slides past half, is renewed within its grace, and past its cap is good for one unsafe request."""
    assert pass_standing(admission(expires, cap), ROOM, line(), method, NOW) is expected


def test_passes_of_another_generation_are_over():
    """A reset ends every visit."""
    assert pass_standing(admission(NOW + 500, generation=2), ROOM, line(), "GET", NOW) is Standing.OVER


def test_tickets_lapse_only_after_their_turn():
    """A waiting ticket may outlive nothing but itself; a served one is kept for `claim_within`."""
    served = line(10, now_serving=7, slot=0)  # served at 10 s
    assert ticket_standing(ticket(), ROOM, served, 1_809.0) is None, "from the future: a clock has stepped back"
    early = ticket(issued_at=0)
    assert ticket_standing(early, ROOM, served, 1_809.0) is None
    assert ticket_standing(early, ROOM, served, 1_811.0) is Reason.TICKET_LAPSED
    assert ticket_standing(ticket(expires=9_990), ROOM, line(10), NOW) is Reason.TICKET_EXPIRED
    assert ticket_standing(ticket(place=Place(2, 10, 1)), ROOM, line(10), NOW) is Reason.TICKET_INVALID


def test_before_the_store_is_heard_those_inside_go_on():
    """No line is known: a pass good by its own times passes, an old one does not, a newcomer only where that is configured."""
    good = Facts(Kind.NAVIGATION, "GET", admission=admission(NOW + 500))
    assert isinstance(decide(good, ROOM, None, NOW), Forward)
    assert decide(good, ROOM, None, NOW + 10**6) == Refuse(Reason.STORE_UNAVAILABLE)
    newcomer = Facts(Kind.NAVIGATION, "GET", outage_open=True)
    assert decide(newcomer, ROOM, None, NOW) == Forward()
    for mode in (Mode.HOLD, Mode.CLOSED):
        assert decide(newcomer, Room(mode=mode), None, NOW) == Refuse(Reason.STORE_UNAVAILABLE)


def test_an_open_outage_keeps_to_the_rooms_limits():
    """Newcomers are let in where the room lets people in at all, and has places left; those in line wait on."""
    newcomer = Facts(Kind.NAVIGATION, "GET", outage_open=True)
    assert decide(newcomer, ROOM, line(10), NOW) == LetIn()
    assert decide(newcomer, ROOM, line(10, max_issued=10), NOW) != LetIn()
    for mode in (Mode.HOLD, Mode.CLOSED):
        assert decide(newcomer, ROOM, line(10, mode=mode), NOW) != LetIn()
    assert isinstance(decide(Facts(Kind.NAVIGATION, "GET", outage_open=True, ticket=ticket()), ROOM, line(10), NOW), ShowPage)
    assert decide(Facts(Kind.PART, "GET", outage_open=True), ROOM, line(10), NOW) == Refuse(Reason.MUST_WAIT)
