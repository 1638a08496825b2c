"""What every request of the admin listener passes before a handler sees it: host, site, token, scope.

Refusals are problem documents. The order matters: a page of another site, or one that reached us by a rebound
name, is refused before its token is looked at.
"""

import ipaddress
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from gate.admin.auth import Failures, Operator, Operators
from gate.admin.tokenfile import Scope
from gate.core.errors import Reason, RefusalError, problem_document
from gate.core.fetch import SAFE_METHODS, is_foreign
from gate.store.connection import StoreUnavailableError

log = logging.getLogger("gate.admin")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OPERATOR: web.RequestKey[Operator] = web.RequestKey("operator", Operator)
JSON_HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Server": "gate",
}
_NOT_FOUND = 404


def problem(reason: Reason, detail: str = "", *, retry_after: int | None = None) -> web.Response:
    """A refusal (RFC 9457)."""
    headers = {**JSON_HEADERS, "Content-Type": "application/problem+json"}
    if reason is Reason.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return web.Response(status=reason.status, body=orjson.dumps(problem_document(reason, detail)), headers=headers)


@web.middleware
async def answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever is raised leaves as a problem document."""
    try:
        return await handler(request)
    except RefusalError as error:
        return problem(error.reason, error.detail, retry_after=error.retry_after)
    except StoreUnavailableError:
        return problem(Reason.STORE_UNAVAILABLE, retry_after=1)
    except web.HTTPMethodNotAllowed as error:
        refused = problem(Reason.METHOD_NOT_ALLOWED)
        refused.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return refused
    except web.HTTPException as error:
        return problem(Reason.NOT_FOUND if error.status == _NOT_FOUND else Reason.BAD_REQUEST)


def know_host(allowed: tuple[str, ...]) -> Any:
    """Only by an address, as localhost, or by a name that is configured: DNS rebinding comes by its own name."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "").rpartition("@")[2].lower()
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name not in ("localhost", *allowed) and not _is_address(name.strip("[]")):
            raise RefusalError(Reason.MISDIRECTED, "allowed: an address, localhost, or a name in server.admin_hosts")
        return await handler(request)

    return check


@web.middleware
async def refuse_other_sites(request: web.Request, handler: Handler) -> web.StreamResponse:
    """No page of another site may ask here, whatever it carries."""
    if is_foreign(request.headers, request.headers.get("Host", "")) and not _is_page(request.path):
        raise RefusalError(Reason.FORBIDDEN)
    return await handler(request)


def ask_for_token(operators: Operators, open_paths: Callable[[str], bool]) -> Any:
    """A token for all but `open_paths`; `operate` for whatever changes something."""
    failures = Failures()

    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        if open_paths(request.path):
            return await handler(request)
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        operator = operators.find(shown.strip()) if scheme.lower() == "bearer" else None
        if operator is None:
            if shown:
                _count_failure(failures, network_of(request.remote or ""))
            raise RefusalError(Reason.UNAUTHORIZED)
        if operator.scope is not Scope.OPERATE and request.method not in SAFE_METHODS:
            raise RefusalError(Reason.FORBIDDEN, f"the token {operator.name} may read, not operate")
        request[OPERATOR] = operator
        return await handler(request)

    return ask


def _count_failure(failures: Failures, peer: str) -> None:
    """Who guesses is soon told nothing but to wait. A right token is never refused for what a neighbour guessed."""
    now = time.monotonic()
    wait = failures.wait(peer, now)
    if wait > 0:
        raise RefusalError(Reason.RATE_LIMITED, "too many wrong tokens", retry_after=math.ceil(wait))
    failures.add(peer, now)
    log.warning("token refused", extra={"reason": Reason.UNAUTHORIZED.value})


def network_of(address: str) -> str:
    """An address, or the /64 that one host has of IPv6."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_page(path: str) -> bool:
    """What people open by a link, wherever it stands."""
    return path == "/" or path.startswith("/preview/")
