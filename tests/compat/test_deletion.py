"""Deletion through `/api/v1`: at once, whole, and for good."""

from collections.abc import Callable

import pytest

from tests.compat.steps import Row, append, messages_of, ok
from tests.http.doors import InProcess
from userkeep.domain.transaction import scoped
from userkeep.services import erasures


@pytest.fixture
def jane(doors: InProcess) -> str:
    """A user with the sessions `s0`, `s1` and `s2`, each with messages."""
    doors.send("POST", "/api/v1/user", {"user_id": "jane", "email": "jane@example.com"})
    for number in range(3):
        doors.send("POST", "/api/v1/sessions", {"session_id": f"s{number}", "user_id": "jane"})
        append(doors, f"s{number}", "I wear size 9 shoes", "Noted")
    return "jane"


def delete(doors: InProcess, path: str) -> None:
    answer = doors.send("DELETE", f"/api/v1/{path}")
    assert (answer.status, answer.text, answer.content_type) == (200, "OK", "text/plain")


def test_a_deleted_user_is_gone_with_all_that_was_theirs(doors: InProcess, jane: str) -> None:
    uuid = messages_of(doors, "s1")[0]["uuid"]
    delete(doors, "user/jane")
    for path in ("user/jane", "sessions/s0", "sessions/s1", f"sessions/s1/messages/{uuid}"):
        assert doors.send("GET", f"/api/v1/{path}").status == 404
    assert ok(doors.send("GET", "/api/v1/user/jane/sessions")) == []
    assert ok(doors.send("GET", "/api/v1/user")) == []
    assert ok(doors.send("GET", "/api/v1/sessions")) == []
    assert ok(doors.send("GET", "/api/v1/sessions/s1/memory"))["messages"] == []
    assert messages_of(doors, "s1") == []
    assert doors.send("DELETE", "/api/v1/user/jane").status == 404
    assert doors.send("DELETE", "/api/v1/sessions/s1/memory").status == 404


def test_nobody_elses_is_touched(doors: InProcess, jane: str) -> None:
    doors.send("POST", "/api/v1/user", {"user_id": "joe"})
    doors.send("POST", "/api/v1/sessions", {"session_id": "joes", "user_id": "joe"})
    append(doors, "joes", "Hello")
    append(doors, "nobodys", "Hello")
    delete(doors, "user/jane")
    assert len(messages_of(doors, "joes")) == len(messages_of(doors, "nobodys")) == 1
    assert [user["user_id"] for user in ok(doors.send("GET", "/api/v1/user"))] == ["joe"]


def test_a_late_append_does_not_bring_back_a_session_of_the_deleted(
    doors: InProcess, jane: str
) -> None:
    delete(doors, "user/jane")
    late: list[Row] = [{"messages": [{"content": "late write"}]}, {"messages": []}, {}]
    for session_id in ("s0", "s1", "s2"):
        for body in late:
            answer = doors.send("POST", f"/api/v1/sessions/{session_id}/memory", body)
            assert (answer.status, answer.content_type) == (404, "text/plain")
        assert doors.send("GET", f"/api/v1/sessions/{session_id}").status == 404
    assert ok(doors.send("GET", "/api/v1/sessions")) == []


def test_who_is_added_again_is_somebody_new(doors: InProcess, jane: str) -> None:
    before = ok(doors.send("GET", "/api/v1/user/jane"))
    delete(doors, "user/jane")
    after = ok(doors.send("POST", "/api/v1/user", {"user_id": "jane"}))
    assert after["uuid"] != before["uuid"]
    assert after["id"] > before["id"]
    assert "email" not in after
    assert ok(doors.send("GET", "/api/v1/user/jane/sessions")) == []


def test_adding_the_user_again_frees_no_session_but_adding_the_session_does(
    doors: InProcess, jane: str
) -> None:
    delete(doors, "user/jane")
    doors.send("POST", "/api/v1/user", {"user_id": "jane"})
    late = {"messages": [{"role": "user", "content": "late write"}]}
    assert doors.send("POST", "/api/v1/sessions/s1/memory", late).status == 404
    anew = doors.send("POST", "/api/v1/sessions", {"session_id": "s1", "user_id": "jane"})
    assert anew.status == 201
    append(doors, "s1", "Hello again")
    assert [message["content"] for message in messages_of(doors, "s1")] == ["Hello again"]
    assert doors.send("POST", "/api/v1/sessions/s2/memory", late).status == 404


