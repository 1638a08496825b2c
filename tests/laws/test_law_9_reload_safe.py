"""Law 9: reload, back, new tab, closed browser, restarted gate: the same place, until `claim_within` after its turn."""

import asyncio

from gate.store.keys import line_key
from tests.harness import PAGE


async def test_law_9_reload_safe_tabs_and_reloads(start_gate, new_browser, room_name):
    """Joining again in any tab, any number of times, gives the same place; one number is spent."""
    running = await start_gate(mode="hold")
    visitor = new_browser(running)
    first = (await visitor.join(room_name)).json()
    for _ in range(3):
        assert (await visitor.join(room_name)).json()["position"] == first["position"]
    assert (await visitor.send("GET", f"/_gate/status/{room_name}")).json()["position"] == first["position"]
    assert running.line(room_name).issued == 1
    assert first["reference"].encode() in (await visitor.get("/")).body


async def test_law_9_reload_safe_two_tabs_at_once(start_gate, new_browser, room_name):
    """Two tabs join in the same moment with the same pre-ticket: one number, and the retry finds it."""
    running = await start_gate(mode="hold")
    visitor = new_browser(running)
    await visitor.get("/")
    url = f"/_gate/join/{room_name}"
    answers = await asyncio.gather(*(visitor.send("POST", url) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 202, 202, 202, 202]
    again = await visitor.send("POST", url)
    assert (again.status, again.json()["position"]) == (200, 1)
    assert running.line(room_name).issued == 1


async def test_law_9_reload_safe_the_ticket_outlives_the_browser(start_gate, new_browser, room_name):
    """The ticket's cookie is persistent, as long as the ticket."""
    visitor = new_browser(await start_gate(mode="hold"))
    joined = await visitor.join(room_name)
    cookie = next(c for c in joined.headers.getall("Set-Cookie") if c.startswith(f"gate_ticket_{room_name}="))
    assert "Max-Age=86400" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


async def test_law_9_reload_safe_over_a_restart_of_the_gate(start_gate, new_browser, room_name):
    """Another gate process with the same keys and store honours the ticket."""
    first = await start_gate(mode="hold")
    visitor = new_browser(first)
    place = (await visitor.join(room_name)).json()
    second = await start_gate(mode="hold")
    visitor.base = second.url
    assert (await visitor.send("POST", f"/_gate/join/{room_name}")).json()["position"] == place["position"]


async def test_law_9_reload_safe_a_lost_answer_to_the_claim(start_gate, new_browser, room_name, web):
    """Claiming twice, even from two jars, gives the same admission and not a second one."""
    running = await start_gate(mode="hold", release_rate="100/s")
    visitor = new_browser(running)
    await visitor.join(room_name)
    ticket = visitor.cookies()[f"gate_ticket_{room_name}"]
    await running.patch(web, room_name, mode="auto")
    await running.until_seen(room_name, lambda line: line.now_serving == 1)
    tokens = running.gate.parts.keys.tokens()
    admissions = []
    for _ in range(2):
        headers = {"Gate-Client": "api", "Gate-Ticket": ticket}
        async with web.post(f"{running.url}/_gate/claim/{room_name}", headers=headers) as answer:
            admissions.append(tokens.read_pass((await answer.json())["pass"], room_name))
    assert admissions[0].identity == admissions[1].identity
    assert admissions[0].cap == admissions[1].cap
    await running.until_seen(room_name, lambda line: line.claimed == 1)


async def test_law_9_reload_safe_until_claim_within(start_gate, new_browser, room_name, connection):
    """Past `claim_within` after its turn: 410 `ticket-lapsed`, the page says so, and a new place may be taken."""
    running = await start_gate(mode="hold", claim_within=10)
    visitor = new_browser(running)
    await visitor.join(room_name)
    line = running.line(room_name)
    # Its turn came long ago, as the room's own numbers tell.
    long_ago = int(connection.clock.now() // 10) - 30
    numbers = ("sv_n", 1, "slot", long_ago)
    await connection.command("HSET", line_key(room_name), *numbers)
    await running.until_seen(room_name, lambda line: line.now_serving == 1 and line.slot == long_ago)
    assert line.issued == 1
    ticket = visitor.cookies()[f"gate_ticket_{room_name}"]
    page = await visitor.send("GET", "/", headers=PAGE)
    assert b'data-state="lapsed"' in page.body
    refused = await visitor.send("POST", f"/_gate/claim/{room_name}", headers={"Gate-Ticket": ticket})
    assert (refused.status, refused.slug) == (410, "ticket-lapsed")
    again = await visitor.join(room_name)
    assert again.json()["position"] == 2
