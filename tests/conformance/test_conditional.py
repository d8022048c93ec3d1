"""Changes that are made to one revision, by every way in."""

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
    Refusal,
    add_user,
    append,
    contents,
    get_session,
    get_user,
    open_session,
    refusal,
)
from tests.ways import Reply, Way

MISMATCH: Refusal = (412, "revision_mismatch", [])
UNREADABLE: Refusal = (400, "bad_request", ["If-Match"])


class Conditional(NamedTuple):
    """A change that understands `If-Match`, of something whose revision is 1."""

    way: Way
    method: str
    path: str
    id: str

    def send(self, if_match: str, value: int = 5) -> Reply:
        """Make the change."""
        body = {"metadata": {"value": value}}
        headers = {"If-Match": if_match}
        return self.way.request(self.method, self.path, self.id, json=body, headers=headers)

    def read(self) -> Any:
        """What is there."""
        return self.way.request("GET", self.path, self.id).json


@pytest.fixture(params=["patch_a_user", "put_a_user", "patch_a_session"])
def change(request: pytest.FixtureRequest, way: Way, fresh: str) -> Conditional:
    """Each kind of change that may depend on the revision."""
    if request.param == "patch_a_session":
        open_session(way, fresh)
        return Conditional(way, "PATCH", SESSION, fresh)
    add_user(way, fresh)
    return Conditional(way, "PATCH" if request.param == "patch_a_user" else "PUT", USER, fresh)


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


def test_a_change_to_the_present_revision_is_made(change: Conditional) -> None:
    changed = change.send('"1"')
    assert (changed.status, changed.json["metadata"]) == (200, {"value": 5})
    assert (changed.json["revision"], changed.headers["etag"]) == (2, '"2"')
    assert change.read() == changed.json


def test_a_change_to_another_revision_is_not_made(change: Conditional) -> None:
    before = change.read()
    for revision in (0, 2, 10, 999_999_999_999_999_999):
        assert refusal(change.send(f'"{revision}"')) == MISMATCH
    assert change.read() == before


def test_the_second_of_two_changes_to_a_revision_is_not_made(change: Conditional) -> None:
    assert change.send('"1"', value=1).status == 200
    assert refusal(change.send('"1"', value=2)) == MISMATCH
    assert change.read()["metadata"] == {"value": 1}
    assert change.send('"2"', value=3).status == 200


def test_an_etag_that_was_given_can_be_sent_back(change: Conditional) -> None:
    for _ in range(2):
        etag = change.way.request("GET", change.path, change.id).headers["etag"]
        assert change.send(etag).status == 200


@pytest.mark.wire("what stands in a header")
def test_what_is_no_revision_is_refused(change: Conditional) -> None:
    before = change.read()
    for if_match in ("1", 'W/"1"', '"x"', '"1", "2"', '""', '"-1"', "", "'1'", '"1', '"1.0"', "*"):
        assert refusal(change.send(if_match)) == UNREADABLE, if_match
    assert change.read() == before


def test_a_user_who_is_not_there_has_no_revision(way: Way, fresh: str) -> None:
    refused = way.request("PUT", USER, fresh, json={}, headers={"If-Match": '"1"'})
    assert refusal(refused) == MISMATCH
    assert refusal(way.request("GET", USER, fresh)) == NOT_FOUND


def test_what_is_not_there_is_not_found_rather_than_changed(way: Way, fresh: str) -> None:
    for path in (USER, SESSION):
        refused = way.request("PATCH", path, fresh, json={}, headers={"If-Match": '"1"'})
        assert refusal(refused) == NOT_FOUND


def test_appends_leave_the_revision(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    append(way, fresh, {"content": "Hello"})
    assert Conditional(way, "PATCH", SESSION, fresh).send('"1"').status == 200


def test_a_change_that_names_nothing_is_conditional_too(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    refused = way.request("PATCH", USER, fresh, json={}, headers={"If-Match": '"2"'})
    assert refusal(refused) == MISMATCH
    matched = way.request("PATCH", USER, fresh, json={}, headers={"If-Match": '"1"'})
    assert (matched.status, matched.headers["etag"]) == (200, '"1"')


def test_an_owner_is_given_to_a_revision(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    open_session(way, fresh)
    owner = {"user_id": fresh}
    refused = way.request("PATCH", SESSION, fresh, json=owner, headers={"If-Match": '"2"'})
    assert refusal(refused) == MISMATCH
    assert get_session(way, fresh)["user_id"] is None
    given = way.request("PATCH", SESSION, fresh, json=owner, headers={"If-Match": '"1"'})
    assert (given.status, given.json["user_id"]) == (200, fresh)


@pytest.mark.wire("a header where no method has the argument")
def test_a_condition_that_is_not_understood_is_refused(way: Way, fresh: str) -> None:
    user = add_user(way, fresh)
    session = open_session(way, fresh)
    [message] = append(way, fresh, {"content": "Hello"})
    requests: list[tuple[str, str, tuple[str, ...], Any]] = [
        ("POST", USERS, (), {"user_id": f"new {fresh}"}),
        ("POST", SESSIONS, (), {"session_id": f"new {fresh}"}),
        ("POST", MESSAGES, (fresh,), {"messages": [{"content": "again"}]}),
        ("POST", END, (fresh,), None),
        ("PATCH", MESSAGE, (fresh, message["uuid"]), {"content": "changed"}),
        ("DELETE", MESSAGE, (fresh, message["uuid"]), None),
        ("DELETE", SESSION, (fresh,), None),
        ("DELETE", USER, (fresh,), None),
    ]
    for method, path, ids, body in requests:
        refused = way.request(method, path, *ids, json=body, headers={"If-Match": '"1"'})
        assert refusal(refused) == UNREADABLE, (method, path)
    assert get_user(way, fresh) == user
    assert get_session(way, fresh)["uuid"] == session["uuid"]
    assert contents(way, fresh) == ["Hello"]
    assert refusal(way.request("GET", USER, f"new {fresh}")) == NOT_FOUND
