"""What crosses to the origin and back: which headers, which cookies, whose cache, and the origin's commands.

`core/headers.py` has the rules for headers, `proxy/origin.py` moves the bytes. This file knows of passes.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from gate.core.errors import RefusalError
from gate.core.fetch import SAFE_METHODS
from gate.core.headers import (
    Header,
    forwarded_element,
    from_origin,
    is_uncacheable,
    make_private,
    read_pairs,
    to_origin,
)
from gate.core.tokens import Pass
from gate.proxy.origin import Amend, Origin
from gate.store.connection import StoreUnavailableError
from gate.web.caller import Caller
from gate.web.desk import Desk
from gate.web.holdings import Admitted
from gate.web.plain import Asking

log = logging.getLogger("gate.forwarding")
_COMMAND = "gate-command"
_SECONDS = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class Held:
    """A forwarded request's pass, and what is to become of it when the answer comes."""

    desk: Desk
    admission: Pass
    scheme: str
    is_safe: bool
    is_api: bool
    fresh: Admitted | None = None
    ageing: bool = False
    opens_page: bool = False
    clear_ticket: bool = False

    @classmethod
    def of(cls, request: Asking, caller: Caller, desk: Desk, admission: Pass, **more: Any) -> "Held":
        """What is held while a request is under way."""
        is_api = request.headers.get("Gate-Client", "").lower() == "api"
        return cls(desk, admission, caller.scheme, request.method in SAFE_METHODS, is_api, **more)


class Forwarding:
    """The three ways of a forwarded request: of no room, by an open rule, and on a pass."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    async def plain(self, request: web.BaseRequest, caller: Caller) -> web.StreamResponse:
        """A URL that no room names."""
        return await self._send(request, caller, [], _unchanged, lambda: None)

    async def open(self, request: web.BaseRequest, caller: Caller, desk: Desk) -> web.StreamResponse:
        """A room's URL without a pass: an open rule, a preflight, or mode `off`."""

        async def changed(headers: list[Header]) -> list[Header]:
            return shown_headers(desk, headers)

        return await self._send(request, caller, gate_headers(desk), changed, lambda: None)

    async def admitted(
        self,
        request: web.BaseRequest,
        caller: Caller,
        desk: Desk,
        admission: Pass,
        *,
        fresh: Admitted | None = None,
        ageing: bool = False,
        opens_page: bool = False,
        clear_ticket: bool = False,
    ) -> web.StreamResponse:
        """A room's URL on a pass; `fresh` is a pass to be set, `ageing` one to be made anew if it suits."""
        more = {"fresh": fresh, "ageing": ageing, "opens_page": opens_page, "clear_ticket": clear_ticket}
        held = Held.of(request, caller, desk, admission, **more)
        ours = gate_headers(desk, admission)
        try:
            return await self._send(request, caller, ours, partial(amend, held), lambda: _tunnel_life(held))
        except RefusalError as error:
            # The origin failed; the admission was earned all the same.
            cookies = (desk.pass_cookie(caller.scheme, fresh),) if fresh else ()
            error.cookies = cookies
            raise

    async def _send(
        self,
        request: web.BaseRequest,
        caller: Caller,
        ours: list[Header],
        amend: Amend,
        tunnel_until: Callable[[], float | None],
    ) -> web.StreamResponse:
        headers = origin_headers(request, caller, ours)
        return await self._origin.forward(request, caller.target.raw, headers, amend, tunnel_until=tunnel_until)


def gate_headers(desk: Desk, admission: Pass | None = None) -> list[Header]:
    """What the gate tells the origin of a request for a room."""
    room = ("Gate-Room", desk.room.name)
    return [room] if admission is None else [room, ("Gate-Position", str(admission.place.position))]


def has_command(headers: list[Header]) -> bool:
    """Whether an answer of the origin's commands something."""
    return any(key.lower() == _COMMAND for key, _ in headers)


def shown_headers(desk: Desk | None, headers: list[Header]) -> list[Header]:
    """An answer's headers for the visitor where nothing of ours is to be added; `desk`: of which room, if any."""
    kept = list(from_origin(headers))
    return kept if desk is None else _cacheable(desk, kept, sets_ours=False)


async def _unchanged(headers: list[Header]) -> list[Header]:
    return shown_headers(None, headers)


