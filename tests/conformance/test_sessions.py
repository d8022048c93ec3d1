"""Sessions."""

from typing import Any

import pytest

from tests.conformance.steps import (
    END,
    MEMORY,
    MESSAGES,
    NOT_FOUND,
    REOPEN,
    SESSION,
    SESSIONS,
    SESSIONS_OF_USER,
    USER,
    UUID7,
    add_user,
    append,
    append_text,
    contents,
    delete,
    error_of,
    get_session,
    get_user,
    invalid,
    moment,
    open_session,
)
from tests.ways import Way


def test_a_session_is_opened_and_read_back(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    fields = {"session_id": fresh, "user_id": fresh, "metadata": {"topic": {"name": "ships"}}}
    opened = way.request("POST", SESSIONS, json=fields)
    assert opened.status == 201
    assert {field: opened.json[field] for field in fields} == fields
    assert opened.json["revision"] == 1
    assert get_session(way, fresh) == opened.json


def test_a_new_session_is_empty_and_has_not_ended(way: Way, fresh: str) -> None:
    session = open_session(way, fresh)
    assert (session["message_count"], session["ended_at"]) == (0, None)
    assert way.request("GET", MESSAGES, fresh).json == {"items": [], "next": None}


def test_owner_and_metadata_of_a_session_are_optional(way: Way, fresh: str) -> None:
    session = open_session(way, fresh)
    assert (session["user_id"], session["metadata"]) == (None, None)


def test_a_new_session_has_a_uuid_and_timestamps(way: Way, fresh: str) -> None:
    session = open_session(way, fresh)
    assert UUID7.fullmatch(session["uuid"])
    assert moment(session["updated_at"]) == moment(session["created_at"])


def test_a_response_has_exactly_the_documented_fields(way: Way, fresh: str) -> None:
    assert set(open_session(way, fresh)) == {
        "session_id",
        "uuid",
        "user_id",
        "title",
        "metadata",
        "message_count",
        "ended_at",
        "active_at",
        "do_not_embed",
        "revision",
        "created_at",
        "updated_at",
    }


@pytest.mark.parametrize("body", [{}, {"session_id": None}], ids=["absent", "null"])
def test_a_session_id_is_generated_if_none_is_given(way: Way, body: dict[str, Any]) -> None:
    one, other = (way.request("POST", SESSIONS, json=body).json for _ in range(2))
    assert one["session_id"] != other["session_id"]
    assert get_session(way, one["session_id"]) == one


def test_a_session_id_is_unique(way: Way, fresh: str) -> None:
    opened = open_session(way, fresh, metadata={"a": 1})
    again = way.request("POST", SESSIONS, json={"session_id": fresh})
    assert error_of(again) == (409, "already_exists", ["session_id"])
    assert get_session(way, fresh) == opened


def test_a_session_is_not_opened_for_an_unknown_user(way: Way, fresh: str) -> None:
    rejected = way.request("POST", SESSIONS, json={"session_id": fresh, "user_id": fresh})
    assert error_of(rejected) == (404, "not_found", ["user_id"])
    assert error_of(way.request("GET", SESSION, fresh)) == NOT_FOUND
    assert error_of(way.request("GET", USER, fresh)) == NOT_FOUND


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", SESSION, None),
        ("PATCH", SESSION, {}),
        ("DELETE", SESSION, None),
        ("POST", END, None),
        ("POST", REOPEN, None),
        ("GET", MESSAGES, None),
        ("POST", MESSAGES, {"messages": [{"role": "user", "content": "Hello"}]}),
        ("GET", MEMORY, None),
    ],
    ids=["read", "change", "delete", "end", "reopen", "messages", "append", "memory"],
)
def test_an_unknown_session_is_not_found(
    way: Way, fresh: str, method: str, path: str, body: Any
) -> None:
    assert error_of(way.request(method, path, fresh, json=body)) == NOT_FOUND


