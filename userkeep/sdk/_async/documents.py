"""`client.document`."""

from builtins import list as list_of
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from userkeep.api.documents import (
    AddedDocuments,
    DeletedDocuments,
    Document,
    DocumentHit,
    DocumentHits,
    OmittableOfDocument,
)
from userkeep.domain.values.counts import pluralize
from userkeep.domain.values.paging import Order
from userkeep.sdk._async.lists import AsyncPage, read_list
from userkeep.sdk._async.transport import AsyncTransport
from userkeep.sdk.boundary import raises_at_its_caller
from userkeep.sdk.calls import make_call, split_names
from userkeep.sdk.requests import (
    DocumentInput,
    NewDocument,
    encode_document_batches,
    encode_document_fields,
    encode_documents,
    encode_fields,
)


@raises_at_its_caller
class AsyncDocumentClient:
    """Documents of collections."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def add(
        self,
        collection: str,
        documents: DocumentInput | Sequence[DocumentInput],
        *,
        idempotency_key: str | None = None,
    ) -> list_of[Document]:
        """Add documents to a collection, all or none.

        Args:
            collection: its name.
            documents: one document, or up to 1,000: each a NewDocument, or a dict with its fields,
                such as `{"content": "about shoes", "embedding": [0.1, 0.2]}`. `add_bulk` adds any
                number.
            idempotency_key: your key, if you want to repeat the call yourself within 24 hours. By
                default the SDK generates one.

        Returns:
            The documents with their `document_id`, in the same order, without their embeddings.

        Raises:
            NotFound: there is no such collection, or no such user.
            AlreadyExists: a document with the same `document_id` exists.
            InvalidField: a field is invalid, such as `documents[3].embedding`.
            Gone: a user is being deleted.
        """
        several = [documents] if isinstance(documents, NewDocument | Mapping) else documents
        body = encode_documents(several)
        return (await self._add(collection, body, idempotency_key)).documents

    async def add_bulk(self, collection: str, documents: Iterable[DocumentInput]) -> int:
        """Add any number of documents, in batches. Each batch is added as a whole.

        If a batch fails, the batches before it stay. A note on the error gives their number of
        documents. Give documents a `document_id` to find out which of them were added.

        Returns:
            The number of added documents.

        Raises:
            The same errors as `add`.
        """
        count = 0
        try:
            for size, body in encode_document_batches(documents):
                await self._add(collection, body, None)
                count += size
        except Exception as error:
            error.add_note(f"{pluralize(count, 'document')} before the failed batch were added.")
            raise
        return count

    async def _add(
        self, collection: str, body: bytes, idempotency_key: str | None
    ) -> AddedDocuments:
        call = make_call(
            "documents.add", {"name": collection}, body=body, idempotency_key=idempotency_key
        )
        added: AddedDocuments = await self._transport.send(call)
        return added

    async def get(
        self,
        collection: str,
        document_id: str,
        *,
        user_id: str | None = None,
        include: Literal["embedding"] | None = None,
    ) -> Document:
        """Return a document.

        Args:
            collection: its name.
            document_id: your id of the document; if it has none, its uuid.
            user_id: only if the document belongs to this user; another's is not found.
            include: "embedding" reads its embedding too.

        Raises:
            NotFound: there is no such collection or document.
        """
        ids = {"name": collection, "document_id": document_id}
        query = {"user_id": user_id, "include": include}
        document: Document = await self._transport.send(
            make_call("documents.get", ids, query=query)
        )
        return document

    async def update(
        self,
        collection: str,
        document_id: str,
        *,
        user_id: str | None = None,
        content: str | UnsetType = UNSET,
        metadata: dict[str, Any] | None | UnsetType = UNSET,
        embedding: Sequence[float] | UnsetType = UNSET,
        new_document_id: str | None | UnsetType = UNSET,
        if_revision: int | None = None,
    ) -> Document:
        """Update a document: absent fields stay.

        Args:
            collection: its name.
            document_id: your id of the document; if it has none, its uuid.
            user_id: only if the document belongs to this user; another's is not found.
            content: the text. If the model embeds the collection, it is embedded again.
            metadata: merged into the existing metadata (RFC 7396). A value of None removes its key,
                and None removes all metadata.
            embedding: the new embedding. If you make the embeddings, set it whenever you change the
                content.
            new_document_id: your new id of it. None removes it.
            if_revision: update the document only if this is its `revision`.

        Raises:
            NotFound: there is no such collection or document.
            AlreadyExists: a document with `new_document_id` exists.
            RevisionMismatch: the document has another revision.
            InvalidField: a field is invalid.
        """
        body = encode_document_fields(
            content=content, metadata=metadata, embedding=embedding, document_id=new_document_id
        )
        ids = {"name": collection, "document_id": document_id}
        call = make_call(
            "documents.update",
            ids,
            query={"user_id": user_id},
            body=body,
            if_revision=if_revision,
        )
        document: Document = await self._transport.send(call)
        return document

    async def delete(
        self,
        collection: str,
        document_id: str,
        *,
        user_id: str | None = None,
        if_revision: int | None = None,
    ) -> DeletedDocuments:
        """Delete a document.

        Args:
            collection: its name.
            document_id: your id of the document; if it has none, its uuid.
            user_id: only if the document belongs to this user; another's is not found.
            if_revision: delete the document only if this is its `revision`.

        Raises:
            NotFound: there is no such collection or document.
            RevisionMismatch: the document has another revision.
        """
        ids = {"name": collection, "document_id": document_id}
        query = {"user_id": user_id}
        call = make_call("documents.delete", ids, query=query, if_revision=if_revision)
        deleted: DeletedDocuments = await self._transport.send(call)
        return deleted

    async def delete_many(
        self,
        collection: str,
        document_ids: Sequence[str],
        *,
        idempotency_key: str | None = None,
    ) -> DeletedDocuments:
        """Delete up to 1,000 documents together. Those that are missing are ignored.

        Args:
            collection: its name.
            document_ids: your ids of the documents; of those that have none, their uuids.
            idempotency_key: your key, if you want to repeat the call yourself within 24 hours. By
                default the SDK generates one.

        Returns:
            How many documents were deleted, in `deleted_count`.

        Raises:
            NotFound: there is no such collection.
        """
        body = encode_fields(document_ids=split_names(document_ids, "document_ids"))
        ids = {"name": collection}
        call = make_call("documents.delete_many", ids, body=body, idempotency_key=idempotency_key)
        deleted: DeletedDocuments = await self._transport.send(call)
        return deleted

    async def search(
        self,
        collection: str,
        text: str | None = None,
        *,
        embedding: Sequence[float] | None = None,
        user_id: str | None = None,
        filter: dict[str, Any] | None = None,
        limit: int = 10,
        min_score: float | None = None,
        mmr_lambda: float | None = None,
        exact: bool | None = None,
        include: Sequence[Literal["embedding"]] = (),
        omit: Sequence[OmittableOfDocument] | str = (),
    ) -> list_of[DocumentHit]:
        """Search a collection, nearest documents first: `search("articles", "red shoes")`.

        Args:
            collection: its name.
            text: what is looked for. The model that has embedded the collection embeds it too.
            embedding: what is looked for, in a collection that you embed. Without both, the newest
                documents that meet the conditions are returned.
            user_id: only documents of this user.
            filter: conditions on the metadata of documents, such as
                `{"field": "metadata.topic", "op": "eq", "value": "shoes"}`.
            limit: the maximum number of results, from 1 to 1,000.
            min_score: the lowest score of a result, from -1 to 1.
            mmr_lambda: select by maximal marginal relevance, among twice as many: 1 selects the
                nearest, 0 those that differ most from each other.
            exact: True compares all embeddings, also in a large collection on PostgreSQL that has
                an approximate index.
            include: `["embedding"]` gives each document its embedding.
            omit: fields of each document to leave out: `content`, `metadata`. They are
                `msgspec.UNSET` then.

        Returns:
            The results, each with its document and its score.

        Raises:
            NotFound: there is no such collection.
            InvalidField: a field is invalid, or the text cannot be embedded.
            Unavailable: the embedding model does not answer in time.
        """
        fields = {
            "text": text,
            "embedding": embedding,
            "user_id": user_id,
            "filter": filter,
            "limit": limit,
            "min_score": min_score,
            "mmr_lambda": mmr_lambda,
            "exact": exact,
            "include": list_of(include) or None,
            "omit": split_names(omit, "omit") or None,
        }
        body = encode_document_fields(**{k: v for k, v in fields.items() if v is not None})
        call = make_call("documents.search", {"name": collection}, body=body)
        found: DocumentHits = await self._transport.send(call)
        return found.items

    async def list(
        self,
        collection: str,
        limit: int | None = None,
        cursor: str | int | None = None,
        *,
        order: Order = "created",
        user_id: str | None = None,
        filter: dict[str, Any] | None = None,
        include: Literal["embedding"] | None = None,
    ) -> AsyncPage[Document]:
        """Return the documents of a collection: iterate over them, or read a page with `limit`.

        Args:
            collection: its name.
            limit: the maximum number of items, from 1 to 1,000. Without it, iteration reads all.
            cursor: the `next` of the previous page. None or 0 is the first page.
            order: `created` for the order in which they were added, `-created` for the opposite.
            user_id: only documents of this user.
            filter: conditions on metadata, as in `search`.
            include: "embedding" reads their embeddings too.

        Raises:
            NotFound: there is no such collection.
            BadRequest: the cursor is invalid, or belongs to a list with other filters.
            InvalidField: an argument is invalid.
        """
        query = {
            "limit": limit,
            "cursor": cursor,
            "order": order,
            "user_id": user_id,
            "filter": filter,
            "include": include,
        }
        ids = {"name": collection}
        return await read_list(AsyncPage, self._transport, "documents.list", ids, query)
