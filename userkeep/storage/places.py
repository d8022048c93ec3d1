"""Where people's data can live: every table and every column of a database, in one of two lists.

`PERSONAL` has the tables that hold anything of a person: column by column what it is, whose, and
how it goes when they are deleted. `IMPERSONAL` has all other columns, each with the reason why it
holds nothing of anybody. A test walks the real schema of both engines and fails where a column is
in neither list, so that none can be added without an answer to the question of how it is deleted.

Two things are made from these lists, and so cannot delete a column either: which tables a purge
writes anew, and which rows a verification looks into (see jobs.verify.table_scans).
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from userkeep.domain.erasure import Subject
from userkeep.storage.queries import DIALECTS

SQLITE = ("sqlite",)
POSTGRES = ("postgres",)


class Holds(StrEnum):
    """What a column of a person's row has in it, and so how it is looked for."""

    ID = "an id that an app has given"
    UUID = "a uuid"
    TEXT = "text"
    JSON = "JSON"
    WORDS = "words of a text"
    HASH = "a keyed hash of an id"
    TRACE = "a number, a time or a state, which says something by the row it stands in"


class Place(NamedTuple):
    """A column in which something of a person is.

    Attributes:
        column: its name.
        holds: see Holds.
        what: what it is.
        names: whose id it is, where it holds one; None where the row says that.
        told_apart_by: the column of the same row that tells whoever bears the id now from who bore
            it before: it has their uuid, or the time when the row was made.
        is_kept: it stays on purpose when its subject is deleted.
        dialects: on which engines there is such a column.
    """

    column: str
    holds: Holds
    what: str
    names: Subject | None = None
    told_apart_by: str | None = None
    is_kept: bool = False
    dialects: tuple[str, ...] = DIALECTS


class PersonalTable(NamedTuple):
    """A table with something of people in it.

    Attributes:
        name: its name.
        of: to whom a row belongs, and by which of its columns one is led to them.
        goes: how a row goes when they are deleted.
        places: its columns.
        keys: by engine, the columns in whose order it is read from end to end, within a project;
            none where its rows are not read as such.
        is_ours: whether the instance writes its rows; else the engine does, for itself.
        dialects: on which engines there is such a table.
    """

    name: str
    of: str
    goes: str
    places: tuple[Place, ...]
    keys: dict[str, tuple[str, ...]]
    is_ours: bool = True
    dialects: tuple[str, ...] = DIALECTS

    def of_dialect(self, dialect: str) -> tuple[Place, ...]:
        """Its columns on an engine."""
        return tuple(place for place in self.places if dialect in place.dialects)


class Impersonal(NamedTuple):
    """Columns of a table in which nothing of anybody is.

    Attributes:
        table: its name.
        columns: their names.
        why: why nothing of anybody can be in them.
        dialects: on which engines there are such columns.
    """

    table: str
    columns: tuple[str, ...]
    why: str
    dialects: tuple[str, ...] = DIALECTS


def _traces(*columns: str, dialects: tuple[str, ...] = DIALECTS) -> tuple[Place, ...]:
    """Columns that say something of a person only by standing in their row."""
    return tuple(
        Place(column, Holds.TRACE, "what the row says of itself", dialects=dialects)
        for column in columns
    )


_OF_STATISTIC = ("stakind", "staop", "stacoll", "stanumbers")

