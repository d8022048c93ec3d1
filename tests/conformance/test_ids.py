"""Ids: any text of up to 512 characters without control characters."""

from typing import Any

import pytest

from tests.conformance.steps import (
    END,
    ERASURE,
    MEMORY,
    MESSAGE,
    MESSAGES,
    NOT_FOUND,
    SESSION,
    SESSIONS,
    SESSIONS_OF_USER,
    USER,
    USERS,
    add_user,
    append,
    append_text,
    contents,
    delete,
    error_of,
    get_session,
    get_user,
    invalid,
    open_session,
    raw,
)
from tests.ways import Way

ANY_TEXT = {
    "slashes": "/a//b/",
    "a_slash": "/",
    "dots_among_slashes": "a/../b/./c",
    "three_dots": "...",
    "spaces": " a  b ",
    "percent": "100%",
    "percent_encoded": "a%20b%2Fc",
    "percent_encoded_twice": "%252F%",
    "question_mark": "a?b=c&d",
    "hash": "a#b",
    "plus": "jane+x@example.com",
    "quotes": "a'b\"c`d",
    "backslash": "a\\b\\",
    "brackets": "{a}{}[b]<c>(d)",
    "signs": "a;b,c:d|e^f*%_$!~=",
    "accents_in_one_piece": "élodie",
    "accents_apart": "e\u0301lodie",
    "many_scripts": "Ὀδυσσεύς אבג 漢字",
    "emoji": "👩‍👩‍👧",
    "characters_at_the_edge": "\ufeff\u2028\U0010ffff",
    "a_word_of_ours": "sessions",
    "words_of_ours_in_a_path": "x/messages/y",
    "null": "null",
    "a_number": "0",
    "sql": "'; DROP TABLE users; --",
}
BAD = {
    "empty": "",
    "dot": ".",
    "two_dots": "..",
    "too_long": "x" * 513,
    "too_long_emoji": "😀" * 513,
    "nul": "a\0b",
    "nul_alone": "\0",
    "line": "a\nb",
    "line_at_the_end": "a\n",
    "tab": "a\tb",
    "escape": "\x1b",
    "delete": "\x7f",
    "next_line": "a\x85b",
    "last_control_character": "\x9f",
}


def longest(character: str, fresh: str) -> str:
    """Return a unique id of 512 characters."""
    mark = fresh[-40:]
    return character * (512 - len(mark)) + mark


@pytest.fixture(params=[*ANY_TEXT, "longest", "longest_emoji"])
def id_(request: pytest.FixtureRequest, fresh: str) -> str:
    """A valid id."""
    if request.param in ANY_TEXT:
        return ANY_TEXT[request.param]
    characters = {"longest": "x", "longest_emoji": "😀"}
    return longest(characters[request.param], fresh)


def test_a_user_id_can_be_any_text(way: Way, id_: str) -> None:
    user = way.request("PUT", USER, id_, json={}).json
    assert user["user_id"] == id_
    assert get_user(way, id_) == user
    changed = way.request("PATCH", USER, id_, json={"first_name": "Jane"})
    assert changed.json["uuid"] == user["uuid"]
    assert delete(way, USER, id_)["subject_uuid"] == user["uuid"]
    assert error_of(way.request("GET", USER, id_)) == NOT_FOUND
    assert add_user(way, id_)["user_id"] == id_
    delete(way, USER, id_)


def test_a_session_id_can_be_any_text(way: Way, id_: str) -> None:
    session = open_session(way, id_)
    assert session["session_id"] == id_
    assert get_session(way, id_) == session
    [message] = append(way, id_, {"role": "user", "content": "Hello"})
    assert contents(way, id_) == ["Hello"]
    assert way.request("GET", MEMORY, id_).json["messages"] == [message]
    path = (MESSAGE, id_, message["id"])
    assert way.request("GET", *path).json == message
    assert way.request("PATCH", *path, json={"content": "Hi"}).json["content"] == "Hi"
    assert delete(way, *path)["subject_uuid"] == message["id"]
    assert way.request("PATCH", SESSION, id_, json={"metadata": {}}).json["uuid"] == session["uuid"]
    assert way.request("POST", END, id_).json["uuid"] == session["uuid"]
    assert delete(way, SESSION, id_)["subject_uuid"] == session["uuid"]
    assert error_of(way.request("GET", SESSION, id_)) == NOT_FOUND


