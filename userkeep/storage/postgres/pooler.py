"""Whether a pooler between Userkeep and the database shares connections between transactions.

A purge, a migration and the building of an index hold locks of their connection over many
statements, and each connection has settings of its own. With a pooler that gives it to others in
between, such a lock would stay with whatever uses it next, and other purges would find it taken.
"""

from typing import Any

import psycopg

from userkeep.domain.errors import StorageError
from userkeep.storage.postgres.server import connect, describe_url

ADVICE = "Let it pool by session (PgBouncer: pool_mode = session), or connect without it."

_ATTEMPTS = 5
_PROCESS = "SELECT pg_backend_pid()"


def check_not_shared(connection: psycopg.Connection[Any], url: str) -> None:
    """Check that no pooler gives the process behind a connection to other connections.

    Raises:
        StorageError: one does; with what to do.
    """
    if is_shared(connection, url):
        raise StorageError(
            f"A pooler at {describe_url(url)} shares connections between transactions. Purges "
            f"and migrations need connections of their own. {ADVICE}"
        )


def is_shared(connection: psycopg.Connection[Any], url: str) -> bool:
    """Return whether a pooler gives the process behind an idle connection to others.

    Args:
        connection: one without a transaction.
        url: where others connect.
    """
    if connection.info.backend_pid == _process(connection):
        return False  # a pooler gives its clients numbers of its own
    with connect(url) as other:
        # Another client may have the process just now, and so the next attempt is to find it.
        return any(_process(connection) == _process(other) for _ in range(_ATTEMPTS))


def _process(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(_PROCESS).fetchone()
    return 0 if row is None else int(row[0])