PERSONAL: tuple[PersonalTable, ...] = (
    PersonalTable(
        name="users",
        of="the user with this user_id; uuid tells them from a later namesake",
        goes="deleted at the very end of the user's erasure",
        places=(
            Place("user_id", Holds.ID, "the app's name for them", Subject.USER, "uuid"),
            Place("uuid", Holds.UUID, "the server's name for them"),
            Place("email", Holds.TEXT, "their address"),
            Place("email_folded", Holds.TEXT, "the same in the case in which it is looked for"),
            Place("first_name", Holds.TEXT, "their name"),
            Place("last_name", Holds.TEXT, "their name"),
            Place("metadata", Holds.JSON, "what an app says of them"),
            Place("erasure_uuid", Holds.UUID, "the erasure that is at work on them"),
            *_traces("number", "project_id", "state", "revision", "created_at", "updated_at"),
        ),
        keys={"sqlite": ("number",), "postgres": ("user_id",)},
    ),
    PersonalTable(
        name="sessions",
        of="the user with this user_id, or nobody yet; user_uuid tells them from a namesake",
        goes="deleted with its messages, in the session's erasure or the user's",
        places=(
            Place("session_id", Holds.ID, "the app's name for it", Subject.SESSION, "uuid"),
            Place("uuid", Holds.UUID, "the server's name for it"),
            Place("user_id", Holds.ID, "the owner", Subject.USER, "user_uuid"),
            Place("user_uuid", Holds.UUID, "the owner"),
            Place("metadata", Holds.JSON, "what an app says of it"),
            Place("erasure_uuid", Holds.UUID, "the erasure that is at work on it"),
            *_traces("number", "project_id", "user_number", "state", "revision"),
            *_traces("message_count", "last_seq", "total_length"),
            *_traces("ended_at", "created_at", "updated_at"),
        ),
        keys={"sqlite": ("number",), "postgres": ("session_id",)},
    ),
    PersonalTable(
        name="messages",
        of="the session with this session_id, and so its user",
        goes="deleted before the session's row is; or by itself",
        places=(
            Place("session_id", Holds.ID, "its session", Subject.SESSION),
            Place("uuid", Holds.UUID, "the app's or the server's name for it"),
            Place("role", Holds.TEXT, "who says it"),
            Place("content", Holds.TEXT, "what is said"),
            Place("metadata", Holds.JSON, "what an app says of it"),
            Place("data", Holds.TEXT, "JSON that a framework wants back as it was"),
            Place("words", Holds.WORDS, "its words, for the search", dialects=POSTGRES),
            *_traces("project_id", "seq", "role_type", "token_count", "word_count", "created_at"),
            *_traces("number", dialects=SQLITE),
        ),
        keys={"sqlite": ("number",), "postgres": ("session_id", "seq")},
    ),
    PersonalTable(
        name="message_words",
        of="the message whose number is in the lower 34 bits of the rowid",
        goes="each word is taken out before its message is deleted",
        places=(
            Place("words", Holds.WORDS, "the words of a message, which cannot be read from it"),
            Place("message_words", Holds.TRACE, "takes commands, and is never stored"),
            Place("rank", Holds.TRACE, "takes commands, and is never stored"),
        ),
        keys={},
        is_ours=False,
        dialects=SQLITE,
    ),
    PersonalTable(
        name="message_words_listed",
        of="the message whose number is in the lower 34 bits of doc",
        goes="it is a view of message_words",
        places=(
            Place("term", Holds.WORDS, "a word"),
            *_traces("doc", "col", "offset"),
        ),
        keys={},
        is_ours=False,
        dialects=SQLITE,
    ),
    PersonalTable(
        name="message_words_data",
        of="the messages of many, by their rowids within a block",
        goes="a block with a word that was taken out is written anew when the index is merged, "
        "which a purge has done; until then the word is in it, and a note that it does not count",
        places=(
            Place("block", Holds.WORDS, "words, each without what it shares with the one before"),
            *_traces("id"),
        ),
        keys={},
        is_ours=False,
        dialects=SQLITE,
    ),
    PersonalTable(
        name="message_words_idx",
        of="the messages of many",
        goes="with the blocks that it leads to",
        places=(
            Place("term", Holds.WORDS, "the first letters of the first word of a page"),
            *_traces("segid", "pgno"),
        ),
        keys={},
        is_ours=False,
        dialects=SQLITE,
    ),
    PersonalTable(
        name="erasures",
        of="what was deleted: a user, a session or a message, as subject says",
        goes="subject_id is removed when the last row of the subject is; the hash and the uuid "
        "stay, by which a verification knows whom it was about",
        places=(
            Place("subject_id", Holds.ID, "whoever is being deleted", None, "subject_uuid"),
            Place("subject_hash", Holds.HASH, "its hash: nothing to whoever has no secret"),
            Place("subject_uuid", Holds.UUID, "the server's name for them", is_kept=True),
        ),
        keys={"sqlite": ("number",), "postgres": ("uuid",)},
    ),
    PersonalTable(
        name="tombstones",
        of="the user or the session whose id has this hash",
        goes="it comes with the erasure, and is dropped after 24 h (a setting)",
        places=(
            Place("id_hash", Holds.HASH, "the hash of an id that was deleted", is_kept=True),
            *_traces("project_id", "subject", "expires_at"),
        ),
        keys={},
    ),
    PersonalTable(
        name="idempotency",
        of="the user with this user_id, or the session with this session_id",
        goes="deleted with its owner, or after 24 h",
        places=(
            Place("key", Holds.TEXT, "what an app calls a request"),
            Place("request_hash", Holds.HASH, "the hash of the request"),
            Place("user_id", Holds.ID, "the owner", Subject.USER, "created_at"),
            Place("session_id", Holds.ID, "the owner", Subject.SESSION, "created_at"),
            Place("uuid", Holds.UUID, "what was made"),
            *_traces("project_id", "first_seq", "message_count", "created_at"),
        ),
        keys={"sqlite": ("key",), "postgres": ("key",)},
    ),
    PersonalTable(
        name="sqlite_stat4",
        of="anybody: it has samples of the keys of indexes",
        goes="dropped by a purge; it is there only if somebody has run ANALYZE",
        places=(
            Place("sample", Holds.TEXT, "a key of an index, an id or an address"),
            *_traces("tbl", "idx", "neq", "nlt", "ndlt"),
        ),
        keys={},
        is_ours=False,
        dialects=SQLITE,
    ),
    PersonalTable(
        name="pg_statistic",
        of="anybody: ANALYZE keeps samples of columns in it",
        goes="no samples are taken of columns that are listed here: see the migrations",
        places=tuple(
            Place(f"stavalues{number}", Holds.TEXT, "samples of a column", dialects=POSTGRES)
            for number in range(1, 6)
        )
        + _traces("starelid", "staattnum", "stainherit", "stanullfrac", "stawidth", "stadistinct")
        + _traces(
            *(f"{name}{number}" for name in _OF_STATISTIC for number in range(1, 6)),
        ),
        keys={},
        is_ours=False,
        dialects=POSTGRES,
    ),
)

