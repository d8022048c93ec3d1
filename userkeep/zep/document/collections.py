"""A collection, with the methods of its documents."""

from collections.abc import Iterator
from typing import Any, Self, cast

from userkeep.zep.calls import ZepCall, decode, make_call, read_list, read_nothing, read_object
from userkeep.zep.document.models import Document, DocumentCollectionModel
from userkeep.zep.exceptions import NotFoundError
from userkeep.zep.transport import ZepTransport

DEFAULT_BATCH_SIZE = 500
_DOCUMENTS = "/collection/{name}/document"
_MISSING = "The collection or the document does not exist."

Found = tuple[list[Document], list[float]]


class DocumentCollection(DocumentCollectionModel):
    """A collection, and its documents.

    Each method has an async form, whose name begins with `a`.
    """

    @classmethod
    def bound(cls, transport: ZepTransport, collection: DocumentCollectionModel) -> Self:
        """Return a collection whose methods use a transport."""
        made = cls.parse_obj(collection)
        made.__dict__["transport"] = transport
        return made

    @property
    def _transport(self) -> ZepTransport:
        transport = self.__dict__.get("transport")
        if transport is None:
            raise ValueError("get the collection from client.document first")
        return cast("ZepTransport", transport)

    @property
    def status(self) -> str:
        """`ready` if all documents are embedded, else `pending`."""
        is_ready = self.document_count and self.document_count == self.document_embedded_count
        return "ready" if is_ready else "pending"

    def add_documents(
        self, documents: list[Document], batch_size: int = DEFAULT_BATCH_SIZE
    ) -> list[str]:
        """Add documents, in batches that are added as a whole; return their uuids.

        Raises:
            APIError: a document is invalid, or its `document_id` is used.
            NotFoundError: the collection does not exist.
            ValueError: there are no documents.
        """
        uuids: list[str] = []
        for batch in _batches(documents, batch_size):
            added = self._transport.call(_add(self.name, batch))
            uuids += added
        return uuids

    async def aadd_documents(
        self, documents: list[Document], batch_size: int = DEFAULT_BATCH_SIZE
    ) -> list[str]:
        """Add documents; the async form of `add_documents`."""
        uuids: list[str] = []
        for batch in _batches(documents, batch_size):
            added = await self._transport.acall(_add(self.name, batch))
            uuids += added
        return uuids

    def update_document(
        self, uuid: str, document_id: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        """Set the id of a document, and replace its metadata.

        Raises:
            NotFoundError: it does not exist. ValueError: neither is given.
        """
        self._transport.call(_update(self.name, uuid, document_id, metadata))

    async def aupdate_document(
        self,
        uuid: str,
        description: str | None = None,
        metadata: dict[str, Any] | None = None,
        *,
        document_id: str | None = None,
    ) -> None:
        """Update a document; the async form of `update_document`.

        Args:
            description: has no effect: documents have none.
        """
        del description
        await self._transport.acall(_update(self.name, uuid, document_id, metadata))

    def delete_document(self, uuid: str) -> None:
        """Delete a document.

        Raises:
            NotFoundError: it does not exist.
        """
        self._transport.call(_delete(self.name, uuid))

    async def adelete_document(self, uuid: str) -> None:
        """Delete a document; the async form of `delete_document`."""
        await self._transport.acall(_delete(self.name, uuid))

    def get_document(self, uuid: str) -> Document:
        """Return a document.

        Raises:
            NotFoundError: it does not exist.
        """
        return self._transport.call(_get(self.name, uuid))

    async def aget_document(self, uuid: str) -> Document:
        """Return a document; the async form of `get_document`."""
        return await self._transport.acall(_get(self.name, uuid))

    def get_documents(self, uuids: list[str]) -> list[Document]:
        """Return the documents with some uuids, in no order.

        Raises:
            NotFoundError: none of them exists. ValueError: there are no uuids.
        """
        return self._transport.call(_get_many(self.name, uuids))

    async def aget_documents(self, uuids: list[str]) -> list[Document]:
        """Return documents; the async form of `get_documents`."""
        return await self._transport.acall(_get_many(self.name, uuids))

    def create_index(self, force: bool = False) -> None:
        """Do nothing, successfully: a search needs no index."""
        self._transport.call(_index(self.name, is_forced=force))

    def search_return_query_vector(
        self,
        text: str | None = None,
        embedding: list[float] | None = None,
        metadata: dict[str, Any] | None = None,
        limit: int | None = None,
        search_type: str | None = None,
        mmr_lambda: float | None = None,
    ) -> Found:
        """Return the nearest documents and the embedding of the query.

        Both are empty if the collection does not exist.

        Args:
            text: only of a collection that is embedded automatically.
            embedding: instead of a text.
            metadata: a filter, such as `{"where": {"jsonpath": "$[*] ? (@.n == 1)"}}`.
            limit: how many documents. The default is 20.
            search_type: `similarity` or `mmr` (maximal marginal relevance).
            mmr_lambda: from 0 (different documents) to 1 (near ones). The default is 0.5.

        Raises:
            APIError: the search is invalid, or the embedding model does not respond.
            ValueError: nothing is given to search for.
        """
        body = _query(text, embedding, metadata, search_type, mmr_lambda)
        call = _search(self.name, body, limit)
        try:
            return self._transport.call(call)
        except NotFoundError:
            return [], []

    async def asearch_return_query_vector(
        self,
        text: str | None = None,
        embedding: list[float] | None = None,
        metadata: dict[str, Any] | None = None,
        limit: int | None = None,
        search_type: str | None = None,
        mmr_lambda: float | None = None,
    ) -> Found:
        """Search; the async form of `search_return_query_vector`."""
        body = _query(text, embedding, metadata, search_type, mmr_lambda)
        call = _search(self.name, body, limit)
        try:
            return await self._transport.acall(call)
        except NotFoundError:
            return [], []

    def search(
        self,
        text: str | None = None,
        embedding: list[float] | None = None,
        metadata: dict[str, Any] | None = None,
        limit: int | None = None,
        search_type: str | None = None,
        mmr_lambda: float | None = None,
    ) -> list[Document]:
        """Return the nearest documents; see `search_return_query_vector`."""
        found, _ = self.search_return_query_vector(
            text, embedding, metadata, limit, search_type, mmr_lambda
        )
        return found

    async def asearch(
        self,
        text: str | None = None,
        embedding: list[float] | None = None,
        metadata: dict[str, Any] | None = None,
        limit: int | None = None,
        search_type: str | None = None,
        mmr_lambda: float | None = None,
    ) -> list[Document]:
        """Return the nearest documents; the async form of `search`."""
        found, _ = await self.asearch_return_query_vector(
            text, embedding, metadata, limit, search_type, mmr_lambda
        )
        return found


def _batches(documents: list[Document], batch_size: int) -> Iterator[list[Document]]:
    if not documents:
        raise ValueError("documents is empty")
    if batch_size < 1:
        raise ValueError("batch_size must be a positive integer")
    for start in range(0, len(documents), batch_size):
        yield documents[start : start + batch_size]


def _add(name: str, documents: list[Document]) -> ZepCall[list[str]]:
    sent = {"document_id", "content", "metadata", "embedding"}
    body = [each.dict(include=sent, exclude_none=True) for each in documents]
    return make_call(
        "POST",
        _DOCUMENTS,
        lambda response: decode(response, lambda value: [str(each) for each in value]),
        ids={"name": name},
        body=body,
        missing=_MISSING,
    )


def _update(
    name: str, uuid: str, document_id: str | None, metadata: dict[str, Any] | None
) -> ZepCall[None]:
    if document_id is None and metadata is None:
        raise ValueError("document_id or metadata must be provided")
    body = {"document_id": document_id, "metadata": metadata}
    return _of_document("PATCH", name, uuid, read_nothing, body)


def _delete(name: str, uuid: str) -> ZepCall[None]:
    return _of_document("DELETE", name, uuid, read_nothing)


def _get(name: str, uuid: str) -> ZepCall[Document]:
    return _of_document("GET", name, uuid, read_object(Document))


def _of_document(method: str, name: str, uuid: str, read: Any, body: Any = None) -> ZepCall[Any]:
    ids = {"name": name, "uuid": uuid}
    path = f"{_DOCUMENTS}/uuid/{{uuid}}"
    return make_call(method, path, read, ids=ids, body=body, missing=_MISSING)


def _get_many(name: str, uuids: list[str]) -> ZepCall[list[Document]]:
    if not uuids:
        raise ValueError("document uuids must be provided")
    path, body = f"{_DOCUMENTS}/list/get", {"uuids": [str(each) for each in uuids]}
    read = read_list(Document)
    return make_call("POST", path, read, ids={"name": name}, body=body, missing=_MISSING)


def _index(name: str, *, is_forced: bool) -> ZepCall[None]:
    path, query = "/collection/{name}/index/create", {"force": int(is_forced)}
    return make_call("POST", path, read_nothing, ids={"name": name}, query=query, missing=_MISSING)


def _query(
    text: str | None,
    embedding: list[float] | None,
    metadata: dict[str, Any] | None,
    search_type: str | None,
    mmr_lambda: float | None,
) -> dict[str, Any]:
    if text is None and embedding is None and metadata is None:
        raise ValueError("One of text, embedding, or metadata must be provided.")
    kind = search_type or "similarity"
    if kind not in {"similarity", "mmr"}:
        raise ValueError(f"search_type must be similarity or mmr, not {kind!r}")
    return {
        "text": text,
        "embedding": embedding,
        "metadata": metadata,
        "search_type": kind,
        "mmr_lambda": mmr_lambda,
    }


def _search(name: str, body: dict[str, Any], limit: int | None) -> ZepCall[Found]:
    return make_call(
        "POST",
        "/collection/{name}/search",
        lambda response: decode(response, _parse_found),
        ids={"name": name},
        query={"limit": limit if limit and limit > 0 else None},
        body=body,
        missing=_MISSING,
    )


def _parse_found(value: Any) -> Found:
    found = [Document.parse_obj(each) for each in value["results"]]
    return found, [float(each) for each in value["query_vector"] or ()]
