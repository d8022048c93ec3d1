"""Collections and their documents: what each operation does, with embeddings of the caller."""

import base64
import struct
from typing import Any

import pytest

from tests.conformance.steps import (
    NOT_FOUND,
    USER,
    UUID7,
    add_user,
    delete,
    error_of,
    invalid,
    moment,
)
from tests.ways import Reply, Way

COLLECTIONS, COLLECTION = "/v1/collections", "/v1/collections/{}"
DOCUMENTS = "/v1/collections/{}/documents"
DOCUMENT = "/v1/collections/{}/documents/{}"
DELETE_MANY = "/v1/collections/{}/delete-documents"
SEARCH = "/v1/collections/{}/search"

Embedding = list[float]


def towards(*axes: float) -> Embedding:
    """Return an embedding of 8 dimensions that begins with these numbers."""
    return [*axes, *[0.0] * (8 - len(axes))]


@pytest.fixture
def papers(way: Way, fresh: str) -> str:
    """A collection of 8 dimensions that the caller embeds."""
    name = f"papers-{abs(hash(fresh)) % 10**12}"
    reply = way.request("POST", COLLECTIONS, json={"name": name, "dimensions": 8})
    assert reply.status == 201, reply
    return name


def add(way: Way, name: str, *documents: dict[str, Any]) -> Any:
    """Add documents and return them. Their embedding is `towards(1)` by default."""
    new = [{"embedding": towards(1), **each} for each in documents]
    reply = way.request("POST", DOCUMENTS, name, json={"documents": new})
    assert reply.status == 201, reply
    return reply.json["documents"]


def collection(way: Way, name: str) -> Any:
    """Return the current collection."""
    found = way.request("GET", COLLECTION, name)
    assert found.status == 200, found
    return found.json


def listed(way: Way, name: str, **params: Any) -> list[str]:
    """Return the ids of the documents in a list."""
    reply = way.request("GET", DOCUMENTS, name, params=params)
    assert reply.status == 200, reply
    return ids_of(reply)


def ids_of(reply: Reply) -> list[str]:
    """Return the ids in a list, or of results."""
    return [each.get("document", each)["document_id"] for each in reply.json["items"]]


def found(way: Way, name: str, **search: Any) -> list[str]:
    """Return the ids of the documents that a search finds."""
    reply = way.request("POST", SEARCH, name, json=search)
    assert reply.status == 200, reply
    return ids_of(reply)


def test_a_collection_is_created_changed_and_deleted(way: Way, papers: str) -> None:
    created = collection(way, papers)
    assert UUID7.fullmatch(created["uuid"])
    counts = ("document_count", "embedded_count", "waiting_count")
    assert [created[name] for name in counts] == [0, 0, 0]
    assert (created["dimensions"], created["embedded_by"]) == (8, "caller")
    change = {"description": "what I read", "metadata": {"a": 1, "b": None}}
    changed = way.request("PATCH", COLLECTION, papers, json=change)
    assert (changed.headers["etag"], changed.json["revision"]) == ('"2"', 2)
    assert (changed.json["description"], changed.json["metadata"]) == ("what I read", {"a": 1})
    way.request("PATCH", COLLECTION, papers, json={"metadata": {"c": 2}})
    assert collection(way, papers)["metadata"] == {"a": 1, "c": 2}
    add(way, papers, {"content": "about shoes"})
    deleted = way.request("DELETE", COLLECTION, papers)
    assert (deleted.status, deleted.json["state"]) == (200, "deleted")
    assert (deleted.json["name"], deleted.json["uuid"]) == (papers, created["uuid"])
    assert error_of(way.request("GET", COLLECTION, papers)) == NOT_FOUND
    assert error_of(way.request("GET", DOCUMENTS, papers)) == NOT_FOUND
    again = way.request("POST", COLLECTIONS, json={"name": papers, "dimensions": 8})
    assert (again.status, again.json["document_count"]) == (201, 0)


def test_names_of_collections_are_compared_without_case(way: Way, papers: str) -> None:
    assert collection(way, papers.upper()) == collection(way, papers)
    body = {"name": papers.upper(), "dimensions": 8}
    reply = way.request("POST", COLLECTIONS, json=body)
    assert error_of(reply) == (409, "already_exists", ["name"])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "Not a name"}, "name"),
        ({"name": "01a22274-89a3-77ac-a4f1-929b62d9ff4c"}, "name"),
        ({"dimensions": 7}, "dimensions"),
        ({"dimensions": 2001}, "dimensions"),
        ({"dimensions": None}, "dimensions"),
        ({"description": "x" * 1001}, "description"),
    ],
    ids=str,
)
def test_a_wrong_collection_is_rejected_by_field(
    way: Way, fields: dict[str, Any], field: str
) -> None:
    body = {"name": "wrong", "dimensions": 8, **fields}
    assert error_of(way.request("POST", COLLECTIONS, json=body)) == invalid(field)


