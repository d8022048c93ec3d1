"""What a search ranks is limited, and an error names the limit."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.conftest import engine_id, fresh_settings
from tests.http.clients import InProcessClient, serve_in_process
from userkeep.services import search_by_words, search_candidates

MESSAGES = 600


@pytest.fixture(scope="module", params=["sqlite file", "postgres"], ids=engine_id)
def limited(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InProcessClient]:
    """An instance whose searches rank 1,000 matches, and a session of 600 messages."""
    settings = fresh_settings(request.param, tmp_path_factory.mktemp("limited"))
    with serve_in_process(replace(settings, search_match_limit=1_000)) as client:
        messages = [
            {
                "role": "user",
                "content": f"red shoes number {n}",
                "metadata": {"is_last": n == MESSAGES - 1},
            }
            for n in range(MESSAGES)
        ]
        body = {"user_id": "jane", "messages": messages}
        assert client.send("POST", "/v1/sessions/chat/messages", body).status == 201
        yield client


def found(client: InProcessClient, query: str, **where: str) -> list[int]:
    hits = client.send("POST", "/v1/search", {"query": query, **where}).json["items"]
    return [each["message"]["seq"] for each in hits]


@pytest.mark.parametrize(
    ("where", "advice"),
    [
        ({}, "Use fewer or rarer words, or search in a user or a session."),
        ({"user_id": "jane"}, "Use fewer or rarer words, or search in a session."),
        ({"session_id": "chat"}, "Use fewer or rarer words."),
    ],
)
def test_a_query_with_too_many_matches_is_rejected_with_advice(
    limited: InProcessClient, where: dict[str, str], advice: str
) -> None:
    response = limited.send("POST", "/v1/search", {"query": "red shoes", **where})
    sentence = "query: The words of the query have together more than 1,000 matches."
    assert (response.status, response.json["fields"]) == (422, ["query"])
    assert response.json["detail"] == f"{sentence} {advice}"
    assert found(limited, "red 17", **where)[0] == 18


def test_the_zep_api_rejects_a_query_with_too_many_matches(limited: InProcessClient) -> None:
    response = limited.send("POST", "/api/v1/sessions/chat/search", {"text": "red shoes"})
    assert response.status == 400
    assert "more than 1,000 matches" in response.text


def test_a_query_whose_matches_are_read_in_parts_has_the_same_hits(
    limited: InProcessClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = {"query": "17 18 19 333 335 number", "user_id": "jane", "explain": True, "limit": 50}
    whole = limited.send("POST", "/v1/search", query).json
    monkeypatch.setattr(search_by_words, "_POSTINGS_AT_ONCE", MESSAGES)
    assert limited.send("POST", "/v1/search", query).json == whole
    monkeypatch.setattr(search_by_words, "_POSTINGS_AT_ONCE", MESSAGES - 1)
    response = limited.send("POST", "/v1/search", query)
    assert response.status == 422
    assert "A word of the query is in more than 599 messages." in response.json["detail"]


def test_the_texts_that_a_search_reads_are_limited(
    limited: InProcessClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = {"query": 'shoes -"number 17"', "syntax": "web", "user_id": "jane", "limit": 599}
    hits = limited.send("POST", "/v1/search", query).json["items"]
    assert {each["message"]["seq"] for each in hits} == {*range(1, MESSAGES + 1)} - {18}
    monkeypatch.setattr(search_candidates, "_MAX_TEXTS", MESSAGES - 1)
    response = limited.send("POST", "/v1/search", query)
    assert (response.status, response.json["fields"]) == (422, ["query"])
    assert "the texts of more than 599 messages" in response.json["detail"]


def test_the_words_with_a_beginning_count_as_one(limited: InProcessClient) -> None:
    query = {"query": "num* sho*", "syntax": "web", "user_id": "jane"}
    response = limited.send("POST", "/v1/search", query)
    assert "have together more than 1,000 matches" in response.json["detail"]
    query["query"] = "num*"
    assert len(limited.send("POST", "/v1/search", query).json["items"]) == 10


def test_all_matches_are_weighed_until_there_are_enough_hits(limited: InProcessClient) -> None:
    condition = {"field": "metadata.is_last", "op": "eq", "value": True}
    wanted = {"query": "number", "user_id": "jane", "filter": condition}
    [hit] = limited.send("POST", "/v1/search", wanted | {"limit": 2}).json["items"]
    assert hit["message"]["seq"] == MESSAGES
    assert found(limited, "number", user_id="jane")[0] == MESSAGES
