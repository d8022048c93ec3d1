"""Documents of collections on `/api/v1`."""

from typing import Any

from starlette.responses import Response

from userkeep.domain.document import (
    Document,
    DocumentChange,
    NewDocument,
    PreparedChange,
    PreparedDocument,
    prepare_change,
)
from userkeep.domain.errors import BadRequest, NotFound
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.paging import MAX_LIMIT, PageRequest
from userkeep.domain.vectors.encoding import encode_embedding
from userkeep.handlers.calls import INLINE_BYTES
from userkeep.http.compat.lenient import Fields, query_integer, read_array, read_objects
from userkeep.http.compat.message_filter import read_message_filter
from userkeep.http.compat.zep_v1.batches import (
    BATCH_SIZE,
    MAX_BOUNDED,
    Batch,
    array_response,
    make_batch,
)
from userkeep.http.compat.zep_v1.resource import Resource
from userkeep.http.compat.zep_v1.serializers import (
    serialize_document,
    serialize_found_documents,
)
from userkeep.http.compute import ComputeThreads
from userkeep.http.requests import Request
from userkeep.http.responses import json_response, text_response
from userkeep.jobs.document_deletion import DocumentDeletionJob
from userkeep.services import document_search, documents
from userkeep.services.document_search import DocumentSearch
from userkeep.services.documents import DocumentDeletion
from userkeep.storage.engine import Engine
from userkeep.worker.worker import Worker

# Zep has no limits. Of so many documents, the writes of others wait a fifth of a second.
_MAX_BATCH = 5_000
_MAX_ID_LENGTH = 100
_MAX_NEW_ID_LENGTH = 40
_DEFAULT_RELEVANCE = 0.5
_MMR = "mmr"


class Documents(Resource):
    """`/collection/{name}/document…` and `/collection/{name}/search`"""

    def __init__(self, engine: Engine, worker: Worker, compute: ComputeThreads) -> None:
        super().__init__(engine, worker, compute)
        base = "/collection/{name}/document"
        self.handlers = {
            ("POST", base): self.add,
            ("POST", f"{base}/list/get"): self.get_many,
            ("POST", f"{base}/list/delete"): self.delete_many,
            ("PATCH", f"{base}/list/update"): self.update_many,
            ("POST", "/collection/{name}/search"): self.search,
        }
        # zep-js sends the second one, which Zep does not have.
        for path in (f"{base}/uuid/{{uuid}}", f"{base}/{{uuid}}"):
            self.handlers |= {
                ("GET", path): self.get,
                ("PATCH", path): self.update,
                ("DELETE", path): self.delete,
            }

    async def add(self, request: Request) -> Response:
        """Add documents, all or none; return their uuids."""
        new = await self.parse_body(request, _new_documents)
        added, waits = await self.write(
            request,
            _add,
            request.id("name"),
            new=new,
            is_bounded=len(new) <= MAX_BOUNDED and _size(new) <= INLINE_BYTES,
        )
        if waits:
            self._worker.embed_documents()
        return json_response(added)

    async def get(self, request: Request) -> Response:
        """Return a document."""
        document = await self.read(
            request, documents.get, request.id("name"), uuid=_uuid_of(request)
        )
        return json_response(serialize_document(document))

    async def get_many(self, request: Request) -> Response:
        """Return the documents with some uuids or ids; without any, all documents."""
        uuids, ids = await self.parse(request, _wanted)
        if not uuids and not ids:
            return await self._all(request)
        return await self.read_json(
            request,
            _select,
            request.id("name"),
            uuids=uuids,
            document_ids=ids,
            serialize=lambda found: [serialize_document(each) for each in found],
            is_bounded=False,
        )

    async def update(self, request: Request) -> Response:
        """Set the id of a document, unless it is empty, and replace its metadata."""
        uuid = _uuid_of(request)
        change = await self.parse(request, _change)
        await self.write(request, documents.update, request.id("name"), change=change, uuid=uuid)
        return text_response("OK")

    async def update_many(self, request: Request) -> Response:
        """Update documents by their uuids, as `update` does; those that are missing are ignored."""
        many = await self.parse_body(request, _changes)
        await self.write(
            request,
            _update_many,
            request.id("name"),
            many=many,
            is_bounded=len(many) <= MAX_BOUNDED,
        )
        return text_response("OK")

    async def delete(self, request: Request) -> Response:
        """Delete a document."""
        await request.body()
        return await self._delete(request, [_uuid_of(request)])

    async def delete_many(self, request: Request) -> Response:
        """Delete documents by their uuids."""
        uuids = await self.parse_body(request, _uuids)
        return await self._delete(request, uuids)

    async def _delete(self, request: Request, uuids: list[str]) -> Response:
        deletion = await self.write(
            request,
            _delete,
            request.id("name"),
            uuids=uuids,
            is_bounded=len(uuids) <= MAX_BOUNDED,
        )
        await self._worker.run(DocumentDeletionJob(deletion))
        return text_response("OK")

    async def search(self, request: Request) -> Response:
        """Return the nearest documents; without a text or an embedding, the newest that match."""
        name, limit = request.id("name"), _limit(request)
        wanted = await self.parse(request, _search, limit)
        return await self.read_json(
            request,
            document_search.find,
            name,
            search=wanted,
            serialize=serialize_found_documents,
            is_bounded=False,
        )

    async def _all(self, request: Request) -> Response:
        name = request.id("name")

        async def read(after: int, count: int) -> Batch:
            page = PageRequest(limit=BATCH_SIZE, after=after)
            return await self.read(
                request, _batch, name, page=page, is_first=not count, is_bounded=False
            )

        return await array_response(b"[", read, 0, lambda _count, _last: b"]")


