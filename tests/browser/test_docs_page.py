"""`/docs` in a browser: the API is shown, and calls can be tried, also on a server with keys."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WAIT_MS
from tests.serving import Server, serving

KEY = "an-example-of-a-key-for-the-app"
WIDE = 1600
NARROW = 390

expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without keys."""
    with serving(tmp_path_factory.mktemp("open")) as server:
        yield server


@pytest.fixture(scope="module")
def closed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a key."""
    folder = tmp_path_factory.mktemp("closed")
    with serving(folder, settings={"USERKEEP_API_KEY": KEY}) as server:
        yield server


def try_list_of_users(page: Page) -> None:
    operation = page.locator(".opblock").filter(has_text="users.list")
    operation.get_by_role("button").first.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_placeholder("filter").fill('{"field": "metadata.plan", "op": "exists"}')
    operation.get_by_role("button", name="Execute").click()
    status = operation.locator(".live-responses-table td.response-col_status:not(.col_header)")
    expect(status).to_contain_text("200")


def test_the_api_is_shown_and_tried_without_any_other_server(
    page: Page, asked: list[str], open_server: Server
) -> None:
    page.set_viewport_size({"width": WIDE, "height": 900})
    page.goto(f"{open_server.url}/docs")
    expect(page.get_by_text("Create a user")).to_be_visible()
    try_list_of_users(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDE
    assert all(address.startswith((open_server.url, "data:")) for address in asked)


def test_a_server_with_keys_shows_its_api_to_who_has_one(
    page: Page, asked: list[str], closed_server: Server
) -> None:
    page.set_viewport_size({"width": NARROW, "height": 900})
    page.goto(f"{closed_server.url}/docs")
    page.get_by_label("API key").fill("another key")
    page.get_by_role("button", name="Show the API").click()
    expect(page.get_by_role("alert")).to_contain_text("The API key is not valid")
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Show the API").click()
    expect(page.get_by_text("Create a user")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()
    try_list_of_users(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    assert not any(KEY in address for address in asked)
    kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    assert KEY not in page.evaluate(kept)
