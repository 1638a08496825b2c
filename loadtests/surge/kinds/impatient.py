"""Reloads, opens a second tab, and every third one leaves before its turn."""

import random

from loadtests.surge.answers import Step
from loadtests.surge.crowd import Visitor
from loadtests.surge.kinds.page import Page

_LEAVES, _RELOADS = 0.08, 0.3


class Impatient(Page):
    """Cannot wait."""

    def follow(self, visitor: Visitor) -> None:
        """Between two polls: the page again, or a second tab that joins with the same cookies, or away."""
        draw = random.random()
        if visitor.notes > 1 and draw < _LEAVES:
            self.asking.call(visitor, "POST", "leave", Step.LEAVE)
            self.asking.mark(visitor, Step.GONE)
            return self.crowd.done(visitor)
        visitor.notes += 1
        if draw < _RELOADS:
            self.asking.page(visitor, "/", Step.RELOAD)
            self.asking.call(visitor, "POST", "join", Step.TAB)
        return super().follow(visitor)
