"""What kind of request this is: who asks, and whether it may take a place in line.

Owns the reading of Fetch Metadata (W3C), `Sec-Purpose` and `Accept`. Only the path, never a header, decides
whether a URL is protected; the kind decides only what is answered to somebody who must wait.
"""

import re
from collections.abc import Mapping
from enum import Enum, auto

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT", "SEARCH", "QUERY"})

# The IANA registry of HTTP methods (RFC 9110 section 16.1.1), less CONNECT and TRACE.
METHODS = frozenset(
    """ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY DELETE GET HEAD LABEL LINK LOCK MERGE MKACTIVITY MKCALENDAR
    MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PROPFIND PROPPATCH PUT QUERY REBIND REPORT
    SEARCH UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL""".split()
)
FORBIDDEN_METHODS = frozenset({"CONNECT", "TRACE"})

_CRAWLER = re.compile(
    r"googlebot|google-inspectiontool|bingbot|duckduckbot|baiduspider|yandex(?:bot|images)|slurp|applebot|petalbot"
    r"|facebookexternalhit|twitterbot|linkedinbot|pinterestbot|ahrefsbot|semrushbot|mj12bot|gptbot|claudebot|ccbot",
    re.IGNORECASE,
)


class Kind(Enum):
    """Who asks."""

    NAVIGATION = auto()
    """A person opens a page: gets the waiting page, may take a place."""
    FORM = auto()
    """A person sends a form: the page too, and is told that the form was not sent."""
    API = auto()
    """fetch, XHR or an API client: gets a problem, may take a place."""
    PART = auto()
    """Images, styles, frames, prefetches, HEAD, cross-site fetches: takes no place."""
    PREFLIGHT = auto()
    """A CORS preflight."""


def classify(method: str, headers: Mapping[str, str]) -> Kind:
    """The kind of a request, from its method and headers (case-insensitive mapping)."""
    if method == "OPTIONS" and "Access-Control-Request-Method" in headers and "Origin" in headers:
        return Kind.PREFLIGHT
    if method == "HEAD" or _is_speculative(headers) or is_websocket(headers):
        return Kind.PART
    mode, destination = headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest", "")
    if mode is None:
        opens_page = "text/html" in headers.get("Accept", "").lower()
        return _page_kind(method) if opens_page else Kind.API
    if mode == "navigate":
        return _page_kind(method) if destination == "document" else Kind.PART
    if destination not in ("", "empty") or headers.get("Sec-Fetch-Site") == "cross-site":
        return Kind.PART
    return Kind.API


def is_websocket(headers: Mapping[str, str]) -> bool:
    """Whether a request asks for a WebSocket; every other `Upgrade` is ignored, as RFC 9110 section 7.8 allows."""
    return headers.get("Upgrade", "").strip().lower() == "websocket"


def is_crawler(headers: Mapping[str, str]) -> bool:
    """Whether a search engine or a service worker asks: neither may be shown, or keep, a waiting page."""
    if headers.get("Service-Worker") or headers.get("Sec-Fetch-Dest") == "serviceworker":
        return True
    return bool(_CRAWLER.search(headers.get("User-Agent", "")))


def is_foreign(headers: Mapping[str, str], authority: str) -> bool:
    """Whether another site sends this: join, claim and leave refuse it (cross-site request forgery).

    `authority` is the request's Host. Schemes are not compared: behind a proxy that ends TLS the gate may not know
    its own.
    """
    if headers.get("Sec-Fetch-Site") == "cross-site":
        return True
    origin = headers.get("Origin")
    return origin is not None and origin.lower().partition("://")[2] != authority.lower()


def _page_kind(method: str) -> Kind:
    if method == "GET":
        return Kind.NAVIGATION
    return Kind.FORM if method == "POST" else Kind.API


def _is_speculative(headers: Mapping[str, str]) -> bool:
    purpose = headers.get("Sec-Purpose") or headers.get("Purpose") or headers.get("X-Moz") or ""
    return "prefetch" in purpose.lower() or "prerender" in purpose.lower()
