"""The search of the `/api/v1` door."""

from typing import Any

import pytest

from tests.compat.steps import Row, append, messages_of, ok
from tests.http.doors import InProcess

SEARCH = "/api/v1/sessions/s/search"
TALK = ("I bought red shoes", "a", "b", "c", "Hats are nice", "d", "e", "f", "Red hats")


@pytest.fixture
def talk(doors: InProcess) -> InProcess:
    """A server with a session, `s`, in which a few things were said."""
    append(doors, "s", *TALK)
    return doors


def search(doors: InProcess, query: str = "", **body: Any) -> list[Row]:
    """The hits."""
    hits: list[Row] = ok(doors.send("POST", SEARCH + query, body))
    return hits


def contents(hits: list[Row]) -> list[str]:
    return [hit["message"]["content"] for hit in hits]


def test_hits_have_the_shape_that_clients_know(talk: InProcess) -> None:
    [hit] = search(talk, "?limit=1", text="red shoes")
    assert list(hit) == ["message", "summary", "dist", "embedding"]
    assert hit["message"] == messages_of(talk, "s")[0]
    assert (hit["summary"], hit["embedding"]) == (None, None)
    assert hit["dist"] > 0


def test_the_nearest_come_first_and_have_the_greatest_dist(talk: InProcess) -> None:
    hits = search(talk, text="What of red hats?")
    assert contents(hits)[:2] == ["Red hats", "Hats are nice"]
    dists = [hit["dist"] for hit in hits]
    assert dists == sorted(dists, reverse=True)


def test_without_a_text_the_newest_come_first(talk: InProcess) -> None:
    hits = search(talk, metadata={"foo": "bar"})
    assert contents(hits) == list(reversed(TALK))
    assert {hit["dist"] for hit in hits} == {0}


def test_the_limit_is_ten_unless_it_is_given(doors: InProcess) -> None:
    append(doors, "s", *["shoes"] * 1_200)
    bodies: list[Row] = [{"text": "shoes"}, {"metadata": {"a": 1}}]
    for body in bodies:
        for query, count in (
            ("", 10),
            ("?limit=", 10),
            ("?limit=0", 10),
            ("?limit=3", 3),
            ("?limit=300", 300),
            ("?limit=-1", 1_000),
            ("?limit=5000", 1_000),
        ):
            assert len(search(doors, query, **body)) == count, query


@pytest.mark.parametrize("limit", ["abc", "1.5", "%20", "9" * 20])
def test_a_limit_that_is_no_number_is_refused(talk: InProcess, limit: str) -> None:
    assert talk.send("POST", f"{SEARCH}?limit={limit}", {"text": "shoes"}).status == 400


def test_all_that_clients_send_is_understood(talk: InProcess) -> None:
    nothing = dict.fromkeys(("metadata", "search_scope", "search_type", "mmr_lambda"))
    several: list[Row] = [
        nothing,
        {"search_scope": "messages", "search_type": "similarity", "mmr_lambda": 0.5},
        {"search_type": "mmr", "mmr_lambda": 1, "metadata": {}},
        {"search_type": "mmr", "mmr_lambda": 0},
        {"search_type": "another", "search_scope": ""},
        {"metadata": {"foo": "bar"}},
        {"metadata": {"where": None, "start_date": None}},
        {"unknown": 1},
    ]
    for more in several:
        assert contents(search(talk, text="shoes", **more))[0] == "I bought red shoes", more


def test_there_are_no_summaries_yet(talk: InProcess) -> None:
    assert search(talk, text="shoes", search_scope="summary") == []


def test_an_unknown_session_has_no_hits(talk: InProcess) -> None:
    bodies: list[Row] = [{"text": "shoes"}, {"metadata": {}}]
    for body in bodies:
        assert ok(talk.send("POST", "/api/v1/sessions/none/search", body)) == []
    assert talk.send("GET", "/api/v1/sessions/none").status == 404


def test_an_deleted_session_has_no_hits(talk: InProcess) -> None:
    talk.send("DELETE", "/api/v1/sessions/s/memory")
    assert search(talk, text="shoes") == []


