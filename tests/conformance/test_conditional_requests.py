"""Conditional requests: changes with If-Match."""

from typing import Any, NamedTuple

import pytest

from tests.conformance.steps import (
    END,
    MESSAGE,
    MESSAGES,
    NOT_FOUND,
    SESSION,
    SESSIONS,
    USER,
    USERS,
    ErrorSummary,
    add_user,
    append,
    contents,
    error_of,
    get_session,
    get_user,
    open_session,
)
from tests.ways import Reply, Way

MISMATCH: ErrorSummary = (412, "revision_mismatch", [])
INVALID_IF_MATCH: ErrorSummary = (400, "bad_request", ["If-Match"])


class Conditional(NamedTuple):
    """A change that supports `If-Match`, of a resource whose revision is 1."""

    way: Way
    method: str
    path: str
    ids: tuple[str, ...]

    def send(self, if_match: str, value: int = 5) -> Reply:
        """Send the change."""
        body = {"metadata": {"value": value}}
        headers = {"If-Match": if_match}
        return self.way.request(self.method, self.path, *self.ids, json=body, headers=headers)

    def read(self) -> Any:
        """Return the resource."""
        return self.way.request("GET", self.path, *self.ids).json


@pytest.fixture(params=["patch_a_user", "put_a_user", "patch_a_session", "patch_a_message"])
def change(request: pytest.FixtureRequest, way: Way, fresh: str) -> Conditional:
    """Each kind of change that supports `If-Match`."""
    if request.param == "patch_a_session":
        open_session(way, fresh)
        return Conditional(way, "PATCH", SESSION, (fresh,))
    if request.param == "patch_a_message":
        open_session(way, fresh)
        [message] = append(way, fresh, {"content": "Hello"})
        return Conditional(way, "PATCH", MESSAGE, (fresh, message["id"]))
    add_user(way, fresh)
    method = "PATCH" if request.param == "patch_a_user" else "PUT"
    return Conditional(way, method, USER, (fresh,))


def test_the_etag_is_the_revision(way: Way, fresh: str) -> None:
    added = way.request("POST", USERS, json={"user_id": fresh})
    assert added.headers["etag"] == '"1"'
    assert way.request("PATCH", USER, fresh, json={"email": "x"}).headers["etag"] == '"2"'
    assert way.request("PUT", USER, fresh, json={}).headers["etag"] == '"3"'
    assert way.request("GET", USER, fresh).headers["etag"] == '"3"'
    opened = way.request("POST", SESSIONS, json={"session_id": fresh})
    assert opened.headers["etag"] == '"1"'
    assert way.request("PATCH", SESSION, fresh, json={"metadata": {}}).headers["etag"] == '"2"'
    assert way.request("POST", END, fresh).headers["etag"] == '"3"'
    assert way.request("GET", SESSION, fresh).headers["etag"] == '"3"'


