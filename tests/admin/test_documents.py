"""What the admin side tells: the record, events, links for guests, previews, trends, and its own description."""

import asyncio
import json
import re

import jsonschema
import pytest
from openapi_spec_validator import validate

from gate.admin.openapi import description
from gate.admin.pages import PREVIEW_STATES
from gate.admin.trends import Trends
from gate.core.meter import Count, Meter, Timing
from gate.core.record import NO_ENTRY, Entry, Head, verify
from gate.core.room import Mode
from tests.admin.test_admin import TOKEN, ask
from tests.core.lines import line as make_line
from tests.harness import PAGE, Browser


class Events:
    """A watcher."""

    def __init__(self, answer):
        self._answer = answer

    async def next(self, name):
        """The next event of this name."""
        found = ""
        async with asyncio.timeout(5):
            async for raw in self._answer.content:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    found = line[7:]
                elif line.startswith("data: ") and found == name:
                    return json.loads(line[6:])
        raise AssertionError(name)


async def test_the_record_is_read_and_verified_by_whoever_reads_it(start_gate, web, room_name):
    """Acts, actors, before and after; the texts alone prove the chain up to the head of the room's document."""
    running = await start_gate(release_rate="10/s")
    path = f"/api/rooms/{room_name}"
    await ask(web, running, "PATCH", path, json={"release_rate": "20/s"})
    await ask(web, running, "PATCH", path, json={"mode": "hold"})
    await ask(web, running, "POST", f"{path}/reset", json={"confirm": room_name})
    log = (await ask(web, running, "GET", f"{path}/log"))[1]
    room = (await ask(web, running, "GET", path))[1]
    assert [(e["actor"], e["act"]) for e in log["entries"]] == [
        ("gate", "open"), ("operator", "change"), ("operator", "change"), ("operator", "reset"),
    ]  # fmt: skip
    assert (log["entries"][1]["before"], log["entries"][1]["after"]) == ({"release_rate": 10.0}, {"release_rate": 20.0})
    assert log["entries"][3]["after"] == {"generation": room["generation"]}
    entries = [Entry(e["text"], Head(e["number"], e["hash"])) for e in log["entries"]]
    head = Head(room["log_head"]["number"], room["log_head"]["hash"])
    assert verify(entries, since=NO_ENTRY, head=head) is None
    page = (await ask(web, running, "GET", f"{path}/log?after=1&limit=2"))[1]
    assert ([e["number"] for e in page["entries"]], page["more"]) == ([2, 3], True)
    for query in ("after=x", "limit=-1", "after=1e3"):
        assert (await ask(web, running, "GET", f"{path}/log?{query}"))[0] == 400


async def test_events_tell_the_past_the_present_and_every_act(start_gate, web, room_name):
    """`history` first, `gate` at once after a change, `log` with the actor."""
    running = await start_gate(release_rate="10/s")
    async with web.get(running.admin_url + "/api/events", headers=TOKEN) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        events = Events(answer)
        history = await events.next("history")
        assert history["columns"][0] == "time"
        assert room_name in history["rooms"]
        await events.next("gate")
        await running.patch(web, room_name, release_rate="33/s")
        # One of those that come every second may have been on its way already; the change's own is next.
        told = await events.next("gate")
        if told["rooms"][0]["revision"] == 1:
            told = await events.next("gate")
        assert told["rooms"][0]["release_rate"] == 33.0
        entry = await events.next("log")
        assert (entry["room"], entry["actor"], entry["after"]) == (room_name, "operator", {"release_rate": 33.0})
    async with web.get(running.admin_url + "/api/events") as answer:
        assert answer.status == 401