def test_the_owner_of_an_unowned_session_can_be_set(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    before = open_session(way, fresh)
    changed = way.request("PATCH", SESSION, fresh, json={"user_id": fresh})
    assert (changed.status, changed.json["user_id"]) == (200, fresh)
    assert changed.json["revision"] == 2
    assert moment(changed.json["updated_at"]) > moment(before["updated_at"])
    assert get_session(way, fresh) == changed.json
    assert way.request("GET", SESSIONS_OF_USER, fresh).json["items"] == [changed.json]


def test_setting_the_same_owner_again_is_accepted(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    open_session(way, fresh, user_id=fresh)
    named = way.request("PATCH", SESSION, fresh, json={"user_id": fresh})
    assert (named.status, named.json["user_id"]) == (200, fresh)


def test_the_owner_cannot_be_changed(way: Way, fresh: str) -> None:
    for user in ("jane", "john"):
        add_user(way, f"{user} {fresh}")
    before = open_session(way, fresh, user_id=f"jane {fresh}")
    rejected = way.request("PATCH", SESSION, fresh, json={"user_id": f"john {fresh}"})
    assert error_of(rejected) == NOT_FOUND
    assert get_session(way, fresh) == before


def test_the_owner_cannot_be_removed(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    before = open_session(way, fresh, user_id=fresh)
    rejected = way.request("PATCH", SESSION, fresh, json={"user_id": None})
    assert error_of(rejected) == invalid("user_id")
    assert get_session(way, fresh) == before


def test_an_unknown_user_cannot_become_the_owner(way: Way, fresh: str) -> None:
    before = open_session(way, fresh)
    rejected = way.request("PATCH", SESSION, fresh, json={"user_id": fresh})
    assert error_of(rejected) == (404, "not_found", ["user_id"])
    assert get_session(way, fresh) == before


def test_a_patch_that_sets_what_is_there_changes_nothing(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    fields = {"user_id": fresh, "title": "Shoes", "metadata": {"a": [1]}}
    session = open_session(way, fresh, ended_at="2020-01-01T00:00:00Z", **fields)
    changes: list[dict[str, Any]] = [fields, {}, {"ended_at": session["ended_at"]}]
    for change in changes:
        assert way.request("PATCH", "/v1/sessions/{}", fresh, json=change).json == session
    body = {"title": "Boots"}
    assert way.request("PATCH", "/v1/sessions/{}", fresh, json=body).json["revision"] == 2


def test_an_empty_patch_does_not_change_the_revision(way: Way, fresh: str) -> None:
    open_session(way, fresh, metadata={"a": 1})
    changed = way.request("PATCH", SESSION, fresh, json={})
    assert (changed.status, changed.json["revision"]) == (200, 1)
    assert changed.json["metadata"] == {"a": 1}


def test_an_append_changes_updated_at_but_not_the_revision(way: Way, fresh: str) -> None:
    before = open_session(way, fresh)
    append(way, fresh, {"role": "user", "content": "Hello"})
    after = get_session(way, fresh)
    assert after["revision"] == before["revision"]
    assert moment(after["updated_at"]) > moment(before["updated_at"])


@pytest.mark.wire("fields that no method has")
@pytest.mark.parametrize(
    "field", ["session_id", "uuid", "active_at", "message_count", "revision", "created_at"]
)
def test_read_only_fields_are_rejected(way: Way, fresh: str, field: str) -> None:
    before = open_session(way, fresh)
    assert error_of(way.request("PATCH", SESSION, fresh, json={field: 5})) == invalid(field)
    assert get_session(way, fresh) == before


def test_a_session_is_ended(way: Way, fresh: str) -> None:
    open_session(way, fresh, metadata={"a": 1})
    ended = way.request("POST", END, fresh)
    assert (ended.status, ended.json["revision"]) == (200, 2)
    assert moment(ended.json["ended_at"]) == moment(ended.json["updated_at"])
    assert ended.json["metadata"] == {"a": 1}
    assert get_session(way, fresh) == ended.json


def test_ending_a_session_again_changes_nothing(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    ended = way.request("POST", END, fresh)
    again = way.request("POST", END, fresh)
    assert (again.status, again.json) == (200, ended.json)


@pytest.mark.parametrize("named", [False, True], ids=["without_user_id", "with_user_id"])
def test_nothing_is_appended_to_an_ended_session(way: Way, fresh: str, named: bool) -> None:
    add_user(way, fresh)
    open_session(way, fresh, user_id=fresh)
    append(way, fresh, {"role": "user", "content": "Hello"})
    ended = way.request("POST", END, fresh)
    owner = {"user_id": fresh} if named else {}
    assert error_of(append_text(way, fresh, "Too late", **owner)) == (409, "conflict", [])
    assert contents(way, fresh) == ["Hello"]
    assert get_session(way, fresh) == ended.json


def test_a_session_that_is_reopened_takes_messages_again(way: Way, fresh: str) -> None:
    open_session(way, fresh, metadata={"a": 1})
    way.request("POST", END, fresh)
    reopened = way.request("POST", REOPEN, fresh)
    assert (reopened.status, reopened.json["revision"]) == (200, 3)
    assert (reopened.json["ended_at"], reopened.json["metadata"]) == (None, {"a": 1})
    append(way, fresh, {"content": "Hello"})
    assert contents(way, fresh) == ["Hello"]


def test_reopening_a_session_that_has_not_ended_changes_nothing(way: Way, fresh: str) -> None:
    opened = open_session(way, fresh)
    reopened = way.request("POST", REOPEN, fresh)
    assert (reopened.status, reopened.json) == (200, opened)


def test_an_ended_session_can_still_be_read_changed_and_deleted(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    append(way, fresh, {"role": "user", "content": "Hello"})
    way.request("POST", END, fresh)
    changed = way.request("PATCH", SESSION, fresh, json={"metadata": {"rating": 5}})
    assert (changed.status, changed.json["metadata"]) == (200, {"rating": 5})
    assert changed.json["ended_at"] is not None
    assert contents(way, fresh) == ["Hello"]
    assert delete(way, SESSION, fresh)["counts"]["messages"] == 1


def test_a_session_opened_again_is_a_new_session(way: Way, fresh: str) -> None:
    former = open_session(way, fresh, metadata={"a": 1})
    append(way, fresh, {"role": "user", "content": "Hello"})
    delete(way, SESSION, fresh)
    latter = open_session(way, fresh)
    assert latter["uuid"] != former["uuid"]
    assert (latter["metadata"], latter["message_count"]) == (None, 0)
    assert append(way, fresh, {"content": "Hello again"})[0]["seq"] == 1


def test_deleting_a_session_keeps_a_user_with_the_same_id(way: Way, fresh: str) -> None:
    user = add_user(way, fresh)
    open_session(way, fresh)
    delete(way, SESSION, fresh)
    assert get_user(way, fresh) == user


BAD_FIELDS: dict[str, tuple[str, Any]] = {
    "session_id_as_a_number": ("session_id", 5),
    "session_id_as_a_list": ("session_id", []),
    "user_id_as_a_number": ("user_id", 5),
    "user_id_as_an_object": ("user_id", {}),
    "title_as_a_number": ("title", 5),
    "title_too_long": ("title", "x" * 513),
    "title_with_nul": ("title", "a\0"),
    "ended_at_as_text": ("ended_at", "yesterday"),
    "ended_at_in_the_future": ("ended_at", "9000-01-01T00:00:00Z"),
    "metadata_as_a_list": ("metadata", []),
    "metadata_as_text": ("metadata", "{}"),
}


NAMED = {name: invalid(field) for name, (field, _) in BAD_FIELDS.items()}


def test_an_invalid_field_of_a_new_session_is_named(way: Way, fresh: str) -> None:
    rejected = {
        name: error_of(way.request("POST", SESSIONS, json={"session_id": fresh, field: value}))
        for name, (field, value) in BAD_FIELDS.items()
    }
    assert rejected == NAMED
    assert error_of(way.request("GET", SESSION, fresh)) == NOT_FOUND


def test_an_invalid_field_of_a_change_is_named(way: Way, fresh: str) -> None:
    before = open_session(way, fresh)
    bad = {name: field for name, field in BAD_FIELDS.items() if field[0] != "session_id"}
    rejected = {
        name: error_of(way.request("PATCH", SESSION, fresh, json={field: value}))
        for name, (field, value) in bad.items()
    }
    assert rejected == {name: NAMED[name] for name in bad}
    assert get_session(way, fresh) == before


@pytest.mark.wire("fields that no method has")
@pytest.mark.parametrize("field", ["summary", "message_count"])
def test_an_unknown_field_is_named(way: Way, fresh: str, field: str) -> None:
    rejected = way.request("POST", SESSIONS, json={"session_id": fresh, field: 5})
    assert error_of(rejected) == invalid(field)
    before = open_session(way, fresh)
    assert error_of(way.request("PATCH", SESSION, fresh, json={field: 5})) == invalid(field)
    assert get_session(way, fresh) == before
