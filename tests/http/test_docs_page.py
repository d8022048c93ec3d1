"""`/docs` works without an internet connection, from files that are those of their package."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from devtools import vendored
from tests.conftest import fresh_settings
from tests.http.clients import InProcessClient, Response, serve_in_process

FILES = {
    "/docs/docs.css": "text/css; charset=utf-8",
    "/docs/docs.js": "text/javascript; charset=utf-8",
    "/docs/swagger-ui.css": "text/css; charset=utf-8",
    "/docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
}


class Page(HTMLParser):
    """What a page loads, and its code outside of those files."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.files: set[str] = set()
        self.code: list[str] = []
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        for name, value in attrs:
            if name in {"src", "href"} and tag in {"link", "script"} and value != "data:,":
                self.files.add(str(value))
            if name.startswith("on") or name == "style":
                self.code.append(f"{name}={value}")

    def handle_data(self, data: str) -> None:
        if self._open in {"script", "style"} and data.strip():
            self.code.append(data)


@pytest.fixture(scope="module")
def response(client: InProcessClient) -> Response:
    """The response with the page."""
    return client.send("GET", "/docs")


def test_the_page_is_html(response: Response) -> None:
    assert response.status == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.text.lower().startswith("<!doctype html>")


def test_the_page_loads_its_own_files_and_has_no_other_code(response: Response) -> None:
    page = Page(response.text)
    assert page.files == set(FILES)
    assert page.code == []


@pytest.mark.parametrize("path", FILES)
def test_a_file_of_the_page_may_be_kept_by_caches(client: InProcessClient, path: str) -> None:
    response = client.send("GET", path)
    assert response.status == 200
    assert response.headers["content-type"] == FILES[path]
    assert response.headers["cache-control"] == "max-age=3600"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert len(response.body) > 100


@pytest.mark.parametrize("path", ["/docs/LICENSE", "/docs/index.html", "/docs/../app.py", "/docs/"])
def test_no_other_file_is_served(client: InProcessClient, path: str) -> None:
    response = client.send("GET", path)
    assert response.status == (200 if path == "/docs/" else 404)


def test_the_content_security_policy_allows_files_of_the_server_alone(response: Response) -> None:
    policy = {
        directive.split()[0]: directive.split()[1:]
        for directive in response.headers["content-security-policy"].split(";")
    }
    assert policy.pop("img-src") == ["'self'", "data:"]
    for name in ("script-src", "style-src", "connect-src"):
        assert policy.pop(name) == ["'self'"]
    assert all(sources == ["'none'"] for sources in policy.values())
    assert {"default-src", "base-uri", "form-action", "frame-ancestors"} == policy.keys()


def test_the_addresses_of_the_page_have_the_root_path(tmp_path: Path) -> None:
    settings = replace(fresh_settings("sqlite memory", tmp_path), root_path="/a&b")
    with serve_in_process(settings) as client:
        text = client.send("GET", "/a&b/docs").text
    assert 'data-openapi="/a&amp;b/openapi.json"' in text
    assert Page(text).files == {f"/a&b{path}" for path in FILES}


def test_head_has_the_headers_of_get(client: InProcessClient, response: Response) -> None:
    request_id = {"X-Request-Id": response.headers["x-request-id"]}
    head = client.send("HEAD", "/docs", headers=request_id)
    assert (head.status, head.body) == (200, b"")
    assert head.headers == response.headers


@pytest.mark.parametrize("package", vendored.PACKAGES, ids=lambda package: package.name)
def test_the_files_of_packages_are_unchanged(package: vendored.Package) -> None:
    folder = vendored.FOLDER / package.name
    assert {path.name for path in folder.iterdir()} == {*package.names, vendored.SUMS}
    sums = (folder / vendored.SUMS).read_text()
    assert sums == vendored.sums_of({name: (folder / name).read_bytes() for name in package.names})
    assert "LICENSE" in sums
