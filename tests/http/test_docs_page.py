"""`/docs` works without an internet connection."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from tests.http.clients import InProcessClient, Response


class Page(HTMLParser):
    """The links, scripts and styles of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inside: dict[str, str] = {"script": "", "style": ""}
        self.handlers: list[str] = []
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        for name, value in attrs:
            if name in {"src", "href", "srcset", "action", "formaction", "data", "poster"}:
                self.addresses.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._open:
            self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in self.inside:
            self.inside[self._open] += data


@pytest.fixture(scope="module")
def response(client: InProcessClient) -> Response:
    """The response with the page."""
    return client.send("GET", "/docs")


@pytest.fixture(scope="module")
def page(response: Response) -> Page:
    """The parsed page."""
    return Page(response.text)


def test_the_page_is_html(response: Response) -> None:
    assert response.status == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.text.lower().startswith("<!doctype html>")


def test_the_page_has_no_external_links(page: Page) -> None:
    for address in page.addresses:
        assert not re.match(r"\s*([a-z][a-z0-9+.-]*:)?//", address, re.IGNORECASE), address
        assert re.match(r"(data:|#|/|[\w.-]+$)", address), address


def test_styles_and_scripts_load_nothing_external(page: Page) -> None:
    styles, scripts = page.inside["style"], page.inside["script"]
    assert "@import" not in styles
    assert re.findall(r"url\(\s*['\"]?(?!data:)", styles) == []
    assert re.findall(r"\bimport\s*[({\"'*]", scripts) == []
    assert re.findall(r"(?:fetch|importScripts|Worker|WebSocket)\(\s*[\"'`]\w+:", scripts) == []
    assert re.findall(r"\beval\(|new Function\(", scripts) == []


def test_the_script_loads_the_openapi_document(page: Page) -> None:
    assert "openapi.json" in page.inside["script"]


def test_the_content_security_policy_forbids_external_sources(
    response: Response, page: Page
) -> None:
    policy = {
        directive.split()[0]: directive.split()[1:]
        for directive in response.headers["content-security-policy"].split(";")
    }
    assert policy["default-src"] == ["'none'"]
    assert policy["connect-src"] == ["'self'"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert policy["base-uri"] == ["'none'"]
    assert policy["form-action"] == ["'none'"]
    assert not any("http" in source or "*" in source for each in policy.values() for source in each)
    for element in ("script", "style"):
        digest = b64encode(sha256(page.inside[element].encode()).digest()).decode()
        assert policy[f"{element}-src"] == [f"'sha256-{digest}'"]


def test_the_page_has_no_code_outside_of_its_script(response: Response, page: Page) -> None:
    assert page.handlers == []
    assert " style=" not in response.text
    assert response.text.count("<script") == response.text.count("<style") == 1


def test_head_has_the_headers_of_get(client: InProcessClient, response: Response) -> None:
    request_id = {"X-Request-Id": response.headers["x-request-id"]}
    head = client.send("HEAD", "/docs", headers=request_id)
    assert (head.status, head.body) == (200, b"")
    assert head.headers == response.headers
