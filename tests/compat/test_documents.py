"""Collections and documents on `/api/v1`."""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from math import cos, sin
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from tests.compat.steps import ok
from tests.conftest import ENGINES, engine_id, fresh_settings
from tests.documents import add_collection, write
from tests.embedding_server import (
    DIMENSIONS,
    MODEL,
    EmbeddingServer,
    failing,
    serving_embeddings,
    slow,
)
from tests.http.clients import InProcessClient, serve_in_process
from userkeep.domain.collection import NewCollection
from userkeep.domain.document import NewDocument
from userkeep.domain.errors import Gone, NotFound
from userkeep.domain.transaction import scoped
from userkeep.domain.vectors.documents import NumpyVectorMath
from userkeep.domain.vectors.encoding import embedding_json, encode_embedding, quantize_embedding
from userkeep.domain.vectors.plain import PlainVectorMath
from userkeep.domain.vectors.ranking import PackedVectors, StoredVector
from userkeep.services import collections, document_search, documents, embeddings
from userkeep.worker.timers import SERVER_TIMERS

PAPERS = "/api/v1/collection/papers"
UUID = "0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10"


def near(axis: int, other: float = 0.0) -> list[float]:
    """Return an embedding of eight dimensions along an axis."""
    return [1.0 if at == axis else other for at in range(8)]


def create(client: InProcessClient, **fields: Any) -> None:
    body = {"name": "papers", "embedding_dimensions": 8, "is_auto_embedded": False, **fields}
    assert client.send("POST", PAPERS, body).status == 200


def add(client: InProcessClient, *new: dict[str, Any]) -> list[str]:
    uuids: list[str] = ok(client.send("POST", f"{PAPERS}/document", list(new)))
    return uuids


def search(client: InProcessClient, query: str = "", **body: Any) -> list[str]:
    found = ok(client.send("POST", f"{PAPERS}/search{query}", body))
    return [each["content"] for each in found["results"]]


def papers(client: InProcessClient) -> Any:
    return ok(client.send("GET", PAPERS))


@pytest.fixture
def three(client: InProcessClient) -> list[str]:
    """The uuids of three documents in a collection."""
    create(client)
    return add(
        client,
        {"document_id": "a", "content": "red", "metadata": {"n": 1}, "embedding": near(0)},
        {"content": "blue", "metadata": {"n": 2}, "embedding": near(0, 0.25)},
        {"content": "hats", "embedding": near(3)},
    )


def test_an_embedding_is_given_back_as_it_was_sent(client: InProcessClient) -> None:
    create(client)
    sent = [0.1, -1e-30, 3, 1 / 3, 123456.789, 1e30, 0.0, -0.5]
    [uuid] = add(client, {"content": "x", "embedding": sent})
    read = ok(client.send("GET", f"{PAPERS}/document/uuid/{uuid}"))["embedding"]
    assert encode_embedding(read, "x") == encode_embedding(sent, "x")
    assert (read[0], read[2]) == (0.1, 3)


@pytest.mark.usefixtures("three")
def test_filters_limits_and_the_order_of_a_search(client: InProcessClient) -> None:
    where = {"where": {"or": [{"jsonpath": "$ ? (@.n == 2)"}, {"jsonpath": "$ ? (@.n == 1)"}]}}
    assert search(client, embedding=near(3)) == ["hats", "blue", "red"]
    assert search(client, embedding=near(3), metadata=where) == ["blue", "red"]
    assert search(client, "?limit=1", embedding=near(3)) == ["hats"]
    assert search(client, metadata=where) == ["blue", "red"]
    assert search(client, "?limit=2", metadata={"n": 1}) == ["hats", "blue"]
    assert search(client, "?limit=-1", embedding=near(0)) == ["red", "blue", "hats"]


