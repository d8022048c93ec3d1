"""Inspect a database directly, while a server runs or after it stopped.

A database is the path of a file, or a PostgreSQL URL.
"""

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import apsw
import psycopg

Database = Path | str

_ORPHANS = {
    "sessions of a missing user": """
        SELECT session_id FROM sessions AS s
        WHERE user_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM users AS u
            WHERE u.project_id = s.project_id AND u.user_id = s.user_id AND u.uuid = s.user_uuid
        )
    """,
    "messages without a session": """
        SELECT session_id FROM messages AS m
        WHERE NOT EXISTS (
            SELECT 1 FROM sessions AS s
            WHERE s.project_id = m.project_id AND s.session_id = m.session_id
        )
    """,
    "deleted users": """
        SELECT user_id FROM users
        WHERE uuid IN (SELECT subject_uuid FROM erasures WHERE state = 'deleted')
    """,
    "sessions of deleted users": """
        SELECT session_id FROM sessions
        WHERE user_uuid IN (SELECT subject_uuid FROM erasures WHERE state = 'deleted')
    """,
    "deleted sessions": """
        SELECT session_id FROM sessions
        WHERE uuid IN (SELECT subject_uuid FROM erasures WHERE state = 'deleted')
    """,
    "idempotency records of a missing session": """
        SELECT key FROM idempotency AS i
        WHERE session_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM sessions AS s
            WHERE s.project_id = i.project_id AND s.session_id = i.session_id
        )
    """,
    "idempotency records of a missing user": """
        SELECT key FROM idempotency AS i
        WHERE user_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM users AS u
            WHERE u.project_id = i.project_id AND u.user_id = i.user_id
        )
    """,
    "users and sessions in deletion without an erasure": """
        SELECT user_id FROM users AS u
        WHERE state = 'deleting' AND NOT EXISTS (
            SELECT 1 FROM erasures AS e WHERE e.subject_uuid = u.uuid AND e.state = 'deleting'
        )
        UNION ALL
        SELECT session_id FROM sessions AS s
        WHERE state = 'deleting' AND NOT EXISTS (
            SELECT 1 FROM erasures AS e
            WHERE e.subject_uuid IN (s.uuid, s.user_uuid) AND e.state = 'deleting'
        )
    """,
    "finished erasures that contain the id of their subject": """
        SELECT uuid FROM erasures WHERE state = 'deleted' AND subject_id IS NOT NULL
    """,
}


def rows(database: Database, sql: str) -> list[Any]:
    """Return the rows of a query."""
    if isinstance(database, str):
        with psycopg.connect(database) as postgres:
            return postgres.execute(sql.encode()).fetchall()
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(5_000)
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def wait_until_disconnected(url: str) -> None:
    """Wait until no server is connected: statements of a killed one may still be running."""
    sql = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'userkeep'
    """
    ends = time.monotonic() + 60
    while rows(url, sql) != [(0,)]:
        assert time.monotonic() < ends, "a killed server is still connected"
        time.sleep(0.01)


def orphans(database: Database) -> dict[str, list[str]]:
    """Return inconsistent rows by their kind; empty if there are none."""
    found = {kind: [row[0] for row in rows(database, sql)] for kind, sql in _ORPHANS.items()}
    return {kind: each for kind, each in found.items() if each}


def damage(path: Path) -> list[Any]:
    """Return what the integrity checks of SQLite find in a file."""
    found = [text for (text,) in rows(path, "PRAGMA integrity_check") if text != "ok"]
    return found + rows(path, "PRAGMA foreign_key_check")


def deadlocks(url: str) -> int:
    """Return the number of deadlocks in PostgreSQL."""
    sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    [(number,)] = rows(url, sql)
    return int(number)


def gaps(database: Database) -> list[tuple[str, list[int]]]:
    """Return sessions whose message numbers are not 1 to n, or differ from their counters.

    Only for databases in which no single message was deleted.
    """
    seqs: dict[str, list[int]] = defaultdict(list)
    for session_id, seq in rows(database, "SELECT session_id, seq FROM messages ORDER BY seq"):
        seqs[session_id].append(seq)
    sql = "SELECT session_id, last_seq, message_count FROM sessions WHERE state = 'active'"
    return [
        (session_id, seqs[session_id])
        for session_id, last_seq, message_count in rows(database, sql)
        if not seqs[session_id] == list(range(1, last_seq + 1)) == list(range(1, message_count + 1))
    ]


def running_erasures(database: Database) -> int:
    """Return the number of unfinished erasures."""
    [(number,)] = rows(database, "SELECT count(*) FROM erasures WHERE state = 'deleting'")
    return int(number)
