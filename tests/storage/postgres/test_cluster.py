"""The tables could be distributed on a cluster: users by user_id, sessions by session_id …

No cluster runs in the tests, so the catalogs and the texts of queries are checked for what a
cluster rejects: unique keys without the shard key of their table, foreign keys and joins between
tables with different shard keys, locks on rows of several shards, and times or random values that a
statement computes.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from functools import cache

import psycopg
import pytest

from tests.postgres import postgres_server
from tests.storage.postgres.notes import rows
from tests.storage.query_texts import text_with, variants
from userkeep.storage.migrations import Migration, load_migrations
from userkeep.storage.postgres.filters import PostgresFilterCompiler
from userkeep.storage.postgres.migrations import migrate
from userkeep.storage.queries import load_queries

QUERIES = load_queries("postgres")

SHARD_KEYS = {
    "users": "user_id",
    "sessions": "session_id",
    "messages": "session_id",
    "embeddings": "session_id",
    "erasures": "uuid",
    "deleted_sessions": "uuid",
    "pending_purges": "uuid",
    "verifications": "uuid",
    "tombstones": "id_hash",
    "user_words": "user_id",
    "user_usage": "user_id",
    "idempotency": "key",
    "collection_deletions": "collection",
    "document_deletions": "collection",
    "documents": "collection",
    "document_vectors": "collection",
}
EVERYWHERE = {
    "api_keys",
    "collections",
    "embedding_models",
    "instance",
    "projects",
    "schema_migrations",
}
"""Small tables, which every node has a copy of."""

COMPUTED_BY_THE_STATEMENT = re.compile(
    r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|random"
    r"|gen_random_uuid|uuidv[47]|uuid_generate_v\d\w*|nextval|setseed)\s*\("
    r"|\b(current_timestamp|current_date|current_time|localtime|localtimestamp)\b",
    re.IGNORECASE,
)
NOT_EXPLAINED = {"wait_for_user_writes"}
"""Statements without a plan."""

LOCKS = re.compile(r"\bFOR\s+(NO\s+KEY\s+)?(UPDATE|SHARE)\b|\bFOR\s+KEY\s+SHARE\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def schema() -> str:
    """The URL of a database with the real schema."""
    url = postgres_server().new_database()
    migrate(url)
    return url


@pytest.fixture(scope="module")
def connection(schema: str) -> Iterator[psycopg.Connection]:
    """A connection to it, which has read the catalogs already."""
    with closing(psycopg.connect(schema, autocommit=True)) as connection:
        yield connection


@cache
def texts(name: str) -> list[str]:
    """Return every text of a query."""
    return [
        text_with(QUERIES[name], given, PostgresFilterCompiler())
        for given in variants(name, QUERIES[name])
    ]


def tables_in(text: str) -> set[str]:
    """Return the tables that a statement names."""
    named = re.findall(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+([a-z_]+)", text)
    return {name for name in named if name in SHARD_KEYS or name in EVERYWHERE}


# The schema.


def test_every_table_has_a_shard_key_or_is_on_every_node(schema: str) -> None:
    found = rows(schema, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {name for (name,) in found} == SHARD_KEYS.keys() | EVERYWHERE


def test_every_unique_key_begins_with_the_project_and_contains_the_shard_key(
    schema: str,
) -> None:
    keys = rows(
        schema,
        """
        SELECT indrelid::regclass::text, indexrelid::regclass::text,
            array_agg(attname::text ORDER BY place)
        FROM pg_index
        CROSS JOIN unnest(indkey::int[]) WITH ORDINALITY AS key (number, place)
        JOIN pg_attribute ON attrelid = indrelid AND attnum = key.number
        WHERE indisunique AND indrelid IN (
            SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace
        )
        GROUP BY indrelid, indexrelid
        """,
    )
    assert len(keys) >= len(SHARD_KEYS)
    for table, name, columns in keys:
        if table not in EVERYWHERE:
            assert columns[0] == "project_id", name
            assert SHARD_KEYS[table] in columns, name


def test_every_other_index_begins_with_the_project(schema: str) -> None:
    indexes = rows(
        schema,
        """
        SELECT indrelid::regclass::text, indexrelid::regclass::text, attname::text
        FROM pg_index
        JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
        WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
        """,
    )
    # In the index of words, the mark of a user is beside the words, and a user has one project. The
    # deletion ledger reads the deletions of all projects, in the order of their numbers. An import
    # looks for uuids in all projects.
    of_numbers = {"erasures_by_number", "deleted_sessions_of_erasure"}
    of_numbers |= {"document_deletions_by_number"}
    of_uuids = {"users_by_uuid", "sessions_by_uuid", "erasures_by_subject"}
    of_uuids |= {"deleted_sessions_by_uuid"}
    assert {
        name for table, name, first in indexes if table not in EVERYWHERE and first != "project_id"
    } == {"messages_words"} | of_numbers | of_uuids


def test_every_text_in_a_key_or_index_has_the_c_collation(schema: str) -> None:
    collations = rows(
        schema,
        """
        SELECT indexrelid::regclass::text, collname::text
        FROM pg_index
        CROSS JOIN unnest(indcollation::oid[]) AS used (collation_oid)
        JOIN pg_collation ON pg_collation.oid = used.collation_oid
        WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
        """,
    )
    assert len(collations) > 8
    assert {name for name, collation in collations if collation != "C"} == set()


def test_columns_that_refer_to_a_key_have_its_collation(schema: str) -> None:
    columns = rows(
        schema,
        """
        SELECT attrelid::regclass::text, attname::text, collname::text
        FROM pg_attribute JOIN pg_collation ON pg_collation.oid = attcollation
        WHERE attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r'
                AND relnamespace = 'public'::regnamespace)
            AND (attname LIKE '%%\\_id' OR attname LIKE '%%\\_hash' OR attname IN ('key', 'state'))
        """,
    )
    assert {
        f"{table}.{name}"
        for table, name, collation in columns
        if collation != "C" and name != "request_hash"  # compared here, not by the database
    } == set()


def test_foreign_keys_stay_within_one_shard(schema: str) -> None:
    references = rows(
        schema,
        "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint"
        " WHERE contype = 'f'",
    )
    divided = {(table, other) for table, other in references if other not in EVERYWHERE}
    assert divided == {("messages", "sessions")}


def test_no_table_has_triggers_or_computed_defaults(schema: str) -> None:
    assert rows(schema, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal") == []
    assert rows(schema, "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef") == []


def test_every_later_migration_documents_its_locks() -> None:
    for step in load_migrations("postgres")[1:]:
        assert re.search(r"^-- locks: \w+", step.sql, re.MULTILINE), step.name


LATER_STATEMENTS = [
    pytest.param(step, statement, id=f"{step.number}-{place}")
    for step in load_migrations("postgres")[1:]
    for place, statement in enumerate(step.statements)
]
"""Those that run where tables are distributed already."""

REJECTED_IN_MIGRATIONS = {
    "a subquery in FROM of an UPDATE": r"^UPDATE\b.*\bFROM\s*\(",
    "a constraint of an added column": (
        r"\bADD COLUMN\b[^;,]*\b(CHECK|UNIQUE|REFERENCES|PRIMARY KEY)\b"
    ),
    "an added identity": r"\bADD COLUMN\b[^;,]*\b(GENERATED|\w*serial)\b",
    "statistics": r"^ALTER TABLE\b.*\bSET STATISTICS\b",
    "a join that is not materialized": r"^WITH \w+ AS (?!MATERIALIZED)",
}


def rejected_in_migration(statement: str) -> list[str]:
    """Return what a cluster rejects in a statement about a distributed table."""
    return [
        name
        for name, pattern in REJECTED_IN_MIGRATIONS.items()
        if re.search(pattern, statement, re.DOTALL | re.IGNORECASE)
    ]


@pytest.mark.parametrize(
    ("statement", "rejected"),
    [
        (
            "UPDATE sessions SET active_at = newest.at FROM (SELECT at FROM messages) AS newest",
            "a subquery in FROM of an UPDATE",
        ),
        (
            "ALTER TABLE projects ADD COLUMN uuid uuid, ADD COLUMN state text CHECK (state = 'a')",
            "a constraint of an added column",
        ),
        ("ALTER TABLE users ADD COLUMN number bigserial", "an added identity"),
        ("ALTER TABLE users ALTER COLUMN email SET STATISTICS 0", "statistics"),
        (
            "WITH newest AS (SELECT 1) UPDATE sessions SET active_at = newest.at FROM newest",
            "a join that is not materialized",
        ),
    ],
)
def test_the_rules_of_migrations_find_what_a_cluster_rejects(statement: str, rejected: str) -> None:
    assert rejected_in_migration(statement) == [rejected]


@pytest.mark.parametrize(("step", "statement"), LATER_STATEMENTS)
def test_a_later_migration_has_no_statement_that_a_cluster_rejects(
    step: Migration, statement: str
) -> None:
    rejected = rejected_in_migration(statement)
    if rejected == ["statistics"]:
        # Of a new table, unless it refers to a table that every node has.
        table = statement.split()[2]
        before = step.sql.partition(statement)[0]
        created = re.search(rf"CREATE TABLE {table} \(.*?\n\)", before, re.DOTALL)
        assert created, statement
        assert "REFERENCES" not in created[0]
        assert f"ALTER TABLE {table} ADD FOREIGN KEY" not in before
    else:
        assert rejected == []


@pytest.mark.parametrize(("step", "statement"), LATER_STATEMENTS)
def test_a_later_migration_joins_and_computes_only_within_a_shard(
    step: Migration, statement: str
) -> None:
    del step
    divided = {SHARD_KEYS[table] for table in tables_in(statement) if table in SHARD_KEYS}
    assert len(divided) <= 1
    assert not COMPUTED_BY_THE_STATEMENT.search(statement)
    assert not re.search(r"\bCREATE TRIGGER\b|\bMERGE\b|\bRECURSIVE\b", statement)


def test_the_statements_of_a_migration_are_its_text() -> None:
    for step in load_migrations("postgres"):
        without_comments = re.sub(r"^\s*--.*\n", "", f"{step.sql}\n", flags=re.MULTILINE)
        words = " ".join(";\n".join([*step.statements, ""]).split())
        assert words == " ".join(without_comments.split())
        for each in step.statements:
            is_block = "$$" in each
            assert is_block or ";" not in re.sub(r"'[^']*'", "''", each)


def test_no_later_migration_changes_a_table_after_it_has_changed_rows() -> None:
    # Rows of a table that every node has are changed on one connection: that may come first.
    of_small = re.compile(rf"^UPDATE ({'|'.join(EVERYWHERE)})$")
    for step in load_migrations("postgres")[1:]:
        statements = [
            each
            for each in re.findall(
                r"^((?:UPDATE|INSERT INTO|DELETE FROM) \w+|ALTER|CREATE|DROP|DO|WITH)\b",
                step.sql,
                re.MULTILINE,
            )
            if not of_small.match(each)
        ]
        of_rows = [each.split()[0] in {"WITH", "UPDATE", "INSERT", "DELETE"} for each in statements]
        assert statements, step.name
        assert of_rows == sorted(of_rows), step.name


# The statements.


@pytest.mark.parametrize("name", QUERIES)
def test_no_statement_joins_tables_with_different_shard_keys(name: str) -> None:
    for text in texts(name):
        divided = {SHARD_KEYS[table] for table in tables_in(text) if table in SHARD_KEYS}
        assert len(divided) <= 1, text
        assert not re.search(r"\bUSING\b|\bMERGE\b|\bRECURSIVE\b", text, re.IGNORECASE), text


@pytest.mark.parametrize("name", QUERIES)
def test_no_statement_computes_times_or_random_values(name: str) -> None:
    for text in texts(name):
        assert not COMPUTED_BY_THE_STATEMENT.search(text), text


@pytest.mark.parametrize("name", QUERIES)
def test_a_statement_that_locks_names_one_row_by_its_shard_key(name: str) -> None:
    for text in texts(name):
        if not LOCKS.search(text):
            continue
        [table] = tables_in(text)
        where = text.partition("WHERE")[2]
        if table in EVERYWHERE:
            assert where.split()[:3] in (["uuid", "=", ":uuid"], ["project_id", "=", ":project_id"])
            continue
        key = SHARD_KEYS[table]
        assert re.search(rf"\b{key} = :{key}\b", where), text
        assert "project_id = :project_id" in where, text
        assert "SKIP LOCKED" not in text
        assert "LIMIT" not in text


# Small tables, and those whose rows expire, are read as a whole; rows are then changed by key. The
# sessions of a user are hidden together. A rotation of the secret is about all rows.
OF_MANY_SHARDS = {
    "assign_edits_to_purge",
    "assign_erasures_to_purge",
    "release_leases",
    "delete_purged_edits",
    "mark_sessions_of_user_deleting",
    "stop_embedding_sessions_of_user",
    "embed_sessions_of_user",
    "set_purged",
    "remove_subject_hashes",
    "delete_all_tombstones",
    "delete_all_idempotency_records",
}


@pytest.mark.parametrize("name", sorted(set(QUERIES) - OF_MANY_SHARDS))
def test_a_statement_that_changes_rows_names_the_shard_key(name: str) -> None:
    for text in texts(name):
        match = re.match(r"(UPDATE|DELETE FROM)\s+([a-z_]+)", text)
        if match and match[2] in SHARD_KEYS:
            key = SHARD_KEYS[match[2]]
            assert re.search(rf"\b{key} = :{key}\b", text.partition("WHERE")[2]), text


@pytest.mark.parametrize("name", QUERIES)
def test_no_statement_changes_a_shard_key(name: str) -> None:
    for text in texts(name):
        match = re.match(r"UPDATE\s+([a-z_]+)\s+SET\s+(.*?)\bWHERE\b", text, re.DOTALL)
        if match and match[1] in SHARD_KEYS:
            assert not re.search(rf"\b{SHARD_KEYS[match[1]]} =", match[2]), text


# A cluster rejects correlated subqueries where FROM has a function that returns rows.
OF_LISTED_ROWS = re.compile(
    r"jsonb_array_elements.*\) AS (\w+)\s+WHERE\s+\(\s*SELECT\b.*\b\1\.", re.DOTALL
)


@pytest.mark.parametrize("name", QUERIES)
def test_no_statement_has_a_subquery_for_each_row_of_a_list(name: str) -> None:
    for text in texts(name):
        assert not OF_LISTED_ROWS.search(text), text


REJECTED_IN_QUERIES = {
    "WITH in a subquery": r"\(\s*WITH\b",
    # It would be needed once for all shards, and for each row of the list.
    "a limit or an aggregate for each row of a list": (
        r"\bjsonb_array_elements\w*\(.*\bLATERAL\b\s*\("
        r"(?=[^;]*?\b(LIMIT|OFFSET|count\(|sum\(|min\(|max\()[^;]*?\)\s+AS\s+found\b)"
    ),
}


def rejected_in_query(text: str) -> list[str]:
    """Return what a cluster rejects in a query of several shards."""
    return [
        name
        for name, pattern in REJECTED_IN_QUERIES.items()
        if re.search(pattern, text, re.DOTALL | re.IGNORECASE)
    ]


_FOR_EACH_TERM = "FROM jsonb_array_elements_text(:terms) AS wanted (term) CROSS JOIN LATERAL ("


@pytest.mark.parametrize(
    ("text", "rejected"),
    [
        (
            f"SELECT found.seq {_FOR_EACH_TERM} WITH with_term AS MATERIALIZED (SELECT seq FROM"
            " messages WHERE words @@ wanted.term) SELECT seq FROM with_term) AS found LIMIT 1",
            ["WITH in a subquery"],
        ),
        (
            f"SELECT found.seq {_FOR_EACH_TERM} SELECT seq FROM messages WHERE words @@ wanted.term"
            " OFFSET 0) AS found",
            ["a limit or an aggregate for each row of a list"],
        ),
        (
            f"SELECT found.count {_FOR_EACH_TERM} SELECT count(*) FROM messages"
            " WHERE words @@ wanted.term) AS found",
            ["a limit or an aggregate for each row of a list"],
        ),
        (
            f"SELECT found.seq {_FOR_EACH_TERM} SELECT seq FROM messages WHERE words @@ wanted.term"
            " ORDER BY project_id + 0) AS found LIMIT 1",
            [],
        ),
    ],
)
def test_the_rules_of_queries_find_what_a_cluster_rejects(text: str, rejected: list[str]) -> None:
    assert rejected_in_query(text) == rejected


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_has_what_a_cluster_rejects(name: str) -> None:
    for text in texts(name):
        assert rejected_in_query(text) == [], text


@pytest.mark.parametrize(
    "name",
    [
        "postings",
        "count_postings",
        "speaker_counts",
        "messages_at",
        "hits_at",
        "texts_at",
        "sessions_of_hits",
        "newest_messages",
    ],
)
def test_a_search_in_a_session_names_it_for_each_table_so_that_one_shard_is_asked(
    name: str,
) -> None:
    query = QUERIES[name]
    for given in variants(name, query):
        if "session_id" in given:
            text = text_with(query, given, PostgresFilterCompiler())
            tables = re.findall(r"\b(?:FROM|JOIN)\s+(?:messages|sessions)\b", text)
            names_it = re.findall(r"\bsession_id = (?:CAST\()?:session_id\b", text)
            # The messages of a page of the newest are those of the sessions of a subquery.
            in_subquery = text.count("session_id IN (")
            assert len(names_it) == len(tables) - in_subquery, text


@pytest.mark.parametrize("name", QUERIES)
def test_no_statement_that_inserts_values_has_a_subquery(name: str) -> None:
    for text in texts(name):
        inserted = re.search(
            r"\bINSERT INTO .*?\bVALUES\b([^;]*?)(\)\s*SELECT\b|$)", text, re.DOTALL
        )
        assert inserted is None or "SELECT" not in inserted[1], text


@pytest.mark.parametrize("name", sorted(set(QUERIES) - NOT_EXPLAINED))
def test_every_text_of_a_query_is_valid_on_the_real_schema(
    connection: psycopg.Connection, name: str
) -> None:
    for text in texts(name):
        with_mark = re.sub(r"(?<![:\w]):(search|from|to)_scope\b", "7", text)
        numbered = re.sub(r"(?<![:\w]):([a-z_0-9]+)", "NULL", with_mark)
        assert connection.execute(f"EXPLAIN {numbered}".encode()).fetchall()


@pytest.mark.parametrize(
    ("name", "given", "index"),
    [
        ("list_users", ("after",), "users_listed"),
        ("list_users", ("email_folded", "after"), "users_by_email"),
        ("list_sessions", ("after",), "sessions_listed"),
        ("list_sessions", ("user_id", "after"), "sessions_of_user"),
        ("list_erasures", ("after",), "erasures_listed"),
        ("list_messages", ("after", "limit"), "messages_pkey"),
        ("list_messages", ("before", "limit", "descending"), "messages_pkey"),
        ("skip_users", (), "users_listed"),
        ("interrupted_erasures", (), "erasures_running"),
        ("expired_tombstones", (), "tombstones_expiry"),
        ("far_tombstones", (), "tombstones_expiry"),
        ("expired_idempotency_keys", (), "idempotency_created"),
        ("far_idempotency_keys", (), "idempotency_created"),
        ("oldest_surplus_idempotency_record", (), "idempotency_created"),
        ("idempotency_keys_of_user", (), "idempotency_of_user"),
        ("idempotency_keys_of_session", (), "idempotency_of_session"),
    ],
)
def test_every_page_of_a_list_uses_an_index_in_its_order(
    schema: str, name: str, given: tuple[str, ...], index: str
) -> None:
    values = {"limit": "10", "skipped": "10", "project_id": "1", "before": "9", "after": "9"}
    times = {"now_at", "oldest_at", "latest_at"}
    text = re.sub(
        r"(?<![:\w]):([a-z_0-9]+)",
        lambda match: (
            "timestamptz '2020-01-01'" if match[1] in times else values.get(match[1], "'x'")
        ),
        text_with(QUERIES[name], given, PostgresFilterCompiler()),
    )
    # An empty table would be scanned; a sort would show that the index does not give the order.
    forced = ("SET enable_seqscan = off", "SET enable_bitmapscan = off", "SET enable_sort = off")
    plan = explained(schema, text, forced)
    assert index in plan
    assert "Sort" not in plan
    assert "Seq Scan" not in plan


def explained(url: str, text: str, settings: tuple[str, ...]) -> str:
    script = "; ".join([*settings, f"EXPLAIN {text}"])
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(script.encode())
        while cursor.nextset():
            pass
        return "\n".join(line for (line,) in cursor.fetchall())
