"""Health checks of a PostgreSQL database; they change nothing, and may run beside servers."""

from typing import Any

from psycopg import Connection

from userkeep.domain.errors import StorageError
from userkeep.storage.checks import COPY_SOURCE, KNOWN_FINGERPRINT, Finding, check_schema
from userkeep.storage.postgres.engine import (
    LARGE_WRITE_THREADS,
    LONG_READ_POOL_SIZE,
    PIPELINED_READERS,
    PURGE_CONNECTIONS,
)
from userkeep.storage.postgres.hnsw import extension_schema, index_states
from userkeep.storage.postgres.migrations import applied_migrations, check_is_empty
from userkeep.storage.postgres.nodes import other_nodes
from userkeep.storage.postgres.pooler import ADVICE, is_shared
from userkeep.storage.postgres.row_security import row_security_of
from userkeep.storage.postgres.server import describe_url, open_for_inspection, server_version


def check_database(url: str, pool_size: int, *, row_security: bool) -> list[Finding]:
    """Check a database and its server.

    Args:
        pool_size: the connections of a server's pool.
        row_security: whether the settings want row-level security.
    """
    try:
        with open_for_inspection(url) as connection:
            version = server_version(connection)
            return [
                Finding("server", True, f"PostgreSQL {version}"),
                _check_schema(connection, url),
                _check_connections(connection, url, pool_size),
                _check_durability(connection),
                _check_row_security(connection, is_wanted=row_security),
                _check_vector_indexes(connection),
                *_check_nodes(connection),
            ]
    except StorageError as error:
        return [Finding("database", False, error.detail)]


def secret_fingerprint(url: str) -> str | None:
    """Return the fingerprint of the secret that a database is bound to, if it is to one.

    Raises:
        StorageError: it cannot be read.
    """
    with open_for_inspection(url) as connection:
        if not applied_migrations(connection):
            return None
        found = connection.execute(KNOWN_FINGERPRINT).fetchone()
        return None if found is None else str(found[0])


def _check_schema(connection: Connection[Any], url: str) -> Finding:
    applied = applied_migrations(connection)
    if not applied:
        check_is_empty(connection, url)
    is_complete = not applied or not connection.execute(COPY_SOURCE).fetchall()
    [(size_bytes,)] = connection.execute("SELECT pg_database_size(current_database())")
    return check_schema("postgres", describe_url(url), size_bytes, applied, is_complete=is_complete)


def _check_connections(connection: Connection[Any], url: str, pool_size: int) -> Finding:
    if is_shared(connection, url):
        finding = "a pooler shares them between transactions; purges need connections of their own"
        return Finding("connections", False, finding, ADVICE)
    needed = pool_size + PIPELINED_READERS + PURGE_CONNECTIONS
    needed += LONG_READ_POOL_SIZE + LARGE_WRITE_THREADS
    [(most, used)] = connection.execute(
        "SELECT current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int,"
        " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
    )
    finding = f"{used} of {most} in use; a server needs {needed}"
    if most - used < needed:
        return Finding(
            "connections", False, finding, "Raise max_connections, or lower --postgres-pool-size."
        )
    return Finding("connections", True, finding)


def _check_durability(connection: Connection[Any]) -> Finding:
    [(fsync, full_page_writes)] = connection.execute(
        "SELECT current_setting('fsync'), current_setting('full_page_writes')"
    )
    if "off" in {fsync, full_page_writes}:
        return Finding(
            "durability",
            False,
            f"fsync is {fsync}, full_page_writes is {full_page_writes}",
            "Set both to on; without them, a power failure can lose or damage acknowledged writes.",
        )
    return Finding("durability", True, "fsync and full_page_writes are on")


def _check_vector_indexes(connection: Connection[Any]) -> Finding:
    subject = "hnsw"
    if extension_schema(connection) is None:
        finding = "pgvector 0.7 or later is not in the database: all documents are compared"
        return Finding(subject, True, finding)
    states = index_states(connection).values()
    complete = sum(states)
    finding = f"indexes of large collections: {complete}"
    if complete < len(states):
        finding += f"; {len(states) - complete} incomplete, which a server completes or drops"
    return Finding(subject, True, finding)


def _check_nodes(connection: Connection[Any]) -> list[Finding]:
    nodes = other_nodes(connection)
    if nodes is None:
        return []
    finding = (
        f"{nodes}: the size, the connections and the durability above are those of the node that "
        "this command connects to, and so are the files that purges and verifications look at"
    )
    return [Finding("cluster", True, finding)]


def _check_row_security(connection: Connection[Any], *, is_wanted: bool) -> Finding:
    subject = "projects"
    state = row_security_of(connection)
    if state.is_on and state.problem is not None:
        return Finding(subject, False, f"row-level security is void: {state.problem}")
    if state.is_on and not is_wanted:
        return Finding(
            subject,
            False,
            "row-level security is on, but USERKEEP_POSTGRES_ROW_SECURITY is false",
            "Set it to true for this command too; a start without it turns row-level security off.",
        )
    if is_wanted and not state.is_on:
        finding = "row-level security is off until a server or `userkeep migrate` starts"
        return Finding(subject, state.problem is None, finding, state.problem or "")
    return Finding(subject, True, f"row-level security is {'on' if state.is_on else 'off'}")
