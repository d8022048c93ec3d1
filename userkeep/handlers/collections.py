"""Collections: handlers, and what is sent of a collection."""

from typing import Any

from userkeep.api import collections as wire
from userkeep.api.common import Page
from userkeep.domain.collection import Collection
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import merge_patch
from userkeep.handlers.calls import Call, Handler, StartedJob
from userkeep.handlers.idempotency import IdempotentHandler, gone
from userkeep.handlers.lists import page_request, serialize_page
from userkeep.handlers.values import raw_json, time_to_send
from userkeep.jobs.collection_deletion import CollectionDeletionJob
from userkeep.services import collections
from userkeep.services.idempotency import IdempotencyRecord


def add(tx: Transaction, call: Call) -> wire.Collection:
    """Create a collection."""
    meaning = tx.scope.rules.meaning
    model = None if meaning is None else meaning.model
    return serialize_collection(collections.add(tx, call.body, model))


def list_(tx: Transaction, call: Call) -> Page[wire.Collection]:
    """List collections."""
    request = page_request(call.query)
    return serialize_page(collections.page(tx, request), request, serialize_collection)


def get(tx: Transaction, call: Call) -> wire.Collection:
    """Return a collection."""
    return serialize_collection(collections.get(tx, call.ids["name"]))


def update(tx: Transaction, call: Call) -> wire.Collection:
    """Update a collection."""
    name = call.ids["name"]
    return serialize_collection(
        collections.update(tx, name, call.body, merge_patch, call.if_revision)
    )


def delete(tx: Transaction, call: Call) -> StartedJob:
    """Delete a collection: hide its documents, and start to delete them."""
    collection = collections.get(tx, call.ids["name"])
    deletion = collections.begin_deletion(tx, collection.name)

    def resource(job: Any) -> wire.CollectionDeletion:
        return wire.CollectionDeletion(
            name=collection.name,
            uuid=deletion.uuid,
            state="deleted" if job.is_finished else "deleting",
            started_at=time_to_send(deletion.started_at),
        )

    return StartedJob(CollectionDeletionJob(call.scope, deletion), None, resource)


def serialize_collection(collection: Collection) -> wire.Collection:
    """Return a collection as it is sent."""
    return wire.Collection(
        name=collection.name,
        uuid=collection.uuid,
        description=collection.description,
        metadata=raw_json(collection.metadata),
        dimensions=collection.dimensions,
        embedded_by=collection.embedded_by,
        model=collection.model,
        document_count=collection.document_count,
        embedded_count=collection.embedded_count,
        waiting_count=collection.waiting_count,
        revision=collection.revision,
        created_at=time_to_send(collection.created_at),
        updated_at=time_to_send(collection.updated_at),
    )


def _record(collection: wire.Collection) -> IdempotencyRecord:
    return IdempotencyRecord(uuid=collection.uuid)


def _replay(tx: Transaction, call: Call, record: IdempotencyRecord) -> wire.Collection:
    collection = collections.get(tx, call.body.name)
    if collection.uuid != record.uuid:
        raise gone()
    return serialize_collection(collection)


HANDLERS: dict[str, Handler] = {
    "collections.add": IdempotentHandler(add, record=_record, replay=_replay),
    "collections.list": list_,
    "collections.get": get,
    "collections.update": update,
    "collections.delete": delete,
}
