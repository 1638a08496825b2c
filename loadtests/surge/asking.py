"""Asking the gate on a visitor's behalf: one request, its row in the file of answers, its cookies kept."""

import base64
import json
import re
import time
from dataclasses import dataclass

import gevent
import orjson
from geventhttpclient.client import HTTPClient
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError, HTTPResponse
from locust.event import EventHook

from loadtests.surge.answers import Answers, Step
from loadtests.surge.crowd import Visitor
from loadtests.surge.plan import ROOM

_COOKIE = re.compile(r"\b(gate_(?:pre|ticket|pass)_" + ROOM + r"|shop_session)=([^;,\s]*)")
PRE, TICKET, PASS = f"gate_pre_{ROOM}", f"gate_ticket_{ROOM}", f"gate_pass_{ROOM}"
_PAGE = {
    "Accept": "text/html",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Site": "none",
    "Accept-Encoding": "br, gzip",
    "User-Agent": "Mozilla/5.0 (surge)",
}
_SCRIPT = {
    "Accept": "*/*",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Site": "same-origin",
    "Accept-Encoding": "identity",
    "User-Agent": "Mozilla/5.0 (surge)",
}
# No answer of these is a failure of the gate: what is right for whom is the verdict's to say.
OK = 200
_EXPECTED = frozenset({200, 202, 204, 302, 303, 304, 400, 403, 410, 425, 429})
_TROUBLE = (OSError, HTTPConnectionClosed, HTTPParseError, gevent.Timeout)


class UnexpectedStatusError(Exception):
    """What Locust is told of an answer that nobody should get."""


@dataclass(slots=True)
class Answer:
    """What came back; status 0 and no headers where nothing did."""

    status: int
    headers: HTTPResponse | dict[str, str]
    body: bytes

    def json(self) -> dict:
        """The document."""
        return orjson.loads(self.body)

    @property
    def text(self) -> str:
        """A page that was sent as it is."""
        return self.body.decode()

    @property
    def cookies(self) -> list[tuple[str, str]]:
        """Name and value of each cookie set; the client gives one as a text, several as a list."""
        found = self.headers.get("set-cookie") or ""
        return _COOKIE.findall(found if isinstance(found, str) else "\n".join(found))

    @property
    def retry_after(self) -> float | None:
        """In seconds, where it is told."""
        told = self.headers.get("retry-after")
        return float(told) if told else None


class Asking:
    """What all Locust users of a process share."""

    def __init__(self, client: HTTPClient, answers: Answers, told: EventHook) -> None:
        # The pool's client itself: `FastHttpSession` above it adds cookies and redirects, which are the visitors' own
        # business here, and more than doubles what a request costs.
        self._client = client
        self._answers = answers
        self._told = told

    def page(self, visitor: Visitor, path: str, step: Step, *, data: str | None = None) -> Answer:
        """A navigation; with `data`, a form."""
        more = {"Content-Type": "application/x-www-form-urlencoded"} if data is not None else {}
        return self.ask(visitor, "GET" if data is None else "POST", path, step, {**_PAGE, **more}, data)

    def call(self, visitor: Visitor, method: str, verb: str, step: Step) -> Answer:
        """A call of the waiting page's script."""
        return self.ask(visitor, method, f"/_gate/{verb}/{ROOM}", step, _SCRIPT)

    def ask(
        self, visitor: Visitor, method: str, path: str, step: Step, headers: dict[str, str], data: str | None = None
    ) -> Answer:
        """One request with the visitor's cookies. The answer; its `status` is 0 where none came."""
        headers = {**headers, "X-Forwarded-For": visitor.address}
        if visitor.cookies:
            headers["Cookie"] = "; ".join([f"{name}={value}" for name, value in visitor.cookies.items()])
        sent = time.monotonic()
        answer, trouble = self._request(method, path, headers, data)
        got = time.monotonic()
        for name, value in answer.cookies:
            if value:
                visitor.cookies[name] = value
            else:
                visitor.cookies.pop(name, None)
        # The box office sets a session with every page; a pass comes as a cookie, to API clients in the claim's body.
        let_in = any(value and name in ("shop_session", PASS) for name, value in answer.cookies)
        let_in |= step is Step.CLAIM and answer.status == OK
        place = self._place(visitor, answer, step)
        self._answers.add(sent, got, visitor.number, place, answer.status, visitor.kind, step, let_in)
        self._told.fire(
            request_type=method,
            name=f"{visitor.kind.name.lower()} {step.name.lower()}",
            response_time=(got - sent) * 1000,
            response_length=len(answer.body),
            exception=trouble,
            context={},
        )
        return answer

    def _request(
        self, method: str, path: str, headers: dict[str, str], data: str | None
    ) -> tuple[Answer, Exception | None]:
        try:
            response = self._client.request(method, path, body=(data or "").encode(), headers=headers)
            body = bytes(response.read())
        except _TROUBLE as error:
            return Answer(0, {}, b""), error
        answer = Answer(response.status_code, response, body)
        unexpected = None if answer.status in _EXPECTED else UnexpectedStatusError(answer.status)
        return answer, unexpected

    def mark(self, visitor: Visitor, step: Step) -> None:
        """A row without a request."""
        now = time.monotonic()
        place = (visitor.place.era, visitor.place.position) if visitor.place else (0, 0)
        self._answers.add(now, now, visitor.number, place, 0, visitor.kind, step, False)

    @staticmethod
    def _place(visitor: Visitor, answer: Answer, step: Step) -> tuple[int, int]:
        """The place that an answer speaks of: era and position."""
        status = answer.status
        if step is Step.POLL and status == OK:
            said = answer.json()
            return said["era"], said["now_serving"]
        if step in (Step.JOIN, Step.TAB, Step.CLAIM, Step.BARE_JOIN) and status == OK:
            said = answer.json()
            return said.get("era", 0), said.get("position") or 0
        if step is Step.PAGE and PASS in visitor.cookies:
            claims = claims_of(visitor.cookies[PASS])
            return claims["era"], claims["pos"]
        return (visitor.place.era, visitor.place.position) if visitor.place else (0, 0)


def claims_of(token: str) -> dict:
    """What a token says. Its signature is not looked at."""
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