def test_without_a_model_nothing_can_be_embedded_by_one(way: Way, papers: str) -> None:
    body = {"name": "embedded-by-model", "dimensions": 8, "embedded_by": "model"}
    refused = way.request("POST", COLLECTIONS, json=body)
    assert error_of(refused) == (409, "conflict", ["embedded_by"])
    reply = way.request("POST", SEARCH, papers, json={"text": "shoes"})
    assert error_of(reply) == invalid("text")


def test_collections_are_listed_by_pages(way: Way, papers: str) -> None:
    params = {"limit": 1, "order": "-created"}
    page = way.request("GET", COLLECTIONS, params=params).json
    assert page["items"] == [collection(way, papers)]
    if page["next"] is not None:
        after = way.request("GET", COLLECTIONS, params=params | {"cursor": page["next"]}).json
        assert after["items"][0]["name"] != papers


def test_documents_are_added_and_read_back_without_their_embeddings(way: Way, papers: str) -> None:
    own = {"document_id": "a/b é", "content": "about shoes", "metadata": {"topic": "shoes"}}
    first, second = add(way, papers, own, {"content": "about hats"})
    assert {name: first[name] for name in own} == own
    assert first["user_id"] is None
    assert (first["embedding_state"], first["revision"]) == ("embedded", 1)
    assert "embedding" not in first
    assert moment(first["created_at"]) == moment(first["updated_at"])
    assert second["document_id"] == second["uuid"]
    assert UUID7.fullmatch(second["uuid"])
    assert way.request("GET", DOCUMENT, papers, "a/b é").json == first
    assert way.request("GET", DOCUMENT, papers, second["uuid"]).json == second
    # One with an id of the app has this id alone.
    assert error_of(way.request("GET", DOCUMENT, papers, first["uuid"])) == NOT_FOUND
    params = {"include": "embedding"}
    read = way.request("GET", DOCUMENT, papers, "a/b é", params=params).json
    assert read == {**first, "embedding": towards(1)}
    counts = ("document_count", "embedded_count", "waiting_count")
    assert [collection(way, papers)[name] for name in counts] == [2, 2, 0]


def test_an_embedding_can_be_sent_in_base64(way: Way, papers: str) -> None:
    numbers = [0.1, -2.5, *[1e-20] * 6]
    packed = base64.b64encode(struct.pack("<8f", *numbers)).decode()
    add(way, papers, {"document_id": "a", "embedding": packed})
    add(way, papers, {"document_id": "b", "embedding": numbers})
    params = {"include": "embedding"}
    one, other = (
        way.request("GET", DOCUMENT, papers, each, params=params).json["embedding"]
        for each in ("a", "b")
    )
    assert one == other == pytest.approx(numbers, rel=1e-6)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"embedding": [1.0] * 7}, "embedding"),
        ({"embedding": [0.0] * 8}, "embedding"),
        ({"embedding": ["x"] * 8}, "embedding"),
        ({"embedding": "not base64"}, "embedding"),
        ({"embedding": "AAAA"}, "embedding"),
        ({"embedding": []}, "embedding"),
        ({"embedding": None, "content": "x"}, "embedding"),
        ({"embedding": None}, "content"),
        ({"document_id": ""}, "document_id"),
        ({"document_id": "a"}, "document_id"),
        ({"content": "a\0b"}, "content"),
    ],
    ids=str,
)
def test_a_wrong_document_is_rejected_with_the_whole_batch(
    way: Way, papers: str, document: dict[str, Any], field: str
) -> None:
    good = {"document_id": "a", "embedding": towards(1)}
    body = {"documents": [good, {"embedding": towards(1), **document}]}
    reply = way.request("POST", DOCUMENTS, papers, json=body)
    assert error_of(reply) == invalid(f"documents[1].{field}")
    assert listed(way, papers) == []


def test_an_id_can_be_used_once_in_a_collection(way: Way, papers: str) -> None:
    add(way, papers, {"document_id": "a"}, {"document_id": "b"})
    body = {"documents": [{"embedding": towards(1), "document_id": each} for each in "ca"]}
    reply = way.request("POST", DOCUMENTS, papers, json=body)
    assert error_of(reply) == (409, "already_exists", ["documents[1].document_id"])
    taken = way.request("PATCH", DOCUMENT, papers, "b", json={"document_id": "a"})
    assert error_of(taken) == (409, "already_exists", ["document_id"])
    assert listed(way, papers) == ["a", "b"]


