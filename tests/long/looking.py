"""Looking into a database as another program would, while a server has it or after.

A database is the path of a file, or the URL of one on PostgreSQL.
"""

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import apsw
import psycopg

Database = Path | str

_ORPHANS = {
    "sessions of a user who is not there": """
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
    "users who were deleted": """
        SELECT user_id FROM users
        WHERE uuid IN (SELECT subject_uuid FROM erasures WHERE state = 'deleted')
    """,
    "sessions of users who were deleted": """
        SELECT session_id FROM sessions
        WHERE user_uuid IN (SELECT subject_uuid FROM erasures WHERE state = 'deleted')
    """,
    "sessions that were deleted": """
        SELECT session_id FROM sessions
        WHERE uuid IN (SELECT subject_uuid FROM erasures WHERE state = 'deleted')
    """,
    "answered requests whose session is not there": """
        SELECT key FROM idempotency AS i
        WHERE session_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM sessions AS s
            WHERE s.project_id = i.project_id AND s.session_id = i.session_id
        )
    """,
    "answered requests whose user is not there": """
        SELECT key FROM idempotency AS i
        WHERE user_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM users AS u
            WHERE u.project_id = i.project_id AND u.user_id = i.user_id
        )
    """,
    "things that are half deleted with no erasure to go on": """
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
    "erasures that still name their subject": """
        SELECT uuid FROM erasures WHERE state = 'deleted' AND subject_id IS NOT NULL
    """,
}


def rows(database: Database, sql: str) -> list[Any]:
    """What a query gives, in one snapshot of its own."""
    if isinstance(database, str):
        with psycopg.connect(database) as on_postgres:
            return on_postgres.execute(sql.encode()).fetchall()
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(5_000)
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def wait_until_left(url: str) -> None:
    """Return when no server is connected: what a killed one had sent may still be carried out."""
    sql = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'userkeep'
    """
    ends = time.monotonic() + 30
    while rows(url, sql) != [(0,)]:
        assert time.monotonic() < ends, "a killed server is still connected"
        time.sleep(0.01)


def orphans(database: Database) -> dict[str, list[str]]:
    """All that nothing may leave behind, by what it is; empty where all is well."""
    found = {what: [row[0] for row in rows(database, sql)] for what, sql in _ORPHANS.items()}
    return {what: each for what, each in found.items() if each}


def damage(path: Path) -> list[Any]:
    """What SQLite itself finds wrong with a file."""
    found = [text for (text,) in rows(path, "PRAGMA integrity_check") if text != "ok"]
    return found + rows(path, "PRAGMA foreign_key_check")


def deadlocks(url: str) -> int:
    """How often PostgreSQL had to break a circle of those who waited for each other."""
    sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    [(number,)] = rows(url, sql)
    return int(number)


def gaps(database: Database) -> list[tuple[str, list[int]]]:
    """Sessions whose numbers are not 1 to n, or not what the session says they are.

    Only for databases from which no single message was ever deleted.
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
    """How many erasures are not finished."""
    [(number,)] = rows(database, "SELECT count(*) FROM erasures WHERE state = 'deleting'")
    return int(number)
