"""Forwarding is complete HTTP/1.1: each item against a real origin, through a gate in mode `off`."""

import asyncio
import gzip

import aiohttp
import pytest
from aiohttp import web as server

from tests.harness import FETCH, head, raw

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "MKCOL", "REPORT", "QUERY", "LOCK")


async def abc_in_chunks(request):
    """An answer without a length."""
    stream = server.StreamResponse()
    stream.enable_chunked_encoding()
    await stream.prepare(request)
    await stream.write(b"abc")
    return stream


@pytest.fixture
async def gate(start_gate):
    """A gate that lets everybody pass."""
    return await start_gate(mode="off", cache="origin")


@pytest.mark.parametrize("method", METHODS)
async def test_every_allowed_method_crosses(gate, web, origin, method):
    """The method and its body arrive as they were sent."""
    async with web.request(method, gate.url + "/m", data=b"body" if method != "GET" else None) as answer:
        assert answer.status == 200
    assert origin.seen[-1].method == method


async def test_the_target_crosses_byte_for_byte(gate, web, origin):
    """No normalising: dots, doubled slashes, encodings and the query's odd characters stay."""
    for target in (
        "/a/../b",
        "/a/%2e%2e/b",
        "//a",
        "/%E2%82%AC?q=%2F..%2F&r=a+b",
        "/a?x=1?y=/../",
        "/a;p=1/b",
        "/a\\b",
    ):
        await raw(gate.port, head("GET", target))
        assert origin.seen[-1].raw_path == target


async def test_streaming_bodies_arrive_before_they_end(gate, web, origin):
    """The origin reads the first part of an upload while the client still holds back the rest."""
    first, go_on = asyncio.Event(), asyncio.Event()

    @origin.on("/up")
    async def upload(request):
        assert await request.content.readany() == b"one"
        first.set()
        return server.Response(body=await request.read())

    async def parts():
        yield b"one"
        async with asyncio.timeout(5):
            await first.wait()
        yield b"two"
        go_on.set()

    async with web.post(gate.url + "/up", data=parts()) as answer:
        assert await answer.read() == b"two"
    assert go_on.is_set()


async def test_answers_stream_unbuffered(gate, web, origin):
    """Server-sent events reach the client one by one."""
    release = asyncio.Event()

    @origin.on("/events")
    async def events(request):
        stream = server.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(b"data: 1\n\n")
        await release.wait()
        await stream.write(b"data: 2\n\n")
        return stream

    async with web.get(gate.url + "/events") as answer, asyncio.timeout(5):
        assert await answer.content.readany() == b"data: 1\n\n"
        release.set()
        assert await answer.content.readany() == b"data: 2\n\n"


async def test_a_client_that_goes_ends_the_origins_stream(gate, origin):
    """Whoever stops listening to events does not keep the origin busy."""
    ended = asyncio.Event()

    @origin.on("/events")
    async def events(request):
        stream = server.StreamResponse()
        await stream.prepare(request)
        await stream.write(b"x")
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()
        return stream

    async with aiohttp.ClientSession() as session:
        answer = await session.get(gate.url + "/events")
        await answer.content.readany()
        answer.close()
    async with asyncio.timeout(5):
        await ended.wait()


async def test_content_length_and_chunked_both_ways(gate, web, origin):
    """A body with a length keeps it, one without is chunked; nothing is added or lost."""
    async with web.post(gate.url + "/x", data=b"12345") as answer:
        assert (await answer.json())["body"] == "12345"
        assert "Content-Length" in answer.headers
    assert origin.seen[-1].headers["Content-Length"] == "5"

    async def parts():
        yield b"123"
        yield b"45"

    async with web.post(gate.url + "/x", data=parts()) as answer:
        assert (await answer.json())["body"] == "12345"
    assert origin.seen[-1].headers["Transfer-Encoding"] == "chunked"

    origin.on("/chunks")(abc_in_chunks)

    async with web.get(gate.url + "/chunks") as answer:
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert await answer.read() == b"abc"


async def test_head_has_the_headers_and_no_body(gate, web, origin):
    """HEAD: the length of what GET would send, and nothing after the head."""

    @origin.on("/page")
    async def page(request):
        return server.Response(body=b"x" * 1234)

    async with web.head(gate.url + "/page") as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, "1234")
    got = await raw(gate.port, head("HEAD", "/page"))
    assert got.endswith(b"\r\n\r\n")