def test_documents_are_selected_changed_and_deleted_in_lists(
    client: InProcessClient, three: list[str]
) -> None:
    wanted = {"uuids": [three[2], UUID]}
    found = ok(client.send("POST", f"{PAPERS}/document/list/get", wanted))
    assert [each["content"] for each in found] == ["hats"]
    assert len(ok(client.send("POST", f"{PAPERS}/document/list/get", {}))) == 3
    changes = [{"uuid": three[0], "document_id": "b"}, {"uuid": UUID, "metadata": {"x": 1}}]
    assert client.send("PATCH", f"{PAPERS}/document/list/update", changes).text == "OK"
    found = ok(client.send("POST", f"{PAPERS}/document/list/get", {"document_ids": ["b", "a"]}))
    assert [(each["content"], each["metadata"]) for each in found] == [("red", {"n": 1})]
    assert client.send("POST", f"{PAPERS}/document/list/delete", [three[0], UUID]).text == "OK"
    assert client.send("POST", f"{PAPERS}/document/list/delete", [three[0]]).status == 404
    assert papers(client)["document_count"] == 2
    assert search(client, embedding=near(0)) == ["blue", "hats"]


@pytest.mark.usefixtures("three")
def test_documents_of_a_user_are_deleted_with_them(client: InProcessClient) -> None:
    client.send("POST", "/api/v1/user", {"user_id": "jane"})
    of_jane = NewDocument(content="of jane", user_id="jane", embedding=near(5))
    new = documents.prepare([of_jane] * 120)
    write(client.instance, documents.add, "papers", new)
    assert papers(client)["document_count"] == 123
    assert search(client, "?limit=1", embedding=near(5)) == ["of jane"]
    erasure = ok(client.send("DELETE", "/v1/users/jane"))
    assert erasure["counts"] == {"users": 1, "sessions": 0, "messages": 0, "documents": 120}
    assert search(client, embedding=near(5)) == ["blue", "red", "hats"]
    assert papers(client)["document_count"] == 3
    with pytest.raises(NotFound):
        write(client.instance, documents.add, "papers", new)


def test_no_document_is_left_of_a_user_who_is_deleted_while_they_are_added(
    client: InProcessClient,
) -> None:
    create(client)
    new = documents.prepare([NewDocument(content="x", user_id="jane", embedding=near(0))] * 3)

    def add_until_gone(_: int) -> None:
        with_jane = True
        while with_jane:
            try:
                write(client.instance, documents.add, "papers", new)
            except (Gone, NotFound):
                with_jane = False

    with ThreadPoolExecutor(3) as threads:
        for _ in range(4):
            client.send("POST", "/api/v1/user", {"user_id": "jane"})
            adding = [threads.submit(add_until_gone, number) for number in range(3)]
            sleep(0.02)
            assert client.send("DELETE", "/api/v1/user/jane").text == "OK"
            for each in adding:
                each.result()
            assert papers(client)["document_count"] == 0
    assert client.send("POST", f"{PAPERS}/document/list/get", {}).status == 404


def test_a_collection_with_many_documents_is_deleted_and_created_again(
    client: InProcessClient,
) -> None:
    create(client)
    many = [{"content": f"{n}", "embedding": near(n % 8, 0.5)} for n in range(3_000)]
    assert len(set(add(client, *many))) == 3_000
    listed = ok(client.send("POST", f"{PAPERS}/document/list/get", {}))
    assert [each["content"] for each in listed] == [each["content"] for each in many]
    assert client.send("DELETE", PAPERS).text == "OK"
    assert client.send("DELETE", PAPERS).status == 404
    create(client)
    assert papers(client)["document_count"] == 0
    assert search(client, embedding=near(0)) == []


