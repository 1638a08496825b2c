"""The dashboard in a real browser: signed in, live, safe to use, by keyboard, on a phone; nothing axe can find."""

import asyncio

import pytest

from tests.e2e.conftest import SHOTS
from tests.e2e.test_accessibility import no_violations
from tests.e2e.test_waiting_page import shop, until  # noqa: F401  (a fixture)

TOKEN = "secret-of-staff"


async def sign_in(page, running, token=TOKEN):
    """Open the dashboard with a token."""
    await page.goto(running.admin_url + "/")
    await page.fill("#token", token)
    await page.press("#token", "Enter")


@pytest.fixture
async def line_up(start_gate, room_name, new_browser):
    """A gate with some in line."""

    async def line_up(count=4, **settings):
        running = await start_gate(**{"release_rate": "1/min", "burst": 0, **settings})
        for _ in range(count):
            await new_browser(running).join(room_name)
        return running

    return line_up


async def test_it_opens_with_the_token_alone(start_gate, page):
    """A wrong one is told; the right one shows the board; signing out forgets it; nothing comes from elsewhere."""
    running = await start_gate()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    await sign_in(page, running, "wrong")
    await page.wait_for_selector("#sign-in-error:not(:empty)")
    await page.fill("#token", TOKEN)
    await page.press("#token", "Enter")
    await page.wait_for_selector("html[data-view=board]")
    await until(page, "document.querySelector('#link').textContent === 'live'")
    await page.reload()
    await until(page, "document.querySelector('#link').textContent === 'live'")
    await page.click("#sign-out")
    await page.wait_for_selector("html[data-view=login]")
    assert await page.evaluate("sessionStorage.length") == 0
    assert all(url.startswith(running.admin_url) for url in asked)


async def test_it_shows_the_line_live(line_up, page, room_name, web):
    """Numbers, mode and record follow within a second of what another operator does."""
    running = await line_up(4)
    await sign_in(page, running)
    await until(page, "['3', '4'].includes(document.querySelector('#n-waiting').textContent)")
    await running.patch(web, room_name, mode="hold")
    await page.wait_for_selector("#mode[data-mode=hold]", timeout=1_500)
    await page.wait_for_selector("#log td:has-text('mode auto → hold')", timeout=1_500)
    assert await page.text_content("#n-last") == "held"
    label = await page.get_attribute("#c-waiting", "aria-label")
    assert label.startswith("Waiting, now: waiting")


async def test_a_rate_is_previewed_and_big_jumps_ask_again(line_up, page, room_name):
    """Exact entry tells the effect on the wait; twice or more is confirmed; Escape changes nothing."""
    running = await line_up(4)
    await sign_in(page, running)
    await until(page, "/[0-9]/.test(document.querySelector('#n-waiting').textContent)")
    await page.fill("#rate-exact", "abc")
    assert await page.is_disabled("#rate-apply")
    await page.fill("#rate-exact", "30/min")
    effect = await page.text_content("#rate-effect")
    assert "1/min → 30/min" in effect
    assert "min" in effect.split("waits about")[1]
    await page.press("#rate-exact", "Enter")
    await page.wait_for_selector("dialog[open]")
    await no_violations(page)
    await page.keyboard.press("Escape")
    await until(page, "document.querySelector('#rate-exact').value === '1/min'")
    assert await page.is_disabled("#rate-apply")
    assert running.line(room_name).release_rate == pytest.approx(1 / 60)
    await page.fill("#rate-exact", "30/min")
    await page.click("#rate-apply")
    await page.click("#confirm-yes")
    await running.until_seen(room_name, lambda line: line.release_rate == 0.5)
    await page.wait_for_selector("#toast:not([hidden])")
    await page.fill("#rate-exact", "40/min")
    await page.click("#rate-apply")
    await running.until_seen(room_name, lambda line: line.release_rate == pytest.approx(40 / 60))


async def test_the_slider_moves_by_keyboard(line_up, page, room_name):
    """Arrow keys choose a rate, which is said; nothing changes before it is applied."""
    running = await line_up(2, release_rate="10/s")
    await sign_in(page, running)
    await until(page, "document.querySelector('#rate-now').textContent === '10/s'")
    await page.focus("#rate-slider")
    for _ in range(5):
        await page.keyboard.press("ArrowRight")
    said = await page.get_attribute("#rate-slider", "aria-valuetext")
    assert said not in ("10/s", None)
    assert running.line(room_name).release_rate == 10
    assert (await page.input_value("#rate-exact")) == said


async def test_somebody_elses_change_is_not_overwritten(line_up, page, room_name, web):
    """The rate was changed meanwhile: told, nothing set, decide again."""
    running = await line_up(2, release_rate="10/s")
    await sign_in(page, running)
    await until(page, "document.querySelector('#rate-now').textContent === '10/s'")
    await page.route("**/api/events", lambda route: route.abort())
    await page.evaluate("window.stop()")
    await page.fill("#rate-exact", "12/s")
    await page.route("**/api/rooms/*", lambda route: _slow(route, running, web, room_name))
    await page.click("#rate-apply")
    await page.wait_for_selector("#toast[data-level=bad]")
    assert "meanwhile" in await page.text_content("#toast")
    assert running.line(room_name).release_rate == 15


async def _slow(route, running, web, room_name):
    await running.patch(web, room_name, release_rate="15/s")
    await route.continue_()


