"""Keeps no cookies: joins again and again, asks for the page, and is given no place and nothing else."""

from loadtests.surge.answers import Step
from loadtests.surge.crowd import Visitor, jitter
from loadtests.surge.kinds.page import Page

_TRIES = 4


class Bot(Page):
    """What would inflate the line if a number were spent on it."""

    def arrive(self, visitor: Visitor) -> None:
        """A page, a join, and again."""
        if self.gone_unless_a_line_stands(visitor):
            return None
        self.asking.page(visitor, "/", Step.BARE)
        visitor.cookies.clear()
        self.asking.call(visitor, "POST", "join", Step.BARE_JOIN)
        visitor.cookies.clear()
        visitor.notes += 1
        if visitor.notes >= _TRIES:
            self.asking.mark(visitor, Step.GONE)
            return self.crowd.done(visitor)
        return self.crowd.again(visitor, "arrive", jitter(2.0))