def test_names_of_other_lengths_than_zeps_are_not_listed(client: InProcessClient) -> None:
    add_collection(client.instance, "no", NewDocument(content="x", embedding=near(0)))
    add_collection(client.instance, "n" * 41)
    add_collection(client.instance, "some-notes")
    listed = ok(client.send("GET", "/api/v1/collection"))
    assert [each["name"] for each in listed] == ["some-notes"]
    assert ok(client.send("GET", "/api/v1/collection/no"))["document_count"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([{"content": "x"}], "documents[0].embedding"),
        ([{"content": "x", "embedding": [1, 2]}], "documents[0].embedding"),
        ([{"content": "x", "embedding": [0] * 8}], "documents[0].embedding"),
        ([{"content": "x", "embedding": [1e39] * 8}], "documents[0].embedding"),
        ([{"content": "x", "embedding": [True] * 8}], "documents[0].embedding"),
        ([{"content": "x", "embedding": ["1"] * 8}], "documents[0].embedding"),
        ([{"content": "x", "embedding": "1"}], "documents[0].embedding"),
        ([{"content": 1, "embedding": [1] * 8}], "documents[0].content"),
        ([{"content": "\0", "embedding": [1] * 8}], "documents[0].content"),
        ([{"document_id": "é", "content": "x", "embedding": [1] * 8}], "documents[0].document_id"),
        ([{"document_id": "a" * 101, "embedding": [1] * 8}], "documents[0].document_id"),
        ([{"document_id": "a", "embedding": [1] * 8}] * 2, "documents[1].document_id"),
        ([{"content": "x", "metadata": [1], "embedding": [1] * 8}], "documents[0].metadata"),
        ([{}], "documents[0]"),
        ([1], "documents[0]"),
        ({"content": "x"}, "array"),
        (b"[NaN]", "JSON"),
        (b"", "empty"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_documents_are_a_400_that_names_the_field(
    wrong: InProcessClient, body: Any, field: str
) -> None:
    response = wrong.send("POST", f"{PAPERS}/document", body)
    assert response.status == 400
    assert field in response.text
    assert papers(wrong)["document_count"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"metadata": {}},
        {"text": "x", "embedding": [1] * 8},
        {"text": "x"},
        {"embedding": [1]},
        {"embedding": [0] * 8},
        {"embedding": ["x"] * 8},
        {"embedding": [1] * 8, "search_type": "mmr", "mmr_lambda": 2},
        {"metadata": {"where": 1}},
        {"metadata": {"where": {"jsonpath": "$ ? ("}}},
        {"metadata": {"n": 1}, "search_type": "mmr"},
    ],
    ids=str,
)
def test_a_wrong_search_is_a_400(wrong: InProcessClient, body: Any) -> None:
    assert wrong.send("POST", f"{PAPERS}/search", body).status == 400


@pytest.mark.parametrize(
    "change",
    [
        {"name": "a"},
        {"name": "a" * 41},
        {"name": "with-dash"},
        {"name": None},
        {"embedding_dimensions": 7},
        {"embedding_dimensions": 2001},
        {"embedding_dimensions": "8"},
        {"is_auto_embedded": None},
        {"is_auto_embedded": 1},
        {"is_auto_embedded": True},
        {"description": "x" * 1001},
        {"metadata": []},
    ],
    ids=str,
)
def test_a_wrong_collection_is_a_400(wrong: InProcessClient, change: dict[str, Any]) -> None:
    body = {"name": "other", "embedding_dimensions": 8, "is_auto_embedded": False, **change}
    assert wrong.send("POST", "/api/v1/collection/other", body).status == 400
    assert wrong.send("GET", "/api/v1/collection/other").status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/document/uuid/nope", None, 400),
        ("GET", "/document/nope", None, 400),
        ("GET", f"/document/{UUID}", None, 404),
        ("DELETE", f"/document/uuid/{UUID}", None, 404),
        ("PATCH", f"/document/uuid/{UUID}", {"metadata": {"x": 1}}, 404),
        ("PATCH", f"/document/uuid/{UUID}", {"document_id": "a" * 41}, 400),
        ("PATCH", f"/document/uuid/{UUID}", {"document_id": "", "metadata": {}}, 400),
        ("POST", "/document/list/get", {"uuids": ["nope"]}, 400),
        ("POST", "/document/list/get", {"uuids": [UUID], "document_ids": ["a"]}, 400),
        ("POST", "/document/list/get", {"document_ids": ["a"]}, 404),
        ("POST", "/document/list/delete", [1], 400),
        ("POST", "/document/list/delete", [UUID], 404),
        ("PATCH", "/document/list/update", [{"metadata": {"x": 1}}], 400),
        ("PATCH", "/document/list/update", [{"uuid": UUID, "metadata": {"x": 1}}], 404),
        ("POST", "/index/create?force=maybe", b"", 400),
        ("POST", "/index/create?force=1", b"", 200),
        ("POST", "/search?limit=x", {"embedding": [1] * 8}, 400),
    ],
)
def test_what_is_not_there_is_a_404_and_what_cannot_be_read_a_400(
    wrong: InProcessClient, method: str, path: str, body: Any, status: int
) -> None:
    assert wrong.send(method, f"{PAPERS}{path}", body).status == status


