"""Which calls are retried, and which errors are raised."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

import userkeep
from devtools.ports import free_port
from tests.sdk.fake_server import (
    CLOSED,
    HTML,
    MODES,
    NO_RESPONSE,
    USER,
    Response,
    call,
    error_response,
    fake_server,
)
from userkeep import (
    ConnectionFailed,
    NewMessage,
    RateLimited,
    TimedOut,
    Unavailable,
    UnexpectedAnswer,
    Userkeep,
)
from userkeep.sdk.calls import make_call
from userkeep.sdk.retries import RetryPolicy

UNAVAILABLE = error_response(503, "unavailable", Retry_After="0")
LIMITED = error_response(429, "rate_limited", Retry_After="0")

Method = Callable[[Any], Any]


def get(client: Any) -> Any:
    return client.user.get("jane")


def add(client: Any) -> Any:
    return client.user.add(user_id="jane")


def put(client: Any) -> Any:
    return client.user.put(user_id="jane")


def update(client: Any) -> Any:
    return client.user.update(user_id="jane", email="x")


def update_revision(client: Any) -> Any:
    return client.user.update(user_id="jane", email="x", if_revision=1)


def delete(client: Any) -> Any:
    return client.user.delete("jane")


def search(client: Any) -> Any:
    return client.search("shoes")


def verify(client: Any) -> Any:
    return client.erasure.verify("1", search_terms=["Jane Doe"])


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """How the client waits."""
    name: str = request.param
    return name


@pytest.mark.parametrize("method", [get, add, put, update])
@pytest.mark.parametrize("first", [CLOSED, UNAVAILABLE, LIMITED, HTML])
def test_safe_calls_are_retried(mode: str, method: Method, first: Response) -> None:
    with fake_server(first, Response()) as server:
        user = call(mode, server.url, method)
    assert (user.user_id, len(server.requests)) == ("jane", 2)
    assert server.requests[0].body == server.requests[1].body


def test_a_search_is_retried(mode: str) -> None:
    with fake_server(CLOSED, UNAVAILABLE, Response(body=b'{"items":[]}')) as server:
        assert call(mode, server.url, search) == []
    assert len(server.requests) == 3


def test_all_attempts_of_a_post_have_the_same_key(mode: str) -> None:
    with fake_server(CLOSED, UNAVAILABLE, LIMITED, Response()) as server:
        call(mode, server.url, add)
    assert len(server.keys) == 4
    assert server.keys[0]
    assert len({*server.keys}) == 1


def test_each_post_has_its_own_key() -> None:
    with fake_server() as server:
        for _ in range(2):
            call("sync", server.url, add)
    assert len({*server.keys}) == 2


def test_all_attempts_have_the_key_of_the_app(mode: str) -> None:
    with fake_server(CLOSED, Response()) as server:
        call(mode, server.url, lambda client: client.user.add(user_id="a", idempotency_key="mine"))
    assert server.keys == ["mine", "mine"]


def test_a_retry_is_logged_without_ids_bodies_and_keys(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="userkeep")
    limited = error_response(429, "rate_limited", Retry_After="0")
    with fake_server(UNAVAILABLE, limited, Response()) as server:
        call(mode, server.url, lambda client: client.user.add(user_id="jane", email="jane@oslo.no"))
    found = [(each.name, each.levelname) for each in caplog.records if each.name == "userkeep"]
    assert found == [("userkeep", "INFO")] * 2
    first, second = (each.getMessage() for each in caplog.records if each.name == "userkeep")
    assert re.fullmatch(r"retrying users\.add in 0\.\d\d s \(attempt 2 of 4\): unavailable", first)
    assert re.fullmatch(
        r"retrying users\.add in 0\.\d\d s \(attempt 3 of 4\): rate_limited", second
    )
    assert not {key for key in server.keys if str(key) in caplog.text}


def test_a_verification_is_retried(mode: str) -> None:
    with (
        fake_server(CLOSED, UNAVAILABLE, error_response(404, "not_found")) as server,
        pytest.raises(userkeep.NotFound),
    ):
        call(mode, server.url, verify)
    assert len(server.requests) == 3


def verification(status: int, state: str, problem: str | None = None) -> Response:
    """A verification as a server sends it, whose id is "7"."""
    found = {"finished": False}.get(state)
    purge: dict[str, Any] = {"requested_at": None, "phase": None, "problem": None}
    purge["skipped_steps"] = []
    erasure = {
        "id": "1",
        "subject": "user",
        "subject_id": None,
        "subject_uuid": "2",
        "state": "deleted",
        "counts": {"users": 1, "sessions": 0, "messages": 0, "documents": 0},
        "started_at": "2026-01-01T00:00:00Z",
        "deleted_at": "2026-01-01T00:00:00Z",
        "purged_at": None,
        "purge": purge,
    }
    body: dict[str, Any] = {
        "id": "7",
        "state": state,
        "problem": problem,
        "started_at": "2026-01-01T00:00:00Z",
        "finished_at": None,
        "erasure": erasure,
        "found": found,
        "result": "clear" if state == "finished" else None,
        "short_words": [],
        "hits": [],
        "hit_count": 0,
        "id_reused": False,
        "scanned": [],
        "skipped": [],
    }
    return Response(status, json.dumps(body).encode())


def test_a_verification_is_polled_until_it_is_finished(mode: str) -> None:
    running, finished = verification(202, "running"), verification(200, "finished")
    with fake_server(running, running, finished) as server:
        verified = call(mode, server.url, verify)
    assert (verified.state, verified.found) == ("finished", False)
    assert [(each.method, each.path) for each in server.requests] == [
        ("POST", "/v1/erasures/1/verify"),
        ("GET", "/v1/verifications/7"),
        ("GET", "/v1/verifications/7"),
    ]


def test_a_verification_that_failed_raises_its_problem(mode: str) -> None:
    failed = verification(200, "failed", "It was interrupted.")
    with fake_server(failed) as server, pytest.raises(Unavailable, match="It was interrupted"):
        call(mode, server.url, verify)
    assert len(server.requests) == 1


@pytest.mark.parametrize("method", [get, put, update, delete, search, verify])
def test_only_a_post_that_writes_has_a_key(method: Method) -> None:
    with fake_server(error_response(404, "not_found")) as server, pytest.raises(userkeep.NotFound):
        call("sync", server.url, method)
    assert server.keys == [None]


@pytest.mark.parametrize("lost", [CLOSED, HTML])
def test_a_deletion_is_not_retried_after_a_lost_response(mode: str, lost: Response) -> None:
    with fake_server(lost) as server, pytest.raises(ConnectionFailed):
        call(mode, server.url, delete)
    assert len(server.requests) == 1


def test_a_deletion_is_retried_if_the_server_is_unavailable() -> None:
    with (
        fake_server(UNAVAILABLE, error_response(404, "not_found")) as server,
        pytest.raises(userkeep.NotFound),
    ):
        call("sync", server.url, delete)
    assert len(server.requests) == 2


def test_an_update_of_a_revision_is_not_retried_after_a_lost_response(mode: str) -> None:
    with fake_server(CLOSED) as server, pytest.raises(ConnectionFailed):
        call(mode, server.url, update_revision)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "bad_request"), (401, "unauthenticated"), (403, "forbidden"), (404, "not_found"),
        (409, "already_exists"), (409, "conflict"), (409, "idempotency_mismatch"), (410, "gone"),
        (412, "revision_mismatch"), (413, "too_large"), (422, "invalid_field"), (500, "internal"),
        (503, "storage"), (501, "not_implemented"), (500, "of_another_version"),
    ],
)  # fmt: skip
def test_an_error_response_is_raised_immediately_with_its_code(status: int, code: str) -> None:
    with (
        fake_server(error_response(status, code)) as server,
        pytest.raises(userkeep.UserkeepError) as raised,
    ):
        call("sync", server.url, get)
    assert len(server.requests) == 1
    error = raised.value
    assert (error.code, error.detail, error.fields) == (code, f"The error is {code}.", ("x",))
    assert str(error) == error.detail


def test_each_code_has_its_own_class() -> None:
    codes = {
        "bad_request": userkeep.BadRequest,
        "unauthenticated": userkeep.Unauthenticated,
        "not_found": userkeep.NotFound,
        "gone": userkeep.Gone,
        "invalid_field": userkeep.InvalidField,
        "of_another_version": userkeep.ServerError,
    }
    for code, kind in codes.items():
        with fake_server(error_response(400, code)) as server, pytest.raises(kind) as raised:
            call("sync", server.url, get)
        assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("response", "kind"),
    [(UNAVAILABLE, Unavailable), (LIMITED, RateLimited), (CLOSED, ConnectionFailed)],
)
def test_the_number_of_attempts_is_limited(
    mode: str, response: Response, kind: type[Exception]
) -> None:
    with fake_server(response) as server, pytest.raises(kind):
        call(mode, server.url, get, attempts=3)
    assert len(server.requests) == 3


def test_one_attempt_is_not_retried() -> None:
    with fake_server(UNAVAILABLE) as server, pytest.raises(Unavailable):
        call("sync", server.url, get, attempts=1)
    assert len(server.requests) == 1


def test_a_retry_waits_for_retry_after(mode: str) -> None:
    with fake_server(error_response(503, "unavailable", Retry_After="1"), Response()) as server:
        began = time.monotonic()
        call(mode, server.url, get)
        assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    "retry_after", ["soon", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "\u00b2", "1.5", ""]
)
def test_an_invalid_retry_after_is_ignored(retry_after: str) -> None:  # fmt: skip
    with fake_server(
        error_response(503, "unavailable", Retry_After=retry_after), Response()
    ) as server:
        assert call("sync", server.url, get).user_id == "jane"


def test_a_long_retry_after_is_not_waited_for(mode: str) -> None:
    with (
        fake_server(error_response(503, "unavailable", Retry_After="3600")) as server,
        pytest.raises(Unavailable),
    ):
        call(mode, server.url, get)
    assert len(server.requests) == 1


def test_delays_grow_up_to_five_seconds_with_jitter() -> None:
    policy = RetryPolicy(attempts=100)
    call = make_call("users.get", {"user_id": "jane"})
    for attempt, max_s in ((1, 0.1), (2, 0.2), (3, 0.4), (7, 5.0), (50, 5.0)):
        delays = [policy.delay_s(call, attempt, Unavailable(), None) or 0 for _ in range(50)]
        assert max_s / 2 <= min(delays) <= max(delays) <= max_s
        assert len({*delays}) > 25


def test_a_server_that_does_not_respond_times_out(mode: str) -> None:
    with fake_server(NO_RESPONSE) as server, pytest.raises(TimedOut) as raised:
        call(mode, server.url, get, timeout_s=0.2, attempts=1)
    assert raised.value.code == "timed_out"
    assert server.url in raised.value.detail


def test_a_post_that_times_out_is_retried_with_its_key(mode: str) -> None:
    with fake_server(NO_RESPONSE, Response()) as server:
        assert call(mode, server.url, add, timeout_s=0.2).user_id == "jane"
    assert len(server.requests) == 2
    assert len({*server.keys}) == 1


def test_a_deletion_that_times_out_is_not_retried(mode: str) -> None:
    with fake_server(NO_RESPONSE) as server, pytest.raises(TimedOut):
        call(mode, server.url, delete, timeout_s=0.2)
    assert len(server.requests) == 1


@pytest.mark.parametrize("method", [get, add, delete])
def test_the_error_names_the_url_if_no_server_runs(mode: str, method: Method) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConnectionFailed) as raised:
        call(mode, url, method, attempts=2)
    assert url in raised.value.detail
    assert "Check that the server is running" in raised.value.detail


def test_errors_do_not_contain_the_password_of_the_url() -> None:
    with pytest.raises(ConnectionFailed) as raised:
        call("sync", f"http://jane:hunter2@127.0.0.1:{free_port()}", get, attempts=1)
    assert "hunter2" not in str(raised.value)
    assert "hunter2" not in str(raised.value.__cause__)


@pytest.mark.parametrize(
    "response",
    [
        Response(200, b"<html>Welcome to your router</html>"),
        Response(200, b"\xff"),
        Response(200, b"[" * 100_000),
        Response(200, b'{"user_id": 5}'),
        Response(200, b""),
        Response(404, b"<html>Not found</html>"),
        Response(301, b"", {"Location": "https://elsewhere.example"}),
        Response(500, b'{"detail": "Internal error"}'),
        Response(500, b"\xff"),
    ],
    ids=["html", "bytes", "nested", "no_user", "empty", "404", "elsewhere", "other_json", "500"],
)
def test_a_response_of_another_server_raises_unexpected_answer(
    mode: str, response: Response
) -> None:
    with fake_server(response) as server, pytest.raises(UnexpectedAnswer) as raised:
        call(mode, server.url, get)
    assert f"HTTP {response.status}" in raised.value.detail
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(413, userkeep.TooLarge), (429, RateLimited), (503, Unavailable)]
)
def test_errors_of_proxies_are_mapped(status: int, kind: type[Exception]) -> None:
    with (
        fake_server(Response(status, b"<html></html>", {"Retry-After": "0"})) as server,
        pytest.raises(kind, match=f"HTTP {status}"),
    ):
        call("sync", server.url, get, attempts=2)


def test_unknown_fields_of_later_versions_are_ignored() -> None:
    body = str({**USER, "mood": "gloomy"}).replace("None", "null").replace("'", '"').encode()
    with fake_server(Response(200, body)) as server:
        assert call("sync", server.url, get).user_id == "jane"


def test_bulk_appends_have_a_key_for_each_batch() -> None:
    appended = Response(201, b'{"session_id": "s", "messages": []}')
    with fake_server(appended, CLOSED, appended) as server, Userkeep(server.url) as client:
        assert (
            client.message.add_bulk(
                "s", (NewMessage(role="user", content="x") for _ in range(1500))
            )
            == 1500
        )
    first, second, third = server.keys
    assert first != second == third
