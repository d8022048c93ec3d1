"""Erasures: deleted data is gone, and in-flight writes do not recreate it."""

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
    append_text,
    contents,
    delete,
    error_of,
    get_session,
    get_user,
    moment,
    open_session,
    pages,
)
from tests.ways import Way


@pytest.fixture
def jane(way: Way, fresh: str) -> SimpleNamespace:
    """A user with two sessions and three messages; metadata and e-mail are unique to the test."""
    name, mark = f"jane {fresh}", {"of": fresh}
    jane = SimpleNamespace(id=name, sessions=[f"{name} 1", f"{name} 2"], messages=[])
    jane.uuid = add_user(way, name, email=fresh, metadata=mark)["uuid"]
    for session_id, count in zip(jane.sessions, (1, 2), strict=True):
        open_session(way, session_id, user_id=name, metadata=mark)
        for message in append(
            way, session_id, *({"role": "user", "content": "I live in Oslo"},) * count
        ):
            jane.messages.append((session_id, message["id"]))
    return jane


@pytest.fixture
def deleted(way: Way, jane: SimpleNamespace) -> SimpleNamespace:
    """Jane after she was deleted: her former ids, and the erasure."""
    jane.erasure = delete(way, USER, jane.id)
    return jane


# Erasures.


def test_deleting_a_user_returns_the_erasure(way: Way, jane: SimpleNamespace) -> None:
    erasure = delete(way, USER, jane.id)
    assert UUID7.fullmatch(erasure.pop("id"))
    assert moment(erasure.pop("deleted_at")) >= moment(erasure.pop("started_at"))
    assert erasure == {
        "subject": "user",
        "subject_id": None,
        "subject_uuid": jane.uuid,
        "state": "deleted",
        "counts": {"users": 1, "sessions": 2, "messages": 3, "documents": 0},
        "purged_at": None,
        "purge": NOT_BEGUN,
    }


def test_deleting_a_session_returns_the_erasure(way: Way, jane: SimpleNamespace) -> None:
    uuid = get_session(way, jane.sessions[1])["uuid"]
    erasure = delete(way, SESSION, jane.sessions[1])
    assert (erasure["subject"], erasure["subject_uuid"]) == ("session", uuid)
    assert (erasure["state"], erasure["subject_id"]) == ("deleted", None)
    assert erasure["counts"] == {"users": 0, "sessions": 1, "messages": 2, "documents": 0}


def test_deleting_a_message_returns_the_erasure(way: Way, jane: SimpleNamespace) -> None:
    session_id, uuid = jane.messages[0]
    erasure = delete(way, MESSAGE, session_id, uuid)
    assert (erasure["subject"], erasure["subject_uuid"]) == ("message", uuid)
    assert (erasure["state"], erasure["subject_id"]) == ("deleted", None)
    assert erasure["counts"] == {"users": 0, "sessions": 0, "messages": 1, "documents": 0}