@pytest.fixture(scope="module")
def wrong() -> Iterator[InProcessClient]:
    """A client of a server with an empty collection, for requests that are rejected."""
    settings = fresh_settings("sqlite memory", Path())
    with serve_in_process(settings) as client:
        create(client)
        yield client


# Collections that the model embeds.


@pytest.fixture(scope="module")
def endpoint() -> Iterator[EmbeddingServer]:
    with serving_embeddings() as endpoint:
        yield endpoint


Serve = Callable[..., InProcessClient]
IMPATIENT = SERVER_TIMERS._replace(embed_s=0.02)


@pytest.fixture(params=[each for each in ENGINES if each != "sqlite memory"], ids=engine_id)
def serve(
    request: pytest.FixtureRequest, tmp_path: Path, endpoint: EmbeddingServer
) -> Iterator[Serve]:
    """Start a server with the made-up model, or another one, again and again on one database."""
    settings = fresh_settings(request.param, tmp_path)
    with ExitStack() as stack:

        def serve(model: str = MODEL) -> InProcessClient:
            stack.close()
            url = endpoint.url if model else ""
            keyed = replace(
                settings,
                embeddings_url=url,
                embeddings_model=model,
                # On a busy machine, two queries that are late pause all searches by text.
                embeddings_query_timeout_ms=10_000,
            )
            return stack.enter_context(serve_in_process(keyed, IMPATIENT))

        yield serve


def wait_until_embedded(client: InProcessClient, count: int) -> None:
    ends = monotonic() + 60
    while (found := papers(client))["document_embedded_count"] != count:
        assert monotonic() < ends, found
        client.run(asyncio.sleep(0.02))


def test_texts_are_embedded_soon_after_they_are_added(
    serve: Serve, endpoint: EmbeddingServer
) -> None:
    client = serve()
    create(client, embedding_dimensions=DIMENSIONS, is_auto_embedded=True)
    uuids = add(client, {"content": "a journey by ship"}, {"content": "the price of shoes"})
    first = ok(client.send("GET", f"{PAPERS}/document/uuid/{uuids[0]}"))
    assert first["is_embedded"] == (first["embedding"] is not None)
    wait_until_embedded(client, 2)
    assert search(client, "?limit=1", text="footwear") == ["the price of shoes"]
    requests = len(endpoint.requests)
    assert search(client, "?limit=1", text="footwear") == ["the price of shoes"]
    assert len(endpoint.requests) == requests  # the embedding of the query is remembered
    given = [{"content": "x", "embedding": [1] * DIMENSIONS}]
    assert client.send("POST", f"{PAPERS}/document", given).status == 400
    # The model is away: there is nothing else to search by.
    endpoint.plan(failing(500))
    away = client.send("POST", f"{PAPERS}/search", {"text": "boots"})
    assert away.status == 503
    assert "could not be embedded" in away.text
    assert int(away.headers["retry-after"]) >= 1


def test_another_model_embeds_the_documents_again(serve: Serve) -> None:
    client = serve()
    create(client, embedding_dimensions=DIMENSIONS, is_auto_embedded=True)
    add(client, {"content": "a journey by ship"}, {"content": "the price of shoes"})
    wait_until_embedded(client, 2)
    client = serve("another")
    ends = monotonic() + 60
    while client.send("POST", f"{PAPERS}/search", {"text": "x"}).status != 200:
        assert monotonic() < ends
        client.run(asyncio.sleep(0.02))
    wait_until_embedded(client, 2)
    assert search(client, "?limit=1", text="footwear") == ["the price of shoes"]