async def test_ranges_and_conditions_are_the_origins(gate, web, origin):
    """Range, 206, 304 and ETag pass untouched."""

    @origin.on("/file")
    async def file(request):
        if request.headers.get("If-None-Match") == '"v1"':
            return server.Response(status=304, headers={"ETag": '"v1"'})
        assert request.headers["Range"] == "bytes=2-4"
        return server.Response(status=206, body=b"cde", headers={"Content-Range": "bytes 2-4/10"})

    async with web.get(gate.url + "/file", headers={"Range": "bytes=2-4"}) as answer:
        assert (answer.status, await answer.read()) == (206, b"cde")
        assert answer.headers["Content-Range"] == "bytes 2-4/10"
    async with web.get(gate.url + "/file", headers={"If-None-Match": '"v1"'}) as answer:
        assert (answer.status, answer.headers["ETag"]) == (304, '"v1"')


async def test_expect_100_continue(gate, origin):
    """The client is told to go on once its request may pass, and then its body arrives."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        assert b" 200 " in await reader.readline()
    writer.close()
    assert "Expect" not in origin.seen[-1].headers


async def test_a_refused_upload_is_not_invited(start_gate, origin):
    """Who must wait is told so instead of 100 Continue."""
    held = await start_gate(mode="hold")
    got = await raw(held.port, head("POST", "/x", "Content-Length: 2", "Expect: 100-continue"))
    assert got.startswith(b"HTTP/1.1 429")


async def test_trailers_are_dropped_cleanly(gate, origin):
    """Trailers of a chunked body do not reach the origin, and the body is whole."""
    body = b"3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n"
    got = await raw(gate.port, head("POST", "/x", "Transfer-Encoding: chunked", "Trailer: X-Trailer") + body)
    assert b'"body": "abc"' in got
    assert "X-Trailer" not in origin.seen[-1].headers
    assert "Trailer" not in origin.seen[-1].headers


async def test_several_set_cookies_arrive_apart(gate, web, origin):
    """Set-Cookie is never folded into one."""

    @origin.on("/cookies")
    async def cookies(request):
        answer = server.Response()
        answer.headers.add("Set-Cookie", "a=1; Path=/")
        answer.headers.add("Set-Cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
        return answer

    async with web.get(gate.url + "/cookies") as answer:
        assert answer.headers.getall("Set-Cookie") == ["a=1; Path=/", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"]


async def test_compressed_bodies_are_untouched(gate, web, origin):
    """Neither a packed request nor a packed answer is unpacked on the way."""
    packed = gzip.compress(b"hello" * 1000)

    @origin.on("/gz")
    async def gz(request):
        assert await request.read() == packed
        return server.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with web.post(gate.url + "/gz", data=packed, headers={"Content-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert await answer.read() == packed


async def test_redirects_are_the_visitors_to_follow(gate, web, origin):
    """A 302 goes to the visitor as it came; the gate never fetches what it names."""

    @origin.on("/go")
    async def go(request):
        return server.Response(status=302, headers={"Location": "http://169.254.169.254/latest"})

    async with web.get(gate.url + "/go", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "http://169.254.169.254/latest")


async def test_the_host_is_kept(gate, web, origin):
    """The origin sees the Host the visitor asked for."""
    await (await web.get(gate.url + "/x", headers={"Host": "shop.example:8443"})).read()
    assert origin.seen[-1].headers["Host"] == "shop.example:8443"
    assert origin.seen[-1].headers["X-Forwarded-Host"] == "shop.example:8443"


async def test_nothing_is_invented(gate, web, origin):
    """No Content-Type, Server or Accept that nobody sent; no default of a client library."""

    @origin.on("/bare")
    async def bare(request):
        request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        request.transport.close()
        raise asyncio.CancelledError

    got = await raw(gate.port, head("GET", "/bare"))
    assert got.endswith(b"\r\n\r\nok")
    assert b"Content-Type" not in got
    assert b"Server" not in got
    assert b"ython" not in got
    assert not {"User-Agent", "Accept", "Accept-Encoding"} & set(origin.seen[-1].headers)


async def test_http_1_0_clients(gate, origin):
    """A 1.0 client gets an unchunked answer that ends with the connection."""
    origin.on("/chunks")(abc_in_chunks)

    got = await raw(gate.port, b"GET /chunks HTTP/1.0\r\nHost: x\r\n\r\n")
    assert got.startswith(b"HTTP/1.0 200")
    assert got.endswith(b"\r\n\r\nabc")
    assert b"chunked" not in got


async def test_hop_by_hop_headers_end_here(gate, origin):
    """What `Connection` names is dropped in both directions, with the fixed names."""

    @origin.on("/hop")
    async def hop(request):
        return server.Response(
            headers={"Connection": "X-Inner", "X-Inner": "1", "Keep-Alive": "timeout=5", "X-Kept": "1"}
        )

    lines = ("Connection: X-Secret, close", "X-Secret: 1", "TE: trailers", "Proxy-Authorization: x", "X-Kept: 1")
    request = b"GET /hop HTTP/1.1\r\nHost: x\r\n" + "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"
    got = await raw(gate.port, request)
    seen = origin.seen[-1].headers
    assert not {"X-Secret", "TE", "Proxy-Authorization"} & set(seen)
    assert seen["X-Kept"] == "1"
    assert b"X-Inner" not in got
    assert b"Keep-Alive" not in got
    assert b"X-Kept: 1" in got


async def test_our_headers_cannot_be_forged_or_stripped(gate, origin):
    """Names under which the gate speaks are dropped from outside, in every spelling, and ours are set."""
    forged = ["Gate-Position: 1", "gate_position: 1", "X-Forwarded-For: 6.6.6.6", "X_Forwarded_For: 6.6.6.6",
              "X-FORWARDED-PROTO: gopher", "Forwarded: for=6.6.6.6", "X-Original-URL: /admin", "X-Rewrite-Url: /admin",
              "X-Real-IP: 6.6.6.6", "Gate-Pass: x", "Gate-Ticket: x"]  # fmt: skip
    await raw(gate.port, head("GET", "/x", *forged, "Connection: close, X-Forwarded-For, Gate-Room"))
    seen = origin.seen[-1].headers
    assert seen.getall("X-Forwarded-For") == ["127.0.0.1"]
    assert seen["X-Forwarded-Proto"] == "http"
    assert seen["Forwarded"].startswith("for=127.0.0.1;")
    assert seen["Gate-Room"]
    assert "6.6.6.6" not in str(seen)
    assert not {"Gate-Position", "X-Original-URL", "X-Rewrite-Url", "Gate-Pass", "X_Forwarded_For"} & set(seen)


async def test_trusted_proxies_are_believed(start_gate, web, origin):
    """Behind a trusted proxy the chain is kept and extended; its word on the scheme counts."""
    running = await start_gate(mode="off", server={"trusted_proxies": ["127.0.0.0/8"]})
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    await (await web.get(running.url + "/x", headers=headers)).read()
    seen = origin.seen[-1].headers
    assert seen["X-Forwarded-For"] == "203.0.113.9, 127.0.0.1"
    assert seen["X-Forwarded-Proto"] == "https"


async def test_one_visitors_session_is_never_anothers(start_gate, web, origin, room_name):
    """An origin reached by name sets a cookie for one; the next visitor's request has none."""
    by_name = origin.url.replace("127.0.0.1", "localhost")
    running = await start_gate(mode="off", origin={"url": by_name})

    @origin.on("/login")
    async def login(request):
        return server.Response(headers={"Set-Cookie": "session=alice; Path=/"})

    await (await web.get(running.url + "/login")).read()
    await (await web.get(running.url + "/x")).read()
    assert "Cookie" not in origin.seen[-1].headers


