"""Titles and activity of sessions, lists in the order of activity, and imported history."""

from typing import Any

import pytest

from tests.conformance.steps import (
    END,
    MESSAGE,
    MESSAGES,
    SESSION,
    SESSIONS,
    SESSIONS_OF_USER,
    USERS,
    add_user,
    append,
    delete,
    error_of,
    get_session,
    get_user,
    invalid,
    moment,
    open_session,
    pages,
)
from tests.ways import Way

OLD = "2020-01-01T00:00:00Z"
LATER = "2020-01-02T00:00:00Z"
LATEST = "2020-01-03T00:00:00.5Z"


def say(way: Way, session_id: str, *times: str) -> None:
    """Append a message for each time."""
    append(
        way,
        session_id,
        *({"role": "user", "content": "Hello", "created_at": each} for each in times),
    )


def active_at(way: Way, session_id: str) -> str:
    at: str = get_session(way, session_id)["active_at"]
    return at


def names(way: Way, user_id: str, **params: Any) -> list[str]:
    """Return the last words of the ids of the user's sessions, in the order of the list."""
    found = (row for page in pages(way, SESSIONS, user_id=user_id, **params) for row in page)
    return [row["session_id"].rsplit(" ", maxsplit=1)[-1] for row in found]


@pytest.fixture
def three(way: Way, fresh: str) -> str:
    """A user with sessions a, b and c, in which c was active first, and a last."""
    add_user(way, fresh)
    for name, at in (("a", LATEST), ("b", LATER), ("c", OLD)):
        open_session(way, f"{fresh} {name}", user_id=fresh)
        say(way, f"{fresh} {name}", at)
    return fresh


# Titles.


def test_a_session_has_a_title(way: Way, fresh: str) -> None:
    opened = open_session(way, fresh, title="Été à Paris")
    assert opened["title"] == "Été à Paris"
    assert get_session(way, fresh) == opened


@pytest.mark.parametrize("title", ["Winter", "", None, "x" * 512])
def test_a_title_is_changed_or_removed(way: Way, fresh: str, title: str | None) -> None:
    open_session(way, fresh, title="Summer", metadata={"a": 1})
    changed = way.request("PATCH", SESSION, fresh, json={"title": title})
    assert (changed.status, changed.json["title"]) == (200, title)
    assert (changed.json["revision"], changed.json["metadata"]) == (2, {"a": 1})
    assert get_session(way, fresh) == changed.json