def test_the_id_of_an_owner_can_be_any_text(way: Way, id_: str) -> None:
    way.request("PUT", USER, id_, json={})  # another test deleted a user with this id
    open_session(way, id_, user_id=id_)  # and a session
    assert append_text(way, id_, "Hello", user_id=id_).status == 201
    session = get_session(way, id_)
    assert session["user_id"] == id_
    assert way.request("GET", SESSIONS_OF_USER, id_).json["items"] == [session]
    assert way.request("GET", SESSIONS, params={"user_id": id_}).json["items"] == [session]
    delete(way, SESSION, id_)
    assert open_session(way, id_, user_id=id_)["user_id"] == id_
    delete(way, SESSION, id_)
    delete(way, USER, id_)


def test_ids_are_compared_character_by_character(way: Way, fresh: str) -> None:
    ids = [
        f"{fresh}{end}" for end in ("a", "A", "a ", "é", "e\u0301", "ß", "ss", "a%20", "a+", "İ")
    ]
    for id_ in ids:
        add_user(way, id_, first_name=id_)
        open_session(way, id_, metadata={"id": id_})
    for id_ in ids:
        assert get_user(way, id_)["first_name"] == id_
        assert get_session(way, id_)["metadata"] == {"id": id_}


BAD_IN_BODIES = [*BAD.values(), "a\ud800b", "\udfff"]
BAD_IN_PATHS = [bad for bad in BAD.values() if bad not in {"", ".", ".."}]


def test_an_invalid_user_id_is_rejected(way: Way) -> None:
    for bad in BAD_IN_BODIES:
        rejected = way.request("POST", USERS, content=raw({"user_id": bad}))
        assert error_of(rejected) == invalid("user_id"), repr(bad)


def test_an_invalid_session_id_is_rejected(way: Way) -> None:
    for bad in BAD_IN_BODIES:
        rejected = way.request("POST", SESSIONS, content=raw({"session_id": bad}))
        assert error_of(rejected) == invalid("session_id"), repr(bad)


def test_opening_a_session_with_an_invalid_user_id_is_rejected(way: Way, fresh: str) -> None:
    for bad in BAD_IN_BODIES:
        body = raw({"session_id": fresh, "user_id": bad})
        rejected = way.request("POST", SESSIONS, content=body)
        assert error_of(rejected) == invalid("user_id"), repr(bad)
    assert error_of(way.request("GET", SESSION, fresh)) == NOT_FOUND


def test_setting_an_owner_with_an_invalid_id_is_rejected(way: Way, fresh: str) -> None:
    before = open_session(way, fresh)
    for bad in BAD_IN_BODIES:
        rejected = way.request("PATCH", SESSION, fresh, content=raw({"user_id": bad}))
        assert error_of(rejected) == invalid("user_id"), repr(bad)
    assert get_session(way, fresh) == before


def test_appending_with_an_invalid_user_id_is_rejected(way: Way, fresh: str) -> None:
    for bad in BAD_IN_BODIES:
        body = raw({"messages": [{"role": "user", "content": "Hello"}], "user_id": bad})
        rejected = way.request("POST", MESSAGES, fresh, content=body)
        assert error_of(rejected) == invalid("user_id"), repr(bad)
    assert error_of(way.request("GET", SESSION, fresh)) == NOT_FOUND


def test_putting_a_user_with_an_invalid_id_is_rejected(way: Way) -> None:
    for bad in BAD_IN_PATHS:
        rejected = way.request("PUT", USER, bad, json={})
        assert error_of(rejected) == invalid("user_id"), repr(bad)


def test_appending_to_an_invalid_session_id_is_rejected(way: Way, fresh: str) -> None:
    for bad in BAD_IN_PATHS:
        rejected = append_text(way, bad, "Hello", user_id=fresh)
        assert error_of(rejected) == invalid("session_id"), repr(bad)
    assert error_of(way.request("GET", USER, fresh)) == NOT_FOUND


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", USER, None),
        ("PATCH", USER, {}),
        ("DELETE", USER, None),
        ("GET", SESSIONS_OF_USER, None),
        ("GET", SESSION, None),
        ("PATCH", SESSION, {}),
        ("POST", END, None),
        ("DELETE", SESSION, None),
        ("GET", MESSAGES, None),
        ("GET", MEMORY, None),
        ("GET", ERASURE, None),
    ],
)
def test_an_invalid_id_is_not_found(way: Way, method: str, path: str, body: Any) -> None:
    for bad in BAD_IN_PATHS:
        rejected = way.request(method, path, bad, json=body)
        assert error_of(rejected) == NOT_FOUND, repr(bad)
