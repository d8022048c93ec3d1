"""Lists of a session's messages: parts of it, by position, time and role."""

from itertools import chain
from typing import Any

import pytest

from tests.conformance.steps import (
    MEMORY,
    MESSAGE,
    MESSAGES,
    NOT_FOUND,
    SEARCH,
    append,
    delete,
    error_of,
    invalid,
    open_session,
    pages,
)
from tests.ways import Way

ROLES = ["system", "user", "assistant", "tool", "assistant", "user", "assistant", "user"]


@pytest.fixture
def session(way: Way, fresh: str) -> str:
    """The id of a session with eight messages, from 1 January on, one each day."""
    open_session(way, fresh)
    messages = [
        {
            "role": role,
            "content": f"message {seq}",
            "created_at": f"2020-01-{seq:02}T00:00:00Z",
            "metadata": {"is_even": seq % 2 == 0},
        }
        for seq, role in enumerate(ROLES, 1)
    ]
    append(way, fresh, *messages)
    return fresh


def seqs(way: Way, session: str, **params: Any) -> list[int]:
    """Return the numbers of the messages of a page."""
    listed = way.request("GET", MESSAGES, session, params=params)
    assert listed.status == 200, listed
    return [message["seq"] for message in listed.json["items"]]


def test_fields_can_be_left_out(way: Way, session: str) -> None:
    append(way, session, {"role": "user", "content": "a bicycle", "data": {"a": [1]}})
    whole = way.request("GET", MESSAGES, session, params={"after_seq": 7}).json["items"]
    for omit in ("content,data", "data", "content, data,metadata", ""):
        names = {name.strip() for name in omit.split(",")}
        short = [{k: v for k, v in each.items() if k not in names} for each in whole]
        listed = way.request("GET", MESSAGES, session, params={"after_seq": 7, "omit": omit})
        assert listed.json["items"] == short
        memory = way.request("GET", MEMORY, session, params={"last": 2, "omit": omit})
        assert memory.json["messages"] == short
        wanted = [name for name in names if name]
        body = {"query": "bicycle", "session_id": session, "context": False, "omit": wanted}
        [hit] = way.request("POST", SEARCH, json=body).json["items"]
        assert hit["message"] == {**short[1], "session_id": session}
        assert hit["snippet"]["text"] == "a bicycle"


def test_a_field_that_cannot_be_left_out_is_named(way: Way, session: str) -> None:
    for path in (MESSAGES, MEMORY):
        rejected = way.request("GET", path, session, params={"omit": "content,seq"})
        assert error_of(rejected) == invalid("omit")
        assert "content, data, metadata" in rejected.json["detail"]
        assert "'seq'" in rejected.json["detail"]
    rejected = way.request("POST", SEARCH, json={"session_id": session, "omit": ["seq"]})
    assert error_of(rejected) == invalid("omit[0]")


PARTS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "newer": ({"after_seq": 6}, [7, 8]),
    "newer_than_none": ({"after_seq": 0}, [1, 2, 3, 4, 5, 6, 7, 8]),
    "newer_than_the_newest": ({"after_seq": 8}, []),
    "newer_than_any": ({"after_seq": 2**63 - 1}, []),
    "the_newest_of_the_newer": ({"after_seq": 2, "order": "-created", "limit": 2}, [8, 7]),
    "older": ({"before_seq": 3}, [1, 2]),
    "the_newest_of_the_older": ({"before_seq": 6, "order": "-created", "limit": 3}, [5, 4, 3]),
    "older_than_the_oldest": ({"before_seq": 1}, []),
    "older_than_none": ({"before_seq": 0}, []),
    "around": ({"after_seq": 2, "before_seq": 6}, [3, 4, 5]),
    "around_nothing": ({"after_seq": 6, "before_seq": 2}, []),
    "created_later": ({"created_after": "2020-01-06T00:00:00Z"}, [7, 8]),
    "created_earlier": ({"created_before": "2020-01-03T00:00:00Z"}, [1, 2]),
    "of_a_role": ({"role": "assistant"}, [3, 5, 7]),
    "of_no_role": ({"role": "norole"}, []),
    "all_conditions": (
        {
            "after_seq": 1,
            "before_seq": 8,
            "created_after": "2020-01-02T00:00:00Z",
            "created_before": "2020-01-07T00:00:00Z",
            "role": "assistant",
            "filter": '{"field": "metadata.is_even", "op": "eq", "value": false}',
            "order": "-created",
        },
        [5, 3],
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_a_session_is_one_call(way: Way, session: str, name: str) -> None:
    params, expected = PARTS[name]
    assert seqs(way, session, **params) == expected


@pytest.mark.parametrize("order", ["created", "-created"])
def test_pages_stay_within_the_bounds(way: Way, session: str, order: str) -> None:
    bounds = {"after_seq": 1, "before_seq": 8, "order": order, "limit": 2}
    items = chain.from_iterable(pages(way, MESSAGES, session, **bounds))
    listed = [message["seq"] for message in items]
    assert listed == sorted(range(2, 8), reverse=order == "-created")


def test_polling_returns_what_was_appended_since(way: Way, session: str) -> None:
    assert seqs(way, session, after_seq=8) == []
    append(way, session, {"content": "new"}, {"content": "newer"})
    assert seqs(way, session, after_seq=8) == [9, 10]


def test_a_bound_can_be_a_deleted_message(way: Way, session: str) -> None:
    [message] = way.request("GET", MESSAGES, session, params={"after_seq": 4, "limit": 1}).json[
        "items"
    ]
    delete(way, MESSAGE, session, message["id"])
    assert seqs(way, session, after_seq=5) == [6, 7, 8]
    assert seqs(way, session, before_seq=5) == [1, 2, 3, 4]


def test_a_cursor_belongs_to_its_conditions(way: Way, session: str) -> None:
    params: dict[str, Any] = {"after_seq": 1, "limit": 2}
    cursor = way.request("GET", MESSAGES, session, params=params).json["next"]
    assert seqs(way, session, **params, cursor=cursor) == [4, 5]
    others: list[dict[str, Any]] = [
        {"after_seq": 2},
        {},
        {"after_seq": 1, "before_seq": 8},
        {"after_seq": 1, "role": "user"},
        {"after_seq": 1, "created_after": "2019-01-01T00:00:00Z"},
    ]
    for other in others:
        rejected = way.request("GET", MESSAGES, session, params={**other, "cursor": cursor})
        assert error_of(rejected) == (400, "bad_request", ["cursor"]), other


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("after_seq", "-1"),
        ("after_seq", "x"),
        ("after_seq", "1.5"),
        ("after_seq", "9223372036854775808"),
        ("before_seq", "-1"),
        ("before_seq", ""),
        ("created_after", "yesterday"),
        ("created_before", "x"),
        ("role", "captain"),
        ("role", "human"),
        ("role", ""),
    ],
)
def test_an_invalid_condition_is_named(way: Way, session: str, field: str, value: str) -> None:
    rejected = way.request("GET", MESSAGES, session, params={field: value})
    assert error_of(rejected) == invalid(field)


@pytest.mark.parametrize("params", [{"after_seq": 5}, {"role": "user"}, {"before_seq": 0}])
def test_a_part_of_an_unknown_session_is_not_found(
    way: Way, fresh: str, params: dict[str, Any]
) -> None:
    assert error_of(way.request("GET", MESSAGES, fresh, params=params)) == NOT_FOUND
