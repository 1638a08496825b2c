"""The waiting page in a real browser: each promise it makes to the visitor."""

import asyncio
import contextlib
import itertools
import re
import time

import pytest
from aiohttp import web as server
from playwright.async_api import Error as BrowserError

SITE = "<!doctype html><title>Shop</title><h1>The shop</h1>"


@pytest.fixture
def shop(origin):
    """The origin is a page with a heading."""

    @origin.on("/book")
    @origin.on("/book?seat=A1&x=%2F")
    @origin.on("/")
    async def page(request):
        return server.Response(text=SITE, content_type="text/html")

    return origin


async def line_of(running, room, new_browser, count):
    """A crowd in line already."""
    for _ in range(count):
        await new_browser(running).join(room)


async def until(page, expression):
    """Wait for a condition, without Playwright's own way, which the page's policy forbids (it evaluates texts)."""
    async with asyncio.timeout(15):
        while True:
            with contextlib.suppress(BrowserError):  # the page may be on its way to the next
                if await page.evaluate(expression):
                    return
            await asyncio.sleep(0.05)


async def text(page, selector):
    """What a person reads there."""
    return (await page.inner_text(selector)).strip()


async def test_it_tells_all_it_knows(start_gate, new_browser, page, shop, room_name):
    """Position, ahead ("at most"), wait as a range, progress, message, safety and until when, a reference."""
    running = await start_gate(
        mode="hold", release_rate="2/min", message="Doors open at <b>seven</b>", title="Harbour Hall"
    )
    await line_of(running, room_name, new_browser, 24)
    await page.goto(running.url + "/book")
    await page.wait_for_selector("[data-state=held] #reference:not(:empty)")
    assert await text(page, "#heading") == "The line is paused"
    assert await text(page, "#ahead") == "At most 24 people ahead of you"
    assert await text(page, "#position") == "25"
    assert await text(page, "#wait") == "not known while the line is paused"
    assert await text(page, "#message") == "Doors open at <b>seven</b>"
    assert await text(page, "#site") == "Harbour Hall"
    assert re.fullmatch(
        r"You can reload or close this page: your place is safe until .*20\d\d.*\.", await text(page, "#safe")
    )
    assert "30 minutes to enter" in await text(page, "#turn-kept")
    assert re.fullmatch(r"Reference for support: 25-[0-9A-Z]{4}", await text(page, "#reference"))
    async with page.context.expect_page() as _, asyncio.timeout(1):
        await page.context.new_page()


async def test_it_shows_a_range_and_moves_and_enters_by_itself(start_gate, new_browser, page, shop, room_name, web):
    """The wait is a range; the line moves on screen; at the turn the URL first asked for opens, query and all."""
    running = await start_gate(mode="hold", release_rate="30/min", poll_min=0.5, poll_max=1)
    await line_of(running, room_name, new_browser, 60)
    await page.goto(running.url + "/book?seat=A1&x=%2F")
    await running.patch(web, room_name, mode="auto")
    await page.wait_for_selector("[data-state=waiting]")
    assert re.fullmatch(r"about \d.\d minutes", await text(page, "#wait"))
    before = int(re.search(r"\d+", await text(page, "#ahead"))[0])
    await running.patch(web, room_name, release_rate="8/s")
    await until(page, f"parseInt(document.querySelector('#ahead')?.textContent.match(/\\d+/) ?? 0) < {before}")
    assert re.match(r"\(\d+\) |★ ", await page.title())
    await page.wait_for_selector("text=The shop")
    assert page.url == running.url + "/book?seat=A1&x=%2F"


async def test_an_idle_site_shows_no_page(start_gate, page, shop):
    """Nobody waits: the shop at once."""
    running = await start_gate(release_rate="10/s")
    await page.goto(running.url + "/book")
    assert await page.title() == "Shop"