def test_a_text_that_the_model_rejects_does_not_stop_the_others(
    serve: Serve, endpoint: EmbeddingServer
) -> None:
    client = serve()
    create(client, embedding_dimensions=DIMENSIONS, is_auto_embedded=True)
    endpoint.rejected.add("unspeakable")
    add(client, {"content": "something unspeakable"}, {"content": "the price of shoes"})
    wait_until_embedded(client, 1)
    endpoint.rejected.clear()
    assert search(client, text="footwear") == ["the price of shoes"]


@pytest.mark.parametrize("change", ["left out", "deleted"])
def test_documents_are_not_sent_once_they_are_left_out_or_deleted(
    serve: Serve, endpoint: EmbeddingServer, change: str
) -> None:
    client = serve()
    create(client, embedding_dimensions=DIMENSIONS, is_auto_embedded=True)
    add(client, {"content": "a journey by ship"})
    wait_until_embedded(client, 1)
    endpoint.rejected.add("unspeakable")
    endpoint.plan(slow(0.3))
    endpoint.requests.clear()
    add(client, *[{"content": f"something unspeakable {n}"} for n in range(4)])
    ends = monotonic() + 60
    while not endpoint.requests:
        assert monotonic() < ends
        client.run(asyncio.sleep(0.01))
    if change == "deleted":
        assert client.send("DELETE", PAPERS).status == 200
    else:
        flag = {"do_not_embed": True}
        ok(client.send("PATCH", "/v1/projects/default", flag))
    client.run(asyncio.sleep(0.6))
    endpoint.rejected.clear()
    assert len([each for each in endpoint.texts if "unspeakable" in each]) == 4


def vectors(client: InProcessClient) -> int:
    """Return how many embeddings of documents are in the database."""
    instance, search = client.instance, document_search.DocumentSearch(embedding=None)
    found = instance.engine.read(scoped(instance.scope, document_search.find, "papers", search))
    return sum(each.document.embedding is not None for each in found.hits)


def test_documents_lose_their_embeddings_with_do_not_embed_and_get_them_again(
    serve: Serve, endpoint: EmbeddingServer
) -> None:
    client = serve()
    create(client, embedding_dimensions=DIMENSIONS, is_auto_embedded=True)
    client.send("POST", "/v1/users", {"user_id": "jane"})
    of_jane = [NewDocument(content=f"shoes {n}", user_id="jane") for n in range(210)]
    write(client.instance, documents.add, "papers", documents.prepare(of_jane))
    add(client, {"content": "the price of hats"})
    wait_until_embedded(client, 211)

    client.send("PATCH", "/v1/users/jane", {"do_not_embed": True})
    wait_until_embedded(client, 1)
    assert vectors(client) == 1
    assert search(client, text="shoes") == ["the price of hats"]
    client.send("PATCH", "/v1/users/jane", {"do_not_embed": False})
    wait_until_embedded(client, 211)

    project = "/v1/projects/default"
    assert client.send("PATCH", project, {"do_not_embed": True}).status == 200
    wait_until_embedded(client, 0)
    texts = len(endpoint.texts)
    add(client, {"content": "the price of gloves"})
    client.run(asyncio.sleep(0.1))
    assert vectors(client) == 0
    assert client.send("POST", f"{PAPERS}/search", {"text": "x"}).status == 400
    assert len(endpoint.texts) == texts
    client.send("PATCH", project, {"do_not_embed": False})
    wait_until_embedded(client, 212)


