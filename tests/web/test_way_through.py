"""The way of a visitor through the gate, from the first page to the last request."""

from tests.harness import FETCH, PAGE


async def test_an_idle_site_admits_in_the_first_request(start_gate, new_browser, origin, room_name):
    """Nobody waiting and release to spare: forwarded at once, with the pass set, no waiting page."""
    visitor = new_browser(await start_gate(release_rate="10/s"))
    answer = await visitor.get("/book?x=1")
    assert answer.status == 200
    assert answer.json()["target"] == "/book?x=1"
    assert f"gate_pass_{room_name}" in visitor.cookies()
    assert (await visitor.get("/more")).status == 200
    assert len(origin.seen) == 2


async def test_a_line_forms_and_the_pass_comes_with_the_turn(start_gate, new_browser, origin, room_name, web):
    """Waiting page, join, place, turn, claim, forwarded; the origin sees nothing before."""
    running = await start_gate(mode="hold", release_rate="50/s")
    visitor = new_browser(running)
    page = await visitor.get("/book")
    assert page.status == 200
    assert b"Getting your place" in page.body
    joined = await visitor.send("POST", f"/_gate/join/{room_name}")
    assert joined.json()["status"] == "waiting"
    assert joined.json()["position"] == 1
    assert (await visitor.send("POST", f"/_gate/claim/{room_name}")).status == 425
    assert origin.seen == []
    await running.patch(web, room_name, mode="auto")
    await running.until_seen(room_name, lambda line: line.now_serving == 1)
    claimed = await visitor.send("POST", f"/_gate/claim/{room_name}")
    assert claimed.status == 200
    assert claimed.json()["status"] == "admitted"
    answer = await visitor.get("/book")
    assert answer.json()["target"] == "/book"
    cleared = [c for c in answer.headers.getall("Set-Cookie") if c.startswith(f"gate_ticket_{room_name}=;")]
    assert cleared, "the ticket is cleared when its pass is first shown"


async def test_a_served_navigation_is_claimed_inline(start_gate, new_browser, room_name, web):
    """A navigation that carries a served ticket goes straight through, with the pass set."""
    running = await start_gate(mode="hold")
    visitor = new_browser(running)
    await visitor.join(room_name)
    await running.patch(web, room_name, mode="auto")
    await running.until_seen(room_name, lambda line: line.now_serving == 1)
    answer = await visitor.get("/book")
    assert answer.json()["target"] == "/book"
    assert f"gate_pass_{room_name}" in visitor.cookies()


async def test_scripts_and_api_clients_get_a_problem_not_a_page(start_gate, web, origin, room_name):
    """Anything but a navigation that must wait: 429 `must-wait` with Retry-After, never HTML, never a redirect."""
    running = await start_gate(mode="hold", cors_origins=["https://shop.example"])
    headers = {**FETCH, "Origin": "https://shop.example"}
    async with web.get(running.url + "/api", headers=headers) as answer:
        body = await answer.json(content_type="application/problem+json")
        assert (answer.status, body["type"]) == (429, "must-wait")
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert origin.seen == []


