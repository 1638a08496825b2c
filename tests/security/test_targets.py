"""Rows 16, 20 to 22 and 26 of the threat model: spellings of paths and headers that try to get past a rule."""

import pytest
from aiohttp import web as server

from tests.harness import FETCH, PAGE, head, raw

SPELLINGS = """//book /./book /open/../book /%62ook /b%6fok /book%2fx /book%2Fx /open/..;/book /open/%252e%252e/book
/open/%2e%2e/book /open/.%2e/book \\book /\\book /open\\..\\book /book;x=1 /book;/x /;/book /BOOK /Book /book. /book%20
/book%00 /book%2e /book/. /book/./x /book// /book/%2e%2e/book /%2fbook /open/%5c..%5cbook /book%3fx /book%23x /book%3b
/%2562ook /book%252f /open//../book /open/x/../../book /book%0a /book%0d%0aX /book%09 /%c0%ae%c0%ae/book
/open/..%2fbook /open/..%5cbook /.//book /open/%2e%2e%2fbook /%2e/book /b%c3%b6ok/../book""".split()


@pytest.mark.parametrize("paths", [["/book"], []], ids=["one path", "all"])
async def test_row_16_no_spelling_reaches_a_protected_path(start_gate, origin, paths):
    """Whatever some origin may read as `/book`: 400, or it waits; what goes on is what was judged, byte for byte."""
    rooms = [{"name": "sale", "paths": paths or ["/"], "mode": "hold", "bypass": [{"paths": ["/open"]}] if not paths else []}]
    running = await start_gate(rooms=rooms)
    for path in SPELLINGS:
        got = await raw(running.port, head("GET", path, "Accept: text/html"))
        assert got.split(b" ")[1] in (b"400", b"200"), path
        if got.split(b" ")[1] == b"200":
            assert b"data-room=" in got, path
    assert origin.seen == []


SPOOFED = {
    "X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "evil", "X-Forwarded-Proto": "gopher", "X-Forwarded-Port": "1",
    "X-Forwarded-Prefix": "/evil", "X-Forwarded-Server": "evil", "Forwarded": "for=6.6.6.6", "Gate-Room": "vip",
    "Gate-Position": "1", "Gate-Anything": "x", "X-Original-URL": "/evil", "X-Rewrite-URL": "/evil",
}  # fmt: skip


async def test_row_20_forged_headers_end_here(start_gate, origin, room_name):
    """With dashes, with underscores, in any case, twice: the origin sees only ours."""
    running = await start_gate(release_rate="100/s")
    lines = [f"{spelt}: {value}" for name, value in SPOOFED.items()
             for spelt in (name, name.replace("-", "_"), name.upper(), name.lower(), name)]  # fmt: skip
    assert (await raw(running.port, head("GET", "/x", *lines))).startswith(b"HTTP/1.1 200")
    seen = {}
    for name, value in origin.seen[0].raw_headers:
        seen.setdefault(name.decode().lower().replace("_", "-"), []).append(value.decode())
    assert "6.6.6.6" not in str(seen)
    assert "evil" not in str(seen)
    assert seen["x-forwarded-for"] == ["127.0.0.1"]
    assert seen["gate-room"] == [room_name]
    assert seen["gate-position"] == ["1"]
    assert not {"x-forwarded-port", "x-forwarded-prefix", "x-forwarded-server", "gate-anything", "x-original-url", "x-rewrite-url"} & set(seen)
    assert not [name for name, _ in origin.seen[0].raw_headers if b"_" in name]


async def test_row_21_hop_by_hop_headers_strip_nothing_of_ours(start_gate, new_browser, origin, room_name):
    """`Connection` names ours and the visitor's cookie: the origin gets all of them; naming Host is refused."""
    running = await start_gate(release_rate="100/s")
    visitor = new_browser(running)
    assert (await visitor.get("/")).status == 200
    cookie = f"Cookie: session=1; gate_pass_{room_name}={visitor.cookies()[f'gate_pass_{room_name}']}"
    lines = ("Connection: close, Gate-Position, Gate-Room, X-Forwarded-For, Cookie, Authorization", cookie, "Authorization: Basic eDp5")
    request = "\r\n".join(["GET /x HTTP/1.1", "Host: x", *lines, "", ""]).encode()
    assert (await raw(running.port, request)).startswith(b"HTTP/1.1 200")
    headers = origin.seen[-1].headers
    assert headers["Gate-Position"] == "1"
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["Cookie"] == "session=1"
    assert headers["Authorization"] == "Basic eDp5"
    count = len(origin.seen)
    for named in ("Host", "Content-Length", "Transfer-Encoding"):
        request = f"GET /x HTTP/1.1\r\nHost: x\r\nConnection: {named}\r\n\r\n".encode()
        assert (await raw(running.port, request)).startswith(b"HTTP/1.1 400"), named
    assert len(origin.seen) == count


async def test_row_22_a_user_agent_opens_nothing(start_gate, web, origin):
    """Health checkers and crawlers wait like anyone; crawlers are told when to come back."""
    running = await start_gate(mode="hold")
    for agent in ("kube-probe/1.29", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "Prometheus/2.5", "Consul Health Check", "Googlebot/2.1"):
        for kind in (FETCH, PAGE):
            async with web.get(running.url + "/book", headers={**kind, "User-Agent": agent, "Accept-Encoding": "identity"}) as answer:
                assert answer.status in (429, 503) or b"data-room" in await answer.read()
    assert origin.seen == []


async def test_row_26_a_suffix_makes_nothing_cacheable(start_gate, web, origin, new_browser, room_name):
    """A protected path that ends like a file: `no-store` for who waits, `private` for who is in; `%0A` is refused."""

    async def page(_request):
        return server.Response(text="yours", headers={"Cache-Control": "public, max-age=600, s-maxage=600"})

    origin.handlers["/book/x.css"] = page
    running = await start_gate(release_rate="100/s")
    visitor = new_browser(running)
    await visitor.get("/")
    origin.seen.clear()
    await running.patch(web, room_name, mode="hold")
    await running.until_seen(room_name, lambda line: line.mode == "hold")
    for path in ("/book/x.css", "/book/x.js", "/book;x.css", "/book/x.png"):
        async with web.get(running.url + path, headers=PAGE) as answer:
            assert answer.status == 400 or answer.headers["Cache-Control"] == "no-store"
    assert (await raw(running.port, head("GET", "/book/%0A.css"))).startswith(b"HTTP/1.1 400")
    assert origin.seen == []
    inside = await visitor.send("GET", "/book/x.css", headers=FETCH)
    assert inside.body == b"yours"
    words = {word.strip() for word in inside.headers["Cache-Control"].split(",")}
    assert "private" in words
    assert not words & {"public", "s-maxage=600"}
