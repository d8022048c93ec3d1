"""Search on `/api/v1`."""

from typing import Any

import pytest

from tests.compat.steps import Row, append, messages_of, ok
from tests.http.clients import InProcessClient

SEARCH = "/api/v1/sessions/s/search"
CONTENTS = ("I bought red shoes", "a", "b", "c", "Hats are nice", "d", "e", "f", "Red hats")


@pytest.fixture
def searchable(client: InProcessClient) -> InProcessClient:
    """A client of a server with a session `s` and a few messages."""
    append(client, "s", *CONTENTS)
    return client


def search(client: InProcessClient, query: str = "", **body: Any) -> list[Row]:
    """Search the session `s`; return the hits."""
    hits: list[Row] = ok(client.send("POST", SEARCH + query, body))
    return hits


def contents(hits: list[Row]) -> list[str]:
    return [hit["message"]["content"] for hit in hits]


def test_hits_have_the_fields_of_zep(searchable: InProcessClient) -> None:
    [hit] = search(searchable, "?limit=1", text="red shoes")
    assert list(hit) == ["message", "summary", "dist", "embedding"]
    assert hit["message"] == messages_of(searchable, "s")[0]
    assert (hit["summary"], hit["embedding"]) == (None, None)
    assert hit["dist"] > 0


def test_the_best_match_comes_first_with_the_greatest_dist(searchable: InProcessClient) -> None:
    hits = search(searchable, text="What of red hats?")
    assert contents(hits)[:2] == ["Red hats", "Hats are nice"]
    dists = [hit["dist"] for hit in hits]
    assert dists == sorted(dists, reverse=True)


def test_without_a_text_the_newest_messages_come_first(searchable: InProcessClient) -> None:
    hits = search(searchable, metadata={"foo": "bar"})
    assert contents(hits) == list(reversed(CONTENTS))
    assert {hit["dist"] for hit in hits} == {0}


def test_the_default_limit_is_ten(client: InProcessClient) -> None:
    append(client, "s", *["shoes"] * 1_200)
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
            assert len(search(client, query, **body)) == count, query


@pytest.mark.parametrize("limit", ["abc", "1.5", "%20", "9" * 20])
def test_a_limit_that_is_not_a_number_is_rejected(searchable: InProcessClient, limit: str) -> None:
    assert searchable.send("POST", f"{SEARCH}?limit={limit}", {"text": "shoes"}).status == 400


def test_everything_that_clients_send_is_accepted(searchable: InProcessClient) -> None:
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
        assert contents(search(searchable, text="shoes", **more))[0] == "I bought red shoes", more


def test_a_search_of_summaries_finds_nothing(searchable: InProcessClient) -> None:
    assert search(searchable, text="shoes", search_scope="summary") == []


def test_an_unknown_session_has_no_hits(searchable: InProcessClient) -> None:
    bodies: list[Row] = [{"text": "shoes"}, {"metadata": {}}]
    for body in bodies:
        assert ok(searchable.send("POST", "/api/v1/sessions/none/search", body)) == []
    assert searchable.send("GET", "/api/v1/sessions/none").status == 404


def test_a_deleted_session_has_no_hits(searchable: InProcessClient) -> None:
    searchable.send("DELETE", "/api/v1/sessions/s/memory")
    assert search(searchable, text="shoes") == []


def test_a_search_covers_one_session(searchable: InProcessClient) -> None:
    append(searchable, "other", "I bought red shoes")
    assert contents(search(searchable, text="shoes")).count("I bought red shoes") == 1


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
def test_an_invalid_search_is_a_bad_request(searchable: InProcessClient, body: Any) -> None:
    for session_id in ("s", "none"):
        assert searchable.send("POST", f"/api/v1/sessions/{session_id}/search", body).status == 400


def test_a_long_text_is_cut(searchable: InProcessClient) -> None:
    assert contents(search(searchable, text="shoes " + "x" * 100_000))[0] == "I bought red shoes"


@pytest.mark.parametrize("text", ["shoes", None])
def test_json_paths_filter_hits_by_metadata(client: InProcessClient, text: str | None) -> None:
    messages = [
        {"role": "user", "content": "red shoes", "metadata": {"topic": "shoes", "n": 2}},
        {"role": "user", "content": "blue shoes", "metadata": {"topic": "sea"}},
        {"role": "user", "content": "old shoes"},
    ]
    added = client.send("POST", "/api/v1/sessions/f/memory", {"messages": messages})
    assert added.status == 200
    for where, expected in (
        ({"jsonpath": '$[*] ? (@.topic == "shoes")'}, ["red shoes"]),
        ({"jsonpath": "$.n ? (@ > 5)"}, []),
        ({"or": [{"jsonpath": "$.n"}, {"jsonpath": "$ ? (@.topic == 'sea')"}]}, None),
        ({"and": [{"jsonpath": "$.topic"}, {"jsonpath": "$.n"}]}, ["red shoes"]),
    ):
        body = {"text": text, "metadata": {"where": where}}
        found = contents(ok(client.send("POST", "/api/v1/sessions/f/search", body)))
        assert sorted(found) == (["blue shoes", "red shoes"] if expected is None else expected)


def test_dates_filter_hits_inclusively(searchable: InProcessClient) -> None:
    [first, *_] = search(searchable, text="shoes", limit=1)
    created_at = first["message"]["created_at"]
    for dates, is_found in (
        ({"start_date": created_at, "end_date": created_at}, True),
        ({"start_date": "2020-01-01", "end_date": "2100-01-01T00:00:00Z"}, True),
        ({"start_date": "2100-01-01"}, False),
        ({"end_date": "2020-01-01"}, False),
    ):
        for text in ("shoes", None):
            found = contents(search(searchable, text=text, metadata=dates))
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
def test_an_invalid_filter_is_a_bad_request(searchable: InProcessClient, metadata: Row) -> None:
    response = searchable.send("POST", SEARCH, {"text": "shoes", "metadata": metadata})
    assert response.status == 400
    assert f"metadata.{next(iter(metadata))}" in response.text


def test_the_session_id_can_be_percent_encoded(client: InProcessClient) -> None:
    client.send("POST", "/api/v1/sessions", {"session_id": "a/b"})
    append(client, "a%2Fb", "I bought red shoes")
    hits = ok(client.send("POST", "/api/v1/sessions/a%2Fb/search", {"text": "shoes"}))
    assert contents(hits) == ["I bought red shoes"]