async def test_a_crawler_that_must_wait_is_told_to_come_back(start_gate, web):
    """Known crawlers and service-worker fetches get 503 with Retry-After, never a pass or a lobby to index."""
    running = await start_gate(mode="hold")
    for extra in ({"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}, {"Service-Worker": "script"}):
        async with web.get(running.url + "/", headers={**PAGE, **extra}) as answer:
            assert answer.status == 503
            assert "Retry-After" in answer.headers
            assert "Set-Cookie" not in answer.headers


async def test_parts_of_a_page_take_no_place(start_gate, web, room_name):
    """Prefetches, frames, HEAD, images and cross-site fetches are never dealt a number, even when the site is idle."""
    running = await start_gate(release_rate="1000/s")
    parts = [
        {**PAGE, "Sec-Purpose": "prefetch;prerender"},
        {**PAGE, "Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {**FETCH, "Sec-Fetch-Site": "cross-site"},
    ]
    for headers in parts:
        async with web.get(running.url + "/", headers=headers) as answer:
            assert answer.status == 429, headers
    async with web.head(running.url + "/", headers=PAGE) as answer:
        assert answer.status == 429
    assert running.line(room_name).issued == 0


async def test_a_form_that_must_wait_is_told_so(start_gate, web, origin):
    """A form gets the page, the way back to the page it was on, and the word that it was not sent."""
    running = await start_gate(mode="hold")
    referer = {"Referer": f"{running.url}/checkout?seat=A1"}
    async with web.post(running.url + "/order", data={"a": "b"}, headers={**PAGE, **referer}) as answer:
        body = await answer.text()
    assert 'data-back="/checkout?seat=A1"' in body
    assert "did not reach the site" in body
    assert origin.seen == []


async def test_mode_off_lets_everybody_pass(start_gate, web, origin):
    """Mode `off`: all pass, and nobody is given a token."""
    running = await start_gate(mode="off")
    async with web.get(running.url + "/x", headers=FETCH) as answer:
        assert answer.status == 200
        assert "Set-Cookie" not in answer.headers


async def test_mode_closed_serves_the_line_and_refuses_newcomers(start_gate, new_browser, room_name, web):
    """Mode `closed`: those in line are still released, newcomers see that it is closed."""
    running = await start_gate(mode="hold", release_rate="100/s")
    early, late = new_browser(running), new_browser(running)
    await early.join(room_name)
    await running.patch(web, room_name, mode="closed")
    await running.until_seen(room_name, lambda line: line.mode == "closed" and line.now_serving == 1)
    assert (await early.get("/in")).json()["target"] == "/in"
    page = await late.get("/in")
    assert b"The line is closed" in page.body
    refused = await late.send("POST", f"/_gate/join/{room_name}")
    assert (refused.status, refused.slug) == (403, "room-closed")


async def test_a_full_room_deals_nothing_more(start_gate, new_browser, room_name):
    """`max_issued` places and no more: 503 `room-full`."""
    running = await start_gate(mode="hold", max_issued=2)
    for expected in (200, 200, 503):
        answer = await new_browser(running).join(room_name)
        assert answer.status == expected
    assert answer.slug == "room-full"
    assert running.line(room_name).issued == 2


async def test_no_number_without_a_returned_pre_ticket(start_gate, web, room_name):
    """While a line stands no number is spent on a client that has not proved it keeps cookies."""
    running = await start_gate(mode="hold")
    for _ in range(50):
        async with web.get(running.url + "/", headers=PAGE) as answer:
            await answer.read()
        async with web.post(f"{running.url}/_gate/join/{room_name}") as answer:
            assert answer.status == 202
            assert (await answer.json())["status"] == "pending"
    assert running.line(room_name).issued == 0


async def test_a_pre_ticket_is_good_for_one_number(start_gate, web, room_name):
    """Spent already (two tabs): 202, Retry-After 1 and a fresh one; no second number."""
    running = await start_gate(mode="hold")
    url = f"{running.url}/_gate/join/{room_name}"
    async with web.post(url, headers={"Gate-Client": "api"}) as answer:
        pre = (await answer.json())["pre_ticket"]
    headers = {"Gate-Client": "api", "Gate-Ticket": pre}
    async with web.post(url, headers=headers) as answer:
        first = await answer.json()
    async with web.post(url, headers=headers) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (202, "1")
        assert (await answer.json())["pre_ticket"] != pre
    async with web.post(url, headers={"Gate-Client": "api", "Gate-Ticket": first["ticket"]}) as answer:
        assert (await answer.json())["position"] == first["position"]
    assert running.line(room_name).issued == 1


async def test_idle_admissions_without_cookies_are_bounded_by_network(start_gate, web, room_name):
    """Clients that show no cookie get `idle_per_network` admissions, then the pre-ticket way."""
    running = await start_gate(release_rate="1000/s", idle_per_network=3)
    answers = []
    for _ in range(6):
        async with web.get(running.url + "/", headers=PAGE) as answer:
            answers.append("application/json" in answer.headers["Content-Type"])
    assert answers[:3] == [True] * 3
    assert not all(answers[3:])


async def test_an_api_client_goes_through_without_cookies(start_gate, web, room_name, origin):
    """`Gate-Client: api` gets tokens in the body and sends them back as headers; no cookie is set."""
    running = await start_gate(mode="hold", release_rate="100/s")
    api = {"Gate-Client": "api"}
    async with web.post(f"{running.url}/_gate/join/{room_name}", headers=api) as answer:
        pre = (await answer.json())["pre_ticket"]
    async with web.post(f"{running.url}/_gate/join/{room_name}", headers={**api, "Gate-Ticket": pre}) as answer:
        ticket = (await answer.json())["ticket"]
        assert "Set-Cookie" not in answer.headers
    await running.patch(web, room_name, mode="auto")
    await running.until_seen(room_name, lambda line: line.now_serving == 1)
    async with web.post(f"{running.url}/_gate/claim/{room_name}", headers={**api, "Gate-Ticket": ticket}) as answer:
        passed = (await answer.json())["pass"]
    async with web.get(running.url + "/data", headers={**FETCH, "Gate-Pass": passed}) as answer:
        assert answer.status == 200
    assert not any(key.lower().startswith("gate-pass") for key in origin.seen[-1].headers)


async def test_leave_gives_the_place_back(start_gate, new_browser, room_name, web):
    """204 and cleared cookies; the place is not claimable any more."""
    running = await start_gate(mode="hold")
    visitor = new_browser(running)
    await visitor.join(room_name)
    ticket = visitor.cookies()[f"gate_ticket_{room_name}"]
    left = await visitor.send("POST", f"/_gate/leave/{room_name}")
    assert left.status == 204
    assert f"gate_ticket_{room_name}" not in visitor.cookies()
    await running.patch(web, room_name, mode="auto")
    await running.until_seen(room_name, lambda line: line.now_serving == 1)
    async with web.post(f"{running.url}/_gate/claim/{room_name}", headers={"Gate-Ticket": ticket}) as answer:
        assert (answer.status, (await answer.json(content_type=None))["type"]) == (410, "ticket-used")


async def test_join_claim_and_leave_refuse_other_sites(start_gate, web, room_name):
    """A foreign Origin or `Sec-Fetch-Site: cross-site` is 403 `forbidden`."""
    running = await start_gate(mode="hold")
    for verb in ("join", "claim", "leave"):
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
            async with web.post(f"{running.url}/_gate/{verb}/{room_name}", headers=headers) as answer:
                assert answer.status == 403
                assert (await answer.json(content_type=None))["type"] == "forbidden"


async def test_unknown_gate_urls_are_never_forwarded(start_gate, web, origin, room_name):
    """`/_gate/…` is the gate's: 404 for what is not there, 405 for a wrong method."""
    running = await start_gate(mode="off")
    for path in ("/_gate/x", "/_gate/now/other", "/_gate", "/_gate/static/../x.css", "/_gate/static/none.css"):
        async with web.get(running.url + path) as answer:
            assert answer.status == 404, path
    async with web.get(f"{running.url}/_gate/join/{room_name}") as answer:
        assert answer.status == 405
    assert origin.seen == []
