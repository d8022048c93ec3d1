"""What the database knows of deletion ledgers, and what of it an entry can be about."""

from typing import NamedTuple

import msgspec

from userkeep.domain.ledger import Deleted, LedgerMark, LedgerSubject
from userkeep.domain.project import ProjectState
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.values.times import Instant

PAGE = 1_000

FIRST_UUID = "00000000-0000-0000-0000-000000000000"
"""The uuid before all others."""

_PREFIX = "ledger:"


class Identity(NamedTuple):
    """By what a database and its ledger recognize each other.

    Attributes:
        fingerprint: of the secret.
        key: the stored key; None if the secret was never changed.
        created_at: when the database was created.
    """

    fingerprint: str
    key: str | None
    created_at: Instant


class Moment(NamedTuple):
    """A moment of the database.

    Attributes:
        number: the greatest number of an erasure.
        at: its time.
        documents: the greatest number of a deletion of documents.
    """

    number: int
    at: Instant
    documents: int


class UserToDelete(NamedTuple):
    """A user whose deletion has begun."""

    project_id: int
    user_id: str
    user_uuid: str


class RecordedErasure(NamedTuple):
    """What the ledger has of an erasure.

    Attributes:
        number: the order of creation, over all projects.
        project_state: a project that is deleted has one entry for all that it had.
        project_id: of the project.
        subject_id: the id of what is being deleted; None once it is deleted.
    """

    number: int
    subject: str
    subject_uuid: str
    started_at: Instant
    project_state: str
    project_id: int
    subject_id: str | None

    @property
    def has_entry(self) -> bool:
        """Whether it has an entry of its own."""
        return self.project_state == ProjectState.ACTIVE

    @property
    def user(self) -> UserToDelete | None:
        """The user whose sessions may be there still; None for anything else."""
        if self.subject != LedgerSubject.USER or self.subject_id is None:
            return None
        return UserToDelete(self.project_id, self.subject_id, self.subject_uuid)


class DocumentDeletion(NamedTuple):
    """What the ledger has of a document that was deleted by itself, or of a collection.

    Attributes:
        number: the order, over all projects.
        document_uuid: of the document; None for the whole collection.
        project_state: a project that is deleted has one entry for all that it had.
    """

    number: int
    collection_uuid: str
    document_uuid: str | None
    started_at: Instant
    project_state: str

    @property
    def has_entry(self) -> bool:
        """Whether it has an entry of its own."""
        return self.project_state == ProjectState.ACTIVE

    @property
    def deleted(self) -> Deleted:
        """What is recorded of it."""
        if self.document_uuid is None:
            return deleted_collection(self.collection_uuid, self.started_at)
        return deleted_document(self.collection_uuid, self.document_uuid, self.started_at)


class DeletedProject(NamedTuple):
    """A project that is deleted or being deleted."""

    uuid: str
    started_at: Instant


class FurtherProject(NamedTuple):
    """A project that an entry may be about."""

    uuid: str


class Candidate(NamedTuple):
    """A user that an entry may be about."""

    number: int
    id: str
    uuid: str


class SessionCandidate(NamedTuple):
    """A session that an entry may be about."""

    number: int
    id: str
    uuid: str
    user_id: str | None


class AssignedSession(NamedTuple):
    """A session that began without a user, and was assigned to one later."""

    number: int
    uuid: str


class CollectionCandidate(NamedTuple):
    """A collection that an entry may be about.

    Attributes:
        id: its name.
    """

    number: int
    id: str
    uuid: str


class DocumentId(NamedTuple):
    """A document that an entry may be about."""

    seq: int
    uuid: str


class MessageId(NamedTuple):
    """A message that an entry may be about."""

    seq: int
    id: str


class _Value(NamedTuple):
    name: str
    value: str


def identity(tx: Transaction) -> Identity:
    """Return by what the database and its ledger recognize each other."""
    return Identity(
        tx.fetch_one("get_secret_fingerprint", str) or "",
        tx.fetch_one("get_ledger_key", str),
        Instant(tx.fetch_one("database_created_at", int) or 0),
    )


def marks(tx: Transaction) -> dict[str, LedgerMark]:
    """Return the marks of all ledgers, by the uuid of each."""
    return {
        each.name.removeprefix(_PREFIX): msgspec.json.decode(each.value, type=LedgerMark)
        for each in tx.fetch_all("ledger_marks", _Value)
    }


def set_mark(tx: Transaction, ledger_uuid: str, mark: LedgerMark) -> None:
    """Store the mark of a ledger."""
    value = encode_json(mark).decode()
    tx.defer("set_ledger_mark", name=f"{_PREFIX}{ledger_uuid}", value=value)


