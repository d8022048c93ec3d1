"""The tables of a database: for each its columns, its key, and what personal data it has.

For each column it has either the personal data, its owner and how it is deleted, or the reason why
there is none. A test compares this with the schema of both engines, so no column can be added
without an answer to the question of how it is deleted.

Three things are made from it, and so include each new column: which tables a purge rewrites, which
rows a verification searches (`jobs.verify.table_scans`), and what is copied (`jobs.copy.tables`).
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from userkeep.domain.erasure import Subject
from userkeep.storage.queries import DIALECTS

SQLITE = ("sqlite",)
POSTGRES = ("postgres",)


class Kind(StrEnum):
    """What personal data a column has, and so how it is searched for."""

    ID = "an id that the app has chosen"
    UUID = "a uuid"
    TEXT = "text"
    JSON = "JSON"
    TERMS = "terms of a text"
    VECTOR = "an embedding of a text"
    HASH = "a keyed hash of an id"
    INCIDENTAL = "a number, a time or a state, which is personal only by its row"


class PersonalColumn(NamedTuple):
    """A column with personal data.

    Attributes:
        name: its name.
        kind: see Kind.
        description: what it has.
        names: for an id, what it identifies; None if another column of the row has that.
        distinguished_by: for an id that can be used again after a deletion, the column of the same
            row by which its owners are distinguished: their uuid, or the time of the row.
        is_kept: whether it stays on purpose when its owner is deleted.
        engines: which engines have the column.
    """

    name: str
    kind: Kind
    description: str
    names: Subject | None = None
    distinguished_by: str | None = None
    is_kept: bool = False
    engines: tuple[str, ...] = DIALECTS


class NonPersonalColumn(NamedTuple):
    """A column that cannot have personal data.

    Attributes:
        name: its name.
        reason: why it cannot.
        engines: which engines have the column.
    """

    name: str
    reason: str
    engines: tuple[str, ...] = DIALECTS


class Table(NamedTuple):
    """A table.

    Attributes:
        name: its name.
        columns: all of its columns.
        key: the columns that identify a row on both engines; none for a table that Userkeep does
            not read row by row.
        owner: the user that a row is about, and the columns that identify them; None without
            personal data.
        deletion: how a row is deleted when its owner is.
        is_copied: whether `userkeep copy` copies it.
        is_internal: whether it belongs to the engine; Userkeep does not write its rows.
        engines: which engines have the table.
    """

    name: str
    columns: tuple[PersonalColumn | NonPersonalColumn, ...]
    key: tuple[str, ...] = ()
    owner: str | None = None
    deletion: str | None = None
    is_copied: bool = False
    is_internal: bool = False
    engines: tuple[str, ...] = DIALECTS

    def personal_columns(self, engine: str) -> tuple[PersonalColumn, ...]:
        """Return the columns with personal data on an engine."""
        return tuple(
            column
            for column in self.columns
            if isinstance(column, PersonalColumn) and engine in column.engines
        )

    def column_names(self, *engines: str) -> tuple[str, ...]:
        """Return the names of the columns that all of these engines have."""
        return tuple(column.name for column in self.columns if set(engines) <= set(column.engines))

    def is_numbered(self, *engines: str) -> bool:
        """Whether all of these engines number the rows."""
        return "number" in self.column_names(*engines)

    def scan_key(self, engine: str) -> tuple[str, ...]:
        """Return the columns in whose order an engine reads all rows of a project."""
        if engine == "sqlite" and self.is_numbered(engine):
            return ("number",)
        return tuple(name for name in self.key if name != "project_id")


def _incidental(*names: str, engines: tuple[str, ...] = DIALECTS) -> tuple[PersonalColumn, ...]:
    return tuple(
        PersonalColumn(name, Kind.INCIDENTAL, "a property of the row", engines=engines)
        for name in names
    )


def _non_personal(reason: str, *names: str) -> tuple[NonPersonalColumn, ...]:
    return tuple(NonPersonalColumn(name, reason) for name in names)


_OF_AN_ERASURE = "is about the deletion, not about the deleted"
_OF_A_STATISTIC = ("stakind", "staop", "stacoll", "stanumbers")

# In the order in which they can be filled.
TABLES: tuple[Table, ...] = (
    Table(
        "projects",
        (
            *_non_personal("named by the operator of the instance", "project_id", "name", "uuid"),
            *_non_personal("a property of the project", "state", "created_at", "updated_at"),
            *_non_personal("set by the operator", "max_messages_per_user", "max_bytes_per_user"),
            *_non_personal("set by the operator", "max_documents_per_user"),
            *_non_personal("set by the operator", "do_not_embed"),
            *_non_personal("a number of a session, up to which all were seen", "embedding_sweep"),
            *_non_personal(_OF_AN_ERASURE, "user_count", "session_count", "message_count"),
            *_non_personal(_OF_AN_ERASURE, "document_count"),
            *_non_personal(_OF_AN_ERASURE, "started_at", "deleted_at", "lease_expires_at"),
            *_non_personal(_OF_AN_ERASURE, "purge_requested_at", "purge_uuid"),
            *_non_personal("names steps and tables, in the program's words", "skipped_steps"),
            *_non_personal(_OF_AN_ERASURE, "purged_at"),
        ),
        key=("project_id",),
        is_copied=True,
    ),
    Table(
        "users",
        (
            *_incidental("number", "project_id"),
            PersonalColumn("user_id", Kind.ID, "the app's id of the user", Subject.USER, "uuid"),
            PersonalColumn("uuid", Kind.UUID, "the server's id of the user"),
            PersonalColumn("email", Kind.TEXT, "the user's address"),
            PersonalColumn("email_folded", Kind.TEXT, "the address as it is compared"),
            PersonalColumn("first_name", Kind.TEXT, "the user's name"),
            PersonalColumn("last_name", Kind.TEXT, "the user's name"),
            PersonalColumn("metadata", Kind.JSON, "what the app stores about the user"),
            *_incidental("state", "revision", "created_at", "updated_at", "do_not_embed"),
            PersonalColumn("erasure_uuid", Kind.UUID, "the erasure that deletes the user"),
        ),
        key=("project_id", "user_id"),
        owner="the user with this user_id; uuid distinguishes users of the same id",
        deletion="last of all, at the end of the user's erasure",
        is_copied=True,
    ),
    Table(
        "api_keys",
        (
            *_incidental("number", "project_id"),
            *_non_personal("random, and no secret", "id"),
            PersonalColumn("name", Kind.TEXT, "what the key is for, or for whom"),
            *_incidental("scope"),
            PersonalColumn("user_id", Kind.ID, "its user, if any", Subject.USER, "user_uuid"),
            PersonalColumn("user_uuid", Kind.UUID, "its user, if any"),
            *_non_personal("hashes of random bits", "hash", "former_hash"),
            *_incidental("former_expires_at", "created_at", "expires_at"),
            *_incidental("last_used_at", "revoked_at"),
        ),
        key=("project_id", "id"),
        owner="the user with this user_id, if it is bound to one",
        deletion="in the first transaction of the user's erasure",
        is_copied=True,
    ),
    Table(
        "user_words",
        (
            *_incidental("project_id"),
            PersonalColumn("user_id", Kind.ID, "the user", Subject.USER),
            *_incidental("user_number"),
            PersonalColumn("beginning", Kind.TEXT, "the first characters of the word"),
            PersonalColumn("word", Kind.TEXT, "a word of the user's id, address or names"),
        ),
        key=("project_id", "user_number", "word", "user_id"),
        owner="the user with this user_id, whose number is user_number",
        deletion="with the user's row, at the end of the user's erasure",
        is_copied=True,
    ),
    Table(
        "user_usage",
        (
            *_incidental("project_id"),
            PersonalColumn("user_id", Kind.ID, "the user", Subject.USER),
            *_incidental("message_count", "byte_count", "quota_set_at", "document_count"),
        ),
        key=("project_id", "user_id"),
        owner="the user with this user_id",
        deletion="in the first transaction of the user's erasure",
        is_copied=True,
    ),
    Table(
        "sessions",
        (
            *_incidental("number", "project_id"),
            PersonalColumn("session_id", Kind.ID, "the app's id", Subject.SESSION, "uuid"),
            PersonalColumn("uuid", Kind.UUID, "the server's id"),
            PersonalColumn("user_id", Kind.ID, "the owner", Subject.USER, "user_uuid"),
            PersonalColumn("user_uuid", Kind.UUID, "the owner"),
            *_incidental("user_number"),
            PersonalColumn("title", Kind.TEXT, "the title, often made of the messages"),
            PersonalColumn("title_words", Kind.TEXT, "the words of the title, for searches"),
            PersonalColumn("metadata", Kind.JSON, "what the app stores about the session"),
            *_incidental("state", "revision", "message_count", "last_seq", "total_length"),
            *_incidental("ended_at", "active_at", "assigned_at", "created_at", "updated_at"),
            *_incidental("embedded_seq", "do_not_embed"),
            PersonalColumn("erasure_uuid", Kind.UUID, "the erasure that deletes the session"),
        ),
        key=("project_id", "session_id"),
        owner="the user with this user_id, if any; user_uuid distinguishes users of the same id",
        deletion="with its messages, in the erasure of the session or of the user",
        is_copied=True,
    ),
    Table(
        "messages",
        (
            *_incidental("number", engines=SQLITE),
            *_incidental("project_id"),
            PersonalColumn("session_id", Kind.ID, "its session", Subject.SESSION),
            *_incidental("seq", "word_count"),
            PersonalColumn("id", Kind.ID, "the app's or the server's id", Subject.MESSAGE),
            PersonalColumn("name", Kind.TEXT, "the speaker"),
            *_incidental("role", "token_count", "created_at", "edited_at", "revision"),
            PersonalColumn("metadata", Kind.JSON, "what the app stores about the message"),
            PersonalColumn("content", Kind.TEXT, "the text of the message"),
            PersonalColumn("data", Kind.TEXT, "JSON of a framework, stored as it is"),
            PersonalColumn("words", Kind.TERMS, "the terms that find it", engines=POSTGRES),
        ),
        key=("project_id", "session_id", "seq"),
        owner="the user of the session with this session_id",
        deletion="before its session's row, or in an erasure of its own",
        is_copied=True,
    ),
    Table(
        "embedding_models",
        (
            *_non_personal("names a model", "model_id", "name", "fingerprint", "dimensions"),
            *_non_personal("where a model is, without a key", "source"),
            *_non_personal("a property of the model", "state", "created_at", "lease_expires_at"),
        ),
        key=("model_id",),
        is_copied=True,
    ),
    Table(
        "embeddings",
        (
            *_incidental("project_id"),
            PersonalColumn("session_id", Kind.ID, "its session", Subject.SESSION),
            *_incidental("seq", "model_id", "scale"),
            PersonalColumn("vector", Kind.VECTOR, "the embedding of the message with this seq"),
        ),
        key=("project_id", "session_id", "seq", "model_id"),
        owner="the user of the session with this session_id",
        deletion="in the transaction that deletes or edits its message; where a user, a session or "
        "a project is no longer to be embedded, soon after that",
        is_copied=True,
    ),
    Table(
        "message_words",
        (
            PersonalColumn("words", Kind.TERMS, "the terms of messages, which cannot be read"),
            PersonalColumn("message_words", Kind.INCIDENTAL, "takes commands, never stored"),
            PersonalColumn("rank", Kind.INCIDENTAL, "takes commands, never stored"),
        ),
        owner="the user of the message whose number is in the lower 34 bits of the rowid",
        deletion="before its message",
        is_internal=True,
        engines=SQLITE,
    ),
    Table(
        "message_words_listed",
        (
            PersonalColumn("term", Kind.TERMS, "a term"),
            *_incidental("doc", "col", "offset"),
        ),
        owner="the user of the message whose number is in the lower 34 bits of doc",
        deletion="with the entries of message_words, of which it is a view",
        is_internal=True,
        engines=SQLITE,
    ),
    Table(
        "message_words_data",
        (
            *_incidental("id"),
            PersonalColumn("block", Kind.TERMS, "terms, each without the prefix of the one before"),
        ),
        owner="many users at once, by the rowids in a block",
        deletion="by a purge, which merges the index; until then a block still has removed terms, "
        "marked as removed",
        is_internal=True,
        engines=SQLITE,
    ),
    Table(
        "message_words_idx",
        (
            *_incidental("segid"),
            PersonalColumn("term", Kind.TERMS, "the first letters of the first term of a page"),
            *_incidental("pgno"),
        ),
        owner="many users at once",
        deletion="with the blocks that it points to",
        is_internal=True,
        engines=SQLITE,
    ),
    Table(
        "collections",
        (
            *_incidental("number", "project_id"),
            PersonalColumn("name", Kind.TEXT, "the app's name of the collection"),
            PersonalColumn("uuid", Kind.UUID, "the server's id"),
            PersonalColumn("description", Kind.TEXT, "what the collection is for"),
            PersonalColumn("metadata", Kind.JSON, "what the app stores about the collection"),
            *_incidental("dimensions", "embedded_by", "model", "revision", "document_count"),
            *_incidental("embedded_count", "waiting_count", "last_seq", "created_at"),
            *_incidental("updated_at", "lease_expires_at", "reviewed_seq"),
        ),
        key=("project_id", "name"),
        owner="no user: it belongs to the project",
        deletion="with the collection, or with the project",
        is_copied=True,
    ),
    Table(
        "collection_deletions",
        (
            *_incidental("project_id", "collection"),
            PersonalColumn("uuid", Kind.UUID, "the server's id of the collection"),
            *_incidental("started_at"),
        ),
        key=("project_id", "collection"),
        owner="no user: it is about a collection, which belongs to the project",
        deletion="when the last document of the collection is deleted",
        is_copied=True,
    ),
    Table(
        "document_deletions",
        (
            *_non_personal("is about a deletion, not about a user", "number", "project_id"),
            *_non_personal("the number of a collection", "collection"),
            PersonalColumn(
                "collection_uuid", Kind.UUID, "the server's id of the collection", is_kept=True
            ),
            PersonalColumn(
                "document_uuid", Kind.UUID, "the server's id of the document", is_kept=True
            ),
            *_non_personal("is about a deletion, not about a user", "started_at"),
        ),
        key=("project_id", "collection", "number"),
        owner="the user of the deleted document, if any",
        deletion="never: by its uuids, a deletion ledger is compared with the database",
        is_copied=True,
    ),
    Table(
        "documents",
        (
            *_incidental("project_id", "collection", "seq"),
            PersonalColumn("uuid", Kind.UUID, "the server's id"),
            PersonalColumn("document_id", Kind.TEXT, "the app's id"),
            PersonalColumn("user_id", Kind.ID, "the owner, if any", Subject.USER, "user_uuid"),
            PersonalColumn("user_uuid", Kind.UUID, "the owner, if any"),
            *_incidental("embedding_state", "revision", "created_at", "updated_at"),
            PersonalColumn("metadata", Kind.JSON, "what the app stores about the document"),
            PersonalColumn("content", Kind.TEXT, "the text of the document"),
            PersonalColumn("embedding", Kind.VECTOR, "the embedding of the text, as it was given"),
        ),
        key=("project_id", "collection", "seq"),
        owner="the user with this user_id, if any; user_uuid distinguishes users of the same id",
        deletion="in the user's erasure; without a user, by itself or with its collection",
        is_copied=True,
    ),
    Table(
        "document_vectors",
        (
            *_incidental("project_id", "collection", "seq"),
            PersonalColumn("vector", Kind.VECTOR, "the embedding, rounded, for searches"),
        ),
        key=("project_id", "collection", "seq"),
        owner="the user of the document with this collection and seq, if any",
        deletion="with its document, in the same transaction",
        is_copied=True,
    ),
    Table(
        "erasures",
        (
            *_non_personal(_OF_AN_ERASURE, "number", "project_id", "uuid", "subject"),
            PersonalColumn(
                "subject_id", Kind.ID, "the id that is being deleted", None, "subject_uuid"
            ),
            PersonalColumn("subject_hash", Kind.HASH, "its keyed hash; none under a former secret"),
            PersonalColumn("subject_uuid", Kind.UUID, "the server's id of it", is_kept=True),
            *_non_personal(_OF_AN_ERASURE, "state", "session_count", "message_count"),
            *_non_personal(_OF_AN_ERASURE, "document_count"),
            *_non_personal(_OF_AN_ERASURE, "started_at", "hidden_at", "deleted_at"),
            *_non_personal(_OF_AN_ERASURE, "lease_expires_at", "purge_requested_at", "purge_uuid"),
            *_non_personal("names steps and tables, in the program's words", "skipped_steps"),
            *_non_personal(_OF_AN_ERASURE, "purged_at"),
        ),
        key=("project_id", "uuid"),
        owner="the deleted user, session or message",
        deletion="never: subject_id is removed with the last row of the subject; the hash and "
        "the uuid stay, by which a verification recognizes it",
        is_copied=True,
    ),
    Table(
        "deleted_sessions",
        (
            *_non_personal(_OF_AN_ERASURE, "project_id"),
            PersonalColumn("uuid", Kind.UUID, "the server's id of a session", is_kept=True),
            *_non_personal(_OF_AN_ERASURE, "erasure_number"),
        ),
        key=("project_id", "uuid"),
        owner="the deleted user to whom the session was assigned",
        deletion="never: it is created by the user's erasure, and rejects the session in imports",
        is_copied=True,
    ),
    Table(
        "verifications",
        (
            *_non_personal("is about the search, not about the deleted", "project_id", "uuid"),
            *_non_personal("is about the search, not about the deleted", "erasure_uuid", "state"),
            *_non_personal("times of the search", "started_at", "lease_expires_at", "finished_at"),
            *_non_personal("a sentence of the program", "problem"),
            *_non_personal("tables, files and offsets; search terms by number only", "findings"),
        ),
        key=("project_id", "uuid"),
        is_copied=True,
    ),
    # Not copied: the files of a copy have nothing of what was deleted or edited before.
    Table(
        "pending_purges",
        _non_personal(
            "records that a message was edited, not which one: the uuid is the edit's own",
            *("project_id", "uuid", "edited_at", "purge_uuid"),
        ),
        key=("project_id", "uuid"),
    ),
    Table(
        "tombstones",
        (
            *_incidental("project_id", "subject"),
            PersonalColumn("id_hash", Kind.HASH, "the keyed hash of a deleted id", is_kept=True),
            *_incidental("expires_at"),
        ),
        key=("project_id", "subject", "id_hash"),
        owner="the deleted user or session with this hash",
        deletion="it is created by the erasure, and expires after 24 h (a setting)",
        is_copied=True,
    ),
    Table(
        "idempotency",
        (
            *_incidental("project_id"),
            PersonalColumn("key", Kind.HASH, "the keyed hash of the app's key", is_kept=True),
            PersonalColumn(
                "request_hash", Kind.HASH, "the keyed hash of the request", is_kept=True
            ),
            PersonalColumn("user_id", Kind.ID, "the owner", Subject.USER, "created_at"),
            PersonalColumn("session_id", Kind.ID, "the owner", Subject.SESSION, "created_at"),
            PersonalColumn("uuid", Kind.UUID, "what the request created"),
            *_incidental("first_seq", "message_count", "created_at"),
        ),
        key=("project_id", "key"),
        owner="the user with this user_id, or the session with this session_id",
        deletion="the ids with their owner; the hashes, which reject a repeated request, and the "
        "number and the time of the row after 24 h",
        is_copied=True,
    ),
    Table(
        "instance",
        _non_personal("versions, times, a fingerprint, the phase of a purge", "name", "value"),
        key=("name",),
        is_copied=True,
    ),
    Table(
        "schema_migrations",
        _non_personal("the migrations that were applied", "number", "name", "applied_at"),
    ),
    Table(
        "message_words_config",
        _non_personal("settings of the index", "k", "v"),
        is_internal=True,
        engines=SQLITE,
    ),
    Table(
        "sqlite_schema",
        _non_personal("the schema", "type", "name", "tbl_name", "rootpage", "sql"),
        is_internal=True,
        engines=SQLITE,
    ),
    Table(
        "sqlite_sequence",
        _non_personal("the greatest number of each table", "name", "seq"),
        is_internal=True,
        engines=SQLITE,
    ),
    Table(
        "sqlite_stat1",
        _non_personal("counts of rows and of equal keys", "tbl", "idx", "stat"),
        is_internal=True,
        engines=SQLITE,
    ),
    Table(
        "sqlite_stat4",
        (
            *_incidental("tbl", "idx", "neq", "nlt", "ndlt"),
            PersonalColumn("sample", Kind.TEXT, "a key of an index: an id or an address"),
        ),
        owner="any user: it has samples of the keys of indexes",
        deletion="by a purge, which drops it; it exists only after ANALYZE",
        is_internal=True,
        engines=SQLITE,
    ),
    *(
        Table(
            f"{table}_number_seq",
            _non_personal(
                "numbers that refer to nothing once the rows are deleted",
                *("last_value", "log_cnt", "is_called"),
            ),
            is_internal=True,
            engines=POSTGRES,
        )
        for table in (
            *("users", "api_keys", "sessions", "collections", "erasures"),
            "document_deletions",
        )
    ),
    Table(
        "pg_statistic",
        (
            *_incidental("starelid", "staattnum", "stainherit", "stanullfrac", "stawidth"),
            *_incidental("stadistinct"),
            *_incidental(*(f"{name}{slot}" for name in _OF_A_STATISTIC for slot in range(1, 6))),
            *(
                PersonalColumn(f"stavalues{slot}", Kind.TEXT, "samples of a column")
                for slot in range(1, 6)
            ),
        ),
        owner="any user: ANALYZE stores samples of columns in it",
        deletion="nothing to delete: no samples are taken of personal columns, see the migrations",
        is_internal=True,
        engines=POSTGRES,
    ),
)


def tables_of(engine: str) -> Iterator[Table]:
    """Return the tables of an engine."""
    return (table for table in TABLES if engine in table.engines)


def columns_to_purge(engine: str) -> dict[str, tuple[str, ...]]:
    """Return the tables that a purge must rewrite, with the columns that are personal themselves.

    Without the engine's own tables, such as `pg_statistic`.
    """
    columns = {
        table.name: tuple(
            column.name
            for column in table.personal_columns(engine)
            if column.kind != Kind.INCIDENTAL
        )
        for table in tables_of(engine)
        if not table.is_internal
    }
    return {table: names for table, names in columns.items() if names}
