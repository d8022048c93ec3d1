"""`/docs`: a viewer that works without the rest of the world."""

import re
from html.parser import HTMLParser

import pytest

from tests.http.doors import Answer, InProcess


class Page(HTMLParser):
    """What a page refers to, and its scripts and styles."""

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
def answer(doors: InProcess) -> Answer:
    """The page as it is served."""
    return doors.send("GET", "/docs")


@pytest.fixture(scope="module")
def page(answer: Answer) -> Page:
    """The page as it is read."""
    return Page(answer.text)


def test_it_is_a_page(answer: Answer) -> None:
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text.lower().startswith("<!doctype html>")


def test_it_refers_to_nothing_outside(page: Page) -> None:
    for address in page.addresses:
        assert not re.match(r"\s*([a-z][a-z0-9+.-]*:)?//", address, re.IGNORECASE), address
        assert re.match(r"(data:|#|/|[\w.-]+$)", address), address


def test_its_styles_and_scripts_load_nothing_from_outside(page: Page) -> None:
    styles, scripts = page.inside["style"], page.inside["script"]
    assert "@import" not in styles
    assert re.findall(r"url\(\s*['\"]?(?!data:)", styles) == []
    assert re.findall(r"\bimport\s*[({\"'*]", scripts) == []
    assert re.findall(r"(?:fetch|importScripts|Worker|WebSocket)\(\s*[\"'`]\w+:", scripts) == []
    assert re.findall(r"\beval\(|new Function\(", scripts) == []


def test_its_script_reads_the_description(page: Page) -> None:
    assert "openapi.json" in page.inside["script"]


def test_its_policy_lets_nothing_in_or_out(answer: Answer, page: Page) -> None:
    policy = {
        directive.split()[0]: directive.split()[1:]
        for directive in answer.headers["content-security-policy"].split(";")
    }
    assert policy["default-src"] == ["'none'"]
    assert policy["connect-src"] == ["'self'"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert policy["base-uri"] == ["'none'"]
    assert policy["form-action"] == ["'none'"]
    assert not any("http" in source or "*" in source for each in policy.values() for source in each)
    assert "'unsafe-eval'" not in policy["script-src"]


def test_head_says_what_get_would(doors: InProcess, answer: Answer) -> None:
    head = doors.send("HEAD", "/docs")
    assert (head.status, head.body) == (200, b"")
    assert head.headers == answer.headers