def _add(tx: Transaction, name: str, new: list[PreparedDocument]) -> tuple[list[str], bool]:
    """Add documents; return their uuids, and whether they wait for the model."""
    added = documents.add(tx, name, new)
    return [each.uuid for each in added], any(not each.is_embedded for each in added)


def _select(tx: Transaction, name: str, **wanted: Any) -> list[Document]:
    found = documents.select(tx, name, **wanted)
    if not found:
        raise NotFound("None of these documents is in the collection.")
    return found


def _batch(tx: Transaction, name: str, page: PageRequest, *, is_first: bool) -> Batch:
    rows = documents.page(tx, name, page, has_embedding=True)
    if is_first and not rows.items:
        raise NotFound("The collection has no documents.")
    items = [serialize_document(row) for row in rows.items]
    last = rows.items[-1].seq if items else 0
    return make_batch(items, last, is_last=not rows.has_more)


def _update_many(tx: Transaction, name: str, many: list[tuple[str, PreparedChange]]) -> None:
    found = {each.uuid for each in documents.select(tx, name, uuids=[uuid for uuid, _ in many])}
    if not found:
        raise NotFound("None of these documents is in the collection.")
    for uuid, change in many:
        if uuid in found:
            documents.update(tx, name, change, uuid=uuid)


def _delete(tx: Transaction, name: str, uuids: list[str]) -> DocumentDeletion:
    deletion = documents.delete(tx, name, uuids=uuids)
    if not deletion.deleted_count:
        raise NotFound("None of these documents is in the collection.")
    return deletion


def _new_documents(body: bytes) -> list[PreparedDocument]:
    new = [_new_document(each) for each in read_objects(body, "documents", at_most=_MAX_BATCH)]
    return documents.prepare(new, at_most=_MAX_BATCH)


def _new_document(fields: Fields) -> NewDocument:
    return NewDocument(
        content=fields.text("content") or "",
        document_id=_document_id(fields, _MAX_ID_LENGTH),
        metadata=fields.object("metadata"),
        embedding=fields.array("embedding") or None,
    )


def _size(new: list[PreparedDocument]) -> int:
    return sum(len(each.content) + 3 * len(each.embedding or b"") for each in new)


def _changes(body: bytes) -> list[tuple[str, PreparedChange]]:
    many = read_objects(body, "documents", at_most=_MAX_BATCH)
    return [(_required_uuid(each), _change(each)) for each in many]


def _change(fields: Fields) -> PreparedChange:
    change = DocumentChange()
    document_id = _document_id(fields, _MAX_NEW_ID_LENGTH)
    if document_id is not None:
        change.document_id = document_id
    if metadata := fields.object("metadata"):
        change.metadata = metadata
    prepared = prepare_change(change)
    if not prepared.fields:
        field = fields.path_of("document_id")
        raise BadRequest("nothing to change: give document_id, metadata or both", field)
    return prepared


def _document_id(fields: Fields, longest: int) -> str | None:
    value = fields.text("document_id") or None
    field = fields.path_of("document_id")
    if value is not None and (len(value) > longest or not value.isascii()):
        raise BadRequest(f"{field} must have at most {longest} characters of ASCII", field)
    return value


def _wanted(fields: Fields) -> tuple[list[str], list[str]]:
    uuids, ids = fields.texts("uuids") or [], fields.texts("document_ids") or []
    if uuids and ids:
        raise BadRequest("give uuids or document_ids, not both", "uuids", "document_ids")
    return [_canonical(uuid, f"uuids[{at}]") for at, uuid in enumerate(uuids)], ids


def _uuids(body: bytes) -> list[str]:
    return [_canonical(each, f"[{at}]") for at, each in enumerate(read_array(body))]


def _search(fields: Fields, limit: int) -> DocumentSearch:
    text, values = fields.text("text") or None, fields.array("embedding") or None
    metadata = fields.object("metadata")
    if text is not None and values is not None:
        raise BadRequest("give text or embedding, not both", "text", "embedding")
    if text is None and values is None and not metadata:
        raise BadRequest(
            "empty query: give text, embedding or metadata", "text", "embedding", "metadata"
        )
    relevance = fields.number("mmr_lambda") or _DEFAULT_RELEVANCE
    is_mmr = fields.text("search_type") == _MMR
    if is_mmr and text is None and values is None:
        raise BadRequest("a search by mmr needs a text or an embedding", "search_type")
    if not 0 <= relevance <= 1:
        raise BadRequest("mmr_lambda must be from 0 to 1", "mmr_lambda")
    return DocumentSearch(
        text=text,
        embedding=None if values is None else encode_embedding(values, "embedding"),
        limit=limit,
        filter=read_message_filter(metadata).node if metadata else None,
        relevance=relevance if is_mmr else None,
    )


def _limit(request: Request) -> int:
    limit = query_integer(request.query(), "limit")
    return min(limit, MAX_LIMIT) if limit > 0 else document_search.DEFAULT_SEARCH_LIMIT


def _uuid_of(request: Request) -> str:
    return _canonical(request.id("uuid"), "uuid")


def _required_uuid(fields: Fields) -> str:
    uuid = fields.uuid("uuid")
    if uuid is None:
        field = fields.path_of("uuid")
        raise BadRequest(f"{field} is missing", field)
    return uuid


def _canonical(value: Any, field: str) -> str:
    uuid = Fields({field: value}).uuid(field)
    if uuid is None:
        raise BadRequest(f"{field} must be a uuid", field)
    return uuid
