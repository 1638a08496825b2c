"""Takes one honest ticket and tries to get in with what it makes of it: altered, swapped, replayed, expired."""

import base64
import json
import os
from pathlib import Path

from gate.core.keyring import load_ring
from gate.core.place import Place
from gate.core.tokens import Tokens
from loadtests.surge.answers import Step
from loadtests.surge.asking import PASS, PRE, TICKET, claims_of
from loadtests.surge.crowd import Visitor
from loadtests.surge.kinds.page import Page
from loadtests.surge.plan import ROOM


def _expired() -> Tokens | None:
    """With the gate's own keys, where they are at hand, even what is signed right can be tried when it is too old."""
    path = os.environ.get("SURGE_KEYS")
    return Tokens(load_ring(json.loads(Path(path).read_text()))) if path else None


class Forger(Page):
    """Never let in."""

    tokens = _expired()

    def join(self, visitor: Visitor) -> None:
        """As everybody; but the pre-ticket is kept for later."""
        visitor.spent = visitor.cookies.get(PRE, "")
        super().join(visitor)

    def follow(self, visitor: Visitor) -> None:
        """Every forgery once, then away."""
        if self.gone_unless_a_line_stands(visitor):
            return
        ticket, spent = visitor.cookies[TICKET], visitor.spent
        for cookies in self.forgeries(ticket, spent):
            visitor.cookies = cookies
            self.asking.page(visitor, "/", Step.FORGED)
        # A pre-ticket that is shown again must not give a second place: the verdict looks at what comes of it.
        visitor.cookies = {PRE: spent}
        self.asking.call(visitor, "POST", "join", Step.TAB)
        self.asking.mark(visitor, Step.GONE)
        self.crowd.done(visitor)

    def forgeries(self, ticket: str, pre: str) -> list[dict[str, str]]:
        """Cookies to try: nothing among them is worth admission."""
        header, _, signature = ticket.split(".")
        claims = claims_of(ticket)
        front = _encoded({**claims, "pos": 1})
        as_pass = _encoded({**claims, "kind": "pass", "jti": "0" * 24, "cap": claims["exp"]})
        none = _encoded({"alg": "none", "kid": "x", "typ": "JWT"})
        tried = [
            {TICKET: f"{header}.{front}.{signature}"},
            {PASS: f"{header}.{as_pass}.{signature}"},
            {PASS: ticket},
            {PASS: f"{none}.{as_pass}."},
            {TICKET: ticket.replace(signature, signature[::-1])},
            {PASS: f"{ticket}x"},
            {PASS: pre},
        ]
        old = None
        if self.tokens is not None:
            # Of a place that was let in: a pass proves as much, and only whoever has these keys could lie.
            old = self.crowd.let_in and claims_of(self.crowd.let_in)
        if old:
            place, long_ago = Place(old["gen"], old["era"], old["pos"]), old["iat"] - 7 * 86_400
            tried += [
                {PASS: self.tokens.mint_pass(ROOM, place, old["nonce"], now=long_ago, life=600, cap=long_ago + 3_600)},
                {PASS: self.tokens.mint_pass("other", place, old["nonce"], now=old["iat"], life=600, cap=old["cap"])},
            ]
        return tried


def _encoded(claims: dict) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
