"""What protects the console, below what a browser does: cookies, forms, headers, and no keys."""

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.http.callers import STATIC
from tests.http.clients import InProcessClient, Response, serve_in_process
from userkeep.config import Settings, shown_settings

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def closed() -> Iterator[InProcessClient]:
    """A server that needs a key."""
    settings = replace(Settings(database_url="sqlite:///:memory:"), api_key=STATIC)
    with serve_in_process(settings) as client:
        yield client


class Visit:
    """A visitor without a browser: a cookie, and the token of the forms."""

    def __init__(self, client: InProcessClient) -> None:
        self._client = client
        self.cookie = ""

    def get(self, path: str, **headers: str) -> Response:
        return self._kept(
            self._client.send("GET", path, headers={"Cookie": self.cookie, **headers})
        )

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Response:
        headers = {"Content-Type": FORM, "Cookie": self.cookie, **headers}
        return self._kept(
            self._client.send("POST", path, urlencode(fields).encode(), headers=headers)
        )

    def token(self) -> str:
        found = re.search(r'name="form_token" value="([^"]*)"', self.get("/console/users").text)
        assert found is not None
        return unescape(found[1])

    def sign_in(self, key: str) -> "Visit":
        assert self.post("/console/sign-in", {"key": key}).status == 303
        return self

    def _kept(self, response: Response) -> Response:
        if "set-cookie" in response.headers:
            self.cookie = response.headers["set-cookie"].partition(";")[0]
        return response


@pytest.fixture
def visit(closed: InProcessClient) -> Visit:
    """A visitor of the closed server who has signed in."""
    return Visit(closed).sign_in(STATIC)


def key_of(client: InProcessClient, **fields: Any) -> dict[str, Any]:
    created = client.send("POST", "/v1/keys", fields, headers={"Authorization": f"Bearer {STATIC}"})
    assert created.status == 201, created.text
    found: dict[str, Any] = created.json
    return found


def test_a_page_has_a_strict_policy_and_is_not_cached(client: InProcessClient) -> None:
    headers = client.send("GET", "/console").headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "same-origin"


def test_a_page_has_no_code_and_no_style_of_its_own(client: InProcessClient) -> None:
    text = client.send("GET", "/console/users").text
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:", text)


def test_files_of_pages_are_public_and_cached(closed: InProcessClient) -> None:
    for name in ("console.css", "console.js", "htmx.js"):
        response = closed.send("GET", f"/console/static/{name}")
        assert response.status == 200
        assert response.headers["cache-control"] == "max-age=3600"
    assert closed.send("GET", "/console/static/base.html").status == 404


def test_every_page_asks_an_unknown_visitor_to_sign_in(closed: InProcessClient) -> None:
    for path in ("/console", "/console/users", "/console/users/jane/delete", "/console/nothing"):
        response = closed.send("GET", path)
        assert (response.status, response.headers["location"]) == (303, "/console/sign-in")
        assert closed.send("POST", path, b"").status == 303


def test_a_key_in_a_header_is_no_visit(closed: InProcessClient) -> None:
    headers = {"Authorization": f"Bearer {STATIC}"}
    assert closed.send("GET", "/console/users", headers=headers).status == 303


def test_the_cookie_of_a_visit_is_no_key_of_the_api(closed: InProcessClient, visit: Visit) -> None:
    _, _, value = visit.cookie.partition("=")
    for path in ("/v1/users", "/api/v1/user"):
        headers = {"Authorization": f"Bearer {value}", "Cookie": visit.cookie}
        assert closed.send("GET", path, headers=headers).status == 401


def test_a_changed_cookie_is_no_visit(visit: Visit) -> None:
    name, _, value = visit.cookie.partition("=")
    head, claims, signature = value.split(".")
    for changed in ("", "x", f"{head}.{claims}.{signature[::-1]}", f"{head}.{claims}."):
        assert visit.get("/console", Cookie=f"{name}={changed}").status == 303


def test_a_form_without_the_token_of_its_visit_changes_nothing(
    closed: InProcessClient, visit: Visit
) -> None:
    other = Visit(closed).sign_in(STATIC).token()
    for token in ("", "x", other):
        fields = {"user_id": "forged", "form_token": token}
        assert visit.post("/console/new-user", fields).status == 403
    assert visit.get("/console/users/forged").status == 404
    fields = {"user_id": "made", "form_token": visit.token()}
    assert visit.post("/console/new-user", fields).status == 303