async def test_a_guests_link_leads_past_the_line(start_gate, web, room_name, new_browser, origin):
    """It sets a pass and goes on; again the same pass; counted, on record; no place of the line is spent."""
    running = await start_gate(mode="hold")
    waiting = new_browser(running)
    await waiting.join(room_name)
    status, link = await ask(web, running, "POST", f"/api/rooms/{room_name}/admit", json={"next": "/book?seat=1"})
    assert status == 201
    path = link["url"].removeprefix(running.url)
    guest = new_browser(running)
    answer = await guest.get(path)
    assert (answer.status, answer.headers["Location"]) == (303, "/book?seat=1")
    assert (await guest.get("/book?seat=1")).status == 200
    assert origin.seen[-1].headers["Gate-Position"] == "1"
    friend = new_browser(running)
    await friend.get(path)
    passes = [b.cookies()[f"gate_pass_{room_name}"] for b in (guest, friend)]
    tokens = running.gate.parts.keys.tokens()
    assert len({tokens.read_pass(text, room_name).identity for text in passes}) == 1, "one link, one admission"
    room = (await ask(web, running, "GET", f"/api/rooms/{room_name}"))[1]
    assert (room["guests"], room["issued"], room["waiting"], room["served"]) == (1, 1, 1, 0)
    log = (await ask(web, running, "GET", f"/api/rooms/{room_name}/log"))[1]
    assert log["entries"][-1]["act"] == "admit"
    assert (await waiting.get("/book")).body.count(b'data-state="held"') == 1


@pytest.mark.parametrize("how", ["garbled", "another's ticket", "after a reset", "as a ticket", "none"])
async def test_a_guests_link_is_nothing_else(start_gate, web, room_name, new_browser, origin, how):
    """Garbled, made of an ordinary ticket, or of a line that is no more: refused; and no ticket for join or claim."""
    running = await start_gate(mode="hold")
    visitor: Browser = new_browser(running)
    await visitor.join(room_name)
    link = (await ask(web, running, "POST", f"/api/rooms/{room_name}/admit", json={}))[1]["url"]
    ticket = re.search(r"ticket=([^&]+)", link)[1]
    shown = {"garbled": ticket[:-3] + "AAA", "another's ticket": visitor.cookies()[f"gate_ticket_{room_name}"]}
    if how == "after a reset":
        await ask(web, running, "POST", f"/api/rooms/{room_name}/reset", json={"confirm": room_name})
    if how == "as a ticket":
        answer = await visitor.send("GET", "/book", headers={**PAGE, "Gate-Ticket": ticket, "Cookie": ""})
        assert answer.status == 200
        assert b"data-state" in answer.body, "the waiting page, not the site"
        return
    query = "" if how == "none" else f"?ticket={shown.get(how, ticket)}"
    answer = await new_browser(running).send("GET", f"/_gate/enter/{room_name}{query}")
    assert (answer.status, answer.slug) == (429, "ticket-invalid")
    assert origin.seen == []


async def test_previews_show_every_state_and_touch_nothing(start_gate, web, room_name):
    """Behind a signed link only; the line stays empty; a link that was changed or is old opens nothing."""
    running = await start_gate(release_rate="10/s", message="Doors at eight")
    for state in PREVIEW_STATES:
        body = {"state": state, "ahead": 77, "language": "de"}
        status, made = await ask(web, running, "POST", f"/api/rooms/{room_name}/preview", json=body)
        assert status == 201
        async with web.get(running.admin_url + made["url"]) as answer:
            page = await answer.text()
            assert answer.status == 200
            assert 'lang="de"' in page
            assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
        async with web.get(running.admin_url + made["url"].replace("ahead=77", "ahead=78")) as answer:
            assert answer.status == 401
    assert "77" in (await _preview(web, running, room_name, {"state": "waiting", "ahead": 77}))
    assert running.line(room_name).issued == 0
    status, problem = await ask(
        web, running, "POST", f"/api/rooms/{room_name}/preview", json={"state": "odd", "ahead": -1, "language": "xx"}
    )
    assert status == 400
    assert all(key in problem["detail"] for key in ("state", "ahead", "language"))


