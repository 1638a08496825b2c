"""A small box office: an on-sale page, seats, a checkout with CSRF token and session, a confirmation, its load.

It knows nothing of the gate but one header: after a purchase it says `Gate-Command: complete`.
"""

import asyncio
import html
import json
import re
import secrets
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from importlib.resources import files
from string import Template

from aiohttp import web

_SEATS = [f"{row}{number}" for row in "ABCDEFGH" for number in range(1, 13)]
_PAGES = {
    name: Template((files("gate.demo") / f"pages/{name}.html").read_text())
    for name in ("layout", "sale", "seats", "checkout", "done", "load")
}
_CSS = (files("gate.demo") / "pages/shop.css").read_text()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_NAME = re.compile(r"[^\x00-\x1f]{1,80}")


class BoxOffice:
    """The shop's state: sessions, sold seats, and the load it feels."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, str]] = {}
        self.taken: dict[str, str] = {}
        self.orders = 0
        self.hits: deque[float] = deque(maxlen=100_000)
        self.working = 0

    async def sale(self, request: web.Request) -> web.Response:
        """The page everybody wants."""
        return self._page(request, "sale", "Harbour Hall", sold=self.orders)

    async def seats(self, request: web.Request) -> web.Response:
        """Pick a seat."""
        boxes = "".join(_seat_box(seat, taken=seat in self.taken) for seat in _SEATS)
        return self._page(request, "seats", "Choose a seat", boxes=boxes)

    async def checkout(self, request: web.Request) -> web.Response:
        """Name and payment."""
        seat = request.query.get("seat", "")
        if seat not in _SEATS:
            raise web.HTTPSeeOther("/seats")
        return self._page(request, "checkout", "Checkout", seat=seat)

    async def order(self, request: web.Request) -> web.Response:
        """Buy."""
        form = await request.post()
        session = self._session(request)
        if session is None or not secrets.compare_digest(str(form.get("csrf", "")), session["csrf"]):
            raise web.HTTPForbidden(text="This form is from another session.\n")
        seat, name = str(form.get("seat", "")), str(form.get("name", ""))
        if seat not in _SEATS or not _NAME.fullmatch(name):
            raise web.HTTPBadRequest(text="Choose a seat and give a name.\n")
        self.orders += 1
        self.taken[seat] = name
        if len(self.taken) > len(_SEATS) - 24:  # another evening goes on sale
            self.taken.clear()
        answer = self._page(request, "done", "See you there", seat=seat, name=name, order=f"HH-{self.orders:05d}")
        answer.headers["Gate-Command"] = "complete"
        return answer

    async def load(self, request: web.Request) -> web.Response:
        """What load the shop feels, as a page."""
        return self._page(request, "load", "Load", **self._load())

    async def load_json(self, _request: web.Request) -> web.Response:
        """The same as data."""
        return web.json_response(self._load())

    async def css(self, _request: web.Request) -> web.Response:
        """The shop's looks."""
        return web.Response(text=_CSS, content_type="text/css", headers={"Cache-Control": "public, max-age=60"})

    def _load(self) -> dict[str, object]:
        now = time.monotonic()
        last = [sum(1 for hit in self.hits if now - age - 1 <= hit < now - age) for age in range(30)]
        return {
            "per_second": last[1],
            "peak": max(last),
            "working": self.working,
            "orders": self.orders,
            "bars": " ".join(str(count) for count in reversed(last)),
        }

    def _session(self, request: web.Request) -> dict[str, str] | None:
        return self.sessions.get(request.cookies.get("shop_session", ""))

    def _page(self, request: web.Request, page: str, title: str, **values: object) -> web.Response:
        session, identity = self._session(request), request.cookies.get("shop_session", "")
        if session is None:
            identity, session = secrets.token_urlsafe(16), {"csrf": secrets.token_urlsafe(16)}
            self.sessions[identity] = session
            if len(self.sessions) > 20_000:  # noqa: PLR2004  (a demo's memory)
                del self.sessions[next(iter(self.sessions))]
        raw = {"boxes"}
        safe = {key: value if key in raw else html.escape(str(value)) for key, value in values.items()}
        body = _PAGES[page].substitute(safe, csrf=session["csrf"])
        answer = web.Response(
            text=_PAGES["layout"].substitute(title=html.escape(title), body=body), content_type="text/html"
        )
        answer.headers["Cache-Control"] = "no-store"
        answer.set_cookie("shop_session", identity, httponly=True, samesite="Lax")
        return answer


def _seat_box(seat: str, *, taken: bool) -> str:
    look, off = (" taken", " disabled") if taken else ("", "")
    return f'<label class="seat{look}"><input type="radio" name="seat" value="{seat}"{off} required>{seat}</label>'


def make_box_office() -> web.Application:
    """The shop's application."""
    shop = BoxOffice()

    @web.middleware
    async def feel(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/load"):
            shop.hits.append(time.monotonic())
        shop.working += 1
        try:
            await asyncio.sleep(0.03)  # a real shop asks its database
            return await handler(request)
        finally:
            shop.working -= 1

    app = web.Application(middlewares=[feel])
    app.router.add_get("/", shop.sale)
    app.router.add_get("/seats", shop.seats)
    app.router.add_get("/checkout", shop.checkout)
    app.router.add_post("/order", shop.order)
    app.router.add_get("/load", shop.load)
    app.router.add_get("/load.json", shop.load_json)
    app.router.add_get("/shop.css", shop.css)
    return app


def main() -> None:
    """`python -m gate.demo.origin '{"listen": "HOST:PORT"}'`."""
    host, _, port = json.loads(sys.argv[1])["listen"].rpartition(":")
    web.run_app(make_box_office(), host=host, port=int(port), print=None, access_log=None)


if __name__ == "__main__":
    main()
