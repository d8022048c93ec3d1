"""Collections and documents."""

import time
import uuid

import pytest
from zep_python import APIError, NotFoundError
from zep_python.document import Document

DIMENSIONS = 8
OF_THE_MODEL = 64
"""As many as the embedding model of the server makes."""


def near(axis, other=0.0):
    """Return an embedding along an axis."""
    return [1.0 if at == axis else other for at in range(DIMENSIONS)]


class Papers:
    """A collection, whose async methods have the names of the sync ones; see AsyncAdapter."""

    def __init__(self, zep, collection):
        self.collection = collection
        is_async = type(zep).__name__ == "AsyncAdapter"
        self.methods = type(zep)(collection, zep._runner) if is_async else collection

    def __getattr__(self, name):
        is_method = name.endswith(("_document", "_documents")) or name.startswith("search")
        return getattr(self.methods if is_method else self.collection, name)


@pytest.fixture
def name(mark):
    return f"papers{mark}"


@pytest.fixture
def papers(zep, name):
    """A collection with three documents."""
    papers = zep.document.add_collection(
        name,
        embedding_dimensions=DIMENSIONS,
        description="What I read",
        metadata={"topic": "shoes"},
        is_auto_embedded=False,
    )
    papers = Papers(zep, papers)
    papers.uuids = papers.add_documents(
        [
            Document(content="red", document_id="a", metadata={"n": 1}, embedding=near(0)),
            Document(content="blue", metadata={"n": 2}, embedding=near(0, 0.25)),
            Document(content="hats", embedding=near(3)),
        ]
    )
    return papers


def wait_until_embedded(zep, name):
    ends = time.monotonic() + 60
    while (found := zep.document.get_collection(name)).status != "ready":
        assert time.monotonic() < ends
        time.sleep(0.02)
    return found


def contents(documents):
    return [document.content for document in documents]


def test_a_collection_is_created_read_and_listed(zep, papers, name):
    assert (papers.name, papers.description, papers.metadata) == (
        name,
        "What I read",
        {"topic": "shoes"},
    )
    assert (papers.embedding_dimensions, papers.is_auto_embedded) == (DIMENSIONS, False)
    found = zep.document.get_collection(name.upper())
    assert (found.uuid, found.document_count, found.document_embedded_count) == (papers.uuid, 3, 3)
    assert found.is_indexed
    assert name in {each.name for each in zep.document.list_collections()}


def test_a_collection_is_updated(zep, papers, name):
    updated = zep.document.update_collection(name, description="More", metadata={"b": [1]})
    assert (updated.description, updated.metadata) == ("More", {"b": [1]})
    assert (updated.uuid, updated.is_auto_embedded) == (papers.uuid, False)


@pytest.mark.usefixtures("papers")
def test_a_deleted_collection_is_gone_and_its_name_is_free(zep, name):
    zep.document.delete_collection(name)
    for gone in (zep.document.get_collection, zep.document.delete_collection):
        with pytest.raises(NotFoundError):
            gone(name)
    again = zep.document.add_collection(name, DIMENSIONS, is_auto_embedded=False)
    assert again.document_count == 0


@pytest.mark.usefixtures("papers")
def test_a_name_that_is_used_is_rejected(zep, name):
    with pytest.raises(APIError, match="already exists"):
        zep.document.add_collection(name, DIMENSIONS, is_auto_embedded=False)


def test_documents_are_read_by_their_uuids(papers):
    document = papers.get_document(papers.uuids[0])
    assert (document.uuid, document.document_id) == (papers.uuids[0], "a")
    assert (document.content, document.metadata) == ("red", {"n": 1})
    assert (document.embedding, document.is_embedded) == (near(0), True)
    many = papers.get_documents([papers.uuids[2], papers.uuids[0]])
    assert sorted(contents(many)) == ["hats", "red"]
    for get in (papers.get_document, lambda missing: papers.get_documents([missing])):
        with pytest.raises(NotFoundError):
            get(str(uuid.uuid4()))


