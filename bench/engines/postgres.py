"""PostgreSQL: a server of this run's own, or the one that USERKEEP_TEST_POSTGRES_URL names.

Its own keeps everything that a server in production does for what was committed. A database of a
size is made once in a run, and copied inside the server.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from importlib.metadata import version
from itertools import count
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any, LiteralString, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from bench.floor.native import Native
from bench.floor.postgres import PostgresCalls
from bench.floor.replay import Noted, PostgresReplay, Replay, noting_postgres
from bench.rows import ON_POSTGRES
from bench.seed import BEGAN_AT, MESSAGES_OF_SESSION, Seeded, check_space, texts
from bench.words import INDEX_VERSION
from devtools.postgres import GIVEN, OwnPostgresServer, PostgresServer
from userkeep.storage.postgres.migrations import migrate

_SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
    "shared_buffers": "512MB",
    "max_wal_size": "2GB",
    # Not in use while anything is measured: it tells what the product and its floor have run.
    "logging_collector": "on",
    "log_destination": "jsonlog",
    "log_directory": "statements",
}
_SHOWN = (
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "wal_level",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "max_connections",
)
_COPIES = 4
_LOG_S = 10.0
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_EXECUTED = re.compile(r"execute [^:]*: (.*)", re.DOTALL)
_NOT_WATCHED = re.compile(r"(BEGIN|BEGIN ISOLATION LEVEL READ COMMITTED|COMMIT|ROLLBACK)$")

# The same rows as on SQLite; see there.
_TEXTS = """
CREATE TEMP TABLE texts (
    seq bigint, role text, content text, words text, word_count integer, length bigint
)
"""
_ADD_TEXT = "INSERT INTO texts VALUES (%s, %s, %s, %s, %s, %s)"

_RECIPE: tuple[LiteralString, ...] = (
    "ANALYZE texts",
    """
    INSERT INTO users (
        project_id, user_id, uuid, email, email_folded, first_name, last_name, metadata, state,
        revision, created_at, updated_at
    )
    SELECT 1, 'user-' || digits,
        CAST('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0') AS uuid),
        'user-' || digits || '@example.org', 'user-' || digits || '@example.org',
        'First' || mod(n, 1000), 'Last' || mod(n, 7919),
        jsonb_build_object(
            'plan', 'pro', 'visits', mod(n, 100), 'city', 'Paris',
            'tags', jsonb_build_array('a', 'b')
        ),
        'active', 1, made_at, made_at
    FROM generate_series(1, %(users)s) AS n,
        lpad(CAST(n AS text), 8, '0') AS digits,
        CAST(to_timestamp(%(began_s)s) + n * interval '1 ms' AS timestamptz) AS made_at
    ORDER BY n
    """,
    """
    INSERT INTO sessions (
        project_id, session_id, uuid, user_id, user_uuid, user_number, metadata, state, revision,
        message_count, last_seq, total_length, created_at, updated_at
    )
    SELECT 1, 'session-' || lpad(CAST(n AS text), 8, '0'),
        CAST('01900000-0001-7000-8000-' || lpad(to_hex(n), 12, '0') AS uuid),
        'user-' || lpad(CAST(owner AS text), 8, '0'),
        CAST('01900000-0000-7000-8000-' || lpad(to_hex(owner), 12, '0') AS uuid), owner,
        '{"topic":"shoes"}', 'active', 1, %(each)s, %(each)s, (SELECT sum(length) FROM texts),
        made_at, made_at
    FROM generate_series(1, %(sessions)s) AS n,
        CAST(1 + mod(n, %(users)s) AS integer) AS owner,
        CAST(to_timestamp(%(began_s)s) + n * interval '1 ms' AS timestamptz) AS made_at
    ORDER BY n
    """,
    """
    INSERT INTO messages (
        project_id, session_id, seq, uuid, role, role_type, token_count, created_at, metadata,
        content, word_count, words
    )
    SELECT 1, 'session-' || lpad(CAST(session AS text), 8, '0'), seq,
        CAST('01900000-0002-7000-8000-' || lpad(to_hex(n), 12, '0') AS uuid), role, role, 75,
        to_timestamp(%(began_s)s) + n * interval '1 ms', '{"lang":"en"}', content, word_count,
        array_to_tsvector(array_append(
            string_to_array(words, ' '), '#' || CAST(1 + mod(session, %(users)s) AS text)
        ))
    FROM generate_series(0, %(sessions)s * %(each)s - 1) AS n
    JOIN texts ON seq = 1 + mod(n, %(each)s)
    CROSS JOIN LATERAL (SELECT 1 + n / %(each)s) AS of_session (session)
    ORDER BY n
    """,
    "INSERT INTO instance (name, value) VALUES ('index', %(index_version)s)",
)


class PostgresBench:
    """See engines.Engine."""

    floor = "postgres"
    rates = ON_POSTGRES
    results = Path(__file__).parent.with_name("RESULTS-postgres.md")

    def __init__(self) -> None:
        given = os.environ.get(GIVEN)
        self._server = PostgresServer(given) if given else OwnPostgresServer(settings=_SETTINGS)
        self._is_own = not given
        self._templates: dict[Seeded, str] = {}
        self._filled: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    @property
    def is_beside(self) -> bool:
        """See engines.Engine: of a server that was given nobody knows where it runs."""
        return self._is_own

    @property
    def notes(self) -> Sequence[str]:
        """See engines.Engine."""
        if self._is_own:
            return [
                "PostgreSQL's processes are on the load generator's core: both servers wait for "
                "them in the same way, and neither is pushed from its own core by them"
            ]
        return [
            "PostgreSQL is a server that was given: where it runs is not known here",
            "that product and floor run the same statements was not compared: only its own "
            "server's log can be read",
        ]

    def facts(self) -> Mapping[str, str]:
        """See engines.Engine."""
        with self._connected() as connection:
            of_server = connection.execute("SHOW server_version").fetchone()
            rows = connection.execute(
                "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)",
                [list(_SHOWN)],
            ).fetchall()
        assert of_server is not None
        settings = dict(rows)
        return {
            "PostgreSQL": f"{of_server[0]} (psycopg {version('psycopg')}, "
            f"libpq {psycopg.pq.version_pretty(psycopg.pq.version())}), "
            f"{'on a Unix socket, its data on the disk above' if self._is_own else 'given'}",
            "its settings": ", ".join(f"{name}={settings[name]}" for name in _SHOWN),
        }

    def empty(self, name: str) -> str:  # noqa: ARG002 - its server names databases by itself
        """See engines.Engine."""
        return self._server.new_database()

    def seeded(self, size: Seeded, name: str) -> str:  # noqa: ARG002 - see empty
        """See engines.Engine."""
        if size not in self._templates:
            check_space(size.bytes * _COPIES)
            self._templates[size] = self._made(size)
        return self._copied(self._templates[size])

    def large(self, size: Seeded) -> str:
        """See engines.Engine."""
        check_space(size.bytes)
        return self._made(size)

    def filled(self, name: str, size: int, fill: Callable[[str], None]) -> str:
        """See engines.Engine: as long as this run."""
        if name not in self._filled:
            check_space(size)
            url = self._server.new_database()
            migrate(url)
            with psycopg.connect(url, autocommit=True) as connection:
                with _indexed_at_the_end(connection):
                    fill(url)
                connection.execute("VACUUM (ANALYZE)")
            self._filled[name] = url
        return self._filled[name]

    def copied(self, url: str, name: str) -> str:  # noqa: ARG002 - see empty
        """See engines.Engine."""
        return self._copied(url)

    def bytes_of(self, url: str) -> int:
        """See engines.Engine."""
        with self._connected() as connection:
            row = connection.execute("SELECT pg_database_size(%s)", [_name(url)]).fetchone()
        assert row is not None
        return int(row[0])

    def execute(self, url: str, statements: Sequence[str]) -> None:
        """See engines.Engine."""
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def noting(self) -> AbstractContextManager[Noted]:
        """See engines.Engine."""
        return noting_postgres()

    def replay(self, url: str) -> Replay:
        """See engines.Engine."""
        return PostgresReplay(url)

    @contextmanager
    def watched(self, urls: Sequence[str]) -> Iterator["_Watched | _Unwatched"]:
        """See engines.Engine."""
        if not self._is_own:
            yield _Unwatched()
            return
        with self._connected() as connection:
            for name in map(_name, urls):
                _alter(connection, "ALTER DATABASE {} SET log_statement = 'all'", name)
            yield _Watched(connection, set(map(_name, urls)))

    def options(self, url: str, _of_reads: Sequence[str]) -> list[str]:
        """See engines.Engine."""
        return ["--database", url]

    def native(self, url: str, _of_reads: Sequence[str]) -> Native:
        """See engines.Engine."""
        return Native(PostgresCalls(url))

    def alone(self, size: Seeded) -> list[str]:
        """See engines.Engine."""
        database = self.seeded(size, "alone")
        return [
            "--database",
            database,
            "--users",
            str(size.users),
            "--sessions",
            str(size.sessions),
        ]

    def used_s(self) -> float:
        """See engines.Engine."""
        return _used_s(self._postmaster()) if self._is_own else 0.0

    @cache  # noqa: B019 - there is one of these, as long as the process
    def _postmaster(self) -> int:
        with self._connected() as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        return int(Path(row[0], "postmaster.pid").read_text().split()[0])

    def _made(self, size: Seeded) -> str:
        print(f"seeding {size} …", flush=True)
        began = perf_counter()
        url = self._server.new_database()
        migrate(url)
        values = {
            "users": size.users,
            "sessions": size.sessions,
            "each": MESSAGES_OF_SESSION,
            "began_s": BEGAN_AT // 1_000_000,
            "index_version": INDEX_VERSION,
        }
        with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as made:
            made.execute(_TEXTS)
            made.cursor().executemany(_ADD_TEXT, texts())
            for statement in _RECIPE:
                made.execute(statement, values)
            made.execute("VACUUM (ANALYZE)")
            row = made.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        print(f"  {perf_counter() - began:.0f} s, {row[0] >> 20:,} MiB", flush=True)
        return url

    def _copied(self, template: str) -> str:
        url = self._server.new_database()
        with self._connected() as connection:
            _alter(connection, "DROP DATABASE {}", _name(url))
            _alter(
                connection,
                "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY",
                _name(url),
                _name(template),
            )
        return url

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._server.url, autocommit=True)


@contextmanager
def _indexed_at_the_end(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """To make the index of words of all there is takes a fraction of adding to it bit by bit."""
    made = connection.execute("SELECT pg_get_indexdef('messages_words'::regclass)").fetchone()
    assert made is not None
    connection.execute("DROP INDEX messages_words")
    yield
    connection.execute("SET maintenance_work_mem = '1GB'")
    connection.execute(made[0])


class _Watched:
    """What a server's log says that some of its databases have executed."""

    def __init__(self, connection: psycopg.Connection[Any], databases: set[str]) -> None:
        self._connection = connection
        self._databases = databases
        self._marks = map("mark {}".format, count(1))
        connection.execute("SET log_statement = 'all'")

    def delete(self) -> None:
        """See engines.Watched."""
        self._begin = next(self._marks)
        self._connection.execute(f"SELECT '{self._begin}.'".encode())

    def statements(self) -> Sequence[str]:
        """See engines.Watched."""
        begin = self._begin
        self.delete()
        found = [
            match[1]
            for line in self._lines_between(begin, self._begin)
            if line.get("dbname") in self._databases
            and (match := _EXECUTED.match(line["message"])) is not None
        ]
        return [text for text in found if not _NOT_WATCHED.match(text)]

    def _lines_between(self, begin: str, end: str) -> list[dict[str, Any]]:
        until = monotonic() + _LOG_S
        while monotonic() < until:
            log = self._log()
            if f"'{end}.'" in log:
                between = log.partition(f"'{begin}.'")[2].partition(f"'{end}.'")[0]
                return [json.loads(line) for line in between.split("\n")[1:-1]]
            sleep(0.01)
        raise SystemExit("PostgreSQL's log does not say what was run")

    def _log(self) -> str:
        # Read by SQL, because the file belongs to PostgreSQL's own user.
        row = self._connection.execute(
            b"SELECT pg_read_file(pg_current_logfile('jsonlog'))"
        ).fetchone()
        assert row is not None
        text: str = row[0]
        return text


class _Unwatched:
    """Nobody knows what is run."""

    def delete(self) -> None:
        """See engines.Watched."""

    def statements(self) -> Sequence[str]:
        """See engines.Watched."""
        return ()


def _name(url: str) -> str:
    return str(conninfo_to_dict(url)["dbname"])


def _alter(connection: psycopg.Connection[Any], statement: LiteralString, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _used_s(postmaster: int) -> float:
    """Seconds of processor of a server's processes: those that are there, and those that ended."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    used = 0.0
    for process in (str(postmaster), *children):
        with suppress(FileNotFoundError, ProcessLookupError):
            used += int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
    after_name = Path(f"/proc/{postmaster}/stat").read_text().rpartition(")")[2].split()
    return used + (int(after_name[13]) + int(after_name[14])) / _TICKS_A_SECOND
