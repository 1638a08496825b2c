"""What a room may ask of newcomers, in a real browser: work, an outside verifier's widget, patience of a crowded network."""

import pytest
from axe_playwright_python.async_playwright import Axe

from tests.e2e.test_waiting_page import shop, text, until
from tests.security.test_joins import siteverify, verified

__all__ = ["shop", "siteverify", "verified"]

# As the provider's own script does: a global with `render`, which calls back with a token once a person was found.
WIDGET = """window.turnstile = { render(where, { sitekey, callback }) {
  const button = document.createElement("button");
  button.textContent = "I am a person (" + sitekey + ")";
  button.onclick = () => callback("good");
  where.append(button);
} };"""


@pytest.mark.parametrize("most", [2_000, 50_000])
async def test_a_browser_does_the_work_by_itself(start_gate, page, shop, room_name, most):
    """The page stays alive, says what it does, and takes its place; nothing breaches the policy."""
    running = await start_gate(mode="hold", proof_of_work=most)
    breaches = []
    page.on("console", lambda message: breaches.append(message.text) if "Content Security" in message.text else None)
    await page.goto(running.url + "/book")
    await page.wait_for_selector("[data-state=held]")
    assert running.line(room_name).issued == 1
    await page.reload()
    await page.wait_for_selector("[data-state=held]")
    assert running.line(room_name).issued == 1
    assert breaches == []


async def test_whoever_has_no_javascript_is_told(start_gate, new_context, shop, room_name):
    """A room that asks for work cannot be joined without; the page says so instead of trying for ever."""
    running = await start_gate(mode="hold", proof_of_work=1_000)
    page = await (await new_context(java_script_enabled=False)).new_page()
    await page.goto(running.url + "/book")
    assert "only be joined with JavaScript" in await text(page, "noscript .small")


async def test_the_widget_of_a_verifier_is_shown_and_its_token_used(start_gate, page, shop, room_name, siteverify, verified):
    """Its script, its frame, nobody else's; accessible while it is asked; then the place."""
    running = await start_gate(mode="hold", **verified)
    breaches = []
    page.on("console", lambda message: breaches.append(message.text) if "Content Security" in message.text else None)
    await page.route("https://challenges.cloudflare.com/**", lambda route: route.fulfill(body=WIDGET, content_type="text/javascript"))
    await page.goto(running.url + "/book")
    await page.wait_for_selector("[data-state=verify] #widget button")
    assert await text(page, "#heading") == "Please show that you are a person"
    found = await Axe().run(page)
    assert found.response["violations"] == []
    assert running.line(room_name).issued == 0
    await page.click("#widget button")
    await page.wait_for_selector("[data-state=held]")
    assert siteverify.asked == [("of-the-site", "good")]
    assert running.line(room_name).issued == 1
    assert breaches == []


async def test_a_crowded_network_is_told_and_tries_again(start_gate, page, shop, room_name):
    """429: the page says why, and waits as long as it is told."""
    running = await start_gate(mode="hold", joins_per_network=1, server={"trusted_proxies": ["127.0.0.1"]})
    await page.set_extra_http_headers({"X-Forwarded-For": "8.8.8.8"})
    desk = running.gate.front.desks[room_name]
    assert desk.may_join("8.8.8.0/24")
    await page.goto(running.url + "/book")
    await until(page, "document.documentElement.dataset.state === 'busy'")
    assert await text(page, "#heading") == "Many people are joining from your network"
    desk._join_budget = type(desk._join_budget)(5, 1.0)
    await page.wait_for_selector("[data-state=held]", timeout=25_000)


async def test_a_claim_may_ask_a_verifier(start_gate, page, shop, room_name, siteverify, verified, web):
    """A served ticket: the widget, then the site."""
    running = await start_gate(mode="hold", release_rate="100/s", verifier_at=["claim"], **verified)
    await page.route("https://challenges.cloudflare.com/**", lambda route: route.fulfill(body=WIDGET, content_type="text/javascript"))
    await page.goto(running.url + "/book")
    await page.wait_for_selector("[data-state=held]")
    await running.patch(web, room_name, mode="auto")
    await page.click("#widget button")
    await page.wait_for_selector("text=The shop")
