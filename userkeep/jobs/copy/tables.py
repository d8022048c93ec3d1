"""The tables that are copied, with statements that both engines understand.

Tables are listed in the order in which they can be filled. A table is read in the order of its key,
which is the same on both engines: by number, or byte by byte. Rows are tuples of integers, texts
and None, as everywhere in the program.

Not copied are `schema_migrations`, which each database has of its own; the row number of a message,
which only SQLite has, and assigns again in the order of the messages; the search index, which is
rebuilt when the target is opened; and `pending_purges`, because no file of the target has the data
that was deleted or edited before.
"""

from collections.abc import Callable
from functools import cached_property
from operator import itemgetter
from typing import Any

from userkeep.domain.values.times import Instant

Row = tuple[int | str | Instant | None, ...]
Key = tuple[Any, ...]

INCOMPLETE_MARKER = "copy_source"
"""The row of `instance` that marks an incomplete copy; its value identifies the source."""

_LONG = ("metadata", "content", "data")


class Table:
    """A table, and the statements that read it.

    Attributes:
        columns: those that are copied, in the order of a row.
        key: the columns by which its rows are ordered; it is unique.
        condition: which rows are copied.
    """

    def __init__(self, name: str, key: str, columns: str, condition: str = "TRUE") -> None:
        self.name = name
        self.key = tuple(key.split())
        self.columns = tuple(columns.split())
        self.condition = condition

    @property
    def is_numbered(self) -> bool:
        """Whether the database numbers its rows."""
        return self.key == ("number",)

    @cached_property
    def metadata_at(self) -> int | None:
        """The position of the metadata in a row."""
        return self.columns.index("metadata") if "metadata" in self.columns else None

    @cached_property
    def key_of(self) -> Callable[[Row], Key]:
        """A function that returns the key of a row."""
        positions = [self.columns.index(name) for name in self.key]
        if len(positions) == 1:
            return lambda row: (row[positions[0]],)
        return itemgetter(*positions)

    @cached_property
    def long_at(self) -> tuple[int, ...]:
        """The positions of long texts in a row."""
        return tuple(at for at, name in enumerate(self.columns) if name in _LONG)

    @cached_property
    def select(self) -> str:
        """A query for all rows in the order of the key."""
        return " ".join(
            ("SELECT", _listed(self.columns), self._from, "ORDER BY", _listed(self.key))
        )

    @cached_property
    def select_count(self) -> str:
        """A query for the number of rows."""
        return f"SELECT count(*) {self._from}"

    @cached_property
    def select_last_key(self) -> str:
        """A query for the greatest key."""
        descending = ", ".join(f"{name} DESC" for name in self.key)
        return f"SELECT {_listed(self.key)} {self._from} ORDER BY {descending} LIMIT 1"

    @property
    def listed_columns(self) -> str:
        """The columns, separated by commas."""
        return _listed(self.columns)

    @property
    def _from(self) -> str:
        return f"FROM {self.name} WHERE {self.condition}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)


TABLES = (
    Table("projects", key="project_id", columns="project_id name"),
    Table(
        "users",
        key="number",
        columns="""
        number project_id user_id uuid email email_folded first_name last_name metadata state
        revision created_at updated_at erasure_uuid
        """,
    ),
    Table(
        "sessions",
        key="number",
        columns="""
        number project_id session_id uuid user_id user_uuid user_number metadata state revision
        message_count last_seq total_length ended_at created_at updated_at erasure_uuid
        """,
    ),
    Table(
        "messages",
        key="project_id session_id seq",
        columns="""
        project_id session_id seq word_count uuid role role_type token_count created_at metadata
        content data
        """,
    ),
    Table(
        "erasures",
        key="number",
        columns="""
        number project_id uuid subject subject_id subject_hash subject_uuid state session_count
        message_count started_at hidden_at deleted_at lease_expires_at purge_requested_at purge_uuid
        skipped_steps purged_at
        """,
    ),
    Table(
        "verifications",
        key="project_id uuid",
        columns="""
        project_id uuid erasure_uuid state started_at lease_expires_at finished_at problem findings
        """,
    ),
    Table(
        "tombstones",
        key="project_id subject id_hash",
        columns="project_id subject id_hash expires_at",
    ),
    Table(
        "idempotency",
        key="project_id key",
        columns="""
        project_id key request_hash user_id session_id uuid first_seq message_count created_at
        """,
    ),
    Table(
        "instance",
        key="name",
        columns="name value",
        condition=f"name NOT IN ('{INCOMPLETE_MARKER}', 'index', 'index_build', 'purge')",
    ),
)

USER_TABLES = tuple(table for table in TABLES if table.name not in {"projects", "instance"})
"""Those that are empty in a new instance."""

NUMBERED = tuple(table for table in TABLES if table.is_numbered)
