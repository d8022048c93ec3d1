"""Users."""

from typing import Any

import pytest

from tests.conformance.steps import (
    NOT_FOUND,
    SESSIONS_OF_USER,
    USER,
    USERS,
    UUID7,
    add_user,
    delete,
    error_of,
    get_user,
    invalid,
    moment,
    open_session,
    raw,
)
from tests.ways import Way

JANE = {
    "email": "Jane@Example.com",
    "first_name": "Jane",
    "last_name": "Smith",
    "metadata": {"plan": {"name": "free"}},
}
NO_FIELDS = {"email": None, "first_name": None, "last_name": None, "metadata": None}


def fields_of(user: Any) -> dict[str, Any]:
    return {field: user[field] for field in JANE}


def test_a_user_is_added_and_read_back(way: Way, fresh: str) -> None:
    added = way.request("POST", USERS, json={"user_id": fresh, **JANE})
    assert added.status == 201
    assert (added.json["user_id"], fields_of(added.json)) == (fresh, JANE)
    assert added.json["revision"] == 1
    assert way.request("GET", USER, fresh).json == added.json


def test_only_the_id_of_a_user_is_required(way: Way, fresh: str) -> None:
    assert fields_of(add_user(way, fresh)) == NO_FIELDS
    assert fields_of(get_user(way, fresh)) == NO_FIELDS


def test_a_new_user_has_a_uuid_and_timestamps(way: Way, fresh: str) -> None:
    user = add_user(way, fresh)
    assert UUID7.fullmatch(user["uuid"])
    assert moment(user["updated_at"]) == moment(user["created_at"])


def test_a_response_has_exactly_the_documented_fields(way: Way, fresh: str) -> None:
    generated = {"user_id", "uuid", "revision", "created_at", "updated_at", "do_not_embed"}
    assert set(add_user(way, fresh)) == generated | set(JANE)


def test_a_user_id_is_unique(way: Way, fresh: str) -> None:
    added = add_user(way, fresh, **JANE)
    again = way.request("POST", USERS, json={"user_id": fresh})
    assert error_of(again) == (409, "already_exists", ["user_id"])
    assert get_user(way, fresh) == added


@pytest.mark.wire("a method cannot be called without it")
def test_the_id_of_a_user_is_required(way: Way) -> None:
    assert error_of(way.request("POST", USERS, json=JANE)) == invalid("user_id")


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PATCH", {}), ("DELETE", None)])
def test_an_unknown_user_is_not_found(
    way: Way, fresh: str, method: str, body: dict[str, Any] | None
) -> None:
    assert error_of(way.request(method, USER, fresh, json=body)) == NOT_FOUND


def test_the_sessions_of_an_unknown_user_are_not_found(way: Way, fresh: str) -> None:
    assert error_of(way.request("GET", SESSIONS_OF_USER, fresh)) == NOT_FOUND


def test_put_creates_a_user(way: Way, fresh: str) -> None:
    created = way.request("PUT", USER, fresh, json=JANE)
    assert (created.status, fields_of(created.json), created.json["revision"]) == (201, JANE, 1)
    assert get_user(way, fresh) == created.json


def test_put_replaces_all_fields(way: Way, fresh: str) -> None:
    before = add_user(way, fresh, **JANE)
    replaced = way.request("PUT", USER, fresh, json={"first_name": "Joan"})
    assert (replaced.status, replaced.json["revision"]) == (200, 2)
    assert fields_of(replaced.json) == {**NO_FIELDS, "first_name": "Joan"}
    assert get_user(way, fresh) == replaced.json
    assert moment(replaced.json["updated_at"]) > moment(before["updated_at"])
    for stays in ("user_id", "uuid", "created_at"):
        assert replaced.json[stays] == before[stays]


def test_patch_changes_only_the_given_fields(way: Way, fresh: str) -> None:
    before = add_user(way, fresh, **JANE)
    change = {"last_name": "Doe", "email": "doe@example.com"}
    changed = way.request("PATCH", USER, fresh, json=change)
    assert (changed.status, changed.json["revision"]) == (200, 2)
    assert fields_of(changed.json) == {**JANE, **change}
    assert get_user(way, fresh) == changed.json
    assert moment(changed.json["updated_at"]) > moment(before["updated_at"])
    for stays in ("user_id", "uuid", "created_at"):
        assert changed.json[stays] == before[stays]


@pytest.mark.parametrize("field", list(JANE))
def test_patch_with_null_clears_a_field(way: Way, fresh: str, field: str) -> None:
    add_user(way, fresh, **JANE)
    changed = way.request("PATCH", USER, fresh, json={field: None})
    assert fields_of(changed.json) == {**JANE, field: None}
    assert get_user(way, fresh) == changed.json


def test_a_patch_that_sets_what_is_there_changes_nothing(way: Way, fresh: str) -> None:
    metadata = {"plan": "pro", "seen": [{"a": 1, "b": True}]}
    fields = {"email": "j@example.com", "first_name": "Jane", "metadata": metadata}
    user = add_user(way, fresh, **fields)
    same = {"metadata": {"seen": [{"b": True, "a": 1}], "absent": None}}
    changes: list[dict[str, Any]] = [fields, {}, {"last_name": None}, {"metadata": {}}, same]
    for change in changes:
        assert way.request("PATCH", "/v1/users/{}", fresh, json=change).json == user
    for changed, revision in (({"plan": "free"}, 2), ({"seen": [{"a": 1.5, "b": True}]}, 3)):
        body = {"metadata": changed}
        after = way.request("PATCH", "/v1/users/{}", fresh, json=body).json
        assert after["revision"] == revision
        assert after["updated_at"] > user["updated_at"]


