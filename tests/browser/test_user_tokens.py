"""The page of docs/guides/browser-tokens.md works in a browser, across origins."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.docs.pages import DOCS, blocks_of
from tests.docs.stage import Stage, staged

GUIDE = DOCS / "guides" / "browser-tokens.md"
KEY = {"Authorization": "Bearer an-example-of-a-key-for-the-app"}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """The guide's servers, running."""
    with staged(tmp_path, []) as stage:
        for block in blocks_of(GUIDE):
            if block.marked("file") is not None:
                stage.save(block)
            elif block.marked("run") == "in the background":
                stage.run(block)
        yield stage


def url(stage: Stage, port: str) -> str:
    return f"http://127.0.0.1:{stage.ports[port]}"


def add_note(page: Page, text: str) -> None:
    page.get_by_label("Note").fill(text)
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("listitem").filter(has_text=text)).to_be_visible()


def test_a_page_writes_and_reads_with_a_token_of_its_user(page: Page, stage: Stage) -> None:
    with httpx2.Client(base_url=url(stage, "8000"), headers=KEY) as api:
        page.goto(url(stage, "8001"))
        expect(page.get_by_text("Ready.")).to_be_visible()
        add_note(page, "Buy red shoes")
        expect(page.get_by_text("Saved.")).to_be_visible()
        [session] = api.get("/v1/sessions").json()["items"]
        assert (session["user_id"], session["message_count"]) == ("jane", 1)

        # The token ends with its user; the page asks for another one, of the new user.
        api.delete("/v1/users/jane")
        page.reload()
        expect(page.get_by_text("Ready.")).to_be_visible()
        assert page.get_by_role("listitem").count() == 0
        add_note(page, "Buy blue shoes")


def test_a_page_of_another_origin_is_not_answered(page: Page, stage: Stage) -> None:
    page.goto(url(stage, "8001").replace("127.0.0.1", "localhost") + "/favicon.ico")
    fetch = f"fetch('{url(stage, '8000')}/v1/users').then(() => 'answered', () => 'blocked')"
    assert page.evaluate(fetch) == "blocked"