def test_a_session_is_searched_alone(talk: InProcess) -> None:
    append(talk, "other", "I bought red shoes")
    assert contents(search(talk, text="shoes")).count("I bought red shoes") == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": None, "metadata": None},
        {"search_scope": "summary"},
        {"text": "x", "search_scope": "other"},
        {"text": "x", "search_scope": "Messages"},
        {"text": 5},
        {"text": "x", "metadata": "foo"},
        {"text": "x", "search_type": 5},
        {"text": "x", "mmr_lambda": "0.5"},
        {"text": "x", "mmr_lambda": True},
        {"metadata": {}, "search_type": "mmr"},
        b"",
        b"{",
        b"[]",
    ],
    ids=str,
)
def test_what_cannot_be_searched_for_is_the_requests_fault(talk: InProcess, body: Any) -> None:
    for session_id in ("s", "none"):
        assert talk.send("POST", f"/api/v1/sessions/{session_id}/search", body).status == 400


def test_of_a_long_text_the_beginning_is_looked_for(talk: InProcess) -> None:
    assert contents(search(talk, text="shoes " + "x" * 100_000))[0] == "I bought red shoes"


@pytest.mark.parametrize("text", ["shoes", None])
def test_hits_are_narrowed_by_paths_into_their_metadata(doors: InProcess, text: str | None) -> None:
    messages = [
        {"role": "user", "content": "red shoes", "metadata": {"topic": "shoes", "n": 2}},
        {"role": "user", "content": "blue shoes", "metadata": {"topic": "sea"}},
        {"role": "user", "content": "old shoes"},
    ]
    added = doors.send("POST", "/api/v1/sessions/f/memory", {"messages": messages})
    assert added.status == 200
    for where, expected in (
        ({"jsonpath": '$[*] ? (@.topic == "shoes")'}, ["red shoes"]),
        ({"jsonpath": "$.n ? (@ > 5)"}, []),
        ({"or": [{"jsonpath": "$.n"}, {"jsonpath": "$ ? (@.topic == 'sea')"}]}, None),
        ({"and": [{"jsonpath": "$.topic"}, {"jsonpath": "$.n"}]}, ["red shoes"]),
    ):
        body = {"text": text, "metadata": {"where": where}}
        found = contents(ok(doors.send("POST", "/api/v1/sessions/f/search", body)))
        assert sorted(found) == (["blue shoes", "red shoes"] if expected is None else expected)


def test_hits_are_narrowed_by_dates_that_are_counted_in(talk: InProcess) -> None:
    [first, *_] = search(talk, text="shoes", limit=1)
    said_at = first["message"]["created_at"]
    for dates, is_found in (
        ({"start_date": said_at, "end_date": said_at}, True),
        ({"start_date": "2020-01-01", "end_date": "2100-01-01T00:00:00Z"}, True),
        ({"start_date": "2100-01-01"}, False),
        ({"end_date": "2020-01-01"}, False),
    ):
        for text in ("shoes", None):
            found = contents(search(talk, text=text, metadata=dates))
            assert ("I bought red shoes" in found) == is_found, dates


@pytest.mark.parametrize(
    "metadata",
    [
        {"where": {"jsonpath": "$.["}},
        {"where": {"jsonpath": '$ ? (@.a like_regex "b")'}},
        {"where": "x"},
        {"start_date": "never"},
        {"end_date": 5},
    ],
    ids=str,
)
def test_a_filter_that_cannot_be_is_the_requests_fault(talk: InProcess, metadata: Row) -> None:
    answer = talk.send("POST", SEARCH, {"text": "shoes", "metadata": metadata})
    assert answer.status == 400
    assert f"metadata.{next(iter(metadata))}" in answer.text


def test_the_session_may_be_encoded(doors: InProcess) -> None:
    doors.send("POST", "/api/v1/sessions", {"session_id": "a/b"})
    append(doors, "a%2Fb", "I bought red shoes")
    hits = ok(doors.send("POST", "/api/v1/sessions/a%2Fb/search", {"text": "shoes"}))
    assert contents(hits) == ["I bought red shoes"]
