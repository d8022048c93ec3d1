"""The screenshots of docs/guides/console.md: each page in both colour schemes.

    USERKEEP_TEST_RENEW=1 pytest tests/browser/test_console_screenshots.py

takes them again. Otherwise it is only checked that the guide shows each of them.
"""

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import ViewportSize

from tests.browser.conftest import launched
from tests.browser.console import Site, site
from tests.docs.pages import DOCS

GUIDE = DOCS / "guides" / "console.md"
FOLDER = DOCS / "_static" / "console"
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
IS_RENEWED = bool(os.environ.get("USERKEEP_TEST_RENEW"))
SIZE: ViewportSize = {"width": 1040, "height": 700}

NAMES = ("Amélie Dupont", "Jane Doe", "Łukasz Nowak", "Sofia Rossi", "محمد علي", "Yuki Tanaka")
TOPICS = (
    ("Boots for the Alps", "Which boots do I need for a week in the Alps in June?"),
    ("A refund", "My order came twice. Can I send one parcel back?"),
    ("Allergies", "I am allergic to peanuts. Which bars can I eat?"),
    ("New address", "I moved to Lyon. Please use my new address from now on."),
)
ANSWER = (
    "For rocky paths with snow in some places, take boots with a firm sole and a high shaft. "
    "The Ridgeline and the Valais are in your size. Do you want me to reserve a pair?"
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of a shop that has been in use for a year."""
    with site("sqlite file", tmp_path_factory.mktemp("shop")) as found:
        _fill(found)
        yield found


def _fill(shop: Site) -> None:
    chance = random.Random(1)
    now = datetime.now(UTC)
    for index in range(30):
        first, _, last = NAMES[index % len(NAMES)].partition(" ")
        user_id = f"customer-{index:02}"
        joined = now - timedelta(days=chance.randint(60, 360))
        user = {
            "user_id": user_id,
            "email": f"{user_id}@example.com",
            "first_name": first,
            "last_name": last,
            "metadata": {"plan": chance.choice(["free", "pro"]), "language": "en"},
            "created_at": joined.isoformat(),
        }
        shop.call("POST", "/v1/users", user)
        for number in range(chance.randint(1, 9) if index != 1 else 24):
            days = chance.randint(0, min((now - joined).days, 25 if number % 2 else 350))
            _talk(shop, user_id, number, now - timedelta(days=days, minutes=5), chance)
    shop.call("POST", "/v1/sessions", {"session_id": "widget-7781", "title": "From the web site"})
    _add_articles(shop)
    limits = {"max_messages_per_user": 160, "max_bytes_per_user": 100_000}
    shop.call("PATCH", "/v1/projects/default", limits)
    shop.call("POST", "/v1/projects", {"name": "library", "max_messages_per_user": 1000})
    for index in (28, 29):
        shop.call("DELETE", f"/v1/users/customer-{index}?purge=now")


def _add_articles(shop: Site) -> None:
    shop.call("POST", "/v1/collections", {"name": "help-center", "dimensions": 8})
    articles = [
        {
            "document_id": f"article-{number:02}",
            "content": f"{title}. {ANSWER}",
            "metadata": {"topic": title.lower(), "language": "en"},
            "embedding": [1] * 8,
        }
        for number, (title, _) in enumerate(TOPICS * 8)
    ]
    shop.call("POST", "/v1/collections/help-center/documents", {"documents": articles})


def _talk(shop: Site, user_id: str, number: int, at: datetime, chance: random.Random) -> None:
    title, question = chance.choice(TOPICS)
    session_id = f"{user_id}-{number}"
    session = {
        "session_id": session_id,
        "user_id": user_id,
        "title": title,
        "created_at": at.isoformat(),
    }
    shop.call("POST", "/v1/sessions", session)
    call = {"tool_calls": [{"id": "call-1", "function": {"name": "stock", "arguments": "{}"}}]}
    texts: list[dict[str, Any]] = [
        {"role": "user", "name": "Jane", "content": question},
        {"role": "assistant", "content": "", "data": call},
        {"role": "tool", "name": "stock", "content": '{"ridgeline": 3, "valais": 1}'},
        {"role": "assistant", "content": ANSWER},
        {"role": "user", "name": "Jane", "content": "Yes, the Valais, please."},
        {"role": "assistant", "content": "Done: a pair is reserved for you until Friday."},
    ]
    for seconds, text in enumerate(texts[: chance.choice([2, 4, 6])]):
        text["created_at"] = (at + timedelta(seconds=20 * seconds)).isoformat()
    messages = [text for text in texts if "created_at" in text]
    shop.call("POST", f"/v1/sessions/{session_id}/messages", {"messages": messages})


def paths(shop: Site) -> dict[str, str]:
    """Return the path of each page, by the name of its screenshot."""
    [erasure, *_] = shop.call("GET", "/v1/erasures?order=-created")["items"]
    long = shop.call("GET", "/v1/users/customer-01/sessions?limit=100")["items"]
    session = max(long, key=lambda each: int(each["message_count"]))["session_id"]
    return {
        "overview": "",
        "users": "/users",
        "user": "/users/customer-01",
        "edit": "/users/customer-01/edit",
        "delete": "/users/customer-01/delete",
        "sessions": "/sessions",
        "conversation": f"/sessions/{session}",
        "search": "/search",
        "deletions": "/deletions",
        "deletion": f"/deletions/{erasure['id']}",
        "verify": f"/deletions/{erasure['id']}/verify",
        "collections": "/collections",
        "collection": "/collections/help-center",
        "document": "/collections/help-center/documents/article-00",
        "keys": "/keys",
        "projects": "/projects",
        "project": "/projects/default",
        "project-delete": "/projects/library/delete",
        "health": "/health",
    }


PAGES = (
    "overview",
    "users",
    "user",
    "edit",
    "delete",
    "sessions",
    "conversation",
    "search",
    "deletions",
    "deletion",
    "verify",
    "collections",
    "collection",
    "document",
    "keys",
    "projects",
    "project",
    "project-delete",
    "health",
)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("page", PAGES)
def test_the_guide_shows_each_page_in_both_schemes(page: str, scheme: str) -> None:
    name = f"{page}-{scheme}.png"
    assert (FOLDER / name).is_file()
    assert f"_static/console/{name}" in GUIDE.read_text()


if IS_RENEWED:

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_screenshots_are_taken(shop: Site, scheme: Scheme) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        with launched() as browser:
            context = browser.new_context(color_scheme=scheme, viewport=SIZE, locale="en-GB")
            page = context.new_page()
            for name, path in paths(shop).items():
                page.goto(f"{shop.url}{path}")
                if name == "search":
                    page.get_by_label("Words").fill("boots for rocky paths")
                    page.get_by_role("button", name="Search").click()
                    page.locator(".hits li").first.wait_for()
                _save(page.screenshot(), FOLDER / f"{name}-{scheme}.png")


def _save(image: bytes, path: Path) -> None:
    path.write_bytes(image)
