"""Building the HNSW indexes of large collections, concurrently with requests; see hnsw."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from threading import Event
from time import monotonic
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.errors import QueryCanceled

from userkeep.domain.errors import Unavailable
from userkeep.domain.vectors.index import LargeCollection
from userkeep.storage.postgres.compactor import PURGE_LOCK
from userkeep.storage.postgres.hnsw import (
    create_function,
    create_index,
    extension_schema,
    index_name,
    index_states,
    take_no_samples,
)
from userkeep.storage.postgres.nodes import other_nodes
from userkeep.storage.postgres.server import connect

logger = logging.getLogger(__name__)

BUILD_LOCK = 0x5C5B5EC1
"""The key of the advisory lock of the server that builds."""

_CANCEL_TIMEOUT_S = 2.0
_MIB = 1 << 20
_MOST_MEMORY_MIB = 1_024
_BYTES_OF_LINKS = 300
"""What a row of an index takes besides its numbers, while it is built."""

_IS_PURGING = """
SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = %s
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class HnswBuilder:
    """Builds and drops indexes; see storage.engine.VectorIndexer."""

    def __init__(self, url: str, schema: str) -> None:
        self._url = url
        self._schema = schema
        self._is_stopping = Event()
        self._connection: psycopg.Connection[Any] | None = None

    def run(self, collections: Sequence[LargeCollection], least: int) -> None:
        try:
            with connect(self._url, self._schema) as connection:
                self._connection = connection
                self._run(connection, collections, least)
        except QueryCanceled:
            logger.info("the index of a collection was not completed; it is built again later")
        except psycopg.Error as error:
            raise Unavailable(f"The index of a collection could not be built: {error}") from error
        finally:
            self._connection = None

    def stop(self) -> None:
        self._is_stopping.set()
        connection = self._connection
        if connection is not None:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=_CANCEL_TIMEOUT_S)

    def _run(
        self,
        connection: psycopg.Connection[Any],
        collections: Sequence[LargeCollection],
        least: int,
    ) -> None:
        schema = extension_schema(connection)
        # Citus would build an index on each shard, under other names.
        if schema is None or other_nodes(connection) is not None:
            return
        # A build waits for transactions that are open, such as that of pg_dump, and nothing waits
        # for the build.
        connection.execute("SET statement_timeout = 0")
        connection.execute("SET lock_timeout = 0")
        # The lock ends with the connection. Another server may be building.
        is_locked = _value(connection, "SELECT pg_try_advisory_lock(%s)", BUILD_LOCK)
        if not is_locked or _value(connection, _IS_PURGING, PURGE_LOCK):
            return
        # One that has become a little smaller keeps its index.
        complete = self._drop_others(
            connection,
            {
                index_name(each.project_id, each.number)
                for each in collections
                if each.embedded_count >= least // 2
            },
        )
        # One may have been completed after its server had been killed.
        take_no_samples(connection)
        for each in collections:
            name = index_name(each.project_id, each.number)
            if each.embedded_count >= least and name not in complete:
                self._build(connection, schema, each)

    def _drop_others(self, connection: psycopg.Connection[Any], kept: set[str]) -> set[str]:
        """Drop indexes that are not wanted or were interrupted; return the others."""
        states = index_states(connection)
        complete = {name for name, is_valid in states.items() if is_valid and name in kept}
        for name in states.keys() - complete:
            drop = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}")
            connection.execute(drop.format(sql.Identifier(name)))
        return complete

    def _build(
        self, connection: psycopg.Connection[Any], schema: str, collection: LargeCollection
    ) -> None:
        if self._is_stopping.is_set():
            return
        began_s = monotonic()
        connection.execute(create_function(schema))
        self._set_memory(connection, collection)
        connection.execute(
            create_index(schema, collection.project_id, collection.number, collection.dimensions)
        )
        take_no_samples(connection)
        fields = {
            "project": collection.project_id,
            "collection": collection.number,
            "embeddings": collection.embedded_count,
            "duration_ms": round((monotonic() - began_s) * 1000),
        }
        logger.info("built the index of a collection", extra={"fields": fields})

    def _set_memory(self, connection: psycopg.Connection[Any], collection: LargeCollection) -> None:
        """Let an index be built in memory, if it needs no more than a gigabyte.

        Without parallel workers: their memory is shared, of which a container has 64 MB by default.
        """
        row_bytes = collection.dimensions * 2 + _BYTES_OF_LINKS
        needed = collection.embedded_count * row_bytes // _MIB + 1
        given = int(
            _value(connection, "SELECT pg_size_bytes(current_setting('maintenance_work_mem'))")
        )
        memory_mib = max(given // _MIB, min(needed, _MOST_MEMORY_MIB))
        connection.execute(f"SET maintenance_work_mem = '{memory_mib}MB'".encode())
        connection.execute("SET max_parallel_maintenance_workers = 0")


def _value(connection: psycopg.Connection[Any], statement: LiteralString, *values: Any) -> Any:
    row = connection.execute(statement, values or None).fetchone()
    return row[0] if row else None
