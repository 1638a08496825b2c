"""The admin listener: which path leads where, and what every request passes first."""

from dataclasses import dataclass

from aiohttp import web

from gate.admin.auth import Operators
from gate.admin.guards import OPERATOR, answer_refusals, ask_for_token, know_host, refuse_other_sites
from gate.admin.metrics import CONTENT_TYPE, Metrics
from gate.admin.openapi import description
from gate.admin.pages import PageRoutes
from gate.admin.rooms import Operations, RoomRoutes, answer
from gate.admin.watch import Watch

_BODY_BYTES_MAX = 64 * 1024
_PLAIN = {"Server": "gate", "Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may come: the tokens, the names this listener goes by, and whether metrics need a token."""

    operators: Operators
    hosts: tuple[str, ...]
    open_metrics: bool


def make_admin(operations: Operations, watch: Watch, pages: PageRoutes, rules: Rules) -> web.Application:
    """The admin listener's application."""
    app = web.Application(
        middlewares=[
            answer_refusals,
            know_host(rules.hosts),
            refuse_other_sites,
            ask_for_token(rules.operators, lambda path: _is_open(path, open_metrics=rules.open_metrics)),
        ],
        client_max_size=_BODY_BYTES_MAX,
    )
    rooms, gate = RoomRoutes(operations, watch), _GateRoutes(watch, rules.operators)
    app.router.add_routes(
        [
            web.get("/", pages.dashboard),
            web.get("/_gate/static/{name}", pages.file),
            web.get("/preview/{room}", pages.preview),
            web.get("/livez", gate.livez),
            web.get("/readyz", gate.readyz),
            web.get("/metrics", gate.metrics),
            web.get("/api/openapi.json", gate.openapi),
            web.get("/api/events", gate.events, allow_head=False),
            web.get("/api/gate", gate.show),
            web.get("/api/rooms", rooms.list_rooms),
            web.get("/api/rooms/{room}", rooms.show),
            web.patch("/api/rooms/{room}", rooms.change),
            web.post("/api/rooms/{room}/advance", rooms.advance),
            web.post("/api/rooms/{room}/reset", rooms.reset),
            web.post("/api/rooms/{room}/admit", rooms.admit),
            web.post("/api/rooms/{room}/preview", pages.link),
            web.get("/api/rooms/{room}/log", rooms.record),
        ]
    )
    return app


class _GateRoutes:
    """What is about the gate as a whole."""

    def __init__(self, watch: Watch, operators: Operators) -> None:
        self._watch = watch
        self._operators = operators
        self._metrics = Metrics(watch.now)

    async def livez(self, _request: web.Request) -> web.Response:
        """The process lives."""
        return web.Response(text="ok\n", headers=_PLAIN)

    async def readyz(self, _request: web.Request) -> web.Response:
        """The gate can serve."""
        readiness = self._watch.fleet.readiness()
        return web.Response(status=readiness.status, text=readiness.text, headers=_PLAIN)

    async def metrics(self, _request: web.Request) -> web.Response:
        """For Prometheus."""
        return web.Response(body=self._metrics.text(), headers={**_PLAIN, "Content-Type": CONTENT_TYPE})

    async def openapi(self, _request: web.Request) -> web.Response:
        """This API, described."""
        return answer(description())

    async def show(self, _request: web.Request) -> web.Response:
        """All rooms and the service, once."""
        return answer(self._watch.gate())

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The same, as it happens."""
        name = request[OPERATOR].name
        return await self._watch.events.stream(request, self._watch.history(), lambda: self._operators.knows(name))


def _is_open(path: str, *, open_metrics: bool) -> bool:
    """Health, the empty dashboard and its files, and what bears its own proof."""
    if path in ("/", "/livez", "/readyz") or path.startswith(("/_gate/static/", "/preview/")):
        return True
    return open_metrics and path == "/metrics"
