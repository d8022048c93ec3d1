"""Search by meaning, over HTTP and embedded, with a made-up embedding model."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from devtools.embedding_rows import embed_all
from evals.endpoint import sentence_encoder, serving
from tests.conftest import engine_id, fresh_settings
from tests.embedding_server import (
    CLOSED,
    MALFORMED,
    MODEL,
    OTHER_DIMENSIONS,
    WELL,
    Behavior,
    EmbeddingServer,
    Vector,
    failing,
    serving_embeddings,
    slow,
)
from tests.http.clients import InProcessClient, serve_in_process
from userkeep.domain.transaction import Transaction
from userkeep.embedded import EmbeddedTransport
from userkeep.sdk._sync.client import Client
from userkeep.sdk.hits import Hits
from userkeep.services import embeddings

_NUMBERS = count(1)
TIMEOUT_S = 0.3

CHAT = (
    "I bought red shoes on Friday",
    "How nice!",
    "The automobile needs new tyres",
    "We talked about taxes",
    "The puppy sleeps all day",
)


@pytest.fixture(scope="module")
def model() -> Iterator[EmbeddingServer]:
    with serving_embeddings() as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite file", "postgres"], ids=engine_id)
def server(
    request: pytest.FixtureRequest,
    model: EmbeddingServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[InProcessClient]:
    settings = replace(
        fresh_settings(request.param, tmp_path_factory.mktemp("meaning")),
        embeddings_url=model.url,
        embeddings_model=MODEL,
        embeddings_query_timeout_ms=int(TIMEOUT_S * 1000),
    )
    with serve_in_process(settings) as client:
        yield client


@pytest.fixture
def user(server: InProcessClient, model: EmbeddingServer) -> Iterator[str]:
    """A user with a chat that has embeddings."""
    user_id = f"user-{next(_NUMBERS)}"
    append(server, user_id, *CHAT)
    yield user_id
    model.behavior = WELL


Search = Callable[..., Any]


@pytest.fixture(params=["http", "embedded"])
def search(request: pytest.FixtureRequest, server: InProcessClient) -> Search:
    """Searches, and returns the response as JSON."""
    if request.param == "http":
        return lambda query, **more: post(server, query=query, **more)
    client = Client(EmbeddedTransport(server.instance))

    def search(query: str, **more: Any) -> Any:
        found: Hits = client.search(query, **more)
        return found.to_dict()

    return search


def append(server: InProcessClient, user_id: str, *contents: str, **fields: Any) -> None:
    """Append messages to a session of the user, with embeddings."""
    messages = [{"role": "norole", "content": content, **fields} for content in contents]
    path = f"/v1/sessions/{user_id}-{next(_NUMBERS)}/messages"
    response = server.send("POST", path, {"user_id": user_id, "messages": messages})
    assert response.status == 201, response.text
    embed_all(server.instance)


def post(server: InProcessClient, **body: Any) -> Any:
    response = server.send("POST", "/v1/search", body)
    assert response.status == 200, response.text
    return response.json


def contents(found: Any) -> list[str]:
    return [hit["message"]["content"] for hit in found["items"]]


def test_a_query_is_embedded_once_while_a_server_begins_to_embed_messages(
    search: Search, user: str, server: InProcessClient, model: EmbeddingServer
) -> None:
    def acquire(tx: Transaction) -> None:
        embeddings.release_lease(tx)
        [recorded] = embeddings.models(tx)
        leases.append(embeddings.acquire_lease(tx, recorded.model_id, None))

    def begin(vectors: list[Vector]) -> list[Vector]:
        server.instance.engine.write(acquire)
        return vectors

    leases: list[Any] = []
    model.requests.clear()
    model.plan(Behavior(change=begin))
    query = f"an unusual question of {user}"
    search(query, user_id=user)
    server.instance.engine.write(embeddings.release_lease)
    assert len(leases) == 1
    assert leases[0] is not None
    assert model.texts.count(query) == 1  # the server may embed messages beside it


def test_a_message_is_found_by_what_it_means(search: Search, user: str) -> None:
    for mode in "auto", "meaning":
        found = search("footwear", user_id=user, mode=mode)
        assert contents(found)[0] == CHAT[0]
        assert "degraded" not in found
    assert contents(search("a vehicle", user_id=user))[0] == CHAT[2]
    assert contents(search("footwear", user_id=user, mode="words")) == []


def test_words_are_still_found(search: Search, user: str) -> None:
    assert contents(search("taxes", user_id=user))[0] == CHAT[3]


def test_the_score_is_the_sum_of_words_and_meaning_times_the_weight(
    server: InProcessClient, search: Search, user: str
) -> None:
    append(server, user, "I sell boots", role="user")
    found = search("red footwear", user_id=user, explain=True)
    assert found["query"]["embedded"] == "red footwear"
    assert found["query"]["mode"] == "auto"
    for hit in found["items"]:
        explanation = hit["explanation"]
        words, meaning = explanation["words_score"], explanation["meaning"]
        share = 0.0 if meaning is None else meaning["score"]
        assert hit["score"] == pytest.approx((words + share) * explanation["role_weight"])
        assert sum(each["score"] for each in explanation["words"]) == pytest.approx(words)
    best = found["items"][0]
    assert best["explanation"]["words_score"] == 1
    neighbour = next(hit for hit in found["items"] if hit["message"]["content"] == CHAT[1])
    assert neighbour["explanation"]["meaning"]["seq"] == 1
    by_meaning = search("red footwear", user_id=user, mode="meaning", explain=True)
    assert all(each["explanation"]["words_score"] == 0 for each in by_meaning["items"])


def test_conditions_hold_for_what_is_found_by_meaning(
    server: InProcessClient, search: Search, user: str
) -> None:
    append(server, user, "Sneakers", role="user", metadata={"kind": "sport"})
    only = {"field": "metadata.kind", "op": "eq", "value": "sport"}
    assert contents(search("footwear", user_id=user, filter=only)) == ["Sneakers"]
    assert contents(search("footwear", user_id=user, roles=["user"])) == ["Sneakers"]
    web = {"user_id": user, "syntax": "web"}
    assert CHAT[0] not in contents(search("footwear -friday", **web))
    assert CHAT[0] not in contents(search('footwear -"red shoes"', **web))
    assert contents(search('footwear "red shoes"', **web))[0] == CHAT[0]
    assert "Sneakers" not in contents(search('footwear "red shoes"', **web))
    assert contents(search('footwear "blue shoes"', **web)) == []
    assert contents(search("footwear", user_id=user, limit=1, offset=1))
    assert contents(search("footwear", user_id=user, min_score=99)) == []


def test_neighbours_are_found_by_meaning_unless_they_are_left_out(
    search: Search, user: str
) -> None:
    def explained(**more: Any) -> Any:
        found = search("footwear", user_id=user, mode="meaning", explain=True, **more)
        return {
            hit["message"]["seq"]: hit["explanation"]["meaning"]["seq"] for hit in found["items"]
        }

    assert explained()[2] == 1
    without = explained(context=False)
    assert all(seq == of for seq, of in without.items())


def test_others_messages_are_not_found_by_meaning(
    server: InProcessClient, search: Search, user: str
) -> None:
    append(server, f"{user}-other", "My boots are muddy")
    assert "My boots are muddy" not in contents(search("footwear", user_id=user, limit=100))
    assert contents(search("footwear", user_id=f"{user}-other")) == ["My boots are muddy"]


def test_a_message_without_an_embedding_is_found_by_words(
    server: InProcessClient, search: Search, user: str
) -> None:
    path = f"/v1/sessions/{user}-late/messages"
    body = {"user_id": user, "messages": [{"role": "user", "content": "a zeppelin above"}]}
    assert server.send("POST", path, body).status == 201
    assert contents(search("zeppelin", user_id=user))[0] == "a zeppelin above"


def test_names_are_left_out_of_what_is_embedded_unless_nothing_is_left(
    server: InProcessClient, search: Search, model: EmbeddingServer, user: str
) -> None:
    append(server, user, "I like it here", name="Caroline")

    def embedded(query: str) -> Any:
        return search(query, user_id=user, explain=True)["query"]["embedded"]

    assert embedded("What are Caroline's plans for a trip?") == "What are plans for a trip?"
    assert embedded("Caroline") == "Caroline"
    assert "What are plans for a trip?" in model.texts


def test_a_query_without_text_to_embed_is_searched_by_words(search: Search, user: str) -> None:
    found = search("sho*", user_id=user, syntax="web")
    assert contents(found)[0] == CHAT[0]
    assert "degraded" not in found
    found = search("sho*", user_id=user, syntax="web", mode="meaning")
    assert found["degraded"]["reason"] == "nothing_to_embed"
    assert contents(found)[0] == CHAT[0]


@pytest.mark.parametrize(
    "behavior",
    [CLOSED, failing(500), MALFORMED, OTHER_DIMENSIONS, slow(3 * TIMEOUT_S)],
    ids=["down", "failing", "malformed", "other dimensions", "slow"],
)
@pytest.mark.parametrize("mode", ["auto", "meaning"])
def test_words_alone_are_compared_where_the_model_does_not_answer(
    behavior: Any, mode: str, model: EmbeddingServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with serving_embeddings() as own:
        settings = replace(
            fresh_settings("sqlite file", tmp_path_factory.mktemp("degraded")),
            embeddings_url=own.url,
            embeddings_model=MODEL,
            embeddings_query_timeout_ms=int(TIMEOUT_S * 1000),
        )
        with serve_in_process(settings) as server:
            append(server, "jane", *CHAT)
            own.behavior = behavior
            words = post(server, query="shoes", user_id="jane", mode="words")
            began = time.monotonic()
            found = post(server, query="shoes", user_id="jane", mode=mode)
            assert time.monotonic() - began < 2.5 * TIMEOUT_S
            assert found["degraded"]["reason"] == "embedding_unavailable"
            assert found["items"] == words["items"]
            asked = len(own.requests)
            for number in range(5):
                post(server, query=f"shoes {number}", user_id="jane")
            assert len(own.requests) <= asked + 2, "it is asked again and again"


def test_the_embedding_of_a_query_is_remembered_until_something_is_deleted(
    server: InProcessClient, search: Search, model: EmbeddingServer, user: str
) -> None:
    query = f"footwear {user}"

    def asked() -> int:
        search(query, user_id=user)
        return model.texts.count(query)

    first = asked()
    assert asked() == first
    append(server, f"{user}-other", "short")
    assert server.send("DELETE", f"/v1/users/{user}-other").status == 200
    assert asked() == first + 1
    assert asked() == first + 1


def test_a_user_who_is_not_to_be_embedded_is_searched_by_words(
    server: InProcessClient, search: Search, model: EmbeddingServer
) -> None:
    user = f"user-{next(_NUMBERS)}"
    response = server.send("POST", "/v1/users", {"user_id": user, "do_not_embed": True})
    assert response.status == 201, response.text
    path = f"/v1/sessions/{user}/messages"
    body = {"user_id": user, "messages": [{"role": "user", "content": "a secret plan"}]}
    assert server.send("POST", path, body).status == 201
    found = search(f"secret {user}", user_id=user)
    assert found["degraded"]["reason"] == "do_not_embed"
    assert contents(found) == ["a secret plan"]
    assert not any(user in text for text in model.texts)


def test_zep_clients_find_by_meaning_too(server: InProcessClient, user: str) -> None:
    append(server, user, "Boots and more boots")
    session = post(server, query="boots", user_id=user)["items"][0]["message"]["session_id"]
    response = server.send("POST", f"/api/v1/sessions/{session}/search", {"text": "footwear"})
    [hit] = response.json
    assert hit["message"]["content"] == "Boots and more boots"
    assert 0 < hit["dist"] < 1


def test_without_a_model_only_a_search_by_meaning_is_degraded(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = fresh_settings("sqlite file", tmp_path_factory.mktemp("plain"))
    with serve_in_process(settings) as server:
        body = {"user_id": "jane", "messages": [{"role": "user", "content": "red shoes"}]}
        assert server.send("POST", "/v1/sessions/chat/messages", body).status == 201
        by_words = post(server, query="shoes", explain=True, mode="words")
        assert post(server, query="shoes", explain=True) == by_words
        assert by_words["query"] == {"words": ["shoes"], "note": None}
        by_meaning = post(server, query="shoes", explain=True, mode="meaning")
        assert by_meaning.pop("degraded")["reason"] == "not_configured"
        assert by_meaning == by_words


def test_a_real_model_finds_shoes_by_footwear(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(sentence_encoder()) as model:
        settings = replace(
            fresh_settings("sqlite file", tmp_path_factory.mktemp("real")),
            embeddings_url=model["EMBEDDINGS_URL"],
            embeddings_model=model["EMBEDDINGS_MODEL"],
            embeddings_query_timeout_ms=30_000,
        )
        with serve_in_process(settings) as server:
            append(server, "jane", "The meeting is on Monday", "He bought new shoes", "It rains")
            found = post(server, query="footwear", user_id="jane", mode="meaning")
            assert contents(found)[0] == "He bought new shoes"
