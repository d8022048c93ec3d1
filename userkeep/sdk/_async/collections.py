"""`client.collection`."""

from typing import Any, overload

from msgspec import UNSET, UnsetType

from userkeep.api.collections import Collection, CollectionDeletion
from userkeep.domain.collection import EmbeddedBy
from userkeep.domain.values.paging import Order
from userkeep.sdk._async.lists import AsyncPage, read_list
from userkeep.sdk._async.transport import AsyncTransport
from userkeep.sdk.boundary import raises_at_its_caller
from userkeep.sdk.calls import make_call
from userkeep.sdk.requests import (
    CreateCollectionRequest,
    UpdateCollectionRequest,
    encode_request,
    request_from,
)


@raises_at_its_caller
class AsyncCollectionClient:
    """Collections of documents."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    @overload
    async def add(
        self, request: CreateCollectionRequest, /, *, idempotency_key: str | None = None
    ) -> Collection: ...

    @overload
    async def add(
        self,
        /,
        *,
        name: str,
        description: str | None = None,
        metadata: dict[str, Any] | None = None,
        dimensions: int | None = None,
        embedded_by: EmbeddedBy = "caller",
        idempotency_key: str | None = None,
    ) -> Collection: ...

    async def add(
        self,
        request: CreateCollectionRequest | None = None,
        /,
        *,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Collection:
        """Create a collection: `add(name="articles", dimensions=384)`.

        Args:
            name: up to 63 of a-z, 0-9, `-` and `_`, the first a letter or a digit. Upper case
                counts as lower case.
            description: what it is for, up to 1,000 characters.
            metadata: a JSON object of up to 64 KiB.
            dimensions: the length of its embeddings, from 8 to 2,000. It cannot be changed. If the
                model makes them, the default is the model's.
            embedded_by: `caller` if you send the embeddings, `model` if the configured embedding
                model makes them.
            idempotency_key: your key, if you want to repeat the call yourself within 24 hours. By
                default the SDK generates one.

        Raises:
            AlreadyExists: a collection with this name exists.
            Conflict: the model is to make the embeddings, and none is configured.
            InvalidField: a field is invalid.
        """
        body = encode_request(request_from(request, fields, CreateCollectionRequest))
        call = make_call("collections.add", body=body, idempotency_key=idempotency_key)
        collection: Collection = await self._transport.send(call)
        return collection

    async def get(self, name: str) -> Collection:
        """Return a collection.

        Raises:
            NotFound: there is no such collection.
        """
        call = make_call("collections.get", {"name": name})
        collection: Collection = await self._transport.send(call)
        return collection

    @overload
    async def update(
        self, request: UpdateCollectionRequest, /, *, if_revision: int | None = None
    ) -> Collection: ...

    @overload
    async def update(
        self,
        /,
        *,
        name: str,
        description: str | None | UnsetType = UNSET,
        metadata: dict[str, Any] | None | UnsetType = UNSET,
        if_revision: int | None = None,
    ) -> Collection: ...

    async def update(
        self,
        request: UpdateCollectionRequest | None = None,
        /,
        *,
        if_revision: int | None = None,
        **fields: Any,
    ) -> Collection:
        """Update a collection: its description and its metadata.

        Args:
            name: the collection.
            description: up to 1,000 characters. None removes it.
            metadata: merged into the existing metadata (RFC 7396). A value of None removes its key,
                and None removes all metadata.
            if_revision: update the collection only if this is its `revision`.

        Raises:
            NotFound: there is no such collection.
            RevisionMismatch: the collection has another revision.
            InvalidField: a field is invalid.
        """
        change = request_from(request, fields, UpdateCollectionRequest)
        body = encode_request(change, "name")
        ids = {"name": change.name}
        call = make_call("collections.update", ids, body=body, if_revision=if_revision)
        collection: Collection = await self._transport.send(call)
        return collection

    async def delete(self, name: str) -> CollectionDeletion:
        """Delete a collection with all its documents, those of users included.

        The name can be used again immediately. A server continues a deletion that takes longer than
        5 seconds; its `state` is `deleting` then.

        Raises:
            NotFound: there is no such collection.
        """
        deletion: CollectionDeletion = await self._transport.send(
            make_call("collections.delete", {"name": name})
        )
        return deletion

    async def list(
        self,
        limit: int | None = None,
        cursor: str | int | None = None,
        *,
        order: Order = "created",
    ) -> AsyncPage[Collection]:
        """Return the collections: iterate over them, or read a page with `limit`.

        Args:
            limit: the maximum number of items, from 1 to 1,000. Without it, iteration reads all.
            cursor: the `next` of the previous page. None or 0 is the first page.
            order: `created` for oldest first, `-created` for newest first.

        Raises:
            BadRequest: the cursor is invalid.
            InvalidField: an argument is invalid.
        """
        query = {"limit": limit, "cursor": cursor, "order": order}
        return await read_list(AsyncPage, self._transport, "collections.list", {}, query)