def test_a_title_stays_when_other_fields_change(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    open_session(way, fresh, title="Summer")
    way.request("PATCH", SESSION, fresh, json={"metadata": {"a": 1}, "user_id": fresh})
    way.request("POST", END, fresh)
    append_nothing = way.request("PATCH", SESSION, fresh, json={})
    assert append_nothing.json["title"] == "Summer"


# Activity.


def test_a_session_without_messages_is_active_since_its_creation(way: Way, fresh: str) -> None:
    opened = open_session(way, fresh)
    assert opened["active_at"] == opened["created_at"]


def test_a_message_makes_a_session_active(way: Way, fresh: str) -> None:
    opened = open_session(way, fresh)
    [first] = append(way, fresh, {"role": "user", "content": "Hello"})
    assert active_at(way, fresh) == first["created_at"] > opened["active_at"]
    *_, last = append(
        way, fresh, {"role": "user", "content": "Hello"}, {"role": "user", "content": "again"}
    )
    assert active_at(way, fresh) == last["created_at"]


def test_a_session_that_a_message_creates_is_active_since_the_message(way: Way, fresh: str) -> None:
    body = {"messages": [{"role": "user", "content": "Hello", "created_at": OLD}], "user_id": fresh}
    assert way.request("POST", MESSAGES, fresh, json=body).status == 201
    assert moment(active_at(way, fresh)) == moment(OLD)


def test_only_messages_change_the_activity(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    open_session(way, fresh)
    say(way, fresh, OLD)
    for change in ({"title": "x"}, {"metadata": {"a": 1}}, {"user_id": fresh}, {}):
        way.request("PATCH", SESSION, fresh, json=change)
        assert moment(active_at(way, fresh)) == moment(OLD)
    [message] = way.request("GET", MESSAGES, fresh).json["items"]
    way.request("PATCH", MESSAGE, fresh, message["id"], json={"content": "Bye"})
    way.request("POST", END, fresh)
    assert moment(active_at(way, fresh)) == moment(OLD)


@pytest.mark.parametrize("batches", [[[OLD, LATEST, LATER]], [[OLD], [LATEST], [LATER]]])
def test_imported_history_keeps_its_own_times(
    way: Way, fresh: str, batches: list[list[str]]
) -> None:
    open_session(way, fresh)
    for times in batches:
        say(way, fresh, *times)
    assert moment(active_at(way, fresh)) == moment(LATEST)


def test_a_message_from_the_future_counts_as_one_of_now(way: Way, fresh: str) -> None:
    opened = open_session(way, fresh)
    say(way, fresh, "9000-01-01T00:00:00Z")
    session = get_session(way, fresh)
    assert moment(opened["created_at"]) < moment(session["active_at"])
    assert session["active_at"] == session["updated_at"]


def test_deleting_messages_keeps_the_activity_until_the_next_message(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    say(way, fresh, LATEST)
    [message] = way.request("GET", MESSAGES, fresh).json["items"]
    delete(way, MESSAGE, fresh, message["id"])
    assert moment(active_at(way, fresh)) == moment(LATEST)
    say(way, fresh, OLD)
    assert moment(active_at(way, fresh)) == moment(OLD)


# Lists.


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_sessions_are_listed_in_the_order_of_activity(way: Way, three: str, limit: int) -> None:
    assert names(way, three, order="active", limit=limit) == ["c", "b", "a"]
    assert names(way, three, order="-active", limit=limit) == ["a", "b", "c"]
    of_user = [
        row["session_id"][-1]
        for page in pages(way, SESSIONS_OF_USER, three, order="-active", limit=limit)
        for row in page
    ]
    assert of_user == ["a", "b", "c"]


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_sessions_of_the_same_time_are_in_the_order_of_creation(
    way: Way, fresh: str, limit: int
) -> None:
    add_user(way, fresh)
    for name in "abcde":
        open_session(way, f"{fresh} {name}", user_id=fresh)
        say(way, f"{fresh} {name}", OLD)
    assert names(way, fresh, order="active", limit=limit) == [*"abcde"]
    assert names(way, fresh, order="-active", limit=limit) == [*"edcba"]


def test_a_session_that_becomes_active_is_first_in_a_new_list(way: Way, three: str) -> None:
    listed = pages(way, SESSIONS, user_id=three, order="-active", limit=1)
    assert [row["session_id"][-1] for row in next(listed)] == ["a"]
    append(way, f"{three} c", {"role": "user", "content": "Hello"})
    assert [row["session_id"][-1] for page in listed for row in page] == ["b"]
    assert names(way, three, order="-active") == ["c", "a", "b"]


def test_sessions_are_filtered_by_activity(way: Way, three: str) -> None:
    for order in ("created", "-created", "active", "-active"):
        inactive = names(way, three, order=order, active_before=LATEST)
        assert sorted(inactive) == ["b", "c"]
        assert names(way, three, order=order, active_after=LATER) == ["a"]
        assert names(way, three, order=order, active_after=OLD, active_before=LATEST) == ["b"]
        assert names(way, three, order=order, active_after=OLD, active_before=LATER) == []


def test_filters_of_activity_and_metadata_are_combined(way: Way, three: str) -> None:
    way.request("PATCH", SESSION, f"{three} b", json={"metadata": {"kept": True}})
    params = {"metadata.kept": "true", "order": "-active", "active_before": LATEST}
    assert names(way, three, **params) == ["b"]


def test_a_cursor_of_one_order_is_rejected_in_another(way: Way, three: str) -> None:
    params = {"user_id": three, "limit": 1}
    for order, other in (("active", "-active"), ("active", "created"), ("-created", "-active")):
        page = way.request("GET", SESSIONS, params={**params, "order": order})
        again = {**params, "order": other, "cursor": page.json["next"]}
        assert error_of(way.request("GET", SESSIONS, params=again)) == (
            400,
            "bad_request",
            ["cursor"],
        )


def test_only_sessions_have_an_order_of_activity(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    assert error_of(way.request("GET", USERS, params={"order": "active"})) == invalid("order")
    rejected = way.request("GET", MESSAGES, fresh, params={"order": "active"})
    assert error_of(rejected) == invalid("order")


# Imported history.


def test_a_user_keeps_the_time_of_creation_that_was_given(way: Way, fresh: str) -> None:
    added = add_user(way, fresh, created_at=OLD)
    assert moment(added["created_at"]) == moment(OLD) < moment(added["updated_at"])
    replaced = way.request("PUT", "/v1/users/{}", fresh, json={"created_at": LATER})
    assert moment(replaced.json["created_at"]) == moment(OLD)
    assert get_user(way, fresh) == replaced.json
    created = way.request("PUT", "/v1/users/{}", f"{fresh} 2", json={"created_at": LATER})
    assert moment(created.json["created_at"]) == moment(LATER)


def test_a_session_keeps_the_times_that_were_given(way: Way, fresh: str) -> None:
    opened = open_session(way, fresh, created_at=OLD, ended_at=LATER)
    times = {name: moment(opened[name]) for name in ("created_at", "active_at", "ended_at")}
    assert times == {
        "created_at": moment(OLD),
        "active_at": moment(OLD),
        "ended_at": moment(LATER),
    }
    assert get_session(way, fresh) == opened


def test_the_end_of_an_imported_session_is_set_after_its_messages(way: Way, fresh: str) -> None:
    open_session(way, fresh, created_at=OLD)
    say(way, fresh, LATER)
    ended = way.request("PATCH", SESSION, fresh, json={"ended_at": LATEST})
    assert moment(ended.json["ended_at"]) == moment(LATEST)
    rejected = way.request(
        "POST", MESSAGES, fresh, json={"messages": [{"role": "user", "content": "Late"}]}
    )
    assert error_of(rejected) == (409, "conflict", [])
    reopened = way.request("PATCH", SESSION, fresh, json={"ended_at": None})
    assert reopened.json["ended_at"] is None


@pytest.mark.parametrize("field", ["created_at", "ended_at"])
@pytest.mark.parametrize("value", ["9000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "soon"])
def test_a_time_that_cannot_be_is_rejected(way: Way, fresh: str, field: str, value: str) -> None:
    body = {"session_id": fresh, field: value}
    assert error_of(way.request("POST", SESSIONS, json=body)) == invalid(field)
    if field == "created_at":
        rejected = way.request("POST", USERS, json={"user_id": fresh, field: value})
        assert error_of(rejected) == invalid(field)


def test_lists_in_the_order_of_creation_stay_in_the_order_of_arrival(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    open_session(way, f"{fresh} a", user_id=fresh)
    open_session(way, f"{fresh} b", user_id=fresh, created_at=OLD)
    assert names(way, fresh) == ["a", "b"]
    assert names(way, fresh, created_before=LATER) == ["b"]
