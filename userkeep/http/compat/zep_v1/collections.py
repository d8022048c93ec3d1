"""Collections on `/api/v1`."""

import re

from starlette.responses import Response

from userkeep.domain.collection import CollectionChange, NewCollection
from userkeep.domain.embedding import Embedder
from userkeep.domain.errors import BadRequest, Conflict
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import Metadata
from userkeep.domain.values.paging import PageRequest
from userkeep.http.compat.lenient import Fields
from userkeep.http.compat.zep_v1.batches import BATCH_SIZE, Batch, array_response, make_batch
from userkeep.http.compat.zep_v1.resource import Resource
from userkeep.http.compat.zep_v1.serializers import serialize_collection
from userkeep.http.compute import ComputeThreads
from userkeep.http.requests import Request
from userkeep.http.responses import json_response, text_response
from userkeep.jobs.collection_deletion import CollectionDeletionJob
from userkeep.services import collections
from userkeep.storage.engine import Engine
from userkeep.worker.worker import Worker

_NAME = re.compile(r"[A-Za-z0-9]{3,40}")
_BOOLEANS = {"", "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"}
_SHORTEST_LISTED, _LONGEST_LISTED = 3, 40


class Collections(Resource):
    """`/collection…`, without their documents."""

    def __init__(
        self,
        engine: Engine,
        worker: Worker,
        compute: ComputeThreads,
        embedder: Embedder | None = None,
    ) -> None:
        super().__init__(engine, worker, compute)
        self._embedder = embedder
        self.handlers = {
            ("POST", "/collection/{name}"): self.add,
            ("GET", "/collection"): self.list_all,
            ("GET", "/collection/{name}"): self.get,
            ("PATCH", "/collection/{name}"): self.update,
            ("DELETE", "/collection/{name}"): self.delete,
            ("POST", "/collection/{name}/index/create"): self.create_index,
        }

    async def add(self, request: Request) -> Response:
        """Create a collection. The name in the body counts."""
        new = await self.parse(request, _new_collection)
        model = None if self._embedder is None else self._embedder.model
        try:
            await self.write(request, collections.add, new=new, model=model)
        except Conflict as error:
            raise BadRequest(error.detail, "is_auto_embedded") from error
        return text_response("OK")

    async def get(self, request: Request) -> Response:
        """Return a collection."""
        collection = await self.read(request, collections.get, request.id("name"))
        return json_response(serialize_collection(collection))

    async def list_all(self, request: Request) -> Response:
        """Return all collections."""

        async def read(after: int, _count: int) -> Batch:
            page = PageRequest(limit=BATCH_SIZE, after=after)
            return await self.read(request, _batch, page=page, is_bounded=False)

        return await array_response(b"[", read, 0, lambda _count, _last: b"]")

    async def update(self, request: Request) -> Response:
        """Replace the description, unless it is empty, and the metadata; ignore all else."""
        change = await self.parse(request, _change)
        name = request.id("name")
        await self.write(request, collections.update, name, change=change, merge=replace_metadata)
        return text_response("OK")

    async def delete(self, request: Request) -> Response:
        """Delete a collection with its documents."""
        await request.body()  # nothing is deleted by a request that was cut off
        deletion = await self.write(request, collections.begin_deletion, request.id("name"))
        await self._worker.run(CollectionDeletionJob(request.scope, deletion))
        return text_response("OK")

    async def create_index(self, request: Request) -> Response:
        """Do nothing, successfully: a search needs no index."""
        force = next((value for name, value in request.query() if name == "force"), "")
        if force not in _BOOLEANS:
            raise BadRequest(f"force must be true or false: {force[:40]!r}", "force")
        await self.read(request, collections.get, request.id("name"))
        return text_response("OK")


def _batch(tx: Transaction, page: PageRequest) -> Batch:
    rows = collections.page(tx, page)
    last = rows.items[-1].number if rows.items else 0
    # zep-python rejects the whole list for a name that Zep could not have.
    items = [
        serialize_collection(row)
        for row in rows.items
        if _SHORTEST_LISTED <= len(row.name) <= _LONGEST_LISTED
    ]
    return make_batch(items, last, is_last=not rows.has_more)


def _new_collection(fields: Fields) -> NewCollection:
    name = fields.text("name") or ""
    if not _NAME.fullmatch(name):
        raise BadRequest(f"name must have 3 to 40 letters and digits: {name!r}", "name")
    is_auto_embedded = fields.boolean("is_auto_embedded")
    if is_auto_embedded is None:
        raise BadRequest("is_auto_embedded is missing", "is_auto_embedded")
    dimensions = fields.integer("embedding_dimensions")
    if dimensions is None:
        raise BadRequest("embedding_dimensions is missing", "embedding_dimensions")
    return NewCollection(
        name=name,
        description=fields.text("description") or None,
        metadata=fields.object("metadata"),
        dimensions=dimensions,
        embedded_by="model" if is_auto_embedded else "caller",
    )


def _change(fields: Fields) -> CollectionChange:
    change = CollectionChange()
    if description := fields.text("description"):
        change.description = description
    metadata = fields.object("metadata")
    if metadata is not None:
        change.metadata = metadata
    return change


def replace_metadata(_former: Metadata, metadata: Metadata) -> Metadata:
    """Return the new metadata: that of collections and documents is not merged."""
    return metadata
