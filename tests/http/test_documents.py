"""Documents over HTTP: keys that are bound to a user, and texts that the model embeds."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.conftest import engine_id, fresh_settings
from tests.embedding_server import DIMENSIONS, MODEL, EmbeddingServer, failing
from tests.http.callers import STATIC, Caller
from tests.http.clients import InProcessClient, serve_in_process
from tests.http.conftest import HTTP_ENGINES
from userkeep import AsyncUserkeep, NewDocument, Unavailable, Userkeep
from userkeep.config import Settings

DOCUMENTS = "/v1/collections/papers/documents"
SEARCH = "/v1/collections/papers/search"
EMBEDDING = [0.5] * 8
JOURNEY, SHOES = "a journey by ship", "the price of shoes"


@pytest.fixture(scope="module", params=HTTP_ENGINES, ids=engine_id)
def admin(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Caller]:
    """The admin of an instance with users jane and bob, and a collection."""
    settings = fresh_settings(request.param, tmp_path_factory.mktemp("documents"))
    with serve_in_process(replace(settings, api_key=STATIC)) as client:
        caller = Caller(client, STATIC)
        for user_id in ("jane", "bob"):
            caller("POST", "/v1/users", {"user_id": user_id})
        caller("POST", "/v1/collections", {"name": "papers", "dimensions": 8})
        new = [
            {"document_id": "jane's", "user_id": "jane", "embedding": EMBEDDING},
            {"document_id": "bob's", "user_id": "bob", "embedding": EMBEDDING},
            {"document_id": "all's", "embedding": EMBEDDING},
        ]
        assert caller("POST", DOCUMENTS, {"documents": new}).status == 201
        yield caller


def test_a_key_of_a_user_sees_and_changes_their_documents_alone(admin: Caller) -> None:
    jane = admin.with_key(user_id="jane", scope="write")
    [listed] = jane("GET", DOCUMENTS).json["items"]
    assert listed["document_id"] == "jane's"
    for search in ({"embedding": EMBEDDING}, {}):
        [hit] = jane("POST", SEARCH, search).json["items"]
        assert hit["document"]["document_id"] == "jane's"
    for others in ("bob's", "all's"):
        for method, body in (("GET", None), ("PATCH", {"content": "x"}), ("DELETE", None)):
            assert jane(method, f"{DOCUMENTS}/{others}", body).status == 404
    given = {"document_ids": ["bob's", "all's"]}
    deleted = jane("POST", "/v1/collections/papers/delete-documents", given)
    assert deleted.json == {"deleted_count": 0}
    assert jane("PATCH", f"{DOCUMENTS}/jane's", {"content": "mine"}).json["content"] == "mine"
    added = jane("POST", DOCUMENTS, {"documents": [{"embedding": EMBEDDING}]})
    [document] = added.json["documents"]
    assert document["user_id"] == "jane"
    path = f"{DOCUMENTS}/{document['document_id']}"
    assert jane("DELETE", path).json == {"deleted_count": 1}
    assert len(admin("GET", DOCUMENTS).json["items"]) == 3


def test_a_key_of_a_user_cannot_choose_ids_or_owners_or_collections(admin: Caller) -> None:
    jane = admin.with_key(user_id="jane", scope="write")
    chosen = {"documents": [{"embedding": EMBEDDING, "document_id": "bob's"}]}
    assert jane("POST", DOCUMENTS, chosen).status == 403
    assert jane("PATCH", f"{DOCUMENTS}/jane's", {"document_id": "bob's"}).status == 403
    for_bob = {"documents": [{"embedding": EMBEDDING, "user_id": "bob"}]}
    assert jane("POST", DOCUMENTS, for_bob).status == 404
    assert jane("GET", f"{DOCUMENTS}?user_id=bob").status == 404
    assert jane("POST", SEARCH, {"user_id": "bob"}).status == 404
    for method, path in (
        ("GET", "/v1/collections"),
        ("POST", "/v1/collections"),
        ("GET", "/v1/collections/papers"),
        ("PATCH", "/v1/collections/papers"),
        ("DELETE", "/v1/collections/papers"),
    ):
        body = {"name": "mine", "dimensions": 8} if method == "POST" else {}
        assert jane(method, path, body if method != "GET" else None).status == 403
    reader = admin.with_key(scope="read")
    assert reader("GET", "/v1/collections/papers").status == 200
    assert reader("POST", SEARCH, {}).status == 200
    assert reader("DELETE", "/v1/collections/papers").status == 403


def embedding_settings(folder: Path, engine: str, embedding_server: EmbeddingServer) -> Settings:
    return replace(
        fresh_settings(engine, folder), embeddings_url=embedding_server.url, embeddings_model=MODEL
    )


def wait_until_embedded(client: InProcessClient, count: int) -> None:
    ends_s = monotonic() + 60
    while (found := client.send("GET", "/v1/collections/papers").json)["embedded_count"] != count:
        assert monotonic() < ends_s, found
        client.run(asyncio.sleep(0.02))


@pytest.mark.parametrize("engine", HTTP_ENGINES, ids=engine_id)
def test_texts_are_embedded_after_they_are_added_and_found_by_meaning(
    tmp_path: Path, engine: str, embedding_server: EmbeddingServer
) -> None:
    with serve_in_process(embedding_settings(tmp_path, engine, embedding_server)) as client:
        created: dict[str, Any] = {
            "name": "papers",
            "embedded_by": "model",
            "dimensions": DIMENSIONS,
        }
        assert client.send("POST", "/v1/collections", created).status == 201
        new = [{"document_id": "a", "content": JOURNEY}, {"document_id": "b", "content": SHOES}]
        added = client.send("POST", DOCUMENTS, {"documents": new}).json["documents"]
        assert {each["embedding_state"] for each in added} == {"waiting"}
        wait_until_embedded(client, 2)
        query = {"text": "footwear", "limit": 1}
        [hit] = client.send("POST", SEARCH, query).json["items"]
        assert (hit["document"]["document_id"], hit["score"] > 0.3) == ("b", True)
        client.send("PATCH", f"{DOCUMENTS}/a", {"content": "new boots"})
        wait_until_embedded(client, 2)
        found = client.send("POST", SEARCH, {"text": "footwear", "min_score": 0.3}).json["items"]
        assert {each["document"]["document_id"] for each in found} == {"a", "b"}
        # There is nothing else to search by.
        embedding_server.plan(failing(500))
        away = client.send("POST", SEARCH, {**query, "text": "not asked before"})
        assert (away.status, away.json["code"]) == (503, "unavailable")
        client.send("POST", "/v1/users", {"user_id": "jane", "do_not_embed": True})
        of_jane = client.send("POST", SEARCH, {**query, "user_id": "jane"})
        assert (of_jane.status, of_jane.json["fields"]) == (422, ["text"])
        client.send("PATCH", "/v1/projects/default", {"do_not_embed": True})
        rejected = client.send("POST", SEARCH, query)
        assert (rejected.status, rejected.json["fields"]) == (422, ["text"])


def test_an_embedded_client_embeds_what_it_adds(
    tmp_path: Path, embedding_server: EmbeddingServer
) -> None:
    given: dict[str, Any] = {"embeddings_url": embedding_server.url, "embeddings_model": MODEL}
    with Userkeep.open(tmp_path / "userkeep.db", **given) as client:
        client.collection.add(name="papers", embedded_by="model", dimensions=DIMENSIONS)
        [shoes] = client.document.add("papers", {"content": SHOES})
        client.document.add("papers", NewDocument(content=JOURNEY))
        assert client.collection.get("papers").embedded_count == 2
        [hit] = client.document.search("papers", "footwear", limit=1)
        assert hit.document.document_id == shoes.document_id
        embedding_server.plan(failing(500))
        client.document.add("papers", NewDocument(content="a late answer"))
        assert client.collection.get("papers").waiting_count == 1
        embedding_server.plan(failing(500))
        with pytest.raises(Unavailable, match="could not be embedded"):
            client.document.search("papers", "sea")

    async def search() -> list[str]:
        async with AsyncUserkeep.open(tmp_path / "userkeep.db", **given) as client:
            await client.document.add("papers", {"content": "new boots"})
            assert (await client.collection.get("papers")).waiting_count == 0
            found = await client.document.search("papers", "footwear", limit=2)
            return sorted(hit.document.content for hit in found)

    assert asyncio.run(search()) == ["new boots", SHOES]


def test_any_number_of_documents_is_added_in_batches(tmp_path: Path) -> None:
    with Userkeep.open(tmp_path / "userkeep.db") as client:
        client.collection.add(name="papers", dimensions=8)
        new = ({"embedding": EMBEDDING, "document_id": str(number)} for number in range(1_001))
        assert client.document.add_bulk("papers", new) == 1_001
        assert sum(1 for _ in client.document.list("papers")) == 1_001
        late = [{"embedding": EMBEDDING}, {"embedding": [1.0]}]
        with pytest.raises(Exception, match=r"documents\[1\]") as failed:
            client.document.add_bulk("papers", late)
        assert failed.value.__notes__ == ["0 documents before the failed batch were added."]