async def amend(held: Held, given: list[Header]) -> list[Header]:
    """The answer's headers for the visitor: commands obeyed and stripped, cookies set, caches told."""
    desk = held.desk
    commands = [value for key, value in given if key.lower() == _COMMAND]
    headers = list(from_origin(given))
    fresh = held.fresh
    for command in commands:
        fresh = await _obey(held, command.strip().lower(), fresh)
    slides = held.ageing and (held.opens_page or not held.is_safe or is_uncacheable(headers))
    if fresh is None and slides and not commands:
        fresh = await desk.renew(held.admission)
    cookies = _cookies(held, fresh)
    headers += [("Set-Cookie", cookie) for cookie in cookies]
    if fresh is not None and held.is_api:
        headers.append(("Gate-Pass", fresh.text))
    return _cacheable(desk, headers, sets_ours=bool(cookies))


def _cookies(held: Held, fresh: Admitted | None) -> list[str]:
    jar = held.desk.jar(held.scheme)
    cookies = []
    if fresh is not None:
        cookies = [held.desk.pass_cookie(held.scheme, fresh), jar.clear("pre")]
    return [*cookies, jar.clear("ticket")] if held.clear_ticket else cookies


async def _obey(held: Held, command: str, fresh: Admitted | None) -> Admitted | None:
    """One `Gate-Command` of the origin; returns the pass to be set, if any."""
    desk, admission = held.desk, held.admission
    name, _, argument = command.partition("=")
    log.info("command", extra={"room": desk.room.name, "position": admission.place.position, "command": name[:16]})
    try:
        if name == "complete":
            await desk.finish(admission.place)
        elif name == "revoke":
            await desk.finish(admission.place, revoke_until=admission.cap + desk.room.pass_grace)
        elif name == "extend" and _SECONDS.fullmatch(argument) and desk.line is not None:
            most = desk.passes.base_cap(desk.line, admission.place) + desk.room.pass_cap
            cap = min(admission.cap + int(argument[:9]), most)
            return desk.passes.mint(
                admission.place, admission.nonce, desk.line, mark=admission.mark, cap=max(cap, admission.cap)
            )
    except StoreUnavailableError:
        log.warning("command lost", extra={"room": desk.room.name, "reason": "store-unavailable"})
    return fresh


def _tunnel_life(held: Held) -> float | None:
    """Seconds a WebSocket of this pass may last."""
    admission = held.fresh.admission if held.fresh else held.admission
    match held.desk.room.websocket:
        case "keep":
            return None
        case "pass":
            return max(admission.expires - held.desk.now(), 0)
    return max(admission.cap - held.desk.now(), 0)


def _cacheable(desk: Desk, headers: list[Header], *, sets_ours: bool) -> list[Header]:
    if desk.room.cache == "origin" and not sets_ours:
        return headers
    return make_private(headers, no_store=sets_ours)


def origin_headers(request: Asking, caller: Caller, ours: list[Header]) -> list[Header]:
    """All that the origin shall see, `ours` last. Raises RefusalError."""
    theirs = list(to_origin(read_pairs(request.raw_headers), trusted=caller.trusted))
    theirs = [(key, value) for key, value in theirs if key.lower() != "host"]
    return [("Host", caller.authority), *_forwarded(request, caller, theirs), *ours]


def _forwarded(request: Asking, caller: Caller, theirs: list[Header]) -> list[Header]:
    """Who asks, for the origin: what a trusted proxy said, and the peer we saw."""
    peer = (request.remote or "unknown").split("%")[0]
    before = ", ".join(value for key, value in theirs if key.lower() == "x-forwarded-for")
    chain = ", ".join(value for key, value in theirs if key.lower() == "forwarded")
    said = {key.lower() for key, _ in theirs}
    element = forwarded_element(peer, caller.authority, caller.scheme)
    kept = [
        (key, value)
        for key, value in theirs
        if key.lower() not in ("x-forwarded-for", "x-forwarded-proto", "forwarded")
    ]
    ours = [
        ("X-Forwarded-For", f"{before}, {peer}" if before else peer),
        ("X-Forwarded-Proto", caller.scheme),
        ("Forwarded", f"{chain}, {element}" if chain else element),
    ]
    if "x-forwarded-host" not in said:
        ours.append(("X-Forwarded-Host", caller.authority))
    return kept + ours
