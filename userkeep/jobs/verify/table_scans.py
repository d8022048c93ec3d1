"""Scans of every table with personal data, made from the schema.

A scan continues in the order of a key, some rows at a time, each time in a read of its own. So it
blocks no one, and holds no snapshot that would keep rows from being deleted.
"""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from userkeep.storage.queries import Query
from userkeep.storage.schema import Kind, PersonalColumn, Table, tables_of


class TableScan(NamedTuple):
    """How a table is read.

    Attributes:
        table: the table.
        key: the columns that a row begins with, and by which the next rows are found.
        id_columns: the columns that come next: ids, uuids, and what distinguishes reused ids.
        text_columns: all other columns with texts or vectors, which come last, if they are
            requested.
    """

    table: Table
    key: tuple[str, ...]
    id_columns: tuple[PersonalColumn, ...]
    text_columns: tuple[PersonalColumn, ...]

    @property
    def size_query(self) -> str:
        """The name of the query for the bytes of the texts of the next rows."""
        return f"scan_sizes_of_{self.table.name}"

    @property
    def rows_query(self) -> str:
        """The name of the query for the next rows; see `scan_queries`."""
        return f"scan_rows_of_{self.table.name}"


_IDS = {Kind.ID, Kind.UUID}
_TEXTS = {Kind.TEXT, Kind.JSON, Kind.TERMS, Kind.VECTOR}


@cache
def table_scans(dialect: str) -> tuple[TableScan, ...]:
    """Return how each table is read; a table comes after those whose ids it refers to."""
    return tuple(
        TableScan(
            table,
            table.scan_key(dialect),
            tuple(each for each in table.personal_columns(dialect) if _is_id(each, table)),
            tuple(each for each in table.personal_columns(dialect) if each.kind in _TEXTS),
        )
        for table in tables_of(dialect)
        if _is_scanned(table, dialect)
    )


def scan_queries(dialect: str) -> dict[str, Query]:
    """Return the queries of all scans, by name, for an engine to load beside the others.

    `scan_sizes_of_…` returns the number of bytes of the texts of each of the next `:limit` rows;
    `scan_rows_of_…` their key, id columns and, if `texts` is given, text columns. Both start after
    the key `:after_0` …, or with the first row if it is not given. Such a key is the only personal
    data in a query: what is searched for is compared here, so it can be in no log of a server.
    """
    queries: dict[str, Query] = {}
    for scan in table_scans(dialect):
        queries[scan.size_query] = Query(_sizes(scan, dialect))
        queries[scan.rows_query] = Query(_rows(scan, dialect))
    return queries


def _is_scanned(table: Table, dialect: str) -> bool:
    kinds = {column.kind for column in table.personal_columns(dialect)}
    return not table.is_internal and not kinds.isdisjoint(_IDS | _TEXTS)


def _is_id(column: PersonalColumn, table: Table) -> bool:
    distinguishing = {
        each.distinguished_by for each in table.columns if isinstance(each, PersonalColumn)
    }
    return column.kind in _IDS or column.name in distinguishing


def _sizes(scan: TableScan, dialect: str) -> str:
    sizes = (f"coalesce({_size(column, dialect)}, 0)" for column in scan.text_columns)
    return f"SELECT {' + '.join(sizes) or 0} {_next_rows(scan)}"


def _rows(scan: TableScan, dialect: str) -> str:
    ids = _listed([*scan.key, *(column.name for column in scan.id_columns)])
    texts = "".join(f", {_as_text(column, dialect)}" for column in scan.text_columns)
    return f"SELECT {ids} /*? texts: {texts} */ {_next_rows(scan)}"


def _next_rows(scan: TableScan) -> str:
    key = _listed(scan.key)
    # The plus keeps SQLite from every index but the key's own, whose order is the rows' order.
    project_id = "+project_id" if scan.key == ("number",) else "project_id"
    after = _listed(f":after_{number}" for number in range(len(scan.key)))
    return (
        f"FROM {scan.table.name} WHERE {project_id} = :project_id "
        f"/*? after_0: AND ({key}) > ({after}) */ ORDER BY {key} LIMIT :limit"
    )


def _size(column: PersonalColumn, dialect: str) -> str:
    if dialect == "postgres" and column.kind != Kind.TEXT:
        # As stored, perhaps compressed: metadata is small, and terms are no more than the text.
        return f"pg_column_size({column.name})"
    return f"octet_length({column.name})"


def _as_text(column: PersonalColumn, dialect: str) -> str:
    if dialect == "postgres" and column.kind == Kind.TERMS:
        return f"array_to_string(tsvector_to_array({column.name}), ' ')"
    return column.name


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