_OF_AN_ERASURE = "it tells of the act of deleting, and not of whom"
_NUMBERS_ALONE = "numbers that lead nowhere once the rows are gone"

IMPERSONAL: tuple[Impersonal, ...] = (
    Impersonal(
        "instance",
        ("name", "value"),
        "what the instance knows of itself: versions, times, a fingerprint, what a purge does",
    ),
    Impersonal("projects", ("project_id", "name"), "named by whoever runs the instance"),
    Impersonal(
        "schema_migrations", ("number", "name", "applied_at"), "which steps the schema has taken"
    ),
    Impersonal("erasures", ("number", "project_id", "uuid", "subject", "state"), _OF_AN_ERASURE),
    Impersonal("erasures", ("session_count", "message_count", "started_at"), _OF_AN_ERASURE),
    Impersonal("erasures", ("hidden_at", "deleted_at", "lease_expires_at"), _OF_AN_ERASURE),
    Impersonal("erasures", ("purge_requested_at", "purge_uuid", "purged_at"), _OF_AN_ERASURE),
    Impersonal(
        "erasures", ("skipped_steps",), "names steps and tables, in sentences of the program"
    ),
    Impersonal(
        "verifications",
        ("project_id", "uuid", "erasure_uuid", "state", "started_at"),
        "it tells of a search, and not of whom",
    ),
    Impersonal(
        "verifications",
        ("lease_expires_at", "finished_at", "problem"),
        "times and sentences of the program",
    ),
    Impersonal(
        "verifications",
        ("findings",),
        "tables, files and offsets; of the search terms their numbers alone",
    ),
    Impersonal(
        "pending_purges",
        ("project_id", "uuid", "edited_at", "purge_uuid"),
        "says that a message was edited, and not which: the uuid is the edit's own",
    ),
    Impersonal("message_words_config", ("k", "v"), "settings of the index", SQLITE),
    Impersonal(
        "sqlite_schema", ("type", "name", "tbl_name", "rootpage", "sql"), "the schema", SQLITE
    ),
    Impersonal("sqlite_sequence", ("name", "seq"), "the greatest number of each table", SQLITE),
    Impersonal("sqlite_stat1", ("tbl", "idx", "stat"), "counts of rows and of equal keys", SQLITE),
    *(
        Impersonal(
            f"{table}_number_seq", ("last_value", "log_cnt", "is_called"), _NUMBERS_ALONE, POSTGRES
        )
        for table in ("users", "sessions", "erasures")
    ),
)


def columns_with_personal_data(dialect: str) -> dict[str, tuple[str, ...]]:
    """The instance's own tables on an engine that a purge must write anew.

    By table, the columns in which something of people is by itself, and not only by its row. Not
    among them are the tables that the engine keeps for itself, such as `pg_statistic`.
    """
    return {
        table.name: tuple(
            place.column for place in table.of_dialect(dialect) if place.holds != Holds.TRACE
        )
        for table in personal_tables(dialect)
        if table.is_ours
    }


def personal_tables(dialect: str) -> Iterator[PersonalTable]:
    """The tables of an engine in which people's data is."""
    return (table for table in PERSONAL if dialect in table.dialects)