async def test_hold_resume_message_advance_close_and_reset(line_up, page, room_name):
    """Each does what it says; closing asks; a reset wants the room's name typed."""
    running = await line_up(5)
    await sign_in(page, running)
    await until(page, "/[0-9]/.test(document.querySelector('#n-waiting').textContent)")
    await page.click("#hold")
    await page.wait_for_selector("#mode[data-mode=hold]")
    await page.fill("#message", "Doors <b>at</b> eight")
    await page.press("#message", "Enter")
    await running.until_seen(room_name, lambda line: line.message == "Doors <b>at</b> eight")
    await page.wait_for_selector("#log td:has-text('Doors <b>at</b> eight')")
    before = running.line(room_name).now_serving
    await page.fill("#advance", "2")
    await page.press("#advance", "Enter")
    await running.until_seen(room_name, lambda line: line.now_serving == before + 2)
    await page.click("#close-room")
    await page.click("#confirm-yes")
    await page.wait_for_selector("#mode[data-mode=closed]")
    await page.click("#resume")
    await page.wait_for_selector("#mode[data-mode=auto]")
    await page.click("#reset")
    assert await page.is_disabled("#confirm-yes")
    await page.fill("#confirm-typed", "something")
    assert await page.is_disabled("#confirm-yes")
    await page.fill("#confirm-typed", room_name)
    await no_violations(page)
    await page.press("#confirm-typed", "Enter")
    await running.until_seen(room_name, lambda line: line.issued == 0)


async def test_rates_are_typed_the_same_in_every_locale(line_up, new_context, room_name):
    """Where a full stop parts thousands: what the field shows is what it means; what could be two things is refused."""
    running = await line_up(2, release_rate="1200/s")
    page = await (await new_context(locale="de-DE")).new_page()
    await sign_in(page, running)
    await until(page, "document.querySelector('#rate-exact').value === '1200/s'")
    for text, fine in (("1.200/s", False), ("1,200", False), ("2,5/s", True), ("2.5/s", True), ("1250", True)):
        await page.fill("#rate-exact", text)
        assert await page.is_enabled("#rate-apply") is fine, text
    await page.fill("#rate-exact", "fast")
    await page.fill("#rate-slider", "900")
    assert await page.evaluate("document.querySelector('#rate-exact').validity.valid")
    assert await page.is_enabled("#rate-apply")


async def test_the_waiting_page_is_previewed_in_every_state(line_up, page, room_name):
    """Real page, real script, made-up numbers; the line and the session of the operator stay as they are."""
    running = await line_up(1, mode="hold")
    await sign_in(page, running)
    await until(page, "document.querySelector('#link').textContent === 'live'")
    await page.click("#preview-form button")
    frame = page.frame_locator("#preview")
    await frame.locator("#reference:not(:empty)").wait_for()
    assert "1,234" in await frame.locator("#ahead").text_content()
    headings = {}
    for state in ("next", "held", "served", "closed", "full", "lapsed", "away", "joining"):
        await page.select_option("#preview-state", state)
        await page.select_option("#preview-language", "de")
        await page.click("#preview-form button")
        await frame.locator(f"html[lang=de][data-state={'waiting' if state == 'next' else state}]").wait_for()
        headings[state] = await frame.locator("#heading").text_content()
    assert len(set(headings.values())) == len(headings)
    assert running.line(room_name).issued == 1


async def test_it_comes_back_by_itself(line_up, page, room_name, web):
    """The stream breaks: it says so, and is live again when the gate is."""
    running = await line_up(1)
    await sign_in(page, running)
    await until(page, "document.querySelector('#link').textContent === 'live'")
    running.gate.control.watch_all.events.close()
    await asyncio.sleep(0.3)
    await until(page, "document.querySelector('#link').textContent === 'live'")
    await running.patch(web, room_name, mode="hold")
    await page.wait_for_selector("#mode[data-mode=hold]")


async def test_a_read_token_sees_and_cannot_touch(line_up, page, room_name, tmp_path):
    """What it may not do is told, and not done."""
    from gate.admin.tokenfile import Scope, add_token

    running = await line_up(1)
    token = add_token(tmp_path / "state" / "admin-tokens.json", "screen", Scope.READ)
    running.gate.control._operators.refresh()
    await sign_in(page, running, token)
    await until(page, "document.querySelector('#link').textContent === 'live'")
    await page.click("#hold")
    await page.wait_for_selector("#toast[data-level=bad]")
    assert "may read" in await page.text_content("#toast")
    assert running.line(room_name).mode == "auto"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_axe_finds_nothing_on_the_dashboard(line_up, new_context, scheme, width):
    """Signed out and in, phone and desktop, light and dark; nothing is wider than the screen."""
    running = await line_up(3)
    context = await new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = await context.new_page()
    await page.goto(running.admin_url + "/")
    await no_violations(page)
    await sign_in(page, running)
    await until(page, "/[0-9]/.test(document.querySelector('#n-waiting').textContent)")
    await page.click("#preview-form button")
    await page.frame_locator("#preview").locator("#reference:not(:empty)").wait_for()
    # From the top: wherever else one stops, the header that stays in sight lies over the edge of something.
    await page.evaluate("scrollTo(0, 0)")
    await no_violations(page)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    SHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SHOTS / f"dashboard-{width}-{scheme}.png", full_page=True)
