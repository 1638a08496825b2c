"""A real browser: headless Chromium, a fresh context for each visitor."""

import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
SHOTS = Path(__file__).parent / "shots"


def chromium() -> str:
    """The browser to use; missing, it is skipped on a laptop and fails where CI is set."""
    found = os.environ.get("GATE_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing; tests/install_system.sh installs it")
        pytest.skip("Chromium is missing; see tests/install_system.sh")
    return found


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium."""
    async with async_playwright() as play:
        launched = await play.chromium.launch(executable_path=chromium(), args=_FLAGS)
        yield launched
        await launched.close()


@pytest.fixture
def new_context(browser: Browser) -> Callable[..., BrowserContext]:
    """A visitor with cookies of its own; takes what Playwright's contexts take."""

    async def make(**options) -> BrowserContext:
        context = await browser.new_context(**{"locale": "en-GB", **options})
        context.set_default_timeout(15_000)
        return context

    return make


@pytest.fixture
async def page(new_context) -> AsyncIterator[Page]:
    """One visitor's first tab; any error of its script fails the test at its end."""
    page = await (await new_context()).new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert errors == []
