"""Erasures, by every way in: what is deleted is gone, and does not come back by itself."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.conformance.steps import (
    END,
    ERASURE,
    ERASURES,
    GONE,
    MEMORY,
    MESSAGE,
    MESSAGES,
    NOT_BEGUN,
    NOT_FOUND,
    SESSION,
    SESSIONS,
    SESSIONS_OF_USER,
    USER,
    USERS,
    UUID7,
    add_user,
    append,
    contents,
    delete,
    get_session,
    get_user,
    moment,
    open_session,
    pages,
    refusal,
    say,
)
from tests.ways import Way


@pytest.fixture
def jane(way: Way, fresh: str) -> SimpleNamespace:
    """A user with two sessions and three messages; all metadata and her e-mail name the test."""
    name, mark = f"jane {fresh}", {"of": fresh}
    jane = SimpleNamespace(id=name, sessions=[f"{name} 1", f"{name} 2"], messages=[])
    jane.uuid = add_user(way, name, email=fresh, metadata=mark)["uuid"]
    for session_id, count in zip(jane.sessions, (1, 2), strict=True):
        open_session(way, session_id, user_id=name, metadata=mark)
        for message in append(way, session_id, *({"content": "I live in Oslo"},) * count):
            jane.messages.append((session_id, message["uuid"]))
    return jane


@pytest.fixture
def deleted(way: Way, jane: SimpleNamespace) -> SimpleNamespace:
    """Jane, who was deleted: what is left is the ids, and the erasure."""
    jane.erasure = delete(way, USER, jane.id)
    return jane


# What an erasure says.


def test_deleting_a_user_answers_with_the_erasure(way: Way, jane: SimpleNamespace) -> None:
    erasure = delete(way, USER, jane.id)
    assert UUID7.fullmatch(erasure.pop("id"))
    assert moment(erasure.pop("deleted_at")) >= moment(erasure.pop("started_at"))
    assert erasure == {
        "subject": "user",
        "subject_id": None,
        "subject_uuid": jane.uuid,
        "state": "deleted",
        "counts": {"users": 1, "sessions": 2, "messages": 3},
        "purged_at": None,
        "purge": NOT_BEGUN,
    }


def test_deleting_a_session_answers_with_the_erasure(way: Way, jane: SimpleNamespace) -> None:
    uuid = get_session(way, jane.sessions[1])["uuid"]
    erasure = delete(way, SESSION, jane.sessions[1])
    assert (erasure["subject"], erasure["subject_uuid"]) == ("session", uuid)
    assert (erasure["state"], erasure["subject_id"]) == ("deleted", None)
    assert erasure["counts"] == {"users": 0, "sessions": 1, "messages": 2}


def test_deleting_a_message_answers_with_the_erasure(way: Way, jane: SimpleNamespace) -> None:
    session_id, uuid = jane.messages[0]
    erasure = delete(way, MESSAGE, session_id, uuid)
    assert (erasure["subject"], erasure["subject_uuid"]) == ("message", uuid)
    assert (erasure["state"], erasure["subject_id"]) == ("deleted", None)
    assert erasure["counts"] == {"users": 0, "sessions": 0, "messages": 1}


def test_who_has_nothing_is_counted_alone(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    assert delete(way, USER, fresh)["counts"] == {"users": 1, "sessions": 0, "messages": 0}


def test_what_was_deleted_before_is_not_counted_again(way: Way, jane: SimpleNamespace) -> None:
    delete(way, SESSION, jane.sessions[0])
    delete(way, MESSAGE, *jane.messages[1])
    assert delete(way, USER, jane.id)["counts"] == {"users": 1, "sessions": 1, "messages": 1}


def test_thousands_of_messages_are_deleted_and_counted(way: Way, fresh: str) -> None:
    for name in ("a", "b"):
        say(way, f"{name} {fresh}", *["Hello"] * 1000, user_id=fresh)
    append(way, f"b {fresh}", *({"content": "Hello"},) * 500)
    counts = delete(way, USER, fresh)["counts"]
    assert counts == {"users": 1, "sessions": 2, "messages": 2500}
    for name in ("a", "b"):
        assert refusal(way.request("GET", SESSION, f"{name} {fresh}")) == NOT_FOUND


def test_many_sessions_are_deleted_and_counted(way: Way, fresh: str) -> None:
    for number in range(120):
        say(way, f"{number} {fresh}", "Hello", user_id=fresh)
    counts = delete(way, USER, fresh)["counts"]
    assert counts == {"users": 1, "sessions": 120, "messages": 120}
    assert way.request("GET", SESSIONS, params={"user_id": fresh}).json["items"] == []


def test_an_erasure_can_be_read_afterwards(way: Way, deleted: SimpleNamespace) -> None:
    found = way.request("GET", ERASURE, deleted.erasure["id"])
    assert (found.status, found.json) == (200, deleted.erasure)


def test_erasures_are_listed_in_their_order(way: Way, jane: SimpleNamespace) -> None:
    done = [
        delete(way, MESSAGE, *jane.messages[0]),
        delete(way, SESSION, jane.sessions[0]),
        delete(way, USER, jane.id),
    ]
    newest = way.request("GET", ERASURES, params={"order": "-created", "limit": 3})
    assert newest.json["items"] == done[::-1]
    walked = [erasure for page in pages(way, ERASURES, limit=1000) for erasure in page]
    assert walked[-3:] == done


def test_erasures_are_listed_in_pages(way: Way, jane: SimpleNamespace) -> None:
    done = [delete(way, MESSAGE, *message) for message in jane.messages]
    walked = pages(way, ERASURES, order="-created", limit=2)
    assert [*next(walked), *next(walked)][:3] == done[::-1]


def test_an_unknown_erasure_is_not_found(way: Way, jane: SimpleNamespace) -> None:
    for unknown in (jane.uuid, jane.id, "1", "%00"):
        assert refusal(way.request("GET", ERASURE, unknown)) == NOT_FOUND


def test_erasures_name_nobody(way: Way, fresh: str, deleted: SimpleNamespace) -> None:
    newest = {"order": "-created", "limit": 1}
    for answer in (
        way.request("GET", ERASURE, deleted.erasure["id"]),
        way.request("GET", ERASURES, params=newest),
    ):
        assert deleted.uuid in answer.text
        assert fresh not in answer.text


# What is gone.


def test_nothing_of_an_deleted_user_can_be_read(way: Way, deleted: SimpleNamespace) -> None:
    assert refusal(way.request("GET", USER, deleted.id)) == NOT_FOUND
    assert refusal(way.request("GET", SESSIONS_OF_USER, deleted.id)) == NOT_FOUND
    for session_id in deleted.sessions:
        for path in (SESSION, MESSAGES, MEMORY):
            assert refusal(way.request("GET", path, session_id)) == NOT_FOUND
    for session_id, uuid in deleted.messages:
        assert refusal(way.request("GET", MESSAGE, session_id, uuid)) == NOT_FOUND


def test_nothing_of_an_deleted_user_can_be_found(
    way: Way, fresh: str, deleted: SimpleNamespace
) -> None:
    def listed(path: str, **params: Any) -> list[Any]:
        return [row for page in pages(way, path, limit=1000, **params) for row in page]

    assert listed(USERS, email=fresh) == []
    assert listed(USERS, **{"metadata.of": fresh}) == []
    assert listed(SESSIONS, **{"metadata.of": fresh}) == []
    assert listed(SESSIONS, user_id=deleted.id) == []
    assert deleted.uuid not in {user["uuid"] for user in listed(USERS)}
    ids = {session["session_id"] for session in listed(SESSIONS)}
    assert ids.isdisjoint(deleted.sessions)


def test_nothing_of_an_deleted_user_can_be_changed(way: Way, deleted: SimpleNamespace) -> None:
    session_id, uuid = deleted.messages[0]
    requests: list[tuple[str, str, tuple[str, ...], Any]] = [
        ("PATCH", USER, (deleted.id,), {"first_name": "Jane"}),
        ("DELETE", USER, (deleted.id,), None),
        ("PATCH", SESSION, (session_id,), {"metadata": {"a": 1}}),
        ("POST", END, (session_id,), None),
        ("DELETE", SESSION, (session_id,), None),
        ("PATCH", MESSAGE, (session_id, uuid), {"content": "I still live in Oslo"}),
        ("DELETE", MESSAGE, (session_id, uuid), None),
    ]
    for method, path, ids, body in requests:
        refused = way.request(method, path, *ids, json=body)
        assert refusal(refused) == NOT_FOUND, (method, path)


def test_others_keep_what_is_theirs(way: Way, fresh: str, jane: SimpleNamespace) -> None:
    say(way, f"of John {fresh}", "I live in Rome", user_id=f"john {fresh}")
    open_session(way, f"of nobody {fresh}")
    append(way, f"of nobody {fresh}", {"content": "Hello"})
    delete(way, USER, jane.id)
    assert get_user(way, f"john {fresh}")["user_id"] == f"john {fresh}"
    assert contents(way, f"of John {fresh}") == ["I live in Rome"]
    assert contents(way, f"of nobody {fresh}") == ["Hello"]


def test_an_deleted_session_is_gone_and_nothing_else_is(way: Way, jane: SimpleNamespace) -> None:
    gone, stays = jane.sessions
    delete(way, SESSION, gone)
    for path in (SESSION, MESSAGES, MEMORY):
        assert refusal(way.request("GET", path, gone)) == NOT_FOUND
    assert refusal(way.request("GET", MESSAGE, *jane.messages[0])) == NOT_FOUND
    assert refusal(way.request("DELETE", SESSION, gone)) == NOT_FOUND
    listed = way.request("GET", SESSIONS_OF_USER, jane.id).json["items"]
    assert [session["session_id"] for session in listed] == [stays]
    assert contents(way, stays) == ["I live in Oslo"] * 2


def test_an_deleted_message_is_gone_and_nothing_else_is(way: Way, jane: SimpleNamespace) -> None:
    session_id, uuid = jane.messages[1]
    delete(way, MESSAGE, session_id, uuid)
    for method in ("GET", "DELETE"):
        assert refusal(way.request(method, MESSAGE, session_id, uuid)) == NOT_FOUND
    [message] = way.request("GET", MESSAGES, session_id).json["items"]
    assert (message["uuid"], message["seq"]) == (jane.messages[2][1], 2)


def test_a_session_that_was_given_to_a_user_goes_with_them(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    for name in ("patched", "appended"):
        open_session(way, f"{name} {fresh}")
        append(way, f"{name} {fresh}", {"content": "I live in Oslo"})
    way.request("PATCH", SESSION, f"patched {fresh}", json={"user_id": fresh})
    say(way, f"appended {fresh}", "Hello", user_id=fresh)
    assert delete(way, USER, fresh)["counts"] == {"users": 1, "sessions": 2, "messages": 3}
    for name in ("patched", "appended"):
        assert refusal(way.request("GET", SESSION, f"{name} {fresh}")) == NOT_FOUND


def test_an_ended_session_goes_too(way: Way, jane: SimpleNamespace) -> None:
    way.request("POST", END, jane.sessions[0])
    delete(way, USER, jane.id)
    assert refusal(way.request("GET", SESSION, jane.sessions[0])) == NOT_FOUND


# What does not come back by itself.


def test_a_late_append_with_the_user_brings_no_session_back(
    way: Way, deleted: SimpleNamespace
) -> None:
    for session_id in deleted.sessions:
        assert refusal(say(way, session_id, "Hello", user_id=deleted.id)) == GONE
        assert refusal(way.request("GET", SESSION, session_id)) == NOT_FOUND
    assert refusal(way.request("GET", USER, deleted.id)) == NOT_FOUND


def test_a_late_append_without_the_user_is_told_that_the_session_is_gone(
    way: Way, deleted: SimpleNamespace
) -> None:
    for session_id in deleted.sessions:
        assert refusal(say(way, session_id, "I still live in Oslo")) == GONE
        assert refusal(way.request("GET", SESSION, session_id)) == NOT_FOUND


def test_a_late_append_does_not_bring_the_user_back_in_a_new_session(
    way: Way, fresh: str, deleted: SimpleNamespace
) -> None:
    assert refusal(say(way, f"new {fresh}", "Hello", user_id=deleted.id)) == GONE
    assert refusal(way.request("GET", SESSION, f"new {fresh}")) == NOT_FOUND
    assert refusal(way.request("GET", USER, deleted.id)) == NOT_FOUND


def test_a_late_append_does_not_bring_the_user_back_in_a_session_of_nobody(
    way: Way, fresh: str, deleted: SimpleNamespace
) -> None:
    before = open_session(way, fresh)
    assert refusal(say(way, fresh, "Hello", user_id=deleted.id)) == GONE
    assert get_session(way, fresh) == before


def test_an_append_for_somebody_else_does_not_bring_the_session_back(
    way: Way, fresh: str, deleted: SimpleNamespace
) -> None:
    add_user(way, f"john {fresh}")
    for user_id in (f"john {fresh}", f"a stranger {fresh}"):
        assert refusal(say(way, deleted.sessions[0], "Hello", user_id=user_id)) == GONE
    assert refusal(way.request("GET", SESSION, deleted.sessions[0])) == NOT_FOUND
    assert refusal(way.request("GET", USER, f"a stranger {fresh}")) == NOT_FOUND


def test_sessions_are_neither_opened_for_the_deleted_nor_given_to_them(
    way: Way, fresh: str, deleted: SimpleNamespace
) -> None:
    before = open_session(way, fresh)
    owner = {"user_id": deleted.id}
    opened = way.request("POST", SESSIONS, json={"session_id": f"new {fresh}", **owner})
    assert refusal(opened) == (404, "not_found", ["user_id"])
    given = way.request("PATCH", SESSION, fresh, json=owner)
    assert refusal(given) == (404, "not_found", ["user_id"])
    assert get_session(way, fresh) == before


# What begins anew.


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_user_may_be_added_again_on_purpose(
    way: Way, fresh: str, deleted: SimpleNamespace, method: str
) -> None:
    if method == "POST":
        added = way.request("POST", USERS, json={"user_id": deleted.id})
    else:
        added = way.request("PUT", USER, deleted.id, json={})
    assert (added.status, added.json["revision"]) == (201, 1)
    assert added.json["uuid"] != deleted.uuid
    assert way.request("GET", SESSIONS_OF_USER, deleted.id).json["items"] == []
    assert say(way, f"new {fresh}", "Hello", user_id=deleted.id).status == 201


def test_adding_the_user_again_frees_none_of_the_sessions(
    way: Way, deleted: SimpleNamespace
) -> None:
    add_user(way, deleted.id)
    for session_id in deleted.sessions:
        assert refusal(say(way, session_id, "Hello", user_id=deleted.id)) == GONE


def test_a_session_may_be_opened_again_on_purpose(way: Way, deleted: SimpleNamespace) -> None:
    free, marked = deleted.sessions
    session = open_session(way, free)
    assert (session["user_id"], session["message_count"]) == (None, 0)
    append(way, free, {"content": "Hello"})
    assert contents(way, free) == ["Hello"]
    assert refusal(say(way, marked, "Hello", user_id=f"john {deleted.id}")) == GONE


def test_opening_a_session_again_frees_not_the_user(way: Way, deleted: SimpleNamespace) -> None:
    open_session(way, deleted.sessions[0])
    assert refusal(say(way, deleted.sessions[0], "Hello", user_id=deleted.id)) == GONE
    assert refusal(way.request("GET", USER, deleted.id)) == NOT_FOUND


def test_an_id_that_was_freed_stays_free(way: Way, deleted: SimpleNamespace) -> None:
    session_id = deleted.sessions[0]
    open_session(way, session_id)
    delete(way, SESSION, session_id)
    assert say(way, session_id, "Hello", user_id=f"john {deleted.id}").status == 201


def test_who_was_added_again_can_be_deleted_again(way: Way, deleted: SimpleNamespace) -> None:
    uuid = add_user(way, deleted.id)["uuid"]
    again = delete(way, USER, deleted.id)
    assert (again["subject_uuid"], again["counts"]["users"]) == (uuid, 1)
    assert again["id"] != deleted.erasure["id"]
    assert refusal(say(way, f"new {deleted.id}", "Hello", user_id=deleted.id)) == GONE


def test_a_session_that_was_deleted_alone_may_come_back_by_an_append(
    way: Way, jane: SimpleNamespace
) -> None:
    session_id = jane.sessions[1]
    uuid = get_session(way, session_id)["uuid"]
    delete(way, SESSION, session_id)
    assert refusal(say(way, session_id, "Hello")) == NOT_FOUND
    appended = say(way, session_id, "Hello", user_id=jane.id)
    assert (appended.status, appended.json["messages"][0]["seq"]) == (201, 1)
    session = get_session(way, session_id)
    assert (session["user_id"], session["message_count"]) == (jane.id, 1)
    assert session["uuid"] != uuid


def test_a_session_that_was_deleted_alone_may_come_back_for_somebody_else(
    way: Way, fresh: str, jane: SimpleNamespace
) -> None:
    delete(way, SESSION, jane.sessions[0])
    assert say(way, jane.sessions[0], "Hello", user_id=f"john {fresh}").status == 201
    delete(way, USER, jane.id)
    assert contents(way, jane.sessions[0]) == ["Hello"]