def test_a_document_is_updated_by_its_revision(way: Way, papers: str) -> None:
    add(way, papers, {"document_id": "a", "content": "about shoes", "metadata": {"n": 1, "m": 2}})
    change = {"content": "about hats", "metadata": {"n": None}, "embedding": towards(0, 1)}
    changed = way.request("PATCH", DOCUMENT, papers, "a", json=change)
    assert (changed.json["content"], changed.json["metadata"]) == ("about hats", {"m": 2})
    assert (changed.headers["etag"], changed.json["revision"]) == ('"2"', 2)
    assert found(way, papers, embedding=towards(0, 1), min_score=0.9) == ["a"]
    late = {"If-Match": '"1"'}
    refused = way.request("PATCH", DOCUMENT, papers, "a", json={"content": "x"}, headers=late)
    assert error_of(refused) == (412, "revision_mismatch", [])
    assert error_of(way.request("DELETE", DOCUMENT, papers, "a", headers=late))[0] == 412
    renamed = way.request("PATCH", DOCUMENT, papers, "a", json={"document_id": None})
    assert renamed.json["document_id"] == renamed.json["uuid"]
    assert listed(way, papers) == [renamed.json["uuid"]]
    same = way.request("PATCH", DOCUMENT, papers, renamed.json["uuid"], json={"metadata": {"m": 2}})
    assert same.json == renamed.json


def test_documents_are_deleted_one_by_one_and_together(way: Way, papers: str) -> None:
    [a, b, unnamed, kept] = add(
        way, papers, {"document_id": "a"}, {"document_id": "b"}, {}, {"document_id": "kept"}
    )
    deleted = way.request("DELETE", DOCUMENT, papers, a["document_id"])
    assert (deleted.status, deleted.json) == (200, {"deleted_count": 1})
    assert error_of(way.request("DELETE", DOCUMENT, papers, "a")) == NOT_FOUND
    given = [b["document_id"], unnamed["uuid"], "absent", kept["uuid"]]
    both = way.request("POST", DELETE_MANY, papers, json={"document_ids": given})
    assert (both.status, both.json) == (200, {"deleted_count": 2})
    assert listed(way, papers) == ["kept"]
    assert collection(way, papers)["document_count"] == 1
    assert found(way, papers, embedding=towards(1)) == ["kept"]


def test_documents_are_listed_by_pages_and_filters(way: Way, papers: str) -> None:
    new = [{"document_id": str(number), "metadata": {"n": number % 2}} for number in range(5)]
    add(way, papers, *new)
    page = way.request("GET", DOCUMENTS, papers, params={"limit": 2}).json
    assert listed(way, papers, limit=3, cursor=page["next"]) == ["2", "3", "4"]
    assert listed(way, papers, order="-created", limit=2) == ["4", "3"]
    only_odd = '{"field": "metadata.n", "op": "eq", "value": 1}'
    assert listed(way, papers, filter=only_odd) == ["1", "3"]
    other = way.request("GET", DOCUMENTS, papers, params={"cursor": page["next"], "limit": 2})
    assert ids_of(other) == ["2", "3"]
    with_embeddings = way.request("GET", DOCUMENTS, papers, params={"include": "embedding"})
    assert {len(each["embedding"]) for each in with_embeddings.json["items"]} == {8}


def test_the_nearest_documents_come_first_with_their_cosines(way: Way, papers: str) -> None:
    add(
        way,
        papers,
        {"document_id": "near", "embedding": towards(10, 1), "content": "near"},
        {"document_id": "far", "embedding": towards(0, 1), "metadata": {"is_far": True}},
        {"document_id": "opposite", "embedding": towards(-1)},
    )
    reply = way.request("POST", SEARCH, papers, json={"embedding": towards(2)})
    assert ids_of(reply) == ["near", "far", "opposite"]
    scores = [hit["score"] for hit in reply.json["items"]]
    assert scores == pytest.approx([0.99503719, 0.0, -1.0], abs=1e-6)
    assert "embedding" not in reply.json["items"][0]["document"]
    assert found(way, papers, embedding=towards(2), limit=1) == ["near"]
    assert found(way, papers, embedding=towards(2), min_score=0) == ["near", "far"]
    is_far = {"field": "metadata.is_far", "op": "eq", "value": True}
    assert found(way, papers, embedding=towards(2), filter=is_far) == ["far"]
    shown = {"include": ["embedding"], "omit": ["content", "metadata"]}
    [hit] = way.request(
        "POST", SEARCH, papers, json={"embedding": towards(2), "limit": 1, **shown}
    ).json["items"]
    assert hit["document"]["embedding"] == towards(10, 1)
    assert not {"content", "metadata"} & hit["document"].keys()


