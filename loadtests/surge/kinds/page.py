"""What every browser does: the page, the join, the polls and the claim, as `static/waiting.js` does them."""

from gate.core.place import Place
from gate.core.pointer import Pointer
from loadtests.surge.answers import Step
from loadtests.surge.asking import OK, PASS, Answer, Asking, claims_of
from loadtests.surge.crowd import Crowd, Visitor, jitter

PENDING, TOO_EARLY = 202, 425
# Longer than this many seconds of release, a line will stand for as long as a few requests take.
_STANDS_SECONDS = 3.0
_RETRY_SECONDS, _FAILURES_SHIFT_MAX = 0.3, 5


class Page:
    """A visitor's browser, up to the claim; `inside` is what it does then, which kinds fill in."""

    def __init__(self, asking: Asking, crowd: Crowd) -> None:
        self.asking, self.crowd = asking, crowd

    def arrive(self, visitor: Visitor) -> None:
        """The first page: let in at once where nobody waits, else the waiting page with a pre-ticket."""
        answer = self.asking.page(visitor, "/", Step.PAGE)
        if answer.status != OK:
            return self.failed(visitor, "arrive", answer)
        if PASS in visitor.cookies:
            claims = claims_of(visitor.cookies[PASS])
            visitor.place = Place(claims["gen"], claims["era"], claims["pos"])
            return self.inside(visitor)
        return self.join(visitor)

    def join(self, visitor: Visitor) -> None:
        """Take a place, or hear of the one taken before."""
        answer = self.asking.call(visitor, "POST", "join", Step.JOIN)
        if answer.status == PENDING:
            return self.crowd.again(visitor, "join", jitter(_RETRY_SECONDS))
        if answer.status != OK:
            return self.failed(visitor, "join", answer)
        visitor.failures = 0
        said = answer.json()
        visitor.place = Place(said["generation"], said["era"], said["position"])
        return self.follow(visitor)

    def follow(self, visitor: Visitor) -> None:
        """Ask for the pointer; claim when served, else ask again by the rule."""
        pointer = self.poll(visitor)
        if pointer is not None:
            self.claim_or_wait(visitor, pointer)

    def claim_or_wait(self, visitor: Visitor, pointer: Pointer) -> None:
        """What a pointer document that has just come leads to; nothing is to be added for its age."""
        if pointer.serves(visitor.place, pointer.time):
            self.claim(visitor)
        else:
            self.crowd.again(visitor, "follow", jitter(pointer.poll_seconds(visitor.place, pointer.time)))

    def poll(self, visitor: Visitor) -> Pointer | None:
        """The pointer document; None where it did not come, and the visitor tries the same step again by itself."""
        answer = self.asking.call(visitor, "GET", "now", Step.POLL)
        if answer.status != OK:
            self.failed(visitor, visitor.step if visitor.place is None else "follow", answer)
            return None
        visitor.failures = 0
        return Pointer.read(answer.json())

    def gone_unless_a_line_stands(self, visitor: Visitor) -> bool:
        """An idle gate lets anybody in, forgers too: they come only while people wait."""
        pointer = self.poll(visitor)
        if pointer is None:
            return True
        waiting = pointer.issued - pointer.now_serving + sum(last for _, last in pointer.eras)
        if waiting > _STANDS_SECONDS * pointer.resume_rate:
            return False
        self.asking.mark(visitor, Step.GONE)
        self.crowd.done(visitor)
        return True

    def claim(self, visitor: Visitor) -> None:
        """Swap the ticket for a pass."""
        answer = self.asking.call(visitor, "POST", "claim", Step.CLAIM)
        if answer.status == OK:
            self.crowd.let_in = self.crowd.let_in or visitor.cookies.get(PASS, "")
            return self.inside(visitor)
        if answer.status == TOO_EARLY:
            return self.crowd.again(visitor, "claim", jitter(1.0))
        return self.failed(visitor, "claim", answer)

    def inside(self, visitor: Visitor) -> None:
        """Let in: the page that was wanted."""
        answer = self.asking.page(visitor, "/", Step.BROWSE)
        if answer.status != OK:
            return self.failed(visitor, "inside", answer)
        return self.crowd.done(visitor)

    def failed(self, visitor: Visitor, step: str, answer: Answer) -> None:
        """Try again later: as the answer says, else after ever longer pauses."""
        visitor.failures += 1
        pause = answer.retry_after or 2.0 ** min(visitor.failures - 1, _FAILURES_SHIFT_MAX)
        self.crowd.again(visitor, step, jitter(pause))