def test_a_deleted_session_takes_its_messages_and_leaves_its_id_free(
    doors: InProcess, jane: str
) -> None:
    before = ok(doors.send("GET", "/api/v1/sessions/s1"))
    delete(doors, "sessions/s1/memory")
    assert doors.send("GET", "/api/v1/sessions/s1").status == 404
    assert messages_of(doors, "s1") == []
    assert doors.send("DELETE", "/api/v1/sessions/s1/memory").status == 404
    left = [each["session_id"] for each in ok(doors.send("GET", "/api/v1/user/jane/sessions"))]
    assert left == ["s0", "s2"]
    append(doors, "s1", "cleared, then added: as frameworks do")
    after = ok(doors.send("GET", "/api/v1/sessions/s1"))
    assert after["uuid"] != before["uuid"]
    assert after["user_id"] is None
    assert len(messages_of(doors, "s1")) == 1


def test_a_session_with_many_messages_is_deleted_whole(doors: InProcess) -> None:
    append(doors, "long", *map(str, range(5_000)))
    delete(doors, "sessions/long/memory")
    assert messages_of(doors, "long") == []
    append(doors, "long", "again")
    assert [message["content"] for message in messages_of(doors, "long")] == ["again"]


@pytest.fixture
def begin(doors: InProcess, jane: str) -> Callable[[str], None]:
    """Begins an erasure and leaves it at that, as a server does that is stopped there."""

    def begin(what: str) -> None:
        operation = erasures.begin_user if what == "jane" else erasures.begin_session
        userkeep = doors.userkeep
        userkeep.engine.write(scoped(userkeep.scope, operation, what))

    return begin


def test_while_a_user_is_deleted_their_id_is_not_free(
    doors: InProcess, begin: Callable[[str], None]
) -> None:
    begin("jane")
    assert doors.send("POST", "/api/v1/user", {"user_id": "jane"}).status == 400
    session = {"session_id": "new", "user_id": "jane"}
    assert doors.send("POST", "/api/v1/sessions", session).status == 400
    assert doors.send("GET", "/api/v1/sessions/new").status == 404


def test_while_a_user_is_deleted_they_are_not_found(
    doors: InProcess, begin: Callable[[str], None]
) -> None:
    begin("jane")
    assert doors.send("GET", "/api/v1/user/jane").status == 404
    assert doors.send("PATCH", "/api/v1/user/jane", {"email": "x"}).status == 404
    assert ok(doors.send("GET", "/api/v1/user")) == []


def test_deleting_a_user_who_is_being_deleted_ends_it(
    doors: InProcess, begin: Callable[[str], None]
) -> None:
    begin("jane")
    delete(doors, "user/jane")
    assert doors.send("DELETE", "/api/v1/user/jane").status == 404
    assert doors.send("POST", "/api/v1/user", {"user_id": "jane"}).status == 201


def test_while_a_session_is_deleted_it_is_not_found_and_its_memory_is_empty(
    doors: InProcess, begin: Callable[[str], None]
) -> None:
    uuid = messages_of(doors, "s1")[0]["uuid"]
    begin("s1")
    message = {"messages": [{"role": "user", "content": "late"}]}
    assert doors.send("GET", "/api/v1/sessions/s1").status == 404
    assert doors.send("PATCH", "/api/v1/sessions/s1", {"metadata": {"a": 1}}).status == 404
    assert doors.send("POST", "/api/v1/sessions/s1/memory", message).status == 404
    assert doors.send("GET", f"/api/v1/sessions/s1/messages/{uuid}").status == 404
    assert ok(doors.send("GET", "/api/v1/sessions/s1/memory"))["messages"] == []
    assert messages_of(doors, "s1") == []
    listed = [each["session_id"] for each in ok(doors.send("GET", "/api/v1/sessions"))]
    assert listed == ["s0", "s2"]


def test_while_a_session_is_deleted_its_id_is_not_free(
    doors: InProcess, begin: Callable[[str], None]
) -> None:
    begin("s1")
    assert doors.send("POST", "/api/v1/sessions", {"session_id": "s1"}).status == 400
    delete(doors, "sessions/s1/memory")
    assert doors.send("POST", "/api/v1/sessions", {"session_id": "s1"}).status == 201
