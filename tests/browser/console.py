"""A server with people in it, and what a reader does in its console."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.conftest import fresh_settings
from tests.serving import Server, serving

ADMIN = "an-example-of-an-admin-key"
HOSTILE = (
    "<script>document.title = 'taken'</script><img src=x onerror=alert(1)> \u202etxet\u202c 👩‍👩‍👧"
)
LONG_WORD = "w" * 400
JANE = "jane@example.com"


class Site(NamedTuple):
    """A running server, and a client of its API."""

    server: Server
    api: httpx2.Client

    @property
    def url(self) -> str:
        """The address of the console."""
        return f"{self.server.url}/console"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API, and return its response; fail if that is an error."""
        response = self.api.request(method, path, json=body)
        assert response.is_success, response.text
        return response.json()

    def key(self, scope: str) -> str:
        """Create a key with a scope, and return its text."""
        text: str = self.call("POST", "/v1/keys", {"scope": scope, "name": f"for {scope}"})["key"]
        return text


@contextmanager
def site(engine: str, folder: Path, key: str = "") -> Iterator[Site]:
    """Serve a fresh instance on an engine; with a key if one is given."""
    settings = fresh_settings(engine, folder)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with (
        serving(
            folder, database_url=settings.database_url, settings={"USERKEEP_API_KEY": key}
        ) as server,
        httpx2.Client(base_url=server.url, headers=headers) as api,
    ):
        yield Site(server, api)


def add_people(site: Site) -> None:
    """Add a user with a long conversation, and one with hostile texts."""
    jane = {
        "user_id": JANE,
        "email": JANE,
        "first_name": "Jane",
        "last_name": "Doe",
        "metadata": {"plan": "pro"},
    }
    site.call("POST", "/v1/users", jane)
    talk: list[dict[str, Any]] = [
        {"role": "user", "name": "Jane", "content": f"Message {number} is about hiking."}
        for number in range(1, 101)
    ]
    talk.append({"role": "assistant", "content": "", "data": {"tool_calls": [{"id": "call-1"}]}})
    talk.append({"role": "tool", "name": "weather", "content": '{"temp": 21}'})
    talk.append({"role": "assistant", "content": "A long answer. " * 200})
    site.call("POST", "/v1/sessions", {"session_id": "alps", "user_id": JANE, "title": "The Alps"})
    site.call("POST", "/v1/sessions/alps/messages", {"messages": talk})
    site.call(
        "POST", "/v1/users", {"user_id": HOSTILE, "first_name": HOSTILE, "last_name": LONG_WORD}
    )
    site.call("POST", "/v1/sessions", {"session_id": HOSTILE, "user_id": HOSTILE, "title": HOSTILE})
    bad = [
        {"role": "user", "name": HOSTILE, "content": f"{HOSTILE} {LONG_WORD} مرحبا"},
        {"role": "assistant", "content": "x", "data": {"text": HOSTILE}},
    ]
    site.api.post(
        f"/v1/sessions/{quote(HOSTILE, safe='')}/messages", json={"messages": bad}
    ).raise_for_status()
    add_documents(site)
    site.call("POST", "/v1/users", {"user_id": "gone"})
    site.call("DELETE", "/v1/users/gone")


def add_documents(site: Site) -> None:
    """Add a collection of articles, one of which is hostile and belongs to a user."""
    site.call("POST", "/v1/collections", {"name": "articles", "dimensions": 8})
    documents: list[dict[str, Any]] = [
        {"document_id": f"article-{number}", "content": f"Article {number} is about boots."}
        for number in range(60)
    ]
    hostile = {"document_id": HOSTILE, "content": f"{HOSTILE} {LONG_WORD}", "user_id": HOSTILE}
    documents.append({**hostile, "metadata": {"topic": HOSTILE}})
    given = [{**each, "embedding": [1] * 8} for each in documents]
    site.call("POST", "/v1/collections/articles/documents", {"documents": given})


def sign_in(page: Page, site: Site, key: str) -> None:
    """Sign in with a key."""
    page.goto(f"{site.url}/sign-in")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def check_accessibility(page: Page, *rules: str) -> None:
    """Check that axe finds nothing on a page, by all its rules or by some."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    # Its script has 500 KB, so it is evaluated once a page.
    axe = Axe("") if page.evaluate("'axe' in window") else Axe()
    results = axe.run(page, options=options)
    assert results.violations_count == 0, f"{page.url}\n{results.generate_report()}"