def test_embeddings_are_removed_without_a_model_too(serve: Serve) -> None:
    client = serve()
    create(client, embedding_dimensions=DIMENSIONS, is_auto_embedded=True)
    client.send("POST", "/v1/users", {"user_id": "jane"})
    of_jane = NewDocument(content="shoes", user_id="jane")
    write(client.instance, documents.add, "papers", documents.prepare([of_jane]))
    wait_until_embedded(client, 1)
    while not client.instance.engine.read(embeddings.models):
        client.run(asyncio.sleep(0.01))
    client = serve("")
    client.send("PATCH", "/v1/users/jane", {"do_not_embed": True})
    wait_until_embedded(client, 0)
    assert vectors(client) == 0


def test_an_interrupted_deletion_of_a_collection_is_completed_after_a_start(serve: Serve) -> None:
    client = serve()
    create(client)
    add(client, *[{"content": f"{n}", "embedding": near(n % 8)} for n in range(200)])
    write(client.instance, collections.begin_deletion, "papers")
    client = serve()
    instance = client.instance
    ends = monotonic() + 60
    while instance.engine.read(scoped(instance.scope, collections.deletions)):
        assert monotonic() < ends
        client.run(asyncio.sleep(0.02))
    assert client.send("GET", PAPERS).status == 404


def test_a_search_compares_documents_that_are_read_in_several_batches(serve: Serve) -> None:
    client = serve()
    dimensions, count = 2_000, 1_050
    rest = [0.0] * (dimensions - 2)
    write(client.instance, collections.add, NewCollection(name="papers", dimensions=dimensions))
    new = [
        NewDocument(
            content=str(n), metadata={"odd": n % 2}, embedding=[cos(n / 700), sin(n / 700), *rest]
        )
        for n in range(count)
    ]
    for batch in (new[:1_000], new[1_000:]):
        write(client.instance, documents.add, "papers", documents.prepare(batch))
    first, last = new[0].embedding, new[-1].embedding
    assert search(client, "?limit=2", embedding=first) == ["0", "1"]
    assert search(client, "?limit=2", embedding=last) == ["1049", "1048"]
    even = {"where": {"or": [{"jsonpath": "$[*] ? (@.odd == 0)"}]}}
    assert search(client, "?limit=2", embedding=last, metadata=even) == ["1048", "1046"]
    every = {"where": {"or": [{"jsonpath": "$[*] ? (@.odd < 2)"}]}}
    assert search(client, "?limit=2", embedding=last, metadata=every) == ["1049", "1048"]


# The arithmetic without numpy.


def test_vectors_are_ranked_alike_with_and_without_numpy() -> None:
    embeddings = [
        encode_embedding([((n * 7919 + at * 104729) % 1000) / 500 - 1 for at in range(16)], "x")
        for n in range(300)
    ]
    vectors = [StoredVector(n, quantize_embedding(each)) for n, each in enumerate(embeddings)]
    query = encode_embedding([at % 5 - 1.5 for at in range(16)], "x")
    results = []
    for math in (PlainVectorMath(), NumpyVectorMath()):
        nearest = math.nearest(query, 20)
        nearest.add(_packed(vectors[:100]))
        nearest.add(_packed(vectors[100:]))
        cosines = math.cosines(query, embeddings)
        diverse = math.select_diverse(cosines, embeddings, 10, 0.5)
        results.append((nearest.seqs(), [round(each, 6) for each in cosines], diverse))
    assert results[0] == results[1]
    exactly = sorted(range(300), key=lambda n: -results[0][1][n])[:5]
    assert results[0][0][:5] == exactly


def _packed(vectors: list[StoredVector]) -> PackedVectors:
    return PackedVectors(
        seqs=",".join(str(each.seq) for each in vectors),
        vectors=b"".join(each.vector for each in vectors),
        vector_count=len(vectors),
        last_seq=vectors[-1].seq,
    )


def test_a_number_of_an_embedding_is_sent_in_the_fewest_digits() -> None:
    embedding = encode_embedding([0.1, 1, 1 / 3, -0.0], "x")
    assert json.loads(embedding_json(embedding))[:2] == [0.1, 1]
    assert encode_embedding(json.loads(embedding_json(embedding)), "x") == embedding
