"""Collections and documents through the async methods of `userkeep.zep`."""

import asyncio

import pytest

from userkeep.zep import NotFoundError, ZepClient
from userkeep.zep.document import Document, DocumentCollection

RED, HATS = ([1.0 if at == axis else 0.0 for at in range(8)] for axis in (0, 3))


async def add_find_and_delete(url):
    client = ZepClient(url)
    try:
        papers = await client.document.aadd_collection("asynchronous", 8, is_auto_embedded=False)
        new = [Document(content="red", embedding=RED), Document(content="hats", embedding=HATS)]
        uuids = await papers.aadd_documents(new)
        await papers.aupdate_document(uuids[0], metadata={"n": 1}, document_id="a")
        document = await papers.aget_document(uuids[0])
        assert (document.document_id, document.metadata) == ("a", {"n": 1})
        assert len(await papers.aget_documents(uuids)) == 2
        found, vector = await papers.asearch_return_query_vector(embedding=HATS, limit=1)
        assert (found[0].content, vector) == ("hats", HATS)
        await papers.adelete_document(uuids[1])
        assert [each.content for each in await papers.asearch(embedding=HATS)] == ["red"]
        updated = await client.document.aupdate_collection("asynchronous", "More", {"b": 1})
        assert (updated.description, updated.metadata, updated.status) == (
            "More",
            {"b": 1},
            "ready",
        )
        assert "asynchronous" in {each.name for each in await client.document.alist_collections()}
        await client.document.adelete_collection("asynchronous")
        with pytest.raises(NotFoundError, match="collection"):
            await client.document.aget_collection("asynchronous")
        assert await papers.asearch(embedding=RED) == []
    finally:
        await client.aclose()
        client.close()


def test_documents_are_added_found_and_deleted_asynchronously(url):
    asyncio.run(add_find_and_delete(url))


def test_wrong_arguments_are_value_errors():
    papers = DocumentCollection(name="papers")
    with pytest.raises(ValueError, match=r"client\.document"):
        papers.get_document("0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10")
    for call in (lambda: papers.add_documents([]), papers.search, lambda: papers.get_documents([])):
        with pytest.raises(ValueError, match=r"empty|must be provided|client\.document"):
            call()