def test_a_user_without_sessions_counts_as_one_user(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    assert delete(way, USER, fresh)["counts"] == {
        "users": 1,
        "sessions": 0,
        "messages": 0,
        "documents": 0,
    }


def test_data_deleted_earlier_is_not_counted_again(way: Way, jane: SimpleNamespace) -> None:
    delete(way, SESSION, jane.sessions[0])
    delete(way, MESSAGE, *jane.messages[1])
    assert delete(way, USER, jane.id)["counts"] == {
        "users": 1,
        "sessions": 1,
        "messages": 1,
        "documents": 0,
    }


def test_thousands_of_messages_are_deleted_and_counted(way: Way, fresh: str) -> None:
    for name in ("a", "b"):
        append_text(way, f"{name} {fresh}", *["Hello"] * 1000, user_id=fresh)
    append(way, f"b {fresh}", *({"role": "user", "content": "Hello"},) * 500)
    counts = delete(way, USER, fresh)["counts"]
    assert counts == {"users": 1, "sessions": 2, "messages": 2500, "documents": 0}
    for name in ("a", "b"):
        assert error_of(way.request("GET", SESSION, f"{name} {fresh}")) == NOT_FOUND


def test_many_sessions_are_deleted_and_counted(way: Way, fresh: str) -> None:
    for number in range(120):
        append_text(way, f"{number} {fresh}", "Hello", user_id=fresh)
    counts = delete(way, USER, fresh)["counts"]
    assert counts == {"users": 1, "sessions": 120, "messages": 120, "documents": 0}
    assert way.request("GET", SESSIONS, params={"user_id": fresh}).json["items"] == []


def test_an_erasure_can_be_read(way: Way, deleted: SimpleNamespace) -> None:
    found = way.request("GET", ERASURE, deleted.erasure["id"])
    assert (found.status, found.json) == (200, deleted.erasure)


def test_erasures_are_listed_in_order(way: Way, jane: SimpleNamespace) -> None:
    done = [
        delete(way, MESSAGE, *jane.messages[0]),
        delete(way, SESSION, jane.sessions[0]),
        delete(way, USER, jane.id),
    ]
    newest = way.request("GET", ERASURES, params={"order": "-created", "limit": 3})
    assert newest.json["items"] == done[::-1]
    listed = [erasure for page in pages(way, ERASURES, limit=1000) for erasure in page]
    assert listed[-3:] == done


def test_erasures_are_listed_in_pages(way: Way, jane: SimpleNamespace) -> None:
    done = [delete(way, MESSAGE, *message) for message in jane.messages]
    listed = pages(way, ERASURES, order="-created", limit=2)
    assert [*next(listed), *next(listed)][:3] == done[::-1]


def test_an_unknown_erasure_is_not_found(way: Way, jane: SimpleNamespace) -> None:
    for unknown in (jane.uuid, jane.id, "1", "%00"):
        assert error_of(way.request("GET", ERASURE, unknown)) == NOT_FOUND


def test_erasures_do_not_contain_deleted_ids(
    way: Way, fresh: str, deleted: SimpleNamespace
) -> None:
    newest = {"order": "-created", "limit": 1}
    for reply in (
        way.request("GET", ERASURE, deleted.erasure["id"]),
        way.request("GET", ERASURES, params=newest),
    ):
        assert deleted.uuid in reply.text
        assert fresh not in reply.text


# Deleted data.


def test_nothing_of_a_deleted_user_can_be_read(way: Way, deleted: SimpleNamespace) -> None:
    assert error_of(way.request("GET", USER, deleted.id)) == NOT_FOUND
    assert error_of(way.request("GET", SESSIONS_OF_USER, deleted.id)) == NOT_FOUND
    for session_id in deleted.sessions:
        for path in (SESSION, MESSAGES, MEMORY):
            assert error_of(way.request("GET", path, session_id)) == NOT_FOUND
    for session_id, uuid in deleted.messages:
        assert error_of(way.request("GET", MESSAGE, session_id, uuid)) == NOT_FOUND


def test_nothing_of_a_deleted_user_is_listed(
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


def test_nothing_of_a_deleted_user_can_be_changed(way: Way, deleted: SimpleNamespace) -> None:
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
        rejected = way.request(method, path, *ids, json=body)
        assert error_of(rejected) == NOT_FOUND, (method, path)


def test_data_of_other_users_is_kept(way: Way, fresh: str, jane: SimpleNamespace) -> None:
    append_text(way, f"of John {fresh}", "I live in Rome", user_id=f"john {fresh}")
    open_session(way, f"unowned {fresh}")
    append(way, f"unowned {fresh}", {"role": "user", "content": "Hello"})
    delete(way, USER, jane.id)
    assert get_user(way, f"john {fresh}")["user_id"] == f"john {fresh}"
    assert contents(way, f"of John {fresh}") == ["I live in Rome"]
    assert contents(way, f"unowned {fresh}") == ["Hello"]


def test_only_the_deleted_session_is_gone(way: Way, jane: SimpleNamespace) -> None:
    gone, stays = jane.sessions
    delete(way, SESSION, gone)
    for path in (SESSION, MESSAGES, MEMORY):
        assert error_of(way.request("GET", path, gone)) == NOT_FOUND
    assert error_of(way.request("GET", MESSAGE, *jane.messages[0])) == NOT_FOUND
    assert error_of(way.request("DELETE", SESSION, gone)) == NOT_FOUND
    listed = way.request("GET", SESSIONS_OF_USER, jane.id).json["items"]
    assert [session["session_id"] for session in listed] == [stays]
    assert contents(way, stays) == ["I live in Oslo"] * 2


def test_only_the_deleted_message_is_gone(way: Way, jane: SimpleNamespace) -> None:
    session_id, uuid = jane.messages[1]
    delete(way, MESSAGE, session_id, uuid)
    for method in ("GET", "DELETE"):
        assert error_of(way.request(method, MESSAGE, session_id, uuid)) == NOT_FOUND
    [message] = way.request("GET", MESSAGES, session_id).json["items"]
    assert (message["id"], message["seq"]) == (jane.messages[2][1], 2)


def test_a_session_whose_owner_was_set_later_is_deleted_with_the_user(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    for name in ("patched", "appended"):
        open_session(way, f"{name} {fresh}")
        append(way, f"{name} {fresh}", {"role": "user", "content": "I live in Oslo"})
    way.request("PATCH", SESSION, f"patched {fresh}", json={"user_id": fresh})
    append_text(way, f"appended {fresh}", "Hello", user_id=fresh)
    assert delete(way, USER, fresh)["counts"] == {
        "users": 1,
        "sessions": 2,
        "messages": 3,
        "documents": 0,
    }
    for name in ("patched", "appended"):
        assert error_of(way.request("GET", SESSION, f"{name} {fresh}")) == NOT_FOUND


@pytest.mark.wire("no method imports")
def test_an_import_does_not_restore_a_session_whose_owner_was_set_later(
    way: Way, fresh: str
) -> None:
    add_user(way, fresh)
    uuids = [open_session(way, f"{name} {fresh}")["uuid"] for name in ("patched", "appended")]
    way.request("PATCH", SESSION, f"patched {fresh}", json={"user_id": fresh})
    append_text(way, f"appended {fresh}", "Hello", user_id=fresh)
    delete(way, USER, fresh)
    for uuid in uuids:
        # Under another id, as if the time of the tombstones were over.
        body = {"session_id": f"imported {fresh}", "uuid": uuid, "messages": []}
        assert error_of(way.request("PUT", "/v1/import/sessions", json=body)) == GONE


def test_an_ended_session_is_deleted_with_the_user(way: Way, jane: SimpleNamespace) -> None:
    way.request("POST", END, jane.sessions[0])
    delete(way, USER, jane.id)
    assert error_of(way.request("GET", SESSION, jane.sessions[0])) == NOT_FOUND


# In-flight writes do not recreate deleted data.


def test_a_late_append_with_the_user_does_not_recreate_a_session(
    way: Way, deleted: SimpleNamespace
) -> None:
    for session_id in deleted.sessions:
        assert error_of(append_text(way, session_id, "Hello", user_id=deleted.id)) == GONE
        assert error_of(way.request("GET", SESSION, session_id)) == NOT_FOUND
    assert error_of(way.request("GET", USER, deleted.id)) == NOT_FOUND


def test_a_late_append_without_the_user_returns_410(way: Way, deleted: SimpleNamespace) -> None:
    for session_id in deleted.sessions:
        assert error_of(append_text(way, session_id, "I still live in Oslo")) == GONE
        assert error_of(way.request("GET", SESSION, session_id)) == NOT_FOUND


def test_a_late_append_to_a_new_session_does_not_recreate_the_user(
    way: Way, fresh: str, deleted: SimpleNamespace
) -> None:
    assert error_of(append_text(way, f"new {fresh}", "Hello", user_id=deleted.id)) == GONE
    assert error_of(way.request("GET", SESSION, f"new {fresh}")) == NOT_FOUND
    assert error_of(way.request("GET", USER, deleted.id)) == NOT_FOUND


def test_a_late_append_to_an_unowned_session_does_not_recreate_the_user(
    way: Way, fresh: str, deleted: SimpleNamespace
) -> None:
    before = open_session(way, fresh)
    assert error_of(append_text(way, fresh, "Hello", user_id=deleted.id)) == GONE
    assert get_session(way, fresh) == before


def test_an_append_for_another_user_does_not_recreate_the_session(
    way: Way, fresh: str, deleted: SimpleNamespace
) -> None:
    add_user(way, f"john {fresh}")
    for user_id in (f"john {fresh}", f"a stranger {fresh}"):
        assert error_of(append_text(way, deleted.sessions[0], "Hello", user_id=user_id)) == GONE
    assert error_of(way.request("GET", SESSION, deleted.sessions[0])) == NOT_FOUND
    assert error_of(way.request("GET", USER, f"a stranger {fresh}")) == NOT_FOUND


def test_a_deleted_user_cannot_become_the_owner_of_a_session(
    way: Way, fresh: str, deleted: SimpleNamespace
) -> None:
    before = open_session(way, fresh)
    owner = {"user_id": deleted.id}
    opened = way.request("POST", SESSIONS, json={"session_id": f"new {fresh}", **owner})
    assert error_of(opened) == (404, "not_found", ["user_id"])
    given = way.request("PATCH", SESSION, fresh, json=owner)
    assert error_of(given) == (404, "not_found", ["user_id"])
    assert get_session(way, fresh) == before


# Reused ids.


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_deleted_user_can_be_added_again_explicitly(
    way: Way, fresh: str, deleted: SimpleNamespace, method: str
) -> None:
    if method == "POST":
        added = way.request("POST", USERS, json={"user_id": deleted.id})
    else:
        added = way.request("PUT", USER, deleted.id, json={})
    assert (added.status, added.json["revision"]) == (201, 1)
    assert added.json["uuid"] != deleted.uuid
    assert way.request("GET", SESSIONS_OF_USER, deleted.id).json["items"] == []
    assert append_text(way, f"new {fresh}", "Hello", user_id=deleted.id).status == 201


def test_adding_the_user_again_does_not_free_the_session_ids(
    way: Way, deleted: SimpleNamespace
) -> None:
    add_user(way, deleted.id)
    for session_id in deleted.sessions:
        assert error_of(append_text(way, session_id, "Hello", user_id=deleted.id)) == GONE


def test_a_deleted_session_can_be_opened_again_explicitly(
    way: Way, deleted: SimpleNamespace
) -> None:
    free, marked = deleted.sessions
    session = open_session(way, free)
    assert (session["user_id"], session["message_count"]) == (None, 0)
    append(way, free, {"role": "user", "content": "Hello"})
    assert contents(way, free) == ["Hello"]
    assert error_of(append_text(way, marked, "Hello", user_id=f"john {deleted.id}")) == GONE


def test_opening_a_session_again_does_not_free_the_user_id(
    way: Way, deleted: SimpleNamespace
) -> None:
    open_session(way, deleted.sessions[0])
    assert error_of(append_text(way, deleted.sessions[0], "Hello", user_id=deleted.id)) == GONE
    assert error_of(way.request("GET", USER, deleted.id)) == NOT_FOUND


def test_an_id_that_was_reused_and_deleted_again_is_not_free(
    way: Way, deleted: SimpleNamespace
) -> None:
    session_id = deleted.sessions[0]
    open_session(way, session_id)
    delete(way, SESSION, session_id)
    assert error_of(append_text(way, session_id, "Hi", user_id=f"john {deleted.id}")) == GONE


def test_a_user_added_again_can_be_deleted_again(way: Way, deleted: SimpleNamespace) -> None:
    uuid = add_user(way, deleted.id)["uuid"]
    again = delete(way, USER, deleted.id)
    assert (again["subject_uuid"], again["counts"]["users"]) == (uuid, 1)
    assert again["id"] != deleted.erasure["id"]
    assert error_of(append_text(way, f"new {deleted.id}", "Hello", user_id=deleted.id)) == GONE


def test_an_append_for_another_user_does_not_recreate_a_deleted_session(
    way: Way, fresh: str, jane: SimpleNamespace
) -> None:
    delete(way, SESSION, jane.sessions[0])
    late = append_text(way, jane.sessions[0], "Hello", user_id=f"john {fresh}")
    assert error_of(late) == GONE
    assert error_of(way.request("GET", USER, f"john {fresh}")) == NOT_FOUND
