"""WCAG 2.2 AA as far as a machine can tell, in every state, width and colour scheme, and the languages."""

import json

import pytest
from axe_playwright_python.async_playwright import Axe

from gate.web.assets import static_root
from tests.e2e.conftest import SHOTS
from tests.e2e.test_waiting_page import shop, text  # noqa: F401  (a fixture)

CATALOGUES = {path.stem: json.loads(path.read_text()) for path in (static_root() / "i18n").glob("*.json")}
_TAGS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


async def no_violations(page):
    """axe finds nothing."""
    results = await Axe().run(page, options=_TAGS)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_axe_finds_nothing(start_gate, new_context, shop, room_name, new_browser, web, scheme, width):  # noqa: F811
    """Waiting, held, closed, full, lapsed: no violation at a phone's and a desktop's width, light and dark."""
    running = await start_gate(mode="hold", release_rate="1/min", message="Doors open at seven.")
    await new_browser(running).join(room_name)
    context = await new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = await context.new_page()
    SHOTS.mkdir(exist_ok=True)
    await page.goto(running.url + "/book")
    await page.wait_for_selector("[data-state=held] #reference:not(:empty)")
    await no_violations(page)
    await page.evaluate("document.querySelector('#notify').hidden = false")
    await no_violations(page)
    await page.screenshot(path=SHOTS / f"held-{width}-{scheme}.png")
    for state in ("closed", "full", "lapsed", "cookies", "served", "away"):
        await page.evaluate(
            "([state, texts]) => { document.documentElement.dataset.state = state;"
            "document.querySelector('#heading').textContent = texts['heading_' + state];"
            "document.querySelector('#explanation').textContent = texts['text_' + state] }",
            [state, CATALOGUES["en"]],
        )
        await no_violations(page)


async def test_without_javascript_axe_finds_nothing(start_gate, new_context, shop):  # noqa: F811
    """The page with its form."""
    running = await start_gate(mode="hold")
    scripted = await (await new_context()).new_page()
    await scripted.route("**/waiting.*.js", lambda route: route.abort())  # axe itself needs scripts
    await scripted.goto(running.url + "/book")
    await no_violations(scripted)


async def test_zoom_to_400_percent_scrolls_one_way(start_gate, new_context, shop, new_browser, room_name):  # noqa: F811
    """320 CSS pixels wide (1280 at 400 %): nothing is cut off, in the language with the longest words."""
    running = await start_gate(mode="hold")
    await new_browser(running).join(room_name)
    page = await (await new_context(viewport={"width": 320, "height": 256}, locale="de-DE")).new_page()
    await page.goto(running.url + "/book")
    await page.wait_for_selector("#reference:not(:empty)")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_it_can_be_used_by_keyboard(start_gate, page, shop):  # noqa: F811
    """Every control is reached by Tab and shows it."""
    running = await start_gate(mode="hold")
    await page.goto(running.url + "/book")
    await page.wait_for_selector("#notify:not([hidden])")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.id") == "notify"
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


async def test_the_live_region_does_not_chatter(start_gate, page, shop, new_browser, room_name, web):  # noqa: F811
    """Polite, told at once of a new state and otherwise at most twice a minute, however fast the line moves."""
    running = await start_gate(mode="hold", release_rate="5/s", poll_min=0.5)
    for _ in range(40):
        await new_browser(running).join(room_name)
    await page.goto(running.url + "/book")
    await page.wait_for_selector("[data-state=held]")
    assert await page.get_attribute("#live", "aria-live") == "polite"
    await page.evaluate(
        "window.said = []; new MutationObserver(() => window.said.push(document.querySelector('#live').textContent))"
        ".observe(document.querySelector('#live'), {childList: true, characterData: true, subtree: true})"
    )
    await running.patch(web, room_name, mode="auto")
    await page.wait_for_selector("[data-state=waiting]")
    await page.wait_for_timeout(4_000)
    said = await page.evaluate("window.said")
    assert said[0] == "You are in line"
    assert len(said) <= 2


async def test_reduced_motion_is_respected(start_gate, new_context, shop, new_browser, room_name):  # noqa: F811
    """Nothing moves for those who asked for it."""
    running = await start_gate(mode="hold")
    page = await (await new_context(reduced_motion="reduce")).new_page()
    await page.goto(running.url + "/book")
    durations = await page.evaluate(
        "[...document.querySelectorAll('*')].map(e => getComputedStyle(e).animationName).filter(n => n !== 'none')"
    )
    assert durations == []


@pytest.mark.parametrize("language", sorted(CATALOGUES))
async def test_the_page_speaks(start_gate, new_context, shop, new_browser, room_name, language):  # noqa: F811
    """Each language: its own words, its own plural, in the script's page as in the one painted first."""
    running = await start_gate(mode="hold")
    catalogue = CATALOGUES[language]
    for _ in range(2):
        await new_browser(running).join(room_name)
    context = await new_context(locale=language)
    for scripted in (True, False):
        page = await context.new_page()
        if not scripted:
            await page.route("**/waiting.*.js", lambda route: route.abort())
        await page.goto(running.url + "/book")
        if scripted:
            await page.wait_for_selector("#reference:not(:empty)")
        assert await page.get_attribute("html", "lang") == language
        assert await text(page, "#heading") == catalogue["heading_held"]
        forms = catalogue["ahead"]
        assert await text(page, "#ahead") == forms.get("few", forms["other"]).replace("{n}", "2")
