"""The browser, which is a program of the system; Playwright only drives it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserType, Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WAIT_MS = 60_000


@contextmanager
def launched() -> Iterator[Browser]:
    """Launch a browser; without one, the test is skipped, but in CI it fails.

    Playwright runs an event loop in this thread as long as it is there, and tests of other modules,
    which have loops of their own, may run in the same process.
    """
    with sync_playwright() as playwright, _launch(playwright.chromium) as browser:
        yield browser


@contextmanager
def closing_page(browser: Browser) -> Iterator[Page]:
    """A page of a browser of its own, which closes with it whatever the page is waiting for.

    Chromium sometimes never closes a page alone while a form of it is being sent.
    """
    with _launch(browser.browser_type) as other:
        yield other.new_page()


def _launch(kind: BrowserType) -> Browser:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None and os.environ.get("CI") == "true":
        pytest.fail("There is no browser: install Chromium.")
    if program is None:
        pytest.skip("There is no browser: install Chromium to run this test.")
    # The sandbox needs a user that is not root, which containers often do not have.
    return kind.launch(executable_path=program, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser, which ends with its module."""
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a new profile; the test fails if a script of the page does."""
    errors: list[str] = []
    with browser.new_context() as context:
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
    assert errors == []


@pytest.fixture
def asked(page: Page) -> Iterator[list[str]]:
    """The addresses that the page asks; the test fails if its policy blocks something."""
    addresses: list[str] = []
    blocked: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.on(
        "console",
        lambda message: blocked.append(message.text) if "Security" in message.text else None,
    )
    yield addresses
    assert blocked == []
