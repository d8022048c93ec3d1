"""PostgreSQL's plans of queries for many users, sessions and messages.

PostgreSQL has no statistics of columns with personal data. It expects each key to have a fixed
share of its table, so the larger the table is, the more likely it scans all of it. These tables are
large enough for that.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cache
from typing import LiteralString, NamedTuple

import psycopg
import pytest

from tests.postgres import copy_of, migrated_database, row_secured_database, superuser_url
from tests.storage.postgres.notes import execute
from tests.storage.query_texts import text_with, variants
from userkeep.storage.postgres.filters import PostgresFilterCompiler
from userkeep.storage.postgres.statements import statement
from userkeep.storage.queries import ROW_SECURITY, ROW_SECURITY_SEARCH, Query, load_queries

QUERIES = load_queries("postgres")
ROW_SECURED_QUERIES = load_queries("postgres", ROW_SECURITY)
WITHOUT_FULL_TEXT_INDEX = load_queries("postgres", ROW_SECURITY, ROW_SECURITY_SEARCH)

MANY: tuple[LiteralString, ...] = (
    """
    INSERT INTO users (
        project_id, user_id, uuid, state, revision, created_at, updated_at, do_not_embed
    )
    SELECT 1, 'user ' || n, gen_random_uuid(), 'active', 1, now(), now(), 0
    FROM generate_series(1, 50000) AS n
    """,
    """
    INSERT INTO user_words (project_id, user_id, user_number, beginning, word)
    SELECT 1, user_id, number, left(word, 2), word
    FROM users, unnest(ARRAY['user', substr(user_id, 6), md5(user_id)]) AS word
    """,
    """
    INSERT INTO sessions (
        project_id, session_id, uuid, user_id, user_uuid, user_number, state, revision,
        message_count, last_seq, total_length, active_at, created_at, updated_at, embedded_seq,
        do_not_embed
    )
    SELECT 1, 'session ' || n, gen_random_uuid(), 'user ' || n, gen_random_uuid(), n, 'active', 1,
        2, 2, 80, now() - n * interval '1 s', now(), now(), mod(n, 2) * 2, 0
    FROM generate_series(1, 50000) AS n
    """,
    """
    INSERT INTO messages (
        project_id, session_id, seq, id, role, name, token_count, created_at, content,
        revision, word_count, words
    )
    SELECT 1, 'session ' || 1 + mod(n, 50000), n / 50000, gen_random_uuid()::text, 'user', '', 75,
        now(), repeat('word ', 60), 1, 60, array_to_tsvector(ARRAY['word', '#' || n])
    FROM generate_series(0, 99999) AS n
    """,
    """
    INSERT INTO embeddings (project_id, session_id, seq, model_id, scale, vector)
    SELECT 1, 'session ' || 1 + mod(n, 50000), n / 50000, 1, 0.01, decode(repeat('7f', 384), 'hex')
    FROM generate_series(0, 99999) AS n
    """,
    """
    INSERT INTO idempotency (project_id, key, request_hash, user_id, session_id, created_at)
    SELECT 1, 'key ' || n, 'hash', 'user ' || n, 'session ' || n, now()
    FROM generate_series(1, 50000) AS n
    """,
    """
    INSERT INTO tombstones (project_id, subject, id_hash, expires_at)
    SELECT 1, 'user', 'hash ' || n, now() + n * interval '1 s'
    FROM generate_series(1, 50000) AS n
    """,
    """
    INSERT INTO pending_purges (project_id, uuid, edited_at)
    SELECT 1, gen_random_uuid(), now() FROM generate_series(1, 50000) AS n
    """,
    """
    INSERT INTO erasures (
        project_id, uuid, subject, subject_hash, subject_uuid, state, session_count, message_count,
        document_count, started_at, deleted_at, purge_uuid, purged_at
    )
    SELECT 1, gen_random_uuid(), 'user', 'hash ' || n, gen_random_uuid(), 'deleted', 1, 2, 0, now(),
        now(), gen_random_uuid(), now()
    FROM generate_series(1, 50000) AS n
    """,
    """
    INSERT INTO deleted_sessions (project_id, uuid, erasure_number)
    SELECT 1, gen_random_uuid(), n FROM generate_series(1, 50000) AS n
    """,
    """
    INSERT INTO documents (
        project_id, collection, seq, uuid, document_id, user_id, user_uuid, embedding_state,
        revision, created_at, updated_at, content
    )
    SELECT 1, 1 + mod(n, 5), n / 5, gen_random_uuid(), 'document ' || n, 'user ' || n / 10,
        gen_random_uuid(), 'embedded', 1, now(), now(), 'some words'
    FROM generate_series(1, 50000) AS n
    """,
    """
    INSERT INTO document_vectors (project_id, collection, seq, vector)
    SELECT 1, 1 + mod(n, 5), n / 5, decode(repeat('ab', 20), 'hex')
    FROM generate_series(1, 50000) AS n
    """,
    "VACUUM (ANALYZE)",
)
TABLES = (
    "users",
    "user_words",
    "sessions",
    "messages",
    "embeddings",
    "idempotency",
    "tombstones",
    "pending_purges",
    "erasures",
    "deleted_sessions",
    "documents",
    "document_vectors",
)

READ_WHOLE_TABLES = {
    "newest_messages",  # of all users: off the loop, with a time limit
    "corpus_stats",  # of all users: the size of the corpus
    "sessions_with_vectors",  # the same, of all users
    "count_users",  # off the loop, with a time limit
    "count_sessions",  # the same
    "sessions_to_index",  # once, in the background, when an index is rebuilt
    "assign_edits_to_purge",  # by each purge: it covers all of them
    "delete_purged_edits",  # at its end
    "plain_idempotency_keys",  # once, after an upgrade
    # When the secret is rotated, with no server.
    "all_running_erasures",
    "remove_subject_hashes",
    "delete_all_tombstones",
    "delete_all_idempotency_records",
}
"""Queries that read a whole table when no user or session is given."""

READ_ALL_MESSAGES = {"postings", "count_postings", "speaker_counts"}
"""Those that also do where row-level security keeps them from the full-text index."""

SEARCHES = sorted(name for name, query in QUERIES.items() if "@@" in query.source)
"""Queries whose plans depend on whether the operator of a tsvector is leakproof."""

OWNER_BLOCKS = {"user_id", "session_id", "search_scope"}


class Many(NamedTuple):
    """A connection to a database with many rows in every table, and the queries for it."""

    connection: psycopg.Connection
    queries: Mapping[str, Query]


@pytest.fixture(
    scope="module",
    params=[QUERIES, ROW_SECURED_QUERIES, WITHOUT_FULL_TEXT_INDEX],
    ids=["", "row security", "row security without full-text index"],
)
def many(request: pytest.FixtureRequest) -> Iterator[Many]:
    """A database without and with row-level security, and the queries for it."""
    queries = request.param
    url = filled(is_secured=queries is not QUERIES)
    if queries is ROW_SECURED_QUERIES:
        url = copy_of(url)
        execute(superuser_url(url), "ALTER FUNCTION ts_match_vq(tsvector, tsquery) LEAKPROOF")
    with closing(connected(url)) as connection:
        # The plan that a connection keeps, for any values.
        connection.execute("SET plan_cache_mode = force_generic_plan")
        yield Many(connection, queries)


@cache
def filled(*, is_secured: bool) -> str:
    """Return the URL of a database with many rows, which takes seconds to fill and none to copy."""
    url = row_secured_database() if is_secured else migrated_database()
    with closing(connected(url)) as connection:
        for each in MANY:
            connection.execute(each)
    return url


def connected(url: str) -> psycopg.Connection:
    """Connect for project 1."""
    connection = psycopg.connect(url, autocommit=True)
    connection.execute("SELECT set_config('userkeep.project_id', '1', false)")
    return connection


def plan(many: Many, name: str, given: tuple[str, ...]) -> str:
    """Return the plan of a query."""
    connection = many.connection
    asked = statement(text_with(many.queries[name], given, PostgresFilterCompiler()))
    connection.pgconn.prepare(b"asked", asked.sql, asked.types)
    values = ", ".join(["NULL"] * len(asked.names))
    listed = f"({values})" if values else ""
    steps = connection.execute(f"EXPLAIN EXECUTE asked{listed}".encode(), prepare=False).fetchall()
    connection.execute("DEALLOCATE asked", prepare=False)
    return "\n".join(line for (line,) in steps)


@pytest.mark.parametrize("name", sorted(QUERIES))
@pytest.mark.parametrize(
    "many", [QUERIES, ROW_SECURED_QUERIES], ids=["", "row security"], indirect=True
)
def test_no_query_scans_a_whole_large_table(many: Many, name: str) -> None:
    check_no_large_table_is_scanned(many, name)


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize(
    "many", [WITHOUT_FULL_TEXT_INDEX], ids=["row security without full-text index"], indirect=True
)
def test_no_search_without_the_full_text_index_scans_another_large_table(
    many: Many, name: str
) -> None:
    check_no_large_table_is_scanned(many, name)


def check_no_large_table_is_scanned(many: Many, name: str) -> None:
    may_scan = READ_WHOLE_TABLES
    if many.queries is WITHOUT_FULL_TEXT_INDEX:
        may_scan = may_scan | READ_ALL_MESSAGES
    for given in variants(name, many.queries[name]):
        if name in may_scan and OWNER_BLOCKS.isdisjoint(given):
            continue
        steps = plan(many, name, given)
        for table in TABLES:
            assert f"Seq Scan on {table}" not in steps, f"{given}:\n{steps}"


@pytest.mark.parametrize("many", [QUERIES], ids=[""], indirect=True)
@pytest.mark.parametrize("name", sorted(READ_WHOLE_TABLES))
def test_queries_that_scan_whole_tables_are_listed(many: Many, name: str) -> None:
    plans = [plan(many, name, given) for given in variants(name, many.queries[name])]
    assert any("Seq Scan on" in steps for steps in plans)


@pytest.mark.parametrize(
    ("given", "index"), [((), "sessions_active"), (("user_id",), "sessions_of_user_active")]
)
@pytest.mark.parametrize("page", [(), ("after",), ("before", "descending")], ids="-".join)
@pytest.mark.parametrize("span", [(), ("active_after_at", "active_before_at")], ids="-".join)
def test_sessions_by_activity_are_read_in_the_order_of_an_index(
    many: Many,
    given: tuple[str, ...],
    index: str,
    page: tuple[str, ...],
    span: tuple[str, ...],
) -> None:
    steps = plan(many, "list_sessions_by_activity", (*given, *page, *span))
    assert "Sort" not in steps, steps
    backward = " Backward" if "descending" in page else ""
    assert f"Index Scan{backward} using {index} on" in steps, steps


def test_long_pages_of_messages_are_cut_by_the_server_in_the_order_of_the_index(
    many: Many,
) -> None:
    for given in (("max_bytes", "limit"), ("max_bytes", "limit", "descending", "before")):
        steps = plan(many, "list_messages", given)
        assert "WindowAgg" in steps
        assert "Sort" not in steps, steps
        backward = " Backward" if "descending" in given else ""
        assert f"Index Scan{backward} using messages_pkey" in steps, steps


@pytest.mark.parametrize("name", ["count_bytes_of_user", "messages_of_user_by_day"])
def test_messages_of_a_user_are_looked_up_session_by_session(many: Many, name: str) -> None:
    # A join may read all messages, if there are millions.
    assert "(session_id = sessions.session_id)" in plan(many, name, ())
