"""Rows 25, 27 to 30 and 48 of the threat model: caches, jars, ways back, frames and scripts."""

import asyncio
import json
import os
import subprocess
from html.parser import HTMLParser

import pytest
from aiohttp import web as server

from tests.faults.children import free_port
from tests.harness import FETCH, PAGE

NAUGHTY = ["<img src=x onerror=alert(1)>", '"><script>alert(1)</script>', "'-alert(1)-'", "{{7*7}}", "${7*7}", "</title><svg onload=alert(1)>",
           "javascript:alert(1)", "<!--", "]]>", "&lt;b&gt;"]  # fmt: skip



class Tags(HTMLParser):
    """The elements of a page, each with the names of its attributes."""

    @classmethod
    def of(cls, page):
        """All, in order."""
        parser = cls()
        parser.found = []
        parser.feed(page)
        return parser.found

    def handle_starttag(self, tag, attrs):
        """One."""
        self.found.append((tag, tuple(name for name, _ in attrs)))


NGINX = """{user}daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_cache_path {folder}/cache keys_zone=c:1m;
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass {url}; proxy_set_header Host $http_host; proxy_cache c; proxy_cache_valid any 1m; add_header X-Cache $upstream_cache_status; {more} }} }}
}}"""


async def answers(port) -> bool:
    """Whether somebody listens there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.fixture
async def cache(tmp_path):
    """A cache before a gate."""
    started = []

    async def start(url, kind="nginx", more=""):
        port = free_port()
        folder = tmp_path / f"{kind}-{port}"
        folder.mkdir()
        user = "user root; " if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(NGINX.format(user=user, folder=folder, port=port, url=url, more=more))
        commands = {
            "nginx": ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")],
            "varnish": ["varnishd", "-F", "-a", f"127.0.0.1:{port}", "-b", url.removeprefix("http://"), "-n", str(folder), "-j", "none"],
        }
        started.append(subprocess.Popen(commands[kind], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        async with asyncio.timeout(15):
            while not await answers(port):
                await asyncio.sleep(0.05)
        return f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("kind", ["nginx", "varnish"])
async def test_row_25_a_cache_hands_nobody_anothers_ticket(start_gate, web, room_name, cache, kind):
    """Two visitors through a cache that heeds headers: two tickets, one pointer."""
    running = await start_gate(mode="hold")
    front = await cache(running.url, kind)
    pres, tickets = [], []
    for _ in range(2):
        async with web.get(front + "/book", headers=PAGE) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            pres.append(answer.headers["Set-Cookie"].partition(";")[0])
        async with web.post(f"{front}/_gate/join/{room_name}", headers={"Cookie": pres[-1]}) as answer:
            assert "no-store" in answer.headers["Cache-Control"]
            tickets.append((await answer.json())["position"])
    assert pres[0] != pres[1]
    assert sorted(tickets) == [1, 2]
    seen = []
    for _ in range(3):
        async with web.get(f"{front}/_gate/now/{room_name}") as answer:
            assert "Set-Cookie" not in answer.headers
            assert "Cookie" not in answer.headers.get("Vary", "")
            hit = answer.headers.get("X-Cache") == "HIT" or len(answer.headers.get("X-Varnish", "").split()) == 2
            seen.append(hit)
    assert any(seen), "the pointer is shared"


async def test_row_25_a_cache_that_ignores_headers_shares_pages_and_never_numbers(start_gate, web, room_name, cache):
    """Told to ignore `Set-Cookie` and `Cache-Control`: one pre-ticket for all buys one number, join is never cached."""
    running = await start_gate(mode="hold")
    front = await cache(running.url, more="proxy_ignore_headers Set-Cookie Cache-Control;")
    cookies, positions = [], []
    for _ in range(2):
        async with web.get(front + "/book", headers=PAGE) as answer:
            cookies.append(answer.headers["Set-Cookie"].partition(";")[0])
        async with web.post(f"{front}/_gate/join/{room_name}", headers={"Cookie": cookies[-1]}) as answer:
            document = await answer.json()
            if document["status"] == "pending":  # spent already by the other: a fresh pre-ticket of his own
                own = answer.headers["Set-Cookie"].partition(";")[0]
                async with web.post(f"{front}/_gate/join/{room_name}", headers={"Cookie": own}) as again:
                    document = await again.json()
            positions.append(document["position"])
    assert sorted(positions) == [1, 2]


async def test_row_27_no_visitors_cookie_is_anothers(start_gate, web, origin):
    """The origin sets a cookie for one; the other's request, on the same connection to the origin, carries none."""

    @origin.on("/login")
    async def login(_request):
        return server.Response(headers={"Set-Cookie": "session=of-a; Path=/; Domain=localhost"})

    running = await start_gate(mode="off", origin={"url": origin.url.replace("127.0.0.1", "localhost")})
    for method in ("GET", "POST"):
        async with web.request(method, running.url + "/login") as answer:
            assert answer.headers["Set-Cookie"].startswith("session=of-a")
        async with web.request(method, running.url + "/mine") as answer:
            assert answer.status == 200
        assert "Cookie" not in origin.seen[-1].headers


