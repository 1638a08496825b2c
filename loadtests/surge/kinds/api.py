"""A client without cookies that speaks the protocol: tokens in bodies, sent back in headers of their own."""

from gate.core.place import Place
from loadtests.surge.answers import Step
from loadtests.surge.asking import OK, Answer
from loadtests.surge.crowd import Visitor, jitter
from loadtests.surge.kinds.page import PENDING, TOO_EARLY, Page
from loadtests.surge.plan import ROOM

_HEADERS = {"Gate-Client": "api", "Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "app/1.0"}


class Api(Page):
    """An app of the site's own."""

    def arrive(self, visitor: Visitor) -> None:
        """No page: it joins at once."""
        self.join(visitor)

    def join(self, visitor: Visitor) -> None:
        """Take a place: first a pre-ticket, then the ticket."""
        shows = "Gate-Ticket" in visitor.tokens
        answer = self._ask(visitor, "POST", f"/_gate/join/{ROOM}", Step.JOIN)
        said = answer.json() if answer.status in (OK, PENDING) else {}
        if "pre_ticket" in said:
            visitor.tokens = {"Gate-Ticket": said["pre_ticket"]}
            return self.crowd.again(visitor, "join", jitter(0.5)) if shows else self.join(visitor)
        if answer.status != OK:
            return self.failed(visitor, "join", answer)
        visitor.tokens = {"Gate-Ticket": said["ticket"]}
        visitor.place = Place(said["generation"], said["era"], said["position"])
        return self.follow(visitor)

    def claim(self, visitor: Visitor) -> None:
        """Swap the ticket for a pass, in the body."""
        answer = self._ask(visitor, "POST", f"/_gate/claim/{ROOM}", Step.CLAIM)
        if answer.status == TOO_EARLY:
            return self.crowd.again(visitor, "claim", jitter(1.0))
        if answer.status != OK:
            return self.failed(visitor, "claim", answer)
        visitor.tokens = {"Gate-Pass": answer.json()["pass"]}
        return self.inside(visitor)

    def inside(self, visitor: Visitor) -> None:
        """What it came for."""
        answer = self._ask(visitor, "GET", "/seats", Step.BROWSE)
        if answer.status != OK:
            return self.failed(visitor, "inside", answer)
        return self.crowd.done(visitor)

    def _ask(self, visitor: Visitor, method: str, path: str, step: Step) -> Answer:
        answer = self.asking.ask(visitor, method, path, step, {**_HEADERS, **visitor.tokens})
        visitor.cookies.clear()  # the shop's session, which an app of this kind does not keep
        return answer
