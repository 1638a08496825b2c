"""The pages of the admin listener: the dashboard, and previews of the waiting page behind signed links.

The dashboard holds no data: its script asks the API with the token it was given. A preview shows what any visitor
may see, but only through a link that the API has made, good for an hour.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from gate.admin.bodies import Fields, one_of, read_body, read_fields, whole
from gate.admin.rooms import answer
from gate.core.errors import Reason, RefusalError

PREVIEW_STATES = (
    "waiting", "next", "held", "served", "joining", "closed", "full", "lapsed", "away", "form-not-sent",
)  # fmt: skip
_LINK_SECONDS = 3_600
_AHEAD_MAX = 100_000_000
_PREVIEW_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'none'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
DASHBOARD_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-cache",
    "Content-Type": "text/html; charset=utf-8",
    "Server": "gate",
}

Render = Callable[[str, str, int, str], str]
"""Room, state, how many are ahead, language: the waiting page's HTML."""
File = Callable[[str, web.BaseRequest], web.Response]


class PageRoutes:
    """The handlers. `dashboard` is its HTML, `languages` what the waiting page speaks."""

    def __init__(
        self,
        rooms: tuple[str, ...],
        dashboard: str,
        render: Render,
        file: File,
        languages: tuple[str, ...],
        key: bytes,
    ) -> None:
        self._rooms = rooms
        self._dashboard = dashboard.encode()
        self._render = render
        self._file = file
        self._key = key
        self._languages = languages
        self._fields: Fields = {
            "state": one_of(*PREVIEW_STATES),
            "ahead": whole(0, _AHEAD_MAX),
            "language": one_of(*languages),
        }

    async def dashboard(self, _request: web.Request) -> web.Response:
        """The dashboard."""
        return web.Response(body=self._dashboard, headers=DASHBOARD_HEADERS)

    async def file(self, request: web.Request) -> web.Response:
        """A file of either page."""
        return self._file(request.match_info["name"], request)

    async def link(self, request: web.Request) -> web.Response:
        """POST: a link to a preview."""
        room = request.match_info["room"]
        if room not in self._rooms:
            raise RefusalError(Reason.NOT_FOUND, "no such room")
        asked = read_fields(await read_body(request), self._fields)
        query = {
            "state": asked.get("state", "waiting"),
            "ahead": str(asked.get("ahead", 1_234)),
            "language": asked.get("language", "en"),
            "until": str(int(time.time()) + _LINK_SECONDS),
        }
        query["key"] = self._sign(room, query)
        return answer({"url": f"/preview/{room}?{urlencode(query)}", "states": PREVIEW_STATES,
                       "languages": self._languages}, status=201)  # fmt: skip

    async def preview(self, request: web.Request) -> web.Response:
        """GET: the waiting page in one state; nothing of the real line is read or touched."""
        room, query = request.match_info["room"], dict(request.query)
        shown = query.pop("key", "")
        if not hmac.compare_digest(shown.encode(), self._sign(room, query).encode()):
            raise RefusalError(Reason.UNAUTHORIZED, "this link was not made here")
        if int(query["until"]) < time.time():
            raise RefusalError(Reason.UNAUTHORIZED, "this link is older than an hour; make a new one")
        page = self._render(room, query["state"], int(query["ahead"]), query["language"])
        headers = {**DASHBOARD_HEADERS, "Content-Security-Policy": _PREVIEW_CSP, "Cache-Control": "no-store"}
        del headers["X-Frame-Options"]
        return web.Response(body=page.encode(), headers=headers)

    def _sign(self, room: str, query: dict[str, Any]) -> str:
        body = urlencode(sorted({**query, "room": room}.items()))
        return hmac.digest(self._key, body.encode(), hashlib.sha256).hex()
