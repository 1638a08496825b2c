"""Waits, and does not come when its turn does."""

from loadtests.surge.answers import Step
from loadtests.surge.crowd import Visitor
from loadtests.surge.kinds.page import Page


class NoShow(Page):
    """Keeps a place that it never uses."""

    def claim(self, visitor: Visitor) -> None:
        """Its turn, and nobody there."""
        self.asking.mark(visitor, Step.GONE)
        self.crowd.done(visitor)