def moment(tx: Transaction) -> Moment:
    """Return what identifies this moment."""
    tx.see_all_projects()
    return Moment(
        tx.fetch_one("greatest_erasure_number", int) or 0,
        tx.now,
        tx.fetch_one("greatest_document_deletion", int) or 0,
    )


def erasures_after(tx: Transaction, number: int) -> list[RecordedErasure]:
    """Return a page of the erasures of all projects, by their numbers."""
    tx.see_all_projects()
    return tx.fetch_all("erasures_of_ledger", RecordedErasure, after=number, limit=PAGE)


def document_deletions_after(tx: Transaction, number: int) -> list[DocumentDeletion]:
    """Return a page of the deletions of documents and collections of all projects."""
    tx.see_all_projects()
    return tx.fetch_all("document_deletions_of_ledger", DocumentDeletion, after=number, limit=PAGE)


def deleted_projects(tx: Transaction) -> list[DeletedProject]:
    """Return the projects that are deleted or being deleted."""
    return tx.fetch_all("deleted_projects", DeletedProject)


def further_projects(tx: Transaction) -> list[FurtherProject]:
    """Return the projects beside the default one that are not deleted or being deleted."""
    return tx.fetch_all("further_projects", FurtherProject)


def assigned_sessions_after(
    tx: Transaction, user: UserToDelete, number: int
) -> list[AssignedSession]:
    """Return a page of the sessions of a user that began without one, by their numbers."""
    tx.see_all_projects()
    values = {**user._asdict(), "after": number, "limit": PAGE}
    return tx.fetch_all("assigned_sessions_of_user", AssignedSession, **values)


def erasures_with_deleted_sessions(tx: Transaction, first: int, last: int) -> list[int]:
    """Return the numbers, between two, of the erasures of users with `deleted_sessions_after`."""
    tx.see_all_projects()
    return tx.fetch_all("erasures_with_deleted_sessions", int, first=first, last=last)


def deleted_sessions_after(tx: Transaction, number: int, uuid: str) -> list[str]:
    """Return a page of the sessions that began without a user and were deleted with theirs.

    Args:
        number: of the user's erasure.
        uuid: the last one of the page before.

    Returns:
        Their uuids, in this order.
    """
    tx.see_all_projects()
    values = {"number": number, "after": uuid, "limit": PAGE}
    return tx.fetch_all("deleted_sessions_of_erasure", str, **values)


def deleted_with_user(uuid: str, user_uuid: str, at: Instant) -> Deleted:
    """Return what is recorded of an assigned session when its user is deleted."""
    return Deleted(LedgerSubject.SESSION, uuid, at, user_uuid=user_uuid)


def deleted_collection(uuid: str, at: Instant) -> Deleted:
    """Return what is recorded of a deleted collection."""
    return Deleted(LedgerSubject.COLLECTION, uuid, at)


def deleted_document(collection_uuid: str, uuid: str, at: Instant) -> Deleted:
    """Return what is recorded of a document that was deleted by itself."""
    return Deleted(LedgerSubject.DOCUMENT, uuid, at, collection_uuid=collection_uuid)


def users_after(tx: Transaction, number: int) -> list[Candidate]:
    """Return a page of the users of the project, by their numbers."""
    return tx.fetch_all("users_of_ledger", Candidate, after=number, limit=PAGE)


def sessions_after(tx: Transaction, number: int) -> list[SessionCandidate]:
    """Return a page of the sessions of the project, by their numbers."""
    return tx.fetch_all("sessions_of_ledger", SessionCandidate, after=number, limit=PAGE)


def collections_after(tx: Transaction, number: int) -> list[CollectionCandidate]:
    """Return a page of the collections of the project, by their numbers."""
    return tx.fetch_all("collections_of_ledger", CollectionCandidate, after=number, limit=PAGE)


def documents_after(tx: Transaction, collection: int, seq: int) -> list[DocumentId]:
    """Return a page of the documents of a collection, by their numbers."""
    values = {"collection": collection, "after": seq, "limit": PAGE}
    return tx.fetch_all("document_uuids_of_collection", DocumentId, **values)


def messages_after(tx: Transaction, session_id: str, seq: int) -> list[MessageId]:
    """Return a page of the messages of a session, by their seqs."""
    values = {"session_id": session_id, "after": seq, "limit": PAGE}
    return tx.fetch_all("message_ids_of_session", MessageId, **values)