def test_a_form_of_another_site_changes_nothing(client: InProcessClient) -> None:
    visit = Visit(client)
    fields = {"user_id": "forged", "form_token": visit.token()}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert visit.post("/console/new-user", fields, **headers).status == 403
    assert visit.get("/console/users/forged").status == 404


def test_a_visit_ends_when_its_key_is_rotated_without_overlap(closed: InProcessClient) -> None:
    key = key_of(closed, scope="write")
    visit = Visit(closed).sign_in(key["key"])
    assert visit.get("/console/users").status == 200
    path = f"/v1/keys/{key['id']}/rotate?overlap_hours=0"
    closed.send("POST", path, headers={"Authorization": f"Bearer {STATIC}"})
    assert visit.get("/console/users").status == 303


def test_a_key_of_a_user_cannot_sign_in(closed: InProcessClient) -> None:
    headers = {"Authorization": f"Bearer {STATIC}"}
    closed.send("POST", "/v1/users", {"user_id": "bound"}, headers=headers)
    key = key_of(closed, scope="write", user_id="bound")
    response = Visit(closed).post("/console/sign-in", {"key": key["key"]})
    assert response.status == 403
    assert "bound to a user" in response.text
    assert "set-cookie" not in response.headers


def test_a_reading_key_changes_nothing(closed: InProcessClient, visit: Visit) -> None:
    visit.post("/console/new-user", {"user_id": "kept", "form_token": visit.token()})
    reader = Visit(closed).sign_in(key_of(closed, scope="read")["key"])
    fields = {"user_id": "kept", "form_token": reader.token()}
    for path in ("/console/new-user", "/console/users/kept/edit", "/console/users/kept/delete"):
        assert reader.post(path, fields).status == 403
    assert reader.get("/console/users/kept").status == 200


def test_visitors_see_their_own_project_alone(closed: InProcessClient, visit: Visit) -> None:
    visit.post("/console/new-user", {"user_id": "of-default", "form_token": visit.token()})
    visit.post("/console/projects", {"name": "shop", "form_token": visit.token()})
    other = Visit(closed).sign_in(key_of(closed, scope="admin", project="shop")["key"])
    assert other.get("/console/users/of-default").status == 404
    assert "of-default" not in other.get("/console/users").text
    assert other.get("/console/health").status == 403


def test_the_settings_are_shown_without_their_secrets(visit: Visit) -> None:
    text = visit.get("/console/health").text
    assert "USERKEEP_API_KEY" in text
    assert STATIC not in text


def test_no_secret_and_no_password_is_among_the_settings_to_show() -> None:
    url = "postgresql://jane:hidden@db/userkeep"
    secrets = {each.name: "hidden" for each in fields(Settings) if not each.metadata["flag"]}
    assert {"api_key", "secret", "embeddings_key"} <= secrets.keys()
    shown = shown_settings(Settings(database_url=url, **secrets))  # type: ignore[arg-type]
    assert "hidden" not in str(shown)


def test_the_console_can_be_off() -> None:
    settings = Settings(database_url="sqlite:///:memory:", console=False)
    with serve_in_process(settings) as client:
        assert client.send("GET", "/console").status == 404
        assert client.send("GET", "/console/static/console.css").status == 404
        assert "console" not in client.send("GET", "/").json


def test_a_path_answers_to_its_methods_alone(client: InProcessClient) -> None:
    assert client.send("HEAD", "/console/users").status == 200
    assert client.send("OPTIONS", "/console/users").headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert client.send("PUT", "/console/users", b"").status == 405
    assert client.send("GET", "/console/nothing").status == 404


def test_invalid_values_are_errors_of_the_page(client: InProcessClient) -> None:
    for path in (
        "/console/users?cursor=x",
        "/console/users?order=-active&cursor=x",
        "/console/users?order=sideways",
        "/console/sessions?cursor=x",
        "/console/deletions?cursor=x",
    ):
        response = client.send("GET", path)
        assert 400 <= response.status < 500, path
        assert 'role="alert"' in response.text
    assert (
        Visit(client)
        .post("/console/users", {"q": "\ud800".encode("utf-8", "surrogatepass").hex()})
        .status
        == 403
    )
