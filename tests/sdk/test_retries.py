"""What is sent again, and what is not."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

import userkeep
from devtools.ports import free_port
from tests.sdk.far_end import BROKEN, HTML, SILENT, USER, WAYS, Answer, ask, far_end, refusal
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

UNAVAILABLE = refusal(503, "unavailable", Retry_After="0")
LIMITED = refusal(429, "rate_limited", Retry_After="0")

Do = Callable[[Any], Any]


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


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """How the client waits."""
    name: str = request.param
    return name


@pytest.mark.parametrize("do", [get, add, put, update])
@pytest.mark.parametrize("first", [BROKEN, UNAVAILABLE, LIMITED, HTML])
def test_what_does_no_harm_twice_is_sent_again(way: str, do: Do, first: Answer) -> None:
    with far_end(first, Answer()) as server:
        user = ask(way, server.url, do)
    assert (user.user_id, len(server.asked)) == ("jane", 2)
    assert server.asked[0].body == server.asked[1].body


def test_a_search_is_sent_again(way: str) -> None:
    with far_end(BROKEN, UNAVAILABLE, Answer(body=b'{"items":[]}')) as server:
        assert ask(way, server.url, search) == []
    assert len(server.asked) == 3


def test_every_sending_of_a_post_has_the_same_key(way: str) -> None:
    with far_end(BROKEN, UNAVAILABLE, LIMITED, Answer()) as server:
        ask(way, server.url, add)
    assert len(server.keys) == 4
    assert server.keys[0]
    assert len({*server.keys}) == 1


def test_each_post_has_a_key_of_its_own() -> None:
    with far_end() as server:
        for _ in range(2):
            ask("sync", server.url, add)
    assert len({*server.keys}) == 2


def test_the_apps_own_key_is_sent_each_time(way: str) -> None:
    with far_end(BROKEN, Answer()) as server:
        ask(way, server.url, lambda client: client.user.add(user_id="a", idempotency_key="mine"))
    assert server.keys == ["mine", "mine"]


def test_a_verification_is_sent_again(way: str) -> None:
    with (
        far_end(BROKEN, UNAVAILABLE, refusal(404, "not_found")) as server,
        pytest.raises(userkeep.NotFound),
    ):
        ask(way, server.url, verify)
    assert len(server.asked) == 3


def verification(status: int, state: str, problem: str | None = None) -> Answer:
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
        "counts": {"users": 1, "sessions": 0, "messages": 0},
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
        "hits": [],
        "hit_count": 0,
        "id_reused": False,
        "scanned": [],
        "skipped": [],
    }
    return Answer(status, json.dumps(body).encode())


def test_a_verification_is_polled_until_it_is_finished(way: str) -> None:
    running, finished = verification(202, "running"), verification(200, "finished")
    with far_end(running, running, finished) as server:
        verified = ask(way, server.url, verify)
    assert (verified.state, verified.found) == ("finished", False)
    assert [(asked.method, asked.path) for asked in server.asked] == [
        ("POST", "/v1/erasures/1/verify"),
        ("GET", "/v1/verifications/7"),
        ("GET", "/v1/verifications/7"),
    ]


def test_a_verification_that_failed_raises_its_problem(way: str) -> None:
    failed = verification(200, "failed", "It was interrupted.")
    with far_end(failed) as server, pytest.raises(Unavailable, match="It was interrupted"):
        ask(way, server.url, verify)
    assert len(server.asked) == 1


@pytest.mark.parametrize("do", [get, put, update, delete, search, verify])
def test_only_a_post_that_writes_has_a_key(do: Do) -> None:
    with far_end(refusal(404, "not_found")) as server, pytest.raises(userkeep.NotFound):
        ask("sync", server.url, do)
    assert server.keys == [None]


@pytest.mark.parametrize("lost", [BROKEN, HTML])
def test_an_erasure_whose_answer_was_lost_is_not_asked_for_again(way: str, lost: Answer) -> None:
    with far_end(lost) as server, pytest.raises(ConnectionFailed):
        ask(way, server.url, delete)
    assert len(server.asked) == 1


def test_an_erasure_that_the_server_could_not_take_is_asked_for_again() -> None:
    with (
        far_end(UNAVAILABLE, refusal(404, "not_found")) as server,
        pytest.raises(userkeep.NotFound),
    ):
        ask("sync", server.url, delete)
    assert len(server.asked) == 2


def test_a_change_to_a_revision_whose_answer_was_lost_is_not_made_again(way: str) -> None:
    with far_end(BROKEN) as server, pytest.raises(ConnectionFailed):
        ask(way, server.url, update_revision)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "bad_request"), (401, "unauthenticated"), (403, "forbidden"), (404, "not_found"),
        (409, "already_exists"), (409, "conflict"), (409, "idempotency_mismatch"), (410, "gone"),
        (412, "revision_mismatch"), (413, "too_large"), (422, "invalid_field"), (500, "internal"),
        (503, "storage"), (501, "not_implemented"), (500, "of_another_version"),
    ],
)  # fmt: skip
def test_a_refusal_is_raised_at_once_by_its_code(status: int, code: str) -> None:
    with (
        far_end(refusal(status, code)) as server,
        pytest.raises(userkeep.UserkeepError) as raised,
    ):
        ask("sync", server.url, get)
    assert len(server.asked) == 1
    error = raised.value
    assert (error.code, error.detail, error.fields) == (code, f"{code} it is.", ("x",))
    assert str(error) == error.detail


def test_each_code_has_a_class_of_its_own() -> None:
    codes = {
        "bad_request": userkeep.BadRequest,
        "unauthenticated": userkeep.Unauthenticated,
        "not_found": userkeep.NotFound,
        "gone": userkeep.Gone,
        "invalid_field": userkeep.InvalidField,
        "of_another_version": userkeep.ServerError,
    }
    for code, kind in codes.items():
        with far_end(refusal(400, code)) as server, pytest.raises(kind) as raised:
            ask("sync", server.url, get)
        assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(UNAVAILABLE, Unavailable), (LIMITED, RateLimited), (BROKEN, ConnectionFailed)],
)
def test_attempts_have_an_end(way: str, answer: Answer, kind: type[Exception]) -> None:
    with far_end(answer) as server, pytest.raises(kind):
        ask(way, server.url, get, attempts=3)
    assert len(server.asked) == 3


def test_one_attempt_is_one() -> None:
    with far_end(UNAVAILABLE) as server, pytest.raises(Unavailable):
        ask("sync", server.url, get, attempts=1)
    assert len(server.asked) == 1


def test_the_server_is_asked_again_when_it_says_and_not_before(way: str) -> None:
    with far_end(refusal(503, "unavailable", Retry_After="1"), Answer()) as server:
        began = time.monotonic()
        ask(way, server.url, get)
        assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    "said", ["soon", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "\u00b2", "1.5", ""]
)
def test_what_is_no_number_of_seconds_is_not_waited_for(said: str) -> None:  # fmt: skip
    with far_end(refusal(503, "unavailable", Retry_After=said), Answer()) as server:
        assert ask("sync", server.url, get).user_id == "jane"


def test_nobody_waits_for_a_server_that_is_away_for_long(way: str) -> None:
    with (
        far_end(refusal(503, "unavailable", Retry_After="3600")) as server,
        pytest.raises(Unavailable),
    ):
        ask(way, server.url, get)
    assert len(server.asked) == 1


def test_pauses_grow_up_to_five_seconds_and_are_never_the_same() -> None:
    policy = RetryPolicy(attempts=100)
    call = make_call("users.get", {"user_id": "jane"})
    for attempt, longest_s in ((1, 0.1), (2, 0.2), (3, 0.4), (7, 5.0), (50, 5.0)):
        pauses = [policy.delay_s(call, attempt, Unavailable(), None) or 0 for _ in range(50)]
        assert longest_s / 2 <= min(pauses) <= max(pauses) <= longest_s
        assert len({*pauses}) > 25


def test_a_server_that_keeps_silent_is_given_up(way: str) -> None:
    with far_end(SILENT) as server, pytest.raises(TimedOut) as raised:
        ask(way, server.url, get, timeout_s=0.2, attempts=1)
    assert raised.value.code == "timed_out"
    assert server.url in raised.value.detail


def test_a_post_that_was_not_answered_in_time_is_sent_again_with_its_key(way: str) -> None:
    with far_end(SILENT, Answer()) as server:
        assert ask(way, server.url, add, timeout_s=0.2).user_id == "jane"
    assert len(server.asked) == 2
    assert len({*server.keys}) == 1


def test_an_erasure_that_was_not_answered_in_time_is_not_asked_for_again(way: str) -> None:
    with far_end(SILENT) as server, pytest.raises(TimedOut):
        ask(way, server.url, delete, timeout_s=0.2)
    assert len(server.asked) == 1


@pytest.mark.parametrize("do", [get, add, delete])
def test_where_no_server_is_the_url_is_named(way: str, do: Do) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConnectionFailed) as raised:
        ask(way, url, do, attempts=2)
    assert url in raised.value.detail
    assert "Check that the server is running" in raised.value.detail


def test_a_password_in_the_url_is_not_told() -> None:
    with pytest.raises(ConnectionFailed) as raised:
        ask("sync", f"http://jane:hunter2@127.0.0.1:{free_port()}", get, attempts=1)
    assert "hunter2" not in str(raised.value)
    assert "hunter2" not in str(raised.value.__cause__)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>Welcome to your router</html>"),
        Answer(200, b"\xff"),
        Answer(200, b"[" * 100_000),
        Answer(200, b'{"user_id": 5}'),
        Answer(200, b""),
        Answer(404, b"<html>Not found</html>"),
        Answer(301, b"", {"Location": "https://elsewhere.example"}),
        Answer(500, b'{"detail": "Internal error"}'),
        Answer(500, b"\xff"),
    ],
    ids=["html", "bytes", "nested", "no_user", "empty", "404", "elsewhere", "other_json", "500"],
)
def test_what_is_not_userkeep_is_told(way: str, answer: Answer) -> None:
    with far_end(answer) as server, pytest.raises(UnexpectedAnswer) as raised:
        ask(way, server.url, get)
    assert f"HTTP {answer.status}" in raised.value.detail
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(413, userkeep.TooLarge), (429, RateLimited), (503, Unavailable)]
)
def test_what_stands_before_the_server_is_understood(status: int, kind: type[Exception]) -> None:
    with (
        far_end(Answer(status, b"<html></html>", {"Retry-After": "0"})) as server,
        pytest.raises(kind, match=f"HTTP {status}"),
    ):
        ask("sync", server.url, get, attempts=2)


def test_an_answer_of_a_later_version_may_have_more_fields() -> None:
    body = str({**USER, "mood": "gloomy"}).replace("None", "null").replace("'", '"').encode()
    with far_end(Answer(200, body)) as server:
        assert ask("sync", server.url, get).user_id == "jane"


def test_bulk_appends_have_a_key_for_each_batch() -> None:
    appended = Answer(201, b'{"session_id": "s", "messages": []}')
    with far_end(appended, BROKEN, appended) as server, Userkeep(server.url) as client:
        assert client.message.add_bulk("s", (NewMessage(content="x") for _ in range(1500))) == 1500
    first, second, third = server.keys
    assert first != second == third