def test_a_document_is_updated_and_deleted(papers):
    # The async client sends the document_id as a description, which Zep ignores too.
    named = (
        {"description": "b"} if papers.methods is not papers.collection else {"document_id": "b"}
    )
    papers.update_document(papers.uuids[0], metadata={"m": 2}, **named)
    document = papers.get_document(papers.uuids[0])
    assert document.document_id == ("a" if "description" in named else "b")
    assert (document.metadata, document.content) == ({"m": 2}, "red")
    papers.delete_document(papers.uuids[0])
    with pytest.raises(NotFoundError):
        papers.get_document(papers.uuids[0])
    again = Document(content="x", document_id=document.document_id, embedding=near(1))
    assert len(papers.add_documents([again])) == 1


def test_the_nearest_documents_are_found_first(papers):
    found, vector = papers.search_return_query_vector(embedding=near(0), limit=2)
    assert contents(found) == ["red", "blue"]
    assert found[0].score == pytest.approx(1)
    assert 0.5 < found[1].score < 1
    assert vector == near(0)
    assert found[1].embedding == near(0, 0.25)


def test_documents_are_found_by_their_metadata(papers):
    where = {"where": {"jsonpath": "$[*] ? (@.n == 2)"}}
    found, vector = papers.search_return_query_vector(metadata=where)
    assert (contents(found), vector) == (["blue"], [])
    assert contents(papers.search(embedding=near(0), metadata=where)) == ["blue"]
    assert papers.search(metadata={"where": {"jsonpath": "$ ? (@.n == 7)"}}) == []


def test_documents_are_found_by_maximal_marginal_relevance(papers):
    found = papers.search(embedding=near(0), limit=2, search_type="mmr", mmr_lambda=0.1)
    assert contents(found) == ["red", "hats"]


def test_a_search_in_an_unknown_collection_finds_nothing(zep, papers):
    zep.document.delete_collection(papers.name)
    assert papers.search(embedding=near(0)) == []


def test_an_index_can_be_created(papers):
    papers.create_index(force=True)


def test_more_documents_than_a_batch_are_added(papers):
    many = [Document(content=f"{n}", embedding=near(n % 8, 0.5)) for n in range(1_100)]
    uuids = papers.add_documents(many)
    assert len(set(uuids)) == 1_100
    assert papers.get_document(uuids[1_050]).content == "1050"


@pytest.mark.parametrize(
    "document",
    [
        Document(content="no embedding"),
        Document(content="narrow", embedding=[1.0, 2.0]),
        Document(content="zero", embedding=[0.0] * DIMENSIONS),
        Document(content="taken", document_id="a", embedding=near(1)),
    ],
)
def test_a_wrong_document_is_rejected_with_all_others(zep, papers, document):
    with pytest.raises(APIError, match="400"):
        papers.add_documents([Document(content="right", embedding=near(2)), document])
    assert zep.document.get_collection(papers.name).document_count == 3


def test_documents_are_embedded_automatically(zep, name):
    added = zep.document.add_collection(name, OF_THE_MODEL, is_auto_embedded=True)
    notes = Papers(zep, added)
    texts = ["a journey by ship", "the price of shoes", "a dog and a cat"]
    uuids = notes.add_documents([Document(content=text) for text in texts])
    embedded = wait_until_embedded(zep, name)
    assert (embedded.document_count, embedded.document_embedded_count) == (3, 3)
    assert contents(notes.search(text="footwear", limit=1)) == [texts[1]]
    assert notes.get_document(uuids[0]).is_embedded
    assert len(notes.get_document(uuids[0]).embedding) == OF_THE_MODEL
    found = notes.search(text="a puppy", search_type="mmr", limit=2)
    assert contents(found)[0] == texts[2]


def test_a_collection_of_other_dimensions_than_the_models_is_rejected(zep, name):
    # What the model makes is known once it has made an embedding.
    first = zep.document.add_collection(name, OF_THE_MODEL, is_auto_embedded=True)
    Papers(zep, first).add_documents([Document(content="anything")])
    wait_until_embedded(zep, name)
    with pytest.raises(APIError, match=f"must be {OF_THE_MODEL}"):
        zep.document.add_collection(f"{name}2", DIMENSIONS, is_auto_embedded=True)
