"""Imports: handlers, and what is sent of what they did.

Only here a client gives uuids. Those of users and sessions must be unique in all projects: so the
transaction sees all of them first, and is bound to its project afterwards.
"""

from typing import Any

from msgspec.structs import replace

from userkeep.api import imports as wire
from userkeep.domain.collection import check_collection_name
from userkeep.domain.errors import InvalidField
from userkeep.domain.imports import (
    ImportedCollection,
    ImportedDocuments,
    ImportedSession,
    ImportedUser,
    PreparedImportedDocument,
)
from userkeep.domain.scope import Rules
from userkeep.domain.transaction import Transaction
from userkeep.handlers.calls import Call, Handler, Prepare
from userkeep.services import document_imports, imports, projects
from userkeep.services.imports import MessageConflict, PreparedImport


def prepare_session(rules: Rules, call: Call) -> list[PreparedImport]:
    """Check messages to import, and make their index entries."""
    body: ImportedSession = call.body
    return imports.prepare(rules.analyzer, body.messages)


def prepare_documents(_: Rules, call: Call) -> list[PreparedImportedDocument]:
    """Check documents to import, and encode their embeddings."""
    body: ImportedDocuments = call.body
    check_collection_name(body.name)
    return document_imports.prepare(body.documents)


def user(tx: Transaction, call: Call) -> wire.UserImport:
    """Import a user."""
    as_new = _is_as_new(call)
    body: ImportedUser = _entered(tx, call)
    outcome = imports.add_user(tx, body, as_new=as_new)
    return wire.UserImport(result=outcome.result, differing=outcome.differing)


def session(tx: Transaction, call: Call) -> wire.SessionImport:
    """Import a session with messages."""
    as_new = _is_as_new(call)
    body: ImportedSession = _entered(tx, call)
    outcome = imports.add_session(tx, body, call.prepared, as_new=as_new)
    return wire.SessionImport(
        result=outcome.session.result,
        differing=outcome.session.differing,
        added=outcome.added,
        present=outcome.present,
        conflicts=[_serialize_conflict(each) for each in outcome.conflicts],
        after_seq=outcome.after_seq,
    )


def collection(tx: Transaction, call: Call) -> wire.CollectionImport:
    """Import a collection."""
    body: ImportedCollection = call.body
    meaning = tx.scope.rules.meaning
    model = None if meaning is None else meaning.model
    outcome = document_imports.add_collection(tx, body, model)
    return wire.CollectionImport(result=outcome.result, differing=outcome.differing)


def documents(tx: Transaction, call: Call) -> wire.DocumentsImport:
    """Import documents."""
    body: ImportedDocuments = call.body
    outcome = document_imports.add_documents(tx, body.name, call.prepared, body.model)
    return wire.DocumentsImport(
        added=outcome.added,
        present=outcome.present,
        conflicts=[
            wire.DocumentConflict(index=each.at, reason=each.reason, differing=each.differing)
            for each in outcome.conflicts
        ],
    )


def _entered(tx: Transaction, call: Call) -> Any:
    """Bind a transaction to the project of a call; return the body with the uuid that it keeps."""
    tx.see_all_projects()
    body = replace(call.body, uuid=imports.uuid_to_keep(tx, call.scope.project_id, call.body))
    projects.enter_to_write(tx, call.scope)
    return body


def _is_as_new(call: Call) -> bool:
    """Return whether deleted ids are created again.

    Raises:
        InvalidField: it is requested with a uuid, which a new user or session cannot have.
    """
    query: wire.ImportQuery = call.query
    if query.as_new and call.body.uuid is not None:
        raise InvalidField("as_new creates another one, which gets a uuid of its own.", "uuid")
    return query.as_new


def _serialize_conflict(conflict: MessageConflict) -> wire.MessageConflict:
    return wire.MessageConflict(
        id=conflict.id,
        reason="differs" if conflict.differing else "place_taken",
        differing=conflict.differing,
    )


HANDLERS: dict[str, Handler] = {
    "imports.user": user,
    "imports.session": session,
    "imports.collection": collection,
    "imports.documents": documents,
}

PREPARE: dict[str, Prepare] = {
    "imports.session": prepare_session,
    "imports.documents": prepare_documents,
}
