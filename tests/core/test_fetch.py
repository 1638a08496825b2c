"""Who asks: the reading of Fetch Metadata and Accept."""

import pytest
from multidict import CIMultiDict

from gate.core.fetch import Kind, classify, is_crawler, is_foreign

PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize(
    ("method", "headers", "kind"),
    [
        ("GET", PAGE, Kind.NAVIGATION),
        ("POST", PAGE, Kind.FORM),
        ("GET", {"Accept": "text/html,*/*"}, Kind.NAVIGATION),
        ("POST", {"Accept": "text/html"}, Kind.FORM),
        ("GET", {"Accept": "*/*"}, Kind.API),
        ("GET", {}, Kind.API),
        ("PUT", {"Accept": "text/html"}, Kind.API),
        ("GET", {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, Kind.API),
        ("GET", {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "text/html"}, Kind.API),
        ("GET", {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "cross-site"}, Kind.PART),
        ("GET", {**PAGE, "Sec-Fetch-Dest": "iframe"}, Kind.PART),
        ("GET", {**PAGE, "Sec-Purpose": "prefetch"}, Kind.PART),
        ("GET", {**PAGE, "Purpose": "prefetch"}, Kind.PART),
        ("HEAD", PAGE, Kind.PART),
        ("GET", {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "style"}, Kind.PART),
        ("GET", {"Upgrade": "websocket"}, Kind.PART),
        ("OPTIONS", {"Origin": "https://x", "Access-Control-Request-Method": "PUT"}, Kind.PREFLIGHT),
        ("OPTIONS", {"Origin": "https://x"}, Kind.API),
    ],
)
def test_kinds(method, headers, kind):
    """Each row of the contract's list of who takes a place."""
    assert classify(method, CIMultiDict(headers)) is kind


def test_crawlers_and_service_workers():
    """By name, and by their own headers."""
    assert is_crawler(CIMultiDict({"User-Agent": "Mozilla/5.0 (compatible; bingbot/2.0)"}))
    assert is_crawler(CIMultiDict({"Sec-Fetch-Dest": "serviceworker"}))
    assert not is_crawler(CIMultiDict({"User-Agent": "Mozilla/5.0 Firefox/140"}))


def test_foreign_senders():
    """Another site's Origin, `null`, and cross-site metadata."""
    assert is_foreign(CIMultiDict({"Origin": "https://evil.example"}), "shop.example")
    assert is_foreign(CIMultiDict({"Origin": "null"}), "shop.example")
    assert is_foreign(CIMultiDict({"Sec-Fetch-Site": "cross-site"}), "shop.example")
    assert not is_foreign(CIMultiDict({"Origin": "https://Shop.Example"}), "shop.example")
    assert not is_foreign(CIMultiDict({}), "shop.example")