async def test_reload_back_new_tab_and_restart_keep_the_place(
    start_gate, new_browser, page, shop, room_name, new_context
):
    """The same number in every tab, after reload and back, and in a browser that was closed and opened again."""
    running = await start_gate(mode="hold")
    await line_of(running, room_name, new_browser, 3)
    await page.goto(running.url + "/book")
    await page.wait_for_selector("#reference:not(:empty)")
    reference = await text(page, "#reference")
    await page.reload()
    await page.wait_for_selector("#reference:not(:empty)")
    assert await text(page, "#reference") == reference
    await page.goto(running.url + "/_gate/livez")
    await page.go_back()
    await page.wait_for_selector("#reference:not(:empty)")
    assert await text(page, "#reference") == reference
    tab = await page.context.new_page()
    await tab.goto(running.url + "/")
    await tab.wait_for_selector("#reference:not(:empty)")
    assert await text(tab, "#reference") == reference
    again = await (await new_context(storage_state=await page.context.storage_state())).new_page()
    await again.goto(running.url + "/book")
    await again.wait_for_selector("#reference:not(:empty)")
    assert await text(again, "#reference") == reference
    assert running.line(room_name).issued == 4


async def test_two_tabs_at_once_take_one_place(start_gate, page, shop, room_name):
    """Opened in the same moment, both show the same number."""
    running = await start_gate(mode="hold")
    await page.goto(running.url + "/_gate/livez")
    tabs = [await page.context.new_page() for _ in range(2)]
    await asyncio.gather(*(tab.goto(running.url + "/book") for tab in tabs))
    for tab in tabs:
        await tab.wait_for_selector("#reference:not(:empty)")
    first, second = [await text(tab, "#reference") for tab in tabs]
    if first != second:  # each tab's page had its own pre-ticket; the cookie that stands is one place
        for tab in tabs:
            await tab.reload()
            await tab.wait_for_selector("#reference:not(:empty)")
        first, second = [await text(tab, "#reference") for tab in tabs]
    assert first == second


async def test_a_lost_answer_to_the_claim_costs_nothing(start_gate, page, shop, room_name, web):
    """The gate admitted, the answer never came: the page asks again and enters."""
    running = await start_gate(mode="hold", release_rate="100/s", poll_min=0.5)
    lost = []

    async def lose(route):
        if lost:
            await route.continue_()
            return
        lost.append(await route.fetch())
        await route.abort("connectionreset")

    await page.route("**/_gate/claim/*", lose)
    await page.goto(running.url + "/book")
    await page.wait_for_selector("[data-state=held]")
    await running.patch(web, room_name, mode="auto")
    await page.wait_for_selector("text=The shop")
    assert lost[0].status == 200
    assert running.line(room_name).claimed == 1


async def test_it_polls_by_the_rule_and_hidden_tabs_slowly(start_gate, new_browser, page, shop, room_name):
    """A fraction of one's own wait within bounds, and a hidden tab at the slowest pace."""
    running = await start_gate(mode="hold", release_rate="10/s", poll_min=0.5, poll_max=4)
    polls = []
    page.on("request", lambda request: polls.append(request.url) if "/_gate/now/" in request.url else None)
    await page.goto(running.url + "/book")
    await page.wait_for_selector("[data-state=held]")
    polls.clear()
    await page.wait_for_timeout(4_000)
    assert 6 <= len(polls) <= 11  # every half second, give or take a fifth
    await page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true, configurable: true})")
    await page.wait_for_timeout(800)
    polls.clear()
    await page.wait_for_timeout(4_000)
    assert len(polls) <= 2


async def test_it_backs_off_with_errors_and_says_so(start_gate, page, shop, room_name):
    """An unreachable gate: fewer and fewer polls, a kind word, and back by itself."""
    running = await start_gate(mode="hold", poll_min=0.5, poll_max=4)
    await page.goto(running.url + "/book")
    await page.wait_for_selector("[data-state=held]")
    tries = []

    async def fail(route):
        tries.append(asyncio.get_running_loop().time())
        await route.abort()

    await page.route("**/_gate/now/*", fail)
    await page.wait_for_selector("#offline:not([hidden])")
    assert "Your place is safe" in await text(page, "#offline")
    await page.wait_for_timeout(7_000)
    gaps = [after - before for before, after in itertools.pairwise(tries)]
    assert gaps[-1] > 1.5 * gaps[0]
    await page.unroute("**/_gate/now/*")
    await page.wait_for_selector("#offline", state="hidden")


async def test_it_says_so_if_cookies_are_off(start_gate, page, shop):
    """Nothing is remembered between requests: the page explains instead of asking for ever."""
    running = await start_gate(mode="hold")

    async def drop(route):
        answer = await route.fetch()
        headers = {key: value for key, value in answer.headers.items() if key != "set-cookie"}
        await page.context.clear_cookies()
        await route.fulfill(response=answer, headers=headers)

    await page.route("**/*", drop)
    await page.goto(running.url + "/book")
    await page.wait_for_selector("[data-state=cookies]")
    assert "allow cookies" in await text(page, "#explanation")