def test_a_search_by_conditions_alone_finds_the_newest(way: Way, papers: str) -> None:
    add(way, papers, *({"document_id": each, "metadata": {"is": each}} for each in "abc"))
    reply = way.request("POST", SEARCH, papers, json={"limit": 2})
    assert ids_of(reply) == ["c", "b"]
    assert {hit["score"] for hit in reply.json["items"]} == {None}
    is_a = {"field": "metadata.is", "op": "eq", "value": "a"}
    assert found(way, papers, filter=is_a) == ["a"]


def test_maximal_marginal_relevance_leaves_out_what_says_the_same(way: Way, papers: str) -> None:
    add(
        way,
        papers,
        {"document_id": "best", "embedding": towards(1, 0.1)},
        {"document_id": "same", "embedding": towards(1, 0.11)},
        {"document_id": "other", "embedding": towards(1, -0.9)},
    )
    query = {"embedding": towards(1), "limit": 2}
    assert found(way, papers, **query) == ["best", "same"]
    assert found(way, papers, **query, mmr_lambda=0.3) == ["best", "other"]
    assert found(way, papers, **query, mmr_lambda=1) == ["best", "same"]


@pytest.mark.parametrize(
    ("search", "fields"),
    [
        ({"embedding": [1.0] * 7}, ["embedding"]),
        ({"embedding": [1.0] * 8, "text": "x"}, ["text", "embedding"]),
        ({"text": " "}, ["text"]),
        ({"min_score": 0.5}, ["min_score"]),
        ({"mmr_lambda": 0.5}, ["mmr_lambda"]),
        ({"embedding": [1.0] * 8, "mmr_lambda": 2}, ["mmr_lambda"]),
        ({"limit": 0}, ["limit"]),
        ({"user_id": ""}, ["user_id"]),
        ({"filter": {"field": "x"}}, ["filter"]),
    ],
    ids=str,
)
def test_a_wrong_search_is_rejected_by_field(
    way: Way, papers: str, search: dict[str, Any], fields: list[str]
) -> None:
    status, code, named = error_of(way.request("POST", SEARCH, papers, json=search))
    assert (status, code) == (422, "invalid_field")
    assert [name.partition(".")[0] for name in named] == fields


def test_a_document_of_a_user_is_theirs_and_is_deleted_with_them(
    way: Way, papers: str, fresh: str
) -> None:
    add_user(way, fresh)
    add(way, papers, {"document_id": "theirs", "user_id": fresh}, {"document_id": "all's"})
    assert listed(way, papers, user_id=fresh) == ["theirs"]
    assert listed(way, papers, user_id="another") == []
    assert found(way, papers, embedding=towards(1), user_id=fresh) == ["theirs"]
    assert found(way, papers, user_id=fresh) == ["theirs"]
    params = {"user_id": fresh}
    assert way.request("GET", DOCUMENT, papers, "theirs", params=params).status == 200
    for method, body in (("GET", None), ("PATCH", {"content": "x"}), ("DELETE", None)):
        reply = way.request(method, DOCUMENT, papers, "all's", params=params, json=body)
        assert error_of(reply) == NOT_FOUND
    assert delete(way, USER, fresh)["counts"]["documents"] == 1
    assert listed(way, papers) == ["all's"]
    late = {"documents": [{"embedding": towards(1), "user_id": fresh}]}
    assert error_of(way.request("POST", DOCUMENTS, papers, json=late)) == NOT_FOUND


@pytest.mark.wire("the header of a replayed response")
def test_an_idempotency_key_adds_and_deletes_once(way: Way, papers: str, fresh: str) -> None:
    def send(path: str, body: Any, key: str) -> Reply:
        return way.request("POST", path, papers, json=body, headers={"Idempotency-Key": key})

    new: dict[str, Any] = {"documents": [{"embedding": towards(1)}, {"embedding": towards(1)}]}
    first, second = (send(DOCUMENTS, new, fresh) for _ in range(2))
    assert first.json == second.json
    assert second.headers["idempotent-replayed"] == "true"
    ids: dict[str, Any] = {
        "document_ids": [each["document_id"] for each in first.json["documents"]]
    }
    one, other = (send(DELETE_MANY, ids, f"{fresh} 2") for _ in range(2))
    assert one.json == other.json == {"deleted_count": 2}
    assert error_of(send(DOCUMENTS, new, fresh))[0] == 410
    body = {"name": f"{papers}-2", "dimensions": 8}
    key = {"Idempotency-Key": f"{fresh} 3"}
    made = [way.request("POST", COLLECTIONS, json=body, headers=key).json for _ in range(2)]
    assert made[0] == made[1]
    way.request("DELETE", COLLECTION, f"{papers}-2")
    assert error_of(way.request("POST", COLLECTIONS, json=body, headers=key))[0] == 410
