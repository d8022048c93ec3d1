"""The Zep classes of langchain-community, which use zep-python."""

import asyncio
import time
from contextlib import ExitStack

import pytest
from langchain_community.chat_message_histories import ZepChatMessageHistory
from langchain_community.retrievers import ZepRetriever
from langchain_community.retrievers.zep import SearchScope, SearchType
from langchain_community.vectorstores.zep import CollectionConfig, ZepVectorStore
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, HumanMessage

CONTENTS = ("I bought red shoes", "a", "b", "c", "Hats are nice", "d", "e", "f", "Red hats")


@pytest.fixture
def create(url, api_key, mark):
    """Creates objects of langchain and closes their clients, which langchain leaves open."""
    with ExitStack() as stack:

        def create(class_, **settings):
            instance = class_(session_id=mark, url=url, api_key=api_key, **settings)
            stack.callback(instance.zep_client.close)
            return instance

        yield create


@pytest.fixture
def history(create):
    """A history with a few messages."""
    history = create(ZepChatMessageHistory)
    history.add_messages([HumanMessage(content=content) for content in CONTENTS])
    return history


@pytest.fixture
def retriever(create, history):
    """A retriever for the same session."""
    return create(ZepRetriever, top_k=3)


def test_a_history_is_stored_and_cleared(history):
    history.add_ai_message("Nice shoes")
    assert [message.content for message in history.messages][-2:] == ["Red hats", "Nice shoes"]
    assert isinstance(history.messages[-1], AIMessage)
    history.clear()
    assert history.messages == []
    assert history.search("shoes") == []


def test_a_history_is_searched(history):
    hits = history.search("Have I a red hat?", limit=3)
    assert [hit.message["content"] for hit in hits][:2] == ["Red hats", "Hats are nice"]
    assert hits[0].dist > hits[1].dist > 0
    assert history.search("shoes", search_scope="summary") == []
    [first, *_] = history.search("shoes", search_type="mmr", mmr_lambda=0.5)
    assert first.message["content"] == "I bought red shoes"


def test_a_retriever_returns_documents_best_match_first(retriever):
    documents = retriever.invoke("Have I a red hat?")
    assert [document.page_content for document in documents][:2] == ["Red hats", "Hats are nice"]
    assert len(documents) == 3
    scores = [document.metadata["score"] for document in documents]
    assert scores == sorted(scores, reverse=True)
    assert {"uuid", "created_at", "role", "token_count"} <= documents[0].metadata.keys()


def test_a_retriever_works_asynchronously(retriever):
    async def invoke():
        documents = await retriever.ainvoke("Have I a red hat?")
        await retriever.zep_client.aclose()
        return documents

    # The scores, and what comes after the best match, may change as the messages are embedded.
    found, expected = asyncio.run(invoke()), retriever.invoke("Have I a red hat?")
    assert len(found) == len(expected)
    assert found[0].page_content == expected[0].page_content == "Red hats"


def test_a_retriever_can_use_mmr_and_summaries(create, history):
    mmr = create(ZepRetriever, top_k=None, search_type=SearchType.mmr, mmr_lambda=0.5)
    assert mmr.invoke("shoes")[0].page_content == "I bought red shoes"
    summaries = create(ZepRetriever, top_k=None, search_scope=SearchScope.summary)
    assert summaries.invoke("shoes") == []


def test_a_retriever_finds_nothing_in_an_unknown_session(create):
    assert create(ZepRetriever, top_k=3).invoke("shoes") == []


class Colors(Embeddings):
    """Embeddings of texts by the colors in them."""

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        colors = ("red", "green", "blue", "gray", "pink", "gold", "teal")
        return [0.1, *(float(text.count(color)) for color in colors)]


TEXTS = ("red shoes", "red and blue shoes", "a blue hat", "a green hat")


@pytest.fixture
def store(url, api_key, mark):
    """A vector store with some texts, which langchain embeds."""
    store = ZepVectorStore(
        f"colors{mark}",
        url,
        api_key=api_key,
        config=CollectionConfig(f"colors{mark}", "", {}, 8, is_auto_embedded=False),
        embedding=Colors(),
    )
    store.uuids = store.add_texts(TEXTS, [{"n": n} for n in range(4)])
    yield store
    store._client.close()


def texts(documents):
    return [document.page_content for document in documents]


def test_a_vector_store_finds_similar_texts(store):
    assert texts(store.similarity_search("red", k=2)) == ["red shoes", "red and blue shoes"]
    (best, score), *_ = store.similarity_search_with_score("a green hat", k=1)
    assert (best.page_content, best.metadata["n"]) == ("a green hat", 3)
    assert score == pytest.approx(1)
    vector = Colors().embed_query("blue")
    assert texts(store.similarity_search_by_vector(vector, k=1)) == ["a blue hat"]
    where = {"where": {"jsonpath": "$[*] ? (@.n > 1)"}}
    assert texts(store.similarity_search("red", k=4, metadata=where))[-1] == "a green hat"
    diverse = store.max_marginal_relevance_search("red", k=2, lambda_mult=0.1)
    assert texts(diverse)[0] == "red shoes"
    assert texts(diverse)[1] != "red and blue shoes"


def test_a_vector_store_finds_texts_asynchronously(store):
    async def search():
        found = await store.asimilarity_search("blue hat", k=1)
        scored = await store.asimilarity_search_with_relevance_scores("green", k=1)
        await store._client.aclose()
        return texts(found), scored[0][0].page_content

    assert asyncio.run(search()) == (["a blue hat"], "a green hat")


def test_a_vector_store_deletes_texts(store):
    store.delete(store.uuids[:1])
    assert texts(store.similarity_search("red", k=1)) == ["red and blue shoes"]


def test_a_vector_store_of_texts_that_the_server_embeds(url, api_key, mark):
    config = CollectionConfig(f"auto{mark}", "", {}, 64, is_auto_embedded=True)
    store = ZepVectorStore(f"auto{mark}", url, api_key=api_key, config=config)
    store.add_texts(["a journey by ship", "the price of shoes"])
    ends = time.monotonic() + 60
    while texts(store.similarity_search("footwear", k=1)) != ["the price of shoes"]:
        assert time.monotonic() < ends
        time.sleep(0.02)
    store._client.close()