async def _preview(web, running, room_name, body):
    made = (await ask(web, running, "POST", f"/api/rooms/{room_name}/preview", json=body))[1]
    async with web.get(running.admin_url + made["url"]) as answer:
        return await answer.text()


def test_the_description_is_valid_openapi():
    """OpenAPI 3.1, as its validator judges."""
    validate(description())


async def test_the_description_names_every_route_and_no_other(start_gate):
    """Under /api/."""
    running = await start_gate()
    app = running.gate.control._app
    routes = {
        (route.resource.canonical, route.method.lower())
        for route in app.router.routes()
        if route.resource.canonical.startswith("/api/") and route.method != "HEAD"
    }
    described = {
        (path, method)
        for path, operations in description()["paths"].items()
        for method in operations
        if method != "parameters"
    }
    assert routes == described


async def test_answers_are_as_described(start_gate, web, room_name, new_browser):
    """Real answers, good and bad, against the schemas of their status."""
    running = await start_gate(mode="hold")
    await new_browser(running).join(room_name)
    path, described = f"/api/rooms/{room_name}", description()
    tries = [
        ("GET", "/api/gate", None), ("GET", "/api/rooms", None), ("GET", path, None), ("GET", "/api/rooms/none", None),
        ("PATCH", path, {"release_rate": "7/min", "burst": None, "max_issued": 9, "message": "x"}),
        ("PATCH", path, {"speed": 1}), ("POST", f"{path}/advance", {"by": 1}), ("POST", f"{path}/advance", {}),
        ("POST", f"{path}/admit", {"life": 60}), ("POST", f"{path}/preview", {}), ("GET", f"{path}/log", None),
        ("POST", f"{path}/reset", {"confirm": room_name}), ("POST", f"{path}/reset", {}), ("GET", "/api/openapi.json", None),
    ]  # fmt: skip
    await running.gate.control.watch_all.look()
    for method, target, body in tries:
        async with web.request(method, running.admin_url + target, json=body, headers=TOKEN) as answer:
            document, status = json.loads(await answer.read()), answer.status
            kind = answer.headers["Content-Type"].partition(";")[0]
        template = target.replace(room_name, "{room}").replace("/none", "/{room}")
        response = described["paths"][template][method.lower()]["responses"][str(status)]
        schema = {**response["content"][kind]["schema"], "components": described["components"]}
        jsonschema.validate(document, schema)


def test_trends_tell_rates_over_ten_seconds():
    """Joins, claims and releases a second; a new generation begins anew; nothing is older than a quarter hour."""
    trends = Trends()
    for second in range(1_200):
        line = make_line(now_serving=second * 5, issued=second * 20, release_rate=5.0, claimed=second * 4)
        sample = trends.take(line, 7, 1_000.0 + second)
    assert (sample.joins, sample.measured, sample.claims, sample.wanted, sample.active) == (20, 5, 4, 5, 7)
    assert len(tuple(trends.samples(line.room))) == 900
    held = make_line(now_serving=0, issued=10, generation=line.generation + 1, mode=Mode.HOLD)
    fresh = trends.take(held, 0, 2_300.0)
    assert (fresh.joins, fresh.measured, fresh.wanted) == (0, 0, 0)
    assert len(tuple(trends.samples(line.room))) == 1


def test_trends_tell_how_the_origin_does_lately():
    """p50, p95 and errors over the last ten seconds, not since the start."""
    trends, meter = Trends(), Meter()
    for second in range(30):
        for _ in range(10):
            meter.observe(Timing.ORIGIN_FIRST_BYTE, 0.2 if second < 15 else 0.02)
        meter.count(Count.ORIGIN_ERRORS, "", "origin-timeout")
        service = trends.serve(meter.read(), 100.0 + second)
    assert 10 <= service.origin_p50 <= 25
    assert service.origin_p95 <= 25
    assert service.origin_errors == 1
    assert service.origin_rate == 10
    assert service.store_p95 is None
