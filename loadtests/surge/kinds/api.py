"""A client without cookies that speaks the protocol: tokens in bodies, sent back in headers of their own."""

from gate.core.place import Place
from loadtests.surge.answers import Step
from loadtests.surge.asking import OK
from loadtests.surge.crowd import Visitor, jitter
from loadtests.surge.kinds.page import PENDING, TOO_EARLY, Page
from loadtests.surge.plan import ROOM

_HEADERS = {"Gate-Client": "api", "Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "app/1.0"}


class Api(Page):
    """An app of the site's own. Its tokens are kept where others keep cookies, and never sent as such."""

    def arrive(self, visitor: Visitor) -> None:
        """No page: it joins at once."""
        self.join(visitor)

    def join(self, visitor: Visitor) -> None:
        """Take a place: first a pre-ticket, then the ticket."""
        answer = self._ask(visitor, "POST", f"/_gate/join/{ROOM}", Step.JOIN)
        said = answer.json() if answer.status in (OK, PENDING) else {}
        if "pre_ticket" in said:
            visitor.cookies["ticket"] = said["pre_ticket"]
            return self.join(visitor) if visitor.notes == 0 else self.crowd.again(visitor, "join", jitter(0.5))
        if answer.status != OK:
            return self.failed(visitor, "join", answer)
        visitor.cookies = {"ticket": said["ticket"]}
        visitor.place = Place(said["generation"], said["era"], said["position"])
        return self.follow(visitor)

    def claim(self, visitor: Visitor) -> None:
        """Swap the ticket for a pass, in the body."""
        answer = self._ask(visitor, "POST", f"/_gate/claim/{ROOM}", Step.CLAIM)
        if answer.status == TOO_EARLY:
            return self.crowd.again(visitor, "claim", jitter(1.0))
        if answer.status != OK:
            return self.failed(visitor, "claim", answer)
        visitor.cookies = {"pass": answer.json()["pass"]}
        return self.inside(visitor)

    def inside(self, visitor: Visitor) -> None:
        """What it came for."""
        answer = self._ask(visitor, "GET", "/seats", Step.BROWSE)
        if answer.status != OK:
            return self.failed(visitor, "inside", answer)
        return self.crowd.done(visitor)

    def _ask(self, visitor: Visitor, method: str, path: str, step: Step):
        tokens, visitor.cookies = visitor.cookies, {}
        headers = dict(_HEADERS)
        if "ticket" in tokens:
            headers["Gate-Ticket"] = tokens["ticket"]
        if "pass" in tokens:
            headers["Gate-Pass"] = tokens["pass"]
        answer = self.asking.ask(visitor, method, path, step, headers)
        visitor.cookies = tokens
        visitor.notes += step is Step.JOIN and "ticket" in tokens
        return answer
