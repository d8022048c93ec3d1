"""`q`: users by the beginnings of their words, and sessions by those of their titles."""

from hashlib import blake2b
from typing import Any

import pytest

from tests.conformance.steps import (
    MESSAGES,
    SESSION,
    SESSIONS,
    SESSIONS_OF_USER,
    USER,
    USERS,
    add_user,
    append,
    delete,
    error_of,
    invalid,
    open_session,
    pages,
)
from tests.ways import Way

JANE = {"email": "jq.zanzibar@example.com", "first_name": "Janézq", "last_name": "O'Zrien-Ódź"}


@pytest.fixture
def fresh(fresh: str) -> str:
    """A unique word, so that a query can have it."""
    return f"m{blake2b(fresh.encode(), digest_size=6).hexdigest()}"


def users(way: Way, query: str, **params: Any) -> list[str]:
    """Return the last words of the ids of the users that are found."""
    found = (row for page in pages(way, USERS, q=query, **params) for row in page)
    return [row["user_id"].rsplit(" ", maxsplit=1)[-1] for row in found]


def titles(way: Way, user_id: str, query: str, **params: Any) -> list[str]:
    """Return the titles of the user's sessions that are found."""
    found = pages(way, SESSIONS, user_id=user_id, q=query, **params)
    return [row["title"] for page in found for row in page]


# Users.


@pytest.mark.parametrize(
    "query",
    [
        "{fresh} jan",
        "{fresh} JANÉZQ",
        "{fresh} janezq zanz",
        "{fresh} jq.zan",
        "zri {fresh}",
        "jq.zanzibar@example.com {fresh}",
        "o z j {fresh}",
        "ódź, {fresh}",
    ],
)
def test_a_user_is_found_by_beginnings_of_words(way: Way, fresh: str, query: str) -> None:
    add_user(way, f"{fresh} jane", **JANE)
    add_user(way, f"{fresh} john", first_name="John")
    assert users(way, query.format(fresh=fresh)) == ["jane"]


@pytest.mark.parametrize("query", ["anezq", "janezqx", "example john", "janezq missing"])
def test_other_parts_of_words_find_nothing(way: Way, fresh: str, query: str) -> None:
    add_user(way, f"{fresh} jane", **JANE)
    assert users(way, f"{fresh} {query}") == []


def test_a_query_without_words_finds_all(way: Way, fresh: str) -> None:
    for name in ("a", "b"):
        add_user(way, f"{fresh} {name}", email=fresh)
    for query in ("", " ", "?!"):
        assert users(way, query, email=fresh) == ["a", "b"]


def test_names_without_spaces_are_found_by_any_part(way: Way, fresh: str) -> None:
    add_user(way, f"{fresh} 1", first_name="太郎", last_name="田中")
    for query in ("田", "田中", "中", "太郎"):
        assert users(way, f"{fresh} {query}") == ["1"]


def test_a_user_with_a_long_name_is_found_by_each_of_the_other_fields(way: Way, fresh: str) -> None:
    names = " ".join(f"name{number}" for number in range(60))
    add_user(way, f"{fresh} jane", first_name=names, last_name="Roe", email="jq@example.com")
    for query in ("name0 name1", "roe", "jq example", "jane"):
        assert users(way, f"{fresh} {query}") == ["jane"]


def test_a_user_is_found_by_what_was_changed(way: Way, fresh: str) -> None:
    add_user(way, f"{fresh} jane", first_name="Janet", last_name="Doe")
    way.request("PATCH", USER, f"{fresh} jane", json={"first_name": "Maria"})
    assert users(way, f"{fresh} jan d") == ["jane"]  # by the user_id
    assert users(way, f"{fresh} janet") == []
    assert users(way, f"{fresh} mar doe") == ["jane"]
    way.request("PUT", USER, f"{fresh} jane", json={"last_name": "Roe"})
    assert users(way, f"{fresh} maria") == []
    assert users(way, f"{fresh} ro") == ["jane"]


def test_a_deleted_user_is_not_found(way: Way, fresh: str) -> None:
    add_user(way, f"{fresh} jane", first_name="Zanzibar")
    delete(way, USER, f"{fresh} jane")
    assert users(way, f"{fresh} zanz") == []
    add_user(way, f"{fresh} jane")
    assert users(way, f"{fresh} zanz") == []
    assert users(way, f"{fresh} jane") == ["jane"]


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_users_that_are_found_are_listed_in_both_orders(way: Way, fresh: str, limit: int) -> None:
    for number in range(5):
        add_user(way, f"{fresh} {number}", first_name="Anna" if number % 2 == 0 else "Otto")
    assert users(way, f"{fresh} an", limit=limit) == ["0", "2", "4"]
    assert users(way, f"{fresh} an", limit=limit, order="-created") == ["4", "2", "0"]


def test_a_query_is_combined_with_filters(way: Way, fresh: str) -> None:
    for name, plan in (("a", "free"), ("b", "paid")):
        add_user(way, f"{fresh} {name}", first_name="Anna", metadata={"plan": plan})
    assert users(way, f"{fresh} anna", **{"metadata.plan": "paid"}) == ["b"]
    assert users(way, f"{fresh} anna", email="unknown@example.com") == []


