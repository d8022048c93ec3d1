"""The tables of the schema that are copied, with statements that both engines understand.

A table is read in the order of its key, which is the same on both engines: by number, or byte by
byte. Rows are tuples of integers, texts, bytes and None, as everywhere in the program.

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
from userkeep.storage import schema
from userkeep.storage.queries import DIALECTS

Row = tuple[int | str | bytes | Instant | None, ...]
Key = tuple[Any, ...]

INCOMPLETE_MARKER = "copy_source"
"""The row of `instance` that marks an incomplete copy; its value identifies the source."""

_LONG = ("metadata", "content", "data", "embedding", "vector")


class Table:
    """A table, and the statements that read it.

    Attributes:
        columns: those that are copied, in the order of a row.
        key: the columns by which its rows are ordered; it is unique.
        condition: which rows are copied.
    """

    def __init__(
        self, name: str, *, key: tuple[str, ...], columns: tuple[str, ...], condition: str
    ) -> None:
        self.name = name
        self.key = key
        self.columns = columns
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


# What describes the target itself: the marker, its index, and a purge of its files. What it knows
# of deletion ledgers is copied: without it, a rewind that was replayed would be replayed again.
_NOT_COPIED = {"instance": f"name NOT IN ('{INCOMPLETE_MARKER}', 'index', 'index_build', 'purge')"}

TABLES = tuple(
    Table(
        table.name,
        key=("number",) if table.is_numbered(*DIALECTS) else table.key,
        columns=table.column_names(*DIALECTS),
        condition=_NOT_COPIED.get(table.name, "TRUE"),
    )
    for table in schema.TABLES
    if table.is_copied
)

USER_TABLES = tuple(table for table in TABLES if table.name not in {"projects", "instance"})
"""Those that are empty in a new instance."""

NUMBERED = tuple(table for table in TABLES if table.is_numbered)