async def test_a_hidden_tab_notifies_and_enters_when_seen(start_gate, page, shop, room_name, web):
    """Title and notification tell of the turn; the place is claimed when the tab is looked at."""
    running = await start_gate(mode="hold", release_rate="100/s", poll_min=0.5, poll_max=1)
    await page.add_init_script(
        "window.notes = []; window.Notification = class { constructor(title) { window.notes.push(title); }"
        " static permission = 'granted'; close() {} };"
    )
    await page.goto(running.url + "/book")
    await page.wait_for_selector("[data-state=held]")
    await page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => window.away ?? true, configurable: true})"
    )
    await running.patch(web, room_name, mode="auto")
    await until(page, "window.notes.length === 1")
    assert await page.evaluate("window.notes[0]") == "It is your turn"
    assert (await page.title()).startswith("★")
    assert await page.title() != "Shop"
    await page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    await page.wait_for_selector("text=The shop")


async def test_it_works_without_javascript(start_gate, new_context, new_browser, shop, room_name, web):
    """A form to join, the place on the page, and a refresh that enters when the turn has come."""
    running = await start_gate(mode="hold", release_rate="100/s")
    await line_of(running, room_name, new_browser, 2)
    page = await (await new_context(java_script_enabled=False)).new_page()
    await page.goto(running.url + "/book?seat=A1&x=%2F")
    await page.click("form button")  # Playwright finds no text within noscript
    assert page.url == running.url + "/book?seat=A1&x=%2F"
    assert await text(page, "#ahead") == "At most 2 people ahead of you"
    assert await text(page, "#position") == "3"
    assert "your place is safe until" in await text(page, "#safe")
    await running.patch(web, room_name, mode="auto")
    await page.wait_for_selector("text=The shop")  # by the page's own refresh
    assert page.url == running.url + "/book?seat=A1&x=%2F"


async def test_closed_full_and_lapsed_are_told(start_gate, page, shop, room_name, web, new_browser):
    """Each state has its words, and joining again is one button."""
    running = await start_gate(mode="closed")
    await page.goto(running.url + "/book")
    await page.wait_for_selector("[data-state=closed]")
    assert await text(page, "#heading") == "The line is closed"
    await running.patch(web, room_name, mode="hold", max_issued=1)
    await line_of(running, room_name, new_browser, 1)
    await page.reload()
    await page.wait_for_selector("[data-state=full]")
    assert await text(page, "#heading") == "All places are taken"


async def test_a_form_is_not_lost_silently(start_gate, page, shop, room_name, web):
    """A form that had to wait: the page says so and leads back to the page the form was on."""
    running = await start_gate(mode="off", poll_min=0.5)

    @shop.on("/checkout")
    async def checkout(request):
        form = "<h1>Checkout</h1><form method=post action=/order><button>Buy</button></form>"
        return server.Response(text=form, content_type="text/html")

    await page.goto(running.url + "/checkout")
    await running.patch(web, room_name, mode="hold")
    await running.until_seen(room_name, lambda line: line.mode == "hold")
    await page.click("text=Buy")
    await page.wait_for_selector("[data-state=held]")
    assert "did not reach the site" in await text(page, "#form-not-sent")
    await running.patch(web, room_name, mode="auto")
    await page.wait_for_selector("text=Checkout")
    assert not any(request.method == "POST" and request.path == "/order" for request in shop.seen)


async def test_a_form_of_a_site_that_hides_its_addresses_is_found_again(start_gate, page, shop, room_name, web):
    """`Referrer-Policy: origin`: the page goes back in the browser's history, and what was typed is still there."""
    running = await start_gate(mode="off", poll_min=0.5)

    @shop.on("/checkout")
    async def checkout(request):
        form = "<h1>Checkout</h1><form method=post action=/order><input name=who><button>Buy</button></form>"
        return server.Response(text=form, content_type="text/html", headers={"Referrer-Policy": "origin"})

    await page.goto(running.url + "/checkout")
    await page.fill("input", "Ada")
    await running.patch(web, room_name, mode="hold")
    await running.until_seen(room_name, lambda line: line.mode == "hold")
    await page.click("text=Buy")
    await page.wait_for_selector("[data-state=held]")
    await running.patch(web, room_name, mode="auto")
    await page.wait_for_selector("text=Checkout")
    assert await page.input_value("input") == "Ada"