def test_an_empty_patch_does_not_change_the_revision(way: Way, fresh: str) -> None:
    add_user(way, fresh, **JANE)
    changed = way.request("PATCH", USER, fresh, json={})
    assert (changed.status, changed.json["revision"], fields_of(changed.json)) == (200, 1, JANE)


@pytest.mark.wire("fields that no method has")
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("field", ["user_id", "uuid", "revision", "created_at"])
def test_read_only_fields_are_rejected(way: Way, fresh: str, method: str, field: str) -> None:
    before = add_user(way, fresh)
    assert error_of(way.request(method, USER, fresh, json={field: "x"})) == invalid(field)
    assert get_user(way, fresh) == before


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "x" * 512,
        "é" * 512,
        "😀" * 512,
        "two\nlines\tand a tab",
        'O\'Hara \\ "x" %_',
        "null",
    ],
    ids=["empty", "space", "longest", "longest_accents", "longest_emoji", "lines", "signs", "null"],
)
def test_a_name_can_be_any_text(way: Way, fresh: str, name: str) -> None:
    fields = {"email": name, "first_name": name, "last_name": name}
    user = add_user(way, fresh, **fields)
    assert {field: user[field] for field in fields} == fields
    assert get_user(way, fresh) == user


BAD_FIELDS: dict[str, tuple[str, Any]] = {
    "a_number": ("email", 5),
    "a_list": ("email", ["jane@example.com"]),
    "true": ("first_name", True),
    "an_object": ("last_name", {}),
    "too_long": ("email", "x" * 513),
    "too_long_emoji": ("first_name", "😀" * 513),
    "nul": ("last_name", "a\0b"),
    "half_a_pair": ("first_name", "a\ud800b"),
    "other_half_of_a_pair": ("email", "\udc00"),
    "metadata_as_a_list": ("metadata", []),
    "metadata_as_text": ("metadata", "{}"),
    "metadata_as_a_number": ("metadata", 5),
}
UNKNOWN_FIELDS = {"nickname": "J", "Email": "jane@example.com"}


NAMED = {name: invalid(field) for name, (field, _) in BAD_FIELDS.items()}


def test_an_invalid_field_of_a_new_user_is_named(way: Way, fresh: str) -> None:
    rejected = {
        name: error_of(way.request("POST", USERS, content=raw({"user_id": fresh, field: value})))
        for name, (field, value) in BAD_FIELDS.items()
    }
    assert rejected == NAMED
    assert error_of(way.request("GET", USER, fresh)) == NOT_FOUND


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_an_invalid_field_of_a_change_is_named(way: Way, fresh: str, method: str) -> None:
    before = add_user(way, fresh, **JANE)
    rejected = {
        name: error_of(way.request(method, USER, fresh, content=raw({field: value})))
        for name, (field, value) in BAD_FIELDS.items()
    }
    assert rejected == NAMED
    assert get_user(way, fresh) == before


@pytest.mark.wire("fields that no method has")
@pytest.mark.parametrize("field", UNKNOWN_FIELDS)
def test_an_unknown_field_is_named(way: Way, fresh: str, field: str) -> None:
    fields = {field: UNKNOWN_FIELDS[field]}
    rejected = way.request("POST", USERS, json={"user_id": fresh, **fields})
    assert error_of(rejected) == invalid(field)
    before = add_user(way, fresh)
    for method in ("PUT", "PATCH"):
        assert error_of(way.request(method, USER, fresh, json=fields)) == invalid(field)
    assert get_user(way, fresh) == before


def test_a_user_id_must_be_text(way: Way) -> None:
    values: list[Any] = [5, None, True, ["jane"], {}]
    for value in values:
        rejected = way.request("POST", USERS, json={"user_id": value})
        assert error_of(rejected) == invalid("user_id")


def test_the_sessions_of_a_user_are_listed(way: Way, fresh: str) -> None:
    for user in ("jane", "john"):
        add_user(way, f"{user} {fresh}")
    sessions = [
        open_session(way, f"{number} {fresh}", user_id=f"jane {fresh}") for number in range(3)
    ]
    open_session(way, f"of John {fresh}", user_id=f"john {fresh}")
    open_session(way, f"unowned {fresh}")
    listed = way.request("GET", SESSIONS_OF_USER, f"jane {fresh}")
    assert (listed.status, listed.json) == (200, {"items": sessions, "next": None})


def test_a_user_without_sessions_has_an_empty_list(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    listed = way.request("GET", SESSIONS_OF_USER, fresh)
    assert (listed.status, listed.json) == (200, {"items": [], "next": None})


def test_a_user_added_again_is_a_new_user(way: Way, fresh: str) -> None:
    former = add_user(way, fresh, **JANE)
    delete(way, USER, fresh)
    latter = add_user(way, fresh)
    assert latter["uuid"] != former["uuid"]
    assert fields_of(latter) == NO_FIELDS
    assert latter["revision"] == 1
