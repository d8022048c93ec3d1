"""HNSW indexes of pgvector: which embeddings of a large collection are near a query.

Each large collection has an index of its own, on its rows of `document_vectors`. So PostgreSQL
itself keeps it up to date, and there is nothing else to delete. A deleted embedding stays in its
index for a while, as it does in the table; a purge drops all of them, because rewriting the table
would build them again while writers wait. They are then built concurrently with requests.

An index has the bytes of `vector` as numbers, which is the direction of the embedding: that is all
that the cosine needs. What it finds is compared again by the embeddings themselves.

The extension may be in another schema than our tables, so its names are qualified everywhere.
"""

from collections.abc import Callable, Mapping
from math import sqrt
from operator import mul
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import sql

from userkeep.domain.transaction import Transaction
from userkeep.domain.vectors.encoding import SCALE_BYTES, decode_embedding

T = TypeVar("T")

INDEXED_TABLE = "document_vectors"
_PREFIX = "document_vectors_hnsw_"
_CANDIDATES_PER_RESULT = 2
_MOST_CANDIDATES = 1_000
"""What pgvector allows for `hnsw.ef_search`."""

_FUNCTION = "userkeep_halfvec"

# COST: the planner would rather compute it for every row than read the index.
_CREATE_FUNCTION = sql.SQL(
    "CREATE OR REPLACE FUNCTION {function}(stored bytea) RETURNS {schema}.halfvec "
    "LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 10000 "
    "RETURN CAST((SELECT array_agg((get_byte(stored, at) # 128) - 128 ORDER BY at) "
    "FROM generate_series({first}, octet_length(stored) - 1) AS at) AS {schema}.halfvec)"
)
_CREATE_INDEX = sql.SQL(
    "CREATE INDEX CONCURRENTLY {index} ON document_vectors USING hnsw "
    "((CAST({function}(vector) AS {schema}.halfvec({dimensions}))) {schema}.halfvec_cosine_ops) "
    "WHERE project_id = {project_id} AND collection = {collection}"
)
# ANALYZE would take samples of what an index is on: embeddings.
_TAKE_NO_SAMPLES = sql.SQL("ALTER INDEX {index} ALTER COLUMN 1 SET STATISTICS 0")
# The numbers are in the text, so that the planner knows that the index has all these rows.
_NEAREST = sql.SQL(
    "SELECT seq FROM document_vectors "
    "WHERE project_id = {project_id} AND collection = {collection} "
    "ORDER BY CAST({function}(vector) AS {schema}.halfvec({dimensions})) "
    "OPERATOR({schema}.<=>) CAST(:query AS {schema}.halfvec({dimensions})) LIMIT :limit"
)

_EXTENSION = """
SELECT CAST(nspname AS text) FROM pg_extension
JOIN pg_namespace ON pg_namespace.oid = extnamespace
JOIN pg_type ON typnamespace = pg_namespace.oid AND typname = 'halfvec'
WHERE extname = 'vector'
"""
_INDEXES = """
SELECT CAST(relname AS text), indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE relnamespace = CAST(current_schema() AS regnamespace) AND starts_with(relname, %s)
"""
_SAMPLED = """
SELECT CAST(relname AS text) FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = CAST(current_schema() AS regnamespace) AND starts_with(relname, %s)
    AND attnum = 1 AND coalesce(attstattarget, -1) <> 0
"""
_SAMPLES = """
SELECT count(*) > 0 FROM pg_stats
WHERE schemaname = current_schema() AND starts_with(tablename, %s)
"""
# Of this role alone: another's may not be cancelled, and is not ours.
_CANCEL_BUILDS = """
SELECT pg_cancel_backend(progress.pid)
FROM pg_stat_progress_create_index AS progress JOIN pg_stat_activity USING (pid)
WHERE relid = to_regclass(quote_ident(current_schema()) || '.document_vectors')
    AND usename = current_user
"""