async def test_the_message_is_text_and_the_policy_holds(start_gate, page, shop, room_name, web):
    """Mark-up in an operator's message is shown, not run; nothing breaches the CSP."""
    running = await start_gate(mode="hold", message="<img src=x onerror=alert(1)>")
    breaches = []
    page.on("console", lambda message: breaches.append(message.text) if "Content Security" in message.text else None)
    await page.goto(running.url + "/book")
    await page.wait_for_selector("[data-state=held]")
    await running.patch(web, room_name, message="<script>alert(2)</script>")
    await until(page, "document.querySelector('#message').textContent.startsWith('<script>')")
    assert breaches == []


async def test_a_site_may_bring_its_name_colours_logo_or_page(start_gate, page, shop, tmp_path, room_name):
    """By configuration alone."""
    logo = tmp_path / "logo.svg"
    logo.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>')
    running = await start_gate(mode="hold", title={"": "Any", "de": "Deutsch"}, accent="#8a2be2", logo=str(logo))
    await page.goto(running.url + "/book")
    assert await text(page, "#site") == "Any"
    assert await page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--accent')") == "#8a2be2"
    assert "logo." in await page.get_attribute("header img", "src")
    own = tmp_path / "own.html"
    own.write_text("<!doctype html><title>{{title}}</title><p id=mine>{{heading}}</p>")
    other = await start_gate(name=f"{room_name}-own", mode="hold", page=str(own), title="Mine")
    await page.goto(other.url + "/book")
    assert await text(page, "#mine") == "Getting your place in line…"


async def test_mode_off_opens_the_gate_for_those_who_wait(start_gate, page, shop, room_name, web):
    """When ops open the gate, waiting pages go through by themselves."""
    running = await start_gate(mode="hold", poll_min=0.5)
    await page.goto(running.url + "/book")
    await page.wait_for_selector("[data-state=held]")
    await running.patch(web, room_name, mode="off")
    await page.wait_for_selector("text=The shop")


async def test_a_reset_line_is_joined_anew(start_gate, page, shop, room_name, web):
    """A newer generation: the ticket is dead, the page takes a new place by itself."""
    running = await start_gate(mode="hold", poll_min=0.5)
    await page.goto(running.url + "/book")
    await page.wait_for_selector("#reference:not(:empty)")
    before = await text(page, "#reference")
    headers = {"Authorization": "Bearer secret-of-staff"}
    url = f"{running.admin_url}/api/rooms/{room_name}/reset"
    await (await web.post(url, json={"confirm": room_name}, headers=headers)).read()
    await until(page, f"!document.querySelector('#reference').textContent.includes({before[-6:]!r})")
    assert running.line(room_name).issued == 1


async def test_a_ticket_that_the_line_has_lost_is_shown_once(start_gate, new_browser, page, shop, room_name):
    """The line was restored without this ticket: the page shows it within the first half of the hold, once; else never."""
    running = await start_gate(mode="hold", poll_min=0.5, poll_max=1)
    await line_of(running, room_name, new_browser, 3)
    shown = []
    page.on("request", lambda request: shown.append(time.monotonic()) if "/_gate/status/" in request.url else None)
    lost = False

    async def forgetful(route):
        answer = await route.fetch()
        said = await answer.json()
        if lost:
            # A store that came back without the era: an empty one is served, a new one is held.
            said |= {"eras": [[said["era"] + 10_000, 0]], "era": 0, "now_serving": 0, "issued": 0, "hold_until": said["time"] + 4}
        await route.fulfill(status=200, json=said)

    await page.route("**/_gate/now/*", forgetful)
    await page.goto(running.url + "/book")
    await page.wait_for_selector("[data-state=held] #reference:not(:empty)")
    await asyncio.sleep(2.0)
    assert shown == []
    lost, told = True, time.monotonic()
    async with asyncio.timeout(8):
        while not shown:
            await asyncio.sleep(0.05)
    assert shown[0] - told < 1.2 * 1.2 + 2.0 + 1.0
    assert await text(page, "#ahead") == "At most 3 people ahead of you", "what was seen is not forgotten"
