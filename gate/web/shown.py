"""The texts a request shows for one room: cookies, and `Gate-Ticket` and `Gate-Pass` of clients without cookies."""

from dataclasses import dataclass

from gate.web.cookies import VALUES_MAX, CookieJar
from gate.web.plain import Asking

_JWT_DOTS = 2


@dataclass(frozen=True, slots=True)
class Shown:
    """Texts by kind, none of them believed yet."""

    passes: tuple[str, ...] = ()
    tickets: tuple[str, ...] = ()
    pres: tuple[str, ...] = ()
    network: str = ""
    """The /24 or /64 they were sent from."""


def show(request: Asking, cookies: dict[str, list[str]], jar: CookieJar, network: str) -> Shown:
    """What a request shows under the names of one room's jar. `Gate-Ticket` carries tickets and pre-tickets."""
    sent = request.headers.getall("Gate-Ticket", [])[:VALUES_MAX]
    return Shown(
        passes=(*request.headers.getall("Gate-Pass", [])[:VALUES_MAX], *jar.values(cookies, "pass")),
        tickets=(*(text for text in sent if text.count(".") == _JWT_DOTS), *jar.values(cookies, "ticket")),
        pres=(*(text for text in sent if text.count(".") != _JWT_DOTS), *jar.values(cookies, "pre")),
        network=network,
    )