def test_the_etag_of_a_message_is_its_revision(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    [message] = append(way, fresh, {"content": "Hello"})
    path = (MESSAGE, fresh, message["id"])
    assert way.request("GET", *path).headers["etag"] == '"1"'
    assert way.request("PATCH", *path, json={"name": "Jane"}).headers["etag"] == '"2"'
    assert way.request("GET", *path).headers["etag"] == '"2"'


def test_a_change_to_the_current_revision_succeeds(change: Conditional) -> None:
    changed = change.send('"1"')
    assert (changed.status, changed.json["metadata"]) == (200, {"value": 5})
    assert (changed.json["revision"], changed.headers["etag"]) == (2, '"2"')
    assert change.read() == changed.json


def test_a_change_to_another_revision_is_rejected(change: Conditional) -> None:
    before = change.read()
    for revision in (0, 2, 10, 999_999_999_999_999_999):
        assert error_of(change.send(f'"{revision}"')) == MISMATCH
    assert change.read() == before


def test_the_second_of_two_changes_to_a_revision_is_rejected(change: Conditional) -> None:
    assert change.send('"1"', value=1).status == 200
    assert error_of(change.send('"1"', value=2)) == MISMATCH
    assert change.read()["metadata"] == {"value": 1}
    assert change.send('"2"', value=3).status == 200


def test_an_etag_can_be_sent_as_if_match(change: Conditional) -> None:
    for _ in range(2):
        etag = change.way.request("GET", change.path, *change.ids).headers["etag"]
        assert change.send(etag).status == 200


@pytest.mark.wire("values of a header")
def test_an_invalid_if_match_is_rejected(change: Conditional) -> None:
    before = change.read()
    for if_match in ("1", 'W/"1"', '"x"', '"1", "2"', '""', '"-1"', "", "'1'", '"1', '"1.0"', "*"):
        assert error_of(change.send(if_match)) == INVALID_IF_MATCH, if_match
    assert change.read() == before


def test_a_conditional_put_of_an_unknown_user_is_rejected(way: Way, fresh: str) -> None:
    rejected = way.request("PUT", USER, fresh, json={}, headers={"If-Match": '"1"'})
    assert error_of(rejected) == MISMATCH
    assert error_of(way.request("GET", USER, fresh)) == NOT_FOUND


def test_a_conditional_patch_of_an_unknown_resource_is_not_found(way: Way, fresh: str) -> None:
    for path in (USER, SESSION):
        rejected = way.request("PATCH", path, fresh, json={}, headers={"If-Match": '"1"'})
        assert error_of(rejected) == NOT_FOUND


def test_appends_do_not_change_the_revision(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    append(way, fresh, {"role": "user", "content": "Hello"})
    assert Conditional(way, "PATCH", SESSION, (fresh,)).send('"1"').status == 200


def test_an_empty_change_can_be_conditional(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    rejected = way.request("PATCH", USER, fresh, json={}, headers={"If-Match": '"2"'})
    assert error_of(rejected) == MISMATCH
    matched = way.request("PATCH", USER, fresh, json={}, headers={"If-Match": '"1"'})
    assert (matched.status, matched.headers["etag"]) == (200, '"1"')


def test_setting_the_owner_can_be_conditional(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    open_session(way, fresh)
    owner = {"user_id": fresh}
    rejected = way.request("PATCH", SESSION, fresh, json=owner, headers={"If-Match": '"2"'})
    assert error_of(rejected) == MISMATCH
    assert get_session(way, fresh)["user_id"] is None
    given = way.request("PATCH", SESSION, fresh, json=owner, headers={"If-Match": '"1"'})
    assert (given.status, given.json["user_id"]) == (200, fresh)


@pytest.mark.wire("a header where no method has the argument")
def test_if_match_is_rejected_where_it_is_not_supported(way: Way, fresh: str) -> None:
    user = add_user(way, fresh)
    session = open_session(way, fresh)
    [message] = append(way, fresh, {"role": "user", "content": "Hello"})
    requests: list[tuple[str, str, tuple[str, ...], Any]] = [
        ("POST", USERS, (), {"user_id": f"new {fresh}"}),
        ("POST", SESSIONS, (), {"session_id": f"new {fresh}"}),
        ("POST", MESSAGES, (fresh,), {"messages": [{"role": "user", "content": "again"}]}),
        ("POST", END, (fresh,), None),
        ("DELETE", MESSAGE, (fresh, message["id"]), None),
        ("DELETE", SESSION, (fresh,), None),
        ("DELETE", USER, (fresh,), None),
    ]
    for method, path, ids, body in requests:
        rejected = way.request(method, path, *ids, json=body, headers={"If-Match": '"1"'})
        assert error_of(rejected) == INVALID_IF_MATCH, (method, path)
    assert get_user(way, fresh) == user
    assert get_session(way, fresh)["uuid"] == session["uuid"]
    assert contents(way, fresh) == ["Hello"]
    assert error_of(way.request("GET", USER, f"new {fresh}")) == NOT_FOUND
