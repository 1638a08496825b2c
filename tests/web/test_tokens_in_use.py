"""Passes in use: sliding life, grace, commands of the origin, rotation; with the gate's clock moved by hand."""

from aiohttp import web as server

from tests.harness import FETCH, PAGE


def later(running, room, seconds):
    """Move this gate's idea of the store's clock ahead for its desk."""
    desk = running.gate.front.desks[room]
    honest = running.gate.parts.connection.clock.now
    desk._now = lambda: honest() + seconds


async def admitted(start_gate, new_browser, **settings):
    """A visitor who was let in."""
    running = await start_gate(release_rate="100/s", **settings)
    visitor = new_browser(running)
    assert (await visitor.get("/")).status == 200
    return running, visitor


def pass_cookies(answer, room):
    """The passes an answer sets."""
    return [c for c in answer.headers.getall("Set-Cookie", []) if c.startswith(f"gate_pass_{room}=")]


async def test_a_pass_slides_past_half_on_navigations_and_uncacheable_answers(
    start_gate, new_browser, room_name, origin
):
    """Not before half of its life, not on cacheable parts; the identity stays."""

    @origin.on("/fresh")
    async def fresh(request):
        return server.Response(headers={"Cache-Control": "no-store"})

    running, visitor = await admitted(start_gate, new_browser)
    first = visitor.cookies()[f"gate_pass_{room_name}"]
    assert pass_cookies(await visitor.get("/x"), room_name) == []
    later(running, room_name, 400)
    assert (
        pass_cookies(
            await visitor.send("GET", "/img", headers={"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}),
            room_name,
        )
        == []
    )
    assert len(pass_cookies(await visitor.send("GET", "/fresh", headers=FETCH), room_name)) == 1
    later(running, room_name, 400)
    assert pass_cookies(await visitor.get("/x"), room_name) == [], "made anew a moment ago"
    tokens = running.gate.parts.keys.tokens()
    before, after = (tokens.read_pass(text, room_name) for text in (first, visitor.cookies()[f"gate_pass_{room_name}"]))
    assert after.identity == before.identity
    assert after.cap == before.cap
    assert after.expires > before.expires


async def test_a_checkout_posted_after_the_pass_expired_is_not_lost(start_gate, new_browser, room_name, origin, web):
    """One minute past its life, within its grace: forwarded, with a new life, though a line stands."""
    running, visitor = await admitted(start_gate, new_browser)
    await running.patch(web, room_name, mode="hold")
    await running.until_seen(room_name, lambda line: line.mode == "hold")
    later(running, room_name, 660)
    origin.seen.clear()
    answer = await visitor.send("POST", "/order", data={"seat": "A1"}, headers=PAGE)
    assert answer.json()["body"] == "seat=A1"
    assert len(pass_cookies(answer, room_name)) == 1
    later(running, room_name, 660 + 1_300)
    assert b"data-room" in (await visitor.get("/x")).body, "past its grace it is over"


async def test_past_the_cap_one_unsafe_request_is_still_good(start_gate, new_browser, room_name, origin, web):
    """The clock does not eat a checkout: one POST passes, the next one waits; GET waits at once."""
    running, visitor = await admitted(start_gate, new_browser, pass_cap=600, claim_within=10, pass_life=600)
    await running.patch(web, room_name, mode="hold")
    await running.until_seen(room_name, lambda line: line.mode == "hold")
    later(running, room_name, 640)
    assert b"data-room" in (await visitor.get("/x")).body
    origin.seen.clear()
    cookie = {"Cookie": f"gate_pass_{room_name}={visitor.cookies().get(f'gate_pass_{room_name}', '')}"}
    first = await visitor.send("POST", "/order", data=b"1", headers={**FETCH, **cookie})
    second = await visitor.send("POST", "/order", data=b"2", headers={**FETCH, **cookie})
    assert (first.status, second.status) == (200, 429)
    assert len(origin.seen) == 1


async def test_complete_ends_a_visit_at_its_next_renewal(start_gate, new_browser, room_name, origin, web):
    """`Gate-Command: complete`: stripped, the confirmation's own parts still load, the pass is not renewed."""

    @origin.on("/done")
    async def done(request):
        return server.Response(text="done", headers={"Gate-Command": "complete"})

    running, visitor = await admitted(start_gate, new_browser)
    answer = await visitor.get("/done")
    assert "Gate-Command" not in answer.headers
    assert (await visitor.get("/style.css")).status == 200
    await running.patch(web, room_name, mode="hold")
    await running.until_seen(room_name, lambda line: line.mode == "hold")
    later(running, room_name, 610)
    assert b"data-room" in (await visitor.get("/x")).body


async def test_revoke_ends_a_visit_at_once(start_gate, new_browser, room_name, origin, web):
    """`Gate-Command: revoke`: on the deny list, in every snapshot within a tick or two."""

    @origin.on("/bye")
    async def bye(request):
        return server.Response(headers={"Gate-Command": "revoke"})

    running, visitor = await admitted(start_gate, new_browser)
    await running.patch(web, room_name, mode="hold")
    await running.until_seen(room_name, lambda line: line.mode == "hold")
    await visitor.get("/bye")
    await running.until_seen(room_name, lambda line: not running.gate.parts.live.deny_list_is_stale(room_name))
    refused = await visitor.send("GET", "/x", headers=FETCH)
    assert (refused.status, refused.slug) == (429, "pass-invalid")


async def test_extend_adds_at_most_one_pass_cap(start_gate, new_browser, room_name, origin):
    """`Gate-Command: extend=SECONDS`: a later cap, and never more than one pass_cap later, however often."""

    @origin.on("/more")
    async def more(request):
        return server.Response(headers={"Gate-Command": "extend=900"})

    running, visitor = await admitted(start_gate, new_browser, pass_cap=1_000)
    tokens = running.gate.parts.keys.tokens()
    caps = [tokens.read_pass(visitor.cookies()[f"gate_pass_{room_name}"], room_name).cap]
    for _ in range(3):
        await visitor.get("/more")
        caps.append(tokens.read_pass(visitor.cookies()[f"gate_pass_{room_name}"], room_name).cap)
    assert [cap - caps[0] for cap in caps] == [0, 900, 1_000, 1_000]


async def test_rotation_loses_nobody(start_gate, new_browser, room_name, tmp_path):
    """A new key signs, the old one verifies on; the running gate takes it up without a restart."""
    from gate.core.keyring import Algorithm
    from gate.keyfile import rotate

    running, visitor = await admitted(start_gate, new_browser)
    rotate(tmp_path / "state" / "keys.json", Algorithm.HS256, keep_seconds=9_999)
    running.gate.parts.keys.refresh()
    assert len(running.gate.parts.keys.tokens().ring.keys) == 2
    assert (await visitor.get("/x")).json()["target"] == "/x"


async def test_eddsa_passes(start_gate, new_browser, room_name):
    """Selectable by configuration; tickets stay HMACs."""
    import jwt

    running, visitor = await admitted(start_gate, new_browser, tokens={"algorithm": "EdDSA"})
    text = visitor.cookies()[f"gate_pass_{room_name}"]
    assert jwt.get_unverified_header(text)["alg"] == "EdDSA"
    assert (await visitor.get("/x")).status == 200


async def test_garbage_cookies_beside_the_good_one_do_no_harm(start_gate, new_browser, room_name, web, origin):
    """Values before and after, a second Cookie line, quotes, hundreds of others: still admitted, none reach the origin."""
    running, visitor = await admitted(start_gate, new_browser)
    good = visitor.cookies()[f"gate_pass_{room_name}"]
    name = f"gate_pass_{room_name}"
    many = "; ".join(f"c{index}=1" for index in range(300))
    for lines in (
        [f"{name}=x; {name}={good}; {name}=y"],
        ["a=1", f"{name}={good}"],
        [f'{name}="{good}"'],
        [many, f"{name}={good}"],
    ):
        headers = [*FETCH.items(), *(("Cookie", line) for line in lines)]
        async with web.get(running.url + "/x", headers=headers) as answer:
            assert answer.status == 200, lines[0][:60]
        assert "gate_" not in str(origin.seen[-1].headers.getall("Cookie", []))


async def test_cookies_over_https_are_host_bound(start_gate, new_browser, room_name, web):
    """`__Host-` and Secure behind a proxy that ends TLS; `__Secure-` with a domain; SameSite as configured."""
    running = await start_gate(mode="hold", server={"public_scheme": "https"}, same_site="none")
    async with web.get(running.url + "/", headers=PAGE) as answer:
        cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"__Host-gate_pre_{room_name}=")
    assert cookie.endswith("Path=/; HttpOnly; SameSite=None; Secure")
    other = await start_gate(
        name=f"{room_name}d", mode="hold", server={"public_scheme": "https"}, cookie_domain="shop.example"
    )
    async with web.get(other.url + "/", headers=PAGE) as answer:
        assert answer.headers["Set-Cookie"].startswith(f"__Secure-gate_pre_{room_name}d=")
        assert "Domain=shop.example" in answer.headers["Set-Cookie"]


async def test_whose_visit_is_complete_joins_anew(start_gate, new_browser, room_name, origin, web):
    """After `complete`, past the pass's life: join deals a new place instead of saying `admitted` for ever."""

    @origin.on("/done")
    async def done(request):
        return server.Response(headers={"Gate-Command": "complete"})

    running, visitor = await admitted(start_gate, new_browser)
    await visitor.get("/done")
    await running.patch(web, room_name, mode="hold")
    await running.until_seen(room_name, lambda line: line.mode == "hold")
    later(running, room_name, 610)
    assert b"data-room" in (await visitor.get("/x")).body
    joined = await visitor.send("POST", f"/_gate/join/{room_name}")
    assert (joined.status, joined.json()["status"]) == (200, "waiting")


async def test_an_expired_pass_is_made_anew_by_status_too(start_gate, new_browser, room_name, web):
    """Within its grace the visitor's own endpoints renew as a page would, so page and script agree."""
    running, visitor = await admitted(start_gate, new_browser)
    await running.patch(web, room_name, mode="hold")
    later(running, room_name, 660)
    status = await visitor.send("GET", f"/_gate/status/{room_name}")
    assert status.json()["status"] == "admitted"
    assert len(pass_cookies(status, room_name)) == 1


async def test_past_the_cap_join_does_not_say_admitted(start_gate, new_browser, room_name, web):
    """What is good for one last form is no admission: page, join and status agree."""
    running, visitor = await admitted(start_gate, new_browser, pass_cap=600, claim_within=10)
    await running.patch(web, room_name, mode="hold")
    await running.until_seen(room_name, lambda line: line.mode == "hold")
    later(running, room_name, 640)
    await visitor.get("/x")
    assert (await visitor.send("POST", f"/_gate/join/{room_name}")).json()["status"] == "waiting"


async def test_a_ticket_is_made_anew_past_half_of_its_life(start_gate, new_browser, room_name):
    """By status and join, so that a tab that stays open keeps its place for days."""
    running = await start_gate(mode="hold")
    visitor = new_browser(running)
    place = (await visitor.join(room_name)).json()
    assert "Set-Cookie" not in (await visitor.send("GET", f"/_gate/status/{room_name}")).headers
    for day in range(1, 5):
        later(running, room_name, day * 50_000)
        again = await visitor.send("POST", f"/_gate/join/{room_name}")
        assert again.json()["position"] == place["position"]
        assert again.headers["Set-Cookie"].startswith(f"gate_ticket_{room_name}=")


async def test_a_used_ticket_is_dead(start_gate, new_browser, room_name, web):
    """Its visit ended: claim says `ticket-used` and clears it, join deals a new place."""
    running = await start_gate(mode="hold", release_rate=1_000)
    visitor = new_browser(running)
    await visitor.join(room_name)
    ticket = {"Cookie": f"gate_ticket_{room_name}={visitor.cookies()[f'gate_ticket_{room_name}']}"}
    await visitor.send("POST", f"/_gate/leave/{room_name}")
    await running.patch(web, room_name, mode="auto")
    await running.until_seen(room_name, lambda line: line.now_serving == 1)
    used = await visitor.send("POST", f"/_gate/claim/{room_name}", headers=ticket)
    assert (used.status, used.slug) == (410, "ticket-used")
    assert "Max-Age=0" in used.headers["Set-Cookie"]
    pending = await visitor.send("POST", f"/_gate/join/{room_name}", headers=ticket)
    assert pending.json()["status"] == "pending"
    pre, cleared = sorted(pending.headers.getall("Set-Cookie"))
    assert cleared.startswith(f"gate_ticket_{room_name}=; Max-Age=0")
    both = {"Cookie": f"{ticket['Cookie']}; {pre.partition(';')[0]}"}
    joined = await visitor.send("POST", f"/_gate/join/{room_name}", headers=both)
    assert (joined.json()["status"], joined.json()["position"]) == ("served", 2)


async def test_another_rooms_pass_carries_only_parts(start_gate, new_browser, room_name, origin):
    """Images of a neighbouring room come along; nothing that changes something does."""
    rooms = [{"name": room_name, "paths": ["/held"], "mode": "hold"}, {"name": f"{room_name}z", "release_rate": "99/s"}]
    running = await start_gate(rooms=rooms)
    visitor = new_browser(running)
    await visitor.get("/")
    image = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert (await visitor.send("GET", "/held/x.png", headers=image)).status == 200
    origin.seen.clear()
    for method, headers in (
        ("POST", {"Sec-Purpose": "prefetch"}),
        ("GET", {"Upgrade": "websocket", "Connection": "upgrade"}),
    ):
        assert (await visitor.send(method, "/held/buy", headers=headers)).status == 429
    assert origin.seen == []
