"""`client.document`."""

from typing import Any

from userkeep.zep.calls import ZepCall, make_call, read_list, read_nothing, read_object
from userkeep.zep.document.collections import DocumentCollection
from userkeep.zep.document.models import DocumentCollectionModel
from userkeep.zep.transport import ZepTransport

_PATH = "/collection/{name}"
_MISSING = "The collection does not exist."


class DocumentClient:
    """Collections of documents with embeddings.

    Each method has an async form, whose name begins with `a`.
    """

    def __init__(self, transport: ZepTransport) -> None:
        self._transport = transport

    def add_collection(
        self,
        name: str,
        embedding_dimensions: int,
        description: str | None = None,
        metadata: dict[str, Any] | None = None,
        is_auto_embedded: bool = True,
    ) -> DocumentCollection:
        """Create a collection.

        Args:
            name: 3 to 40 letters and digits.
            embedding_dimensions: the length of its embeddings, from 8 to 2,000.
            description: up to 1,000 characters.
            metadata: a JSON object of up to 64 KiB.
            is_auto_embedded: whether the server makes the embeddings.

        Raises:
            APIError: the name is used or invalid, or the server has no embedding model (the
                `status_code` is 400).
        """
        fields = (embedding_dimensions, description, metadata)
        self._transport.call(_add(name, *fields, is_auto_embedded=is_auto_embedded))
        return self.get_collection(name)

    async def aadd_collection(
        self,
        name: str,
        embedding_dimensions: int,
        description: str | None = None,
        metadata: dict[str, Any] | None = None,
        is_auto_embedded: bool = True,
    ) -> DocumentCollection:
        """Create a collection; the async form of `add_collection`."""
        fields = (embedding_dimensions, description, metadata)
        await self._transport.acall(_add(name, *fields, is_auto_embedded=is_auto_embedded))
        return await self.aget_collection(name)

    def get_collection(self, name: str) -> DocumentCollection:
        """Return a collection.

        Raises:
            NotFoundError: it does not exist. ValueError: the name is blank.
        """
        return self._bound(self._transport.call(_get(name)))

    async def aget_collection(self, name: str) -> DocumentCollection:
        """Return a collection; the async form of `get_collection`."""
        return self._bound(await self._transport.acall(_get(name)))

    def update_collection(
        self, name: str, description: str | None = None, metadata: dict[str, Any] | None = None
    ) -> DocumentCollection:
        """Set the description of a collection, and replace its metadata; None leaves them.

        Raises:
            NotFoundError: it does not exist. APIError: a field is invalid.
        """
        self._transport.call(_update(name, description, metadata))
        return self.get_collection(name)

    async def aupdate_collection(
        self, name: str, description: str | None = None, metadata: dict[str, Any] | None = None
    ) -> DocumentCollection:
        """Update a collection; the async form of `update_collection`."""
        await self._transport.acall(_update(name, description, metadata))
        return await self.aget_collection(name)

    def list_collections(self) -> list[DocumentCollection]:
        """Return all collections."""
        return [self._bound(each) for each in self._transport.call(_list())]

    async def alist_collections(self) -> list[DocumentCollection]:
        """Return all collections; the async form of `list_collections`."""
        return [self._bound(each) for each in await self._transport.acall(_list())]

    def delete_collection(self, collection_name: str) -> None:
        """Delete a collection with its documents.

        Raises:
            NotFoundError: it does not exist.
        """
        self._transport.call(_delete(collection_name))

    async def adelete_collection(self, collection_name: str) -> None:
        """Delete a collection; the async form of `delete_collection`."""
        await self._transport.acall(_delete(collection_name))

    def _bound(self, collection: DocumentCollectionModel) -> DocumentCollection:
        return DocumentCollection.bound(self._transport, collection)


def _add(
    name: str,
    embedding_dimensions: int,
    description: str | None,
    metadata: dict[str, Any] | None,
    *,
    is_auto_embedded: bool,
) -> ZepCall[None]:
    body = {
        "name": name,
        "embedding_dimensions": embedding_dimensions,
        "description": description,
        "metadata": metadata,
        "is_auto_embedded": is_auto_embedded,
    }
    return make_call("POST", _PATH, read_nothing, ids={"name": name}, body=body)


def _get(name: str) -> ZepCall[DocumentCollectionModel]:
    read = read_object(DocumentCollectionModel)
    return make_call("GET", _PATH, read, ids={"name": name}, missing=_MISSING)


def _update(name: str, description: str | None, metadata: dict[str, Any] | None) -> ZepCall[None]:
    body = {"description": description, "metadata": metadata}
    return make_call("PATCH", _PATH, read_nothing, ids={"name": name}, body=body, missing=_MISSING)


def _list() -> ZepCall[list[DocumentCollectionModel]]:
    return make_call("GET", "/collection", read_list(DocumentCollectionModel))


def _delete(name: str) -> ZepCall[None]:
    return make_call("DELETE", _PATH, read_nothing, ids={"name": name}, missing=_MISSING)
