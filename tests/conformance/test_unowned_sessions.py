"""Sessions without a user: the filter, and what the deletion of a user counts."""

from typing import Any

import pytest

from tests.conformance.steps import (
    SESSION,
    SESSIONS,
    USER,
    add_user,
    append_text,
    delete,
    error_of,
    invalid,
    open_session,
    pages,
)
from tests.ways import Way


def names(way: Way, fresh: str, **params: Any) -> list[str]:
    """Return the last words of the ids of this test's sessions, in the order of the list."""
    found = (row["session_id"] for page in pages(way, SESSIONS, **params) for row in page)
    return [each.removeprefix(f"{fresh} ") for each in found if each.startswith(f"{fresh} ")]


@pytest.fixture
def mixed(way: Way, fresh: str) -> str:
    """Sessions a, c and e without a user, and b and d of one."""
    add_user(way, fresh)
    for name in "abcde":
        owner = {"user_id": fresh} if name in "bd" else {}
        open_session(way, f"{fresh} {name}", metadata={"test": fresh}, **owner)
    append_text(way, f"{fresh} a", "Hello")
    return fresh


@pytest.mark.parametrize("order", ["created", "-created", "active", "-active"])
def test_sessions_are_listed_by_whether_they_have_a_user(way: Way, mixed: str, order: str) -> None:
    without, owned = {"created": ("ace", "bd"), "active": ("cea", "bd")}[order.strip("-")]
    if order.startswith("-"):
        without, owned = without[::-1], owned[::-1]
    of_test = {"metadata.test": mixed, "order": order, "limit": 2}
    assert names(way, mixed, owned=False, **of_test) == list(without)
    assert names(way, mixed, owned=True, **of_test) == list(owned)
    assert len(names(way, mixed, **of_test)) == 5


def test_sessions_without_a_user_are_counted(way: Way, mixed: str) -> None:
    params = {"metadata.test": mixed, "count": True, "limit": 1}
    for owned, count in ((False, 3), (True, 2)):
        reply = way.request("GET", SESSIONS, params=params | {"owned": owned})
        assert reply.json["count"] == count


def test_a_session_that_gets_a_user_leaves_the_list(way: Way, mixed: str) -> None:
    way.request("PATCH", SESSION, f"{mixed} c", json={"user_id": mixed})
    delete(way, SESSION, f"{mixed} e")
    assert names(way, mixed, owned=False, limit=1000) == ["a"]


@pytest.mark.parametrize("owned", [True, False])
def test_the_filter_cannot_be_combined_with_a_user(way: Way, fresh: str, owned: bool) -> None:
    params = {"owned": owned, "user_id": fresh}
    assert error_of(way.request("GET", SESSIONS, params=params)) == invalid("owned")


def test_a_cursor_belongs_to_the_filter(way: Way, mixed: str) -> None:
    page = way.request("GET", SESSIONS, params={"owned": False, "limit": 1}).json
    params = {"owned": True, "limit": 1, "cursor": page["next"]}
    assert way.request("GET", SESSIONS, params=params).status == 400


def test_the_deletion_of_a_user_counts_the_sessions_without_one(way: Way, mixed: str) -> None:
    deleted = way.request("DELETE", USER, mixed).json
    assert deleted["counts"]["sessions"] == 2
    assert deleted["sessions_without_user"] >= 3
    assert names(way, mixed, owned=False, limit=1000) == ["a", "c", "e"]
    other = way.request("GET", "/v1/erasures/{}", deleted["id"])
    assert "sessions_without_user" not in other.json