@pytest.mark.parametrize(
    "query", ["a b c d e f g h i", "x" * 513, "nul\0"], ids=["words", "length", "nul"]
)
@pytest.mark.parametrize("path", [USERS, SESSIONS])
def test_a_query_with_too_much_is_rejected(way: Way, path: str, query: str) -> None:
    assert error_of(way.request("GET", path, params={"q": query})) == invalid("q")


# Titles.


@pytest.fixture
def titled(way: Way, fresh: str) -> str:
    """A user with sessions of several titles."""
    add_user(way, fresh)
    for title in ("Été à Paris", "Paris hotels", "Running shoes", "東京旅行", "100% O'Brien", ""):
        open_session(way, f"{fresh} {title}", user_id=fresh, title=title)
    open_session(way, f"{fresh} untitled", user_id=fresh)
    return fresh


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("par", ["Été à Paris", "Paris hotels"]),
        ("PARIS ete", ["Été à Paris"]),
        ("paris hotels x", []),
        ("aris", []),
        ("shoe", ["Running shoes"]),
        ("shoes run", ["Running shoes"]),
        ("旅行", ["東京旅行"]),
        ("100 bri", ["100% O'Brien"]),
        (
            "%",
            ["Été à Paris", "Paris hotels", "Running shoes", "東京旅行", "100% O'Brien", "", None],
        ),
    ],
)
def test_sessions_are_found_by_beginnings_of_words_of_the_title(
    way: Way, titled: str, query: str, expected: list[str]
) -> None:
    assert titles(way, titled, query) == expected
    assert titles(way, titled, query, order="-active", limit=1) == expected[::-1]
    of_user = way.request("GET", SESSIONS_OF_USER, titled, params={"q": query}).json["items"]
    assert [row["title"] for row in of_user] == expected


def test_a_session_is_found_by_its_new_title(way: Way, titled: str) -> None:
    way.request("PATCH", SESSION, f"{titled} Paris hotels", json={"title": "Rome"})
    assert titles(way, titled, "paris") == ["Été à Paris"]
    assert titles(way, titled, "rom") == ["Rome"]
    way.request("PATCH", SESSION, f"{titled} Paris hotels", json={"title": None})
    assert titles(way, titled, "rom") == []


# Counts.


def test_a_page_has_the_number_of_all_that_match(way: Way, titled: str) -> None:
    def count(path: str, *ids: str, **params: Any) -> int:
        page = way.request("GET", path, *ids, params={"count": "true", "limit": 1, **params})
        assert page.status == 200, page
        number: int = page.json["count"]
        return number

    assert count(SESSIONS, user_id=titled) == 7
    assert count(SESSIONS, user_id=titled, q="paris") == 2
    assert count(SESSIONS, user_id=titled, q="paris", order="-active") == 2
    assert count(SESSIONS, user_id=titled, active_before="2020-01-01T00:00:00Z") == 0
    assert count(SESSIONS_OF_USER, titled) == 7
    assert count(USERS, q=titled) == 1
    assert count(USERS, email="unknown@example.com") == 0
    deleted = way.request("DELETE", SESSION, f"{titled} untitled")
    assert deleted.status == 200
    assert count(SESSIONS, user_id=titled) == 6


def test_a_page_has_no_count_unless_requested(way: Way, titled: str) -> None:
    for params in ({}, {"count": "false"}):
        assert "count" not in way.request("GET", SESSIONS, params={"limit": 1, **params}).json


def test_a_cursor_of_a_counted_page_is_valid_without_a_count(way: Way, titled: str) -> None:
    params = {"user_id": titled, "limit": 5, "count": "true"}
    cursor = way.request("GET", SESSIONS, params=params).json["next"]
    rest = way.request("GET", SESSIONS, params={"user_id": titled, "cursor": cursor}).json
    assert (len(rest["items"]), "count" in rest) == (2, False)


# The newest message of each session.


def test_each_session_has_its_newest_message_if_requested(way: Way, titled: str) -> None:
    first, last = append(
        way,
        f"{titled} ",
        {"role": "user", "content": "Hi"},
        {"role": "user", "content": "é" * 500, "name": "R"},
    )
    params = {"user_id": titled, "include": "last_message", "order": "-active"}
    for path, ids in ((SESSIONS, ()), (SESSIONS_OF_USER, (titled,))):
        given = params if path == SESSIONS else {**params, "user_id": None}
        given = {name: value for name, value in given.items() if value is not None}
        items = way.request("GET", path, *ids, params=given).json["items"]
        shown = {field: last[field] for field in ("seq", "id", "role", "name", "created_at")}
        assert items[0]["last_message"] == {**shown, "content": "é" * 200}
        assert [row["last_message"] for row in items[1:]] == [None] * 6
    way.request("DELETE", "/v1/sessions/{}/messages/{}", f"{titled} ", last["id"])
    [newest, *_] = way.request("GET", SESSIONS, params=params).json["items"]
    assert (newest["last_message"]["id"], newest["last_message"]["name"]) == (first["id"], None)
    assert way.request("GET", MESSAGES, f"{titled} ").json["items"] == [first]


def test_a_session_has_no_newest_message_unless_requested(way: Way, titled: str) -> None:
    [session] = way.request("GET", SESSIONS, params={"user_id": titled, "limit": 1}).json["items"]
    assert "last_message" not in session
    rejected = way.request("GET", SESSIONS, params={"include": "messages"})
    assert error_of(rejected) == invalid("include")