def index_name(project_id: int, collection: int) -> str:
    """Return the name of the index of a collection."""
    return f"{_PREFIX}{project_id}_{collection}"


def create_function(schema: str) -> sql.Composed:
    """Return the statement that creates what an index is on.

    Args:
        schema: that of the extension.
    """
    return _CREATE_FUNCTION.format(
        function=sql.Identifier(_FUNCTION),
        schema=sql.Identifier(schema),
        first=sql.Literal(SCALE_BYTES),
    )


def create_index(schema: str, project_id: int, collection: int, dimensions: int) -> sql.Composed:
    """Return the statement that creates the index of a collection concurrently with requests."""
    return _CREATE_INDEX.format(
        index=sql.Identifier(index_name(project_id, collection)),
        **_names(schema, project_id, collection, dimensions),
    )


def extension_schema(connection: psycopg.Connection[Any]) -> str | None:
    """Return the schema of pgvector; None if the database has none, or one before 0.7."""
    row = connection.execute(_EXTENSION).fetchone()
    return None if row is None else str(row[0])


def index_states(connection: psycopg.Connection[Any]) -> Mapping[str, bool]:
    """Return the indexes that there are, by name, and whether each is complete."""
    return dict(connection.execute(_INDEXES, [_PREFIX]).fetchall())


def take_no_samples(connection: psycopg.Connection[Any]) -> None:
    """Let ANALYZE take no samples of the indexes that there are."""
    for (name,) in connection.execute(_SAMPLED, [_PREFIX]).fetchall():
        connection.execute(_TAKE_NO_SAMPLES.format(index=sql.Identifier(name)))


def has_samples(connection: psycopg.Connection[Any]) -> bool:
    """Return whether there are samples of indexes in the column statistics."""
    row = connection.execute(_SAMPLES, [_PREFIX]).fetchone()
    return row is not None and bool(row[0])


def cancel_builds(connection: psycopg.Connection[Any]) -> None:
    """End the building of indexes by other connections; what there is of them is not complete."""
    connection.execute(_CANCEL_BUILDS)


class _TextTransaction(Transaction, Protocol):
    def fetch_text(self, text: str, kind: Callable[..., T], /, **values: Any) -> list[T]: ...


class HnswIndex:
    """The indexes, in one transaction; see domain.vectors.index.VectorIndex."""

    def __init__(self, tx: _TextTransaction) -> None:
        self._tx = tx

    @property
    def is_used(self) -> bool:
        """Whether there are indexes."""
        return bool(self._tx.fetch_one("has_hnsw", bool, prefix=_PREFIX))

    def nearest(self, collection: int, query: bytes, count: int) -> list[int] | None:
        """Return which documents are about the nearest to a query."""
        candidates = _CANDIDATES_PER_RESULT * count
        if candidates > _MOST_CANDIDATES:
            return None
        project_id = self._tx.scope.project_id
        name = index_name(project_id, collection)
        schema = self._tx.fetch_one("schema_of_hnsw", str, index=name)
        if schema is None:
            return None
        floats = decode_embedding(query)
        length = sqrt(sum(map(mul, floats, floats)))
        names = _names(schema, project_id, collection, len(floats))
        self._tx.fetch_one("begin_hnsw", str, candidates=str(candidates))
        found = self._tx.fetch_text(
            _NEAREST.format(**names).as_string(),
            int,
            # At unit length: a half has no number above 65,504.
            query=str([value / length for value in floats]),
            limit=count,
        )
        return found if len(found) == count else None


def _names(
    schema: str, project_id: int, collection: int, dimensions: int
) -> dict[str, sql.Composable]:
    return {
        "function": sql.Identifier(_FUNCTION),
        "schema": sql.Identifier(schema),
        "project_id": sql.Literal(project_id),
        "collection": sql.Literal(collection),
        "dimensions": sql.Literal(dimensions),
    }
