"""Rate limits of keys, and failed attempts to authenticate, which are slowed."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from tests.conftest import fresh_settings
from tests.http.callers import STATIC, Caller
from tests.http.clients import InProcessClient, Request, serve_in_process
from userkeep.http.rates import FREE_ATTEMPTS

PER_MINUTE = 30
WRONG = "uk_0123456789abcdef_" + "0" * 64


@pytest.fixture
def client(tmp_path: Path) -> Iterator[InProcessClient]:
    """A client of a server with a key, on SQLite: nothing here depends on the engine."""
    settings = replace(fresh_settings("sqlite memory", tmp_path), api_key=STATIC)
    with serve_in_process(settings) as client:
        yield client


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Caller]:
    """Sends requests to a server with a rate limit."""
    settings = fresh_settings("sqlite memory", tmp_path)
    with serve_in_process(replace(settings, api_key=STATIC, rate_limit=PER_MINUTE)) as client:
        yield Caller(client, STATIC)


def attempt(address: str, key: str = WRONG) -> Request:
    return Request("GET", "/v1/users", None, {"Authorization": f"Bearer {key}"}, address=address)


def test_a_key_that_sends_too_many_requests_gets_429_until_it_waits(limited: Caller) -> None:
    statuses = [limited("GET", "/v1/users").status for _ in range(PER_MINUTE + 5)]
    assert statuses[:PER_MINUTE] == [200] * PER_MINUTE
    assert set(statuses[PER_MINUTE + 1 :]) == {429}
    rejected = limited("GET", "/v1/users")
    assert rejected.json["code"] == "rate_limited"
    assert 1 <= int(rejected.headers["retry-after"]) <= 60 / PER_MINUTE + 1
    assert limited("GET", "/api/v1/user").status == 429


def test_each_key_and_each_user_with_a_token_has_a_limit_of_its_own(limited: Caller) -> None:
    limited("POST", "/v1/users", {"user_id": "jane"})
    limited("POST", "/v1/users", {"user_id": "bob"})
    app = limited.with_key()
    jane, bob = (
        app.with_text(app("POST", f"/v1/users/{user_id}/token").json["token"])
        for user_id in ("jane", "bob")
    )
    for _ in range(PER_MINUTE + 2):
        last = jane("GET", "/v1/users/jane")
    assert last.status == 429
    assert bob("GET", "/v1/users/bob").status == 200
    assert app("GET", "/v1/users").status == 200


def test_requests_that_need_no_key_have_no_limit(limited: Caller) -> None:
    without = limited.with_text(None)
    assert {without("GET", "/healthz").status for _ in range(2 * PER_MINUTE)} == {200}


def test_failed_attempts_of_an_address_are_slowed(client: InProcessClient) -> None:
    began = monotonic()
    for _ in range(FREE_ATTEMPTS):
        assert client.send_in_turn([attempt("192.0.2.1")])[0].status == 401
    free_s = monotonic() - began
    began = monotonic()
    assert [each.status for each in client.send_in_turn([attempt("192.0.2.1")] * 3)] == [401] * 3
    assert monotonic() - began > 0.7
    assert free_s < 0.7
    began = monotonic()
    client.send_in_turn([attempt("192.0.2.2")])
    assert monotonic() - began < 0.1


def test_many_failed_attempts_at_once_get_429(client: InProcessClient) -> None:
    responses = client.send_all([attempt("192.0.2.1")] * 40)
    assert {each.status for each in responses} == {401, 429}
    assert all("retry-after" in each.headers for each in responses if each.status == 429)


def test_a_valid_key_is_never_slowed_by_others_with_the_same_address(
    client: InProcessClient,
) -> None:
    caller = Caller(client, STATIC)
    caller("POST", "/v1/users", {"user_id": "jane"})
    token = caller("POST", "/v1/users/jane/token").json["token"]
    stored = str(caller.with_key(scope="read").key)
    good = [attempt("192.0.2.1", key) for key in (STATIC, stored, token)]
    # More than are sent at once: the good ones come when responses are delayed already.
    responses = client.send_all([*[attempt("192.0.2.1")] * 400, *good])
    # The user token is known, and does not list users.
    assert [each.status for each in responses[-3:]] == [200, 200, 403]


def test_failed_attempts_are_logged_without_the_credential(
    client: InProcessClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        client.send_in_turn([attempt("192.0.2.1")] * (FREE_ATTEMPTS + 1))
    logged = [each.getMessage() for each in caplog.records if "credential" in each.getMessage()]
    assert len(logged) == 2
    assert all("192.0.2.1" in each for each in logged)
    assert "uk_" not in caplog.text


def test_a_key_that_an_open_server_does_not_check_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serve_in_process(fresh_settings("sqlite memory", tmp_path)) as client:
        for _ in range(3):
            assert Caller(client, WRONG)("GET", "/v1/users").status == 200
    logged = [each for each in caplog.records if "has an API key" in each.getMessage()]
    assert len(logged) == 1
    assert "uk_" not in caplog.text
