"""Law 5: a request reaches the origin only with a valid pass, by a rule, where no room names it, or in mode off."""

import pytest

from tests.core.test_target import TRICKS
from tests.harness import FETCH, PAGE, head, raw


@pytest.mark.parametrize("protected", [None, ["/book"]])
async def test_law_5_gated_no_spelling_gets_round_it(start_gate, origin, protected):
    """Every spelling of a protected path, by raw bytes: 400 or the waiting page, and the origin saw nothing."""
    settings = {"paths": protected} if protected else {}
    running = await start_gate(mode="hold", **settings)
    for path in TRICKS:
        got = await raw(running.port, head("GET", path, "Accept: text/html"))
        assert got.startswith((b"HTTP/1.1 400", b"HTTP/1.1 200")), path
        assert b"HTTP/1.1 400" in got or b"data-room=" in got, path
    assert origin.seen == []


async def test_law_5_gated_no_header_or_method_gets_round_it(start_gate, origin):
    """User agents of probes, overrides, rewritten URLs and every method: nothing reaches the origin."""
    running = await start_gate(mode="hold")
    tricks = ["User-Agent: kube-probe/1.0", "User-Agent: GoogleHC/1.0", "X-Original-URL: /open", "X-Rewrite-URL: /open",
              "X-HTTP-Method-Override: OPTIONS", "X-Forwarded-For: 127.0.0.1", "Gate-Position: 1", "Gate-Room: default",
              "Authorization: Bearer secret-of-staff", "Gate-Pass: x.y.z", "Cookie: gate_pass_default=x.y.z"]  # fmt: skip
    for trick in tricks:
        await raw(running.port, head("GET", "/book", trick))
    for method in (
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "PATCH",
        "OPTIONS",
        "PROPFIND",
        "TRACE",
        "CONNECT",
        "BREW",
        "get",
    ):
        await raw(running.port, head(method, "/book"))
    assert origin.seen == []


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (head("TRACE", "/"), b"405"),
        (b"GET /book HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /book HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
        (b"GET /book HTTP/1.1\r\nHost: a/b?c@d\r\n\r\n", b"400"),
        (b"GET http://evil.example/book HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"GET /open#/book HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"GET /book HTTP/2.0\r\nHost: x\r\n\r\n", b"400"),
        (b"POST /book HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"POST /book HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"400"),
        (b"GET /book HTTP/1.1\r\nHost: x\r\nA b: 1\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n", b"431"),
    ],
)
async def test_law_5_gated_ambiguity_is_refused(start_gate, origin, request_bytes, status):
    """What can be understood in two ways is refused as a problem, and the connection is closed."""
    running = await start_gate(mode="off")
    got = await raw(running.port, request_bytes)
    assert got.split(b" ")[1] == status
    assert b"application/problem+json" in got
    assert b"Traceback" not in got
    assert origin.seen == []


async def test_law_5_gated_rules_open_what_they_name(start_gate, web, origin):
    """Paths, methods and networks of an open rule, a URL of no room, and nothing beside them."""
    rules = [{"paths": ["/robots.txt"]}, {"methods": ["POST"], "paths": ["/hooks"]}, {"networks": ["10.0.0.0/8"]}]
    rooms = [{"name": "sale", "paths": ["/book", "/robots.txt", "/hooks"], "mode": "hold", "bypass": rules}]
    running = await start_gate(rooms=rooms)
    for method, path, status in (
        ("GET", "/robots.txt", 200),
        ("POST", "/hooks/pay", 200),
        ("GET", "/hooks/pay", 429),
        ("GET", "/book", 429),
        ("GET", "/about", 200),
    ):
        async with web.request(method, running.url + path, headers=FETCH) as answer:
            assert answer.status == status, (method, path)


async def test_law_5_gated_forged_and_foreign_tokens_are_no_tokens(start_gate, new_browser, web, origin, room_name):
    """Flipped signatures, a ticket as a pass, another room's pass: page for a browser, slug for an API."""
    rooms = [
        {"name": room_name, "paths": ["/a"], "mode": "hold"},
        {"name": f"{room_name}b", "paths": ["/b"], "release_rate": "99/s"},
    ]
    running = await start_gate(rooms=rooms)
    visitor = new_browser(running)
    await visitor.get("/b")
    other = visitor.cookies()[f"gate_pass_{room_name}b"]
    await visitor.get("/a")
    await visitor.send("POST", f"/_gate/join/{room_name}")
    ticket = visitor.cookies()[f"gate_ticket_{room_name}"]
    origin.seen.clear()
    for text in (other, ticket, other[:-3] + "abc", "x"):
        headers = {**FETCH, "Cookie": f"gate_pass_{room_name}={text}"}
        async with web.get(running.url + "/a", headers=headers) as answer:
            assert (answer.status, (await answer.json(content_type=None))["type"]) == (429, "pass-invalid")
        async with web.get(running.url + "/a", headers={**headers, **PAGE, "Accept-Encoding": "identity"}) as answer:
            assert b"data-room" in await answer.read()
    assert origin.seen == []


async def test_law_5_gated_a_reset_ends_every_visit(start_gate, new_browser, web, origin, room_name):
    """Passes of an old generation are refused, tickets are dead."""
    running = await start_gate(release_rate="100/s")
    visitor = new_browser(running)
    assert (await visitor.get("/x")).status == 200
    headers = {"Authorization": "Bearer secret-of-staff"}
    url = f"{running.admin_url}/api/rooms/{room_name}/reset"
    async with web.post(url, json={"confirm": room_name}, headers=headers) as answer:
        assert answer.status == 200
    await running.patch(web, room_name, mode="hold")
    await running.until_seen(room_name, lambda line: line.mode == "hold")
    refused = await visitor.send("GET", "/x", headers=FETCH)
    assert (refused.status, refused.slug) == (429, "pass-invalid")