BACKS = ["//evil", "/\\evil", "\\/evil", "https:evil", "https://evil", "/%09/evil", "/\t/evil", "javascript:alert(1)", "/x\r\nSet-Cookie: a=b",
         "%2f%2fevil", "///evil", "/\x00/evil", ".evil", "", "/_gate/leave/x", "http:/evil", "/" + "a" * 3_000]  # fmt: skip


@pytest.mark.parametrize("back", BACKS)
async def test_row_28_ways_back_stay_here(start_gate, web, room_name, back):
    """Wherever a form says it was: a path of this site, or `/`."""
    running = await start_gate(mode="hold")
    async with web.post(f"{running.url}/_gate/join/{room_name}", data={"next": back}, allow_redirects=False) as answer:
        assert answer.status == 303
        way = answer.headers["Location"]
        assert "a" not in {cookie.partition("=")[0] for cookie in answer.headers.getall("Set-Cookie", [])}
    assert way.startswith("/")
    assert not way.startswith(("//", "/\\"))
    assert way in ("/", "/%09/evil")
    for name in ("Referer",):
        headers = {**PAGE, name: back.replace("\r\n", "").replace("\x00", "").replace("\t", ""), "Accept-Encoding": "identity"}
        async with web.post(running.url + "/order", headers=headers) as answer:
            assert b'data-back="/"' in await answer.read()


async def test_row_29_no_page_of_ours_is_framed(start_gate, web):
    """The waiting page, the trouble page, the dashboard: `frame-ancestors 'none'` and `X-Frame-Options`."""
    running = await start_gate(mode="hold")
    down = await start_gate(name="down", mode="off", origin={"url": "http://127.0.0.1:1"})
    for url in (running.url + "/book", down.url + "/book", running.admin_url + "/"):
        async with web.get(url, headers={**PAGE, "Accept-Encoding": "identity"}) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in policy, url
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert "unsafe" not in policy
            assert b"<html" in await answer.read()


@pytest.mark.parametrize("text", NAUGHTY)
async def test_row_30_whatever_is_said_is_text(start_gate, web, room_name, text):
    """A message of the room, a path and a header: in no page more than text, and no page has a script in it."""
    running = await start_gate(mode="hold")
    await running.patch(web, room_name, message=text)
    await running.until_seen(room_name, lambda line: line.message == text)
    headers = {**PAGE, "Accept-Language": "en", "Accept-Encoding": "identity"}
    async with web.get(running.url + "/book", params={"q": text}, headers={**headers, "User-Agent": text.encode("ascii", "ignore").decode()}) as answer:
        page = (await answer.read()).decode()
    await running.patch(web, room_name, message="harmless")
    await running.until_seen(room_name, lambda line: line.message == "harmless")
    async with web.get(running.url + "/book?q=harmless", headers=headers) as answer:
        plain = (await answer.read()).decode()
    assert Tags.of(page) == Tags.of(plain), "no element and no attribute more"
    assert Tags.of(plain).count(("script", ("src", "defer"))) == 1
    assert "49" not in page.partition('id="message"')[2].partition("</p>")[0]
    await running.patch(web, room_name, message=text)
    await running.until_seen(room_name, lambda line: line.message == text)
    async with web.get(f"{running.url}/_gate/now/{room_name}") as answer:
        assert json.loads(await answer.read())["message"] == text
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_row_48_an_old_pointer_comes_with_its_age(start_gate, new_browser, web, room_name):
    """What a reader needs to keep its highest: each document tells its place and time; only the claim decides.

    That a page never steps back is held in a real browser, `tests/e2e/test_waiting_page.py`.
    """
    running = await start_gate(mode="hold", release_rate="100/s")
    visitor = new_browser(running)
    await visitor.join(room_name)
    old = json.loads((await visitor.send("GET", f"/_gate/now/{room_name}")).body)
    forged = await visitor.send("POST", f"/_gate/claim/{room_name}", headers=FETCH)
    assert (forged.status, forged.slug) == (425, "not-yet-served"), "whatever a pointer says"
    await running.patch(web, room_name, mode="auto")
    await running.until_seen(room_name, lambda line: line.now_serving == 1)
    new = json.loads((await visitor.send("GET", f"/_gate/now/{room_name}")).body)
    place = ("generation", "era", "now_serving", "time")
    assert [old[key] for key in place] < [new[key] for key in place]
