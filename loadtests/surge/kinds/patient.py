"""Waits as the page does, looks around, and now and then buys: nine in ten of all."""

import random
import re

from loadtests.surge.answers import Step
from loadtests.surge.asking import OK
from loadtests.surge.crowd import Visitor
from loadtests.surge.kinds.page import Page

_BUYS = 0.1
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


class Patient(Page):
    """The visitor one hopes for."""

    def inside(self, visitor: Visitor) -> None:
        """The page that was wanted; one in ten goes on to the checkout."""
        answer = self.asking.page(visitor, "/", Step.BROWSE)
        if answer.status != OK:
            return self.failed(visitor, "inside", answer)
        if random.random() < _BUYS:
            return self.crowd.again(visitor, "check_out", random.uniform(1, 4))
        return self.crowd.done(visitor)

    def check_out(self, visitor: Visitor) -> None:
        """The form."""
        answer = self.asking.page(visitor, "/checkout?seat=A1", Step.BROWSE)
        csrf = _CSRF.search(answer.text) if answer.status == OK else None
        if csrf is None:
            return self.failed(visitor, "check_out", answer)
        return self.buy(visitor, csrf[1])

    def buy(self, visitor: Visitor, csrf: str) -> None:
        """The order; whatever comes of it, it is sent once."""
        self.asking.page(visitor, "/order", Step.BUY, data=f"csrf={csrf}&seat=A1&name=Surge")
        self.crowd.done(visitor)