async def test_our_cookies_never_reach_the_origin(start_gate, new_browser, origin):
    """The site's own cookies pass, the gate's are cut out of every Cookie line."""
    running = await start_gate(release_rate="100/s")
    visitor = new_browser(running)
    await visitor.get("/")
    visitor.session.cookie_jar.update_cookies({"shop": "1"})
    await visitor.get("/x")
    assert origin.seen[-1].headers["Cookie"] == "shop=1"
    assert int(origin.seen[-1].headers["Gate-Position"]) == 1


async def test_answers_of_a_room_are_private(start_gate, web, origin, new_browser):
    """Shared caches are told to keep nothing; an answer that sets our cookie is no-store."""
    running = await start_gate(release_rate="100/s")

    @origin.on("/style.css")
    async def style(request):
        return server.Response(
            headers={"Cache-Control": "public, s-maxage=60, max-age=30", "CDN-Cache-Control": "max-age=9"}
        )

    visitor = new_browser(running)
    first = await visitor.get("/style.css")
    assert first.headers["Cache-Control"] == "private, no-store"
    second = await visitor.send("GET", "/style.css", headers=FETCH)
    assert second.headers["Cache-Control"] == "private, max-age=30"
    assert "CDN-Cache-Control" not in second.headers


async def test_the_origins_word_on_caching_may_be_kept(start_gate, web, origin):
    """`cache = "origin"` leaves its headers as they came."""
    running = await start_gate(mode="off", cache="origin")

    @origin.on("/style.css")
    async def style(request):
        return server.Response(headers={"Cache-Control": "public, max-age=30"})

    async with web.get(running.url + "/style.css") as answer:
        assert answer.headers["Cache-Control"] == "public, max-age=30"
