"""What a visitor holds: tokens found good, passes just made, and passes that may be forwarded on without a look."""

from dataclasses import dataclass

from gate.core.errors import Reason
from gate.core.place import Place
from gate.core.tokens import Pass, PreTicket, Ticket, Tokens


@dataclass(frozen=True, slots=True)
class Holdings:
    """What those texts prove: validly signed tokens of this room, the best of each kind."""

    admission: Pass | None = None
    ticket: Ticket | None = None
    """A ticket that is worth its place."""
    pre: PreTicket | None = None
    showed_bad: Reason | None = None
    has_ticket_cookie: bool = False
    dead: tuple[str, ...] = ()
    """Kinds of cookies that were shown and will never be good again."""
    fresh: "Admitted | None" = None
    """The pass shown, made anew."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A pass just made."""

    text: str
    admission: Pass


@dataclass(frozen=True, slots=True)
class Vouched:
    """A pass found good: until when (Unix seconds, included), and under which keys."""

    place: Place
    until: float
    tokens: Tokens
