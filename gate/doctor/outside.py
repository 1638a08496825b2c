"""What can be checked from where visitors are: the public listener, its cookies and caches, and the origin."""

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from gate.doctor.finding import Finding, fail, fine, judge, warn

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_CACHE_SECONDS = 3.0
_POINTER_AGE_MAX_SECONDS = 8.0
_CERTIFICATE_DAYS_MIN = 14
_SERVER_ERROR = 500


async def check_origin(url: str, verify: bool | str) -> list[Finding]:
    """It answers, and not to the whole world."""
    if not url:
        return [fail("origin", "is not set", "--origin URL, GATE_ORIGIN_URL or [origin] url")]
    found = []
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            tls = ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify
            async with session.get(url + "/", allow_redirects=False, ssl=tls) as answer:
                said = f"{url} answers {answer.status}"
                found.append(judge(answer.status < _SERVER_ERROR, "origin", said, "look at the origin's log"))
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        found.append(
            fail("origin", f"{url} does not answer ({type(error).__name__})", "start it, or mend the way to it")
        )
    return [*found, await _is_hidden(url)]


async def _is_hidden(url: str) -> Finding:
    host = urlsplit(url).hostname or ""
    try:
        rows = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return warn("origin", f"{host} is not a name here", "check its name")
    public = sorted({str(row[4][0]) for row in rows if ipaddress.ip_address(row[4][0]).is_global})
    if not public:
        return fine("origin", "has private addresses only; people cannot walk around the line")
    mend = "let it answer the gate's addresses alone (firewall), or people walk around the line"
    return warn("origin", f"has a public address, {public[0]}", mend)


async def check_public(url: str, room: str) -> list[Finding]:
    """The public listener as a browser meets it. Spends no place in line."""
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()) as session:
            return [finding async for finding in _public(session, url, room)]
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        cause = f"{url} does not answer ({type(error).__name__})"
        return [fail("public", cause, "set server.public_url (GATE_PUBLIC_URL) to what visitors type, or --public")]


async def _public(session: aiohttp.ClientSession, url: str, room: str) -> AsyncIterator[Finding]:
    async with session.get(f"{url}/_gate/livez") as answer:
        alive = answer.status == 200 and await answer.text() == "ok\n"  # noqa: PLR2004  (OK)
    yield judge(alive, "public", f"{url} {'leads to' if alive else 'does not lead to'} a gate", "check DNS and proxies")
    if not alive:
        return
    for finding in _tls(url):
        yield finding
    first, again = [await _pre_ticket(session, url, room) for _ in range(2)]
    for finding in _cookies(url, first):
        yield finding
    mend = "let no cache store answers with Set-Cookie or no-store; forward POST /_gate/ untouched"
    yield judge(first != again, "caches", "two visitors get two pre-tickets" if first != again else "two get one", mend)
    for finding in await _pointer(session, url, room):
        yield finding
    yield await _believes_anybody(session, url, room)


async def _pre_ticket(session: aiohttp.ClientSession, url: str, room: str, **headers: str) -> str:
    """The pre-ticket's `Set-Cookie`, as a browser would get it; costs no number."""
    async with session.post(f"{url}/_gate/join/{room}", headers=headers) as answer:
        return next((cookie for cookie in answer.headers.getall("Set-Cookie", []) if "gate_pre" in cookie), "")


def _cookies(url: str, cookie: str) -> Iterator[Finding]:
    parts = urlsplit(url)
    secure = "; secure" in cookie.lower()
    if not cookie:
        yield warn("cookies", "none was set", "the room may be closed or off; try again while it takes newcomers")
    elif parts.scheme == "https":
        mend = 'set trusted_proxies to whatever ends TLS, or public_scheme = "https"'
        yield judge(secure, "cookies", "Secure" if secure else "not Secure, though visitors come by https", mend)
    elif _is_private(parts.hostname or ""):
        yield fine("cookies", "in clear, on a private address")
    else:
        yield fail("cookies", "travel in clear", "serve https: tls_cert and tls_key, or a proxy that ends TLS")


def _tls(url: str) -> Iterator[Finding]:
    parts = urlsplit(url)
    if parts.scheme != "https":
        return
    context = ssl.create_default_context()
    try:
        with (
            socket.create_connection((parts.hostname or "", parts.port or 443), 10) as raw,
            context.wrap_socket(raw, server_hostname=parts.hostname) as connection,
        ):
            certificate: dict[str, Any] = connection.getpeercert() or {}
    except OSError as error:
        yield fail("tls", f"no browser would believe it ({error})", "renew the certificate, with its whole chain")
        return
    days = (ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) / 86_400
    yield judge(days >= _CERTIFICATE_DAYS_MIN, "tls", f"the certificate is good for {days:.0f} days", "renew it")


async def _pointer(session: aiohttp.ClientSession, url: str, room: str) -> list[Finding]:
    """Cached for a second or so, not for longer, and the same for everyone."""
    async with session.get(f"{url}/_gate/now/{room}") as answer:
        headers, status = answer.headers, answer.status
        first = await answer.json() if status == 200 else {}  # noqa: PLR2004  (OK)
    if not first:
        return [fail("pointer", f"/_gate/now/{room} answers {status}", "is this the room's name?")]
    await asyncio.sleep(_CACHE_SECONDS)
    async with session.get(f"{url}/_gate/now/{room}") as answer:
        second = await answer.json()
    moved, age = second["time"] > first["time"], time.time() - second["time"]
    cached = "max-age=1" in headers.get("Cache-Control", "")
    clean = "Set-Cookie" not in headers and "cookie" not in headers.get("Vary", "").lower()
    return [
        judge(moved, "pointer", f"moves on within {_CACHE_SECONDS:g} s", "let caches obey its max-age of one second"),
        judge(abs(age) < _POINTER_AGE_MAX_SECONDS, "pointer", f"is {age:.1f} s old here", "check caches and clocks"),
        judge(
            cached and clean, "pointer", "its Cache-Control came through, no cookie", "leave its headers as they are"
        ),
    ]


async def _believes_anybody(session: aiohttp.ClientSession, url: str, room: str) -> Finding:
    """A claim of https from here must change nothing, unless here is a trusted proxy."""
    if urlsplit(url).scheme == "https":
        return fine("proxies", "not tried over https")
    cookie = await _pre_ticket(session, url, room, **{"X-Forwarded-Proto": "https"})
    believed = "; secure" in cookie.lower()
    mend = "narrow trusted_proxies; anybody from here may choose their address"
    found = "believes X-Forwarded-* from here" if believed else "does not believe X-Forwarded-* from here"
    return warn("proxies", found, mend) if believed else fine("proxies", found)


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost"
