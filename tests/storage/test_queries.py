"""Named queries: the loader, and every text of every query on the real schema."""

import ast
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tests.storage.query_texts import text_with, variants
from userkeep.domain.values.filters import Condition
from userkeep.storage.filters import with_filter
from userkeep.storage.queries import DIALECTS, Query, load_queries, parse_queries
from userkeep.storage.sqlite.connection import connect
from userkeep.storage.sqlite.filters import SqliteFilterCompiler
from userkeep.storage.sqlite.migrations import migrate

QUERIES = load_queries("sqlite")
CODE = Path(__file__).parents[2] / "userkeep"

OF_THE_UNFINISHED = {"erasures_running", "erasures_to_purge", "sessions_to_embed"}
"""Indexes that have only what is not finished: all of one is little."""

COUNT_BY_DAY = {"messages_of_user_by_day", "sessions_by_day"}
"""They group what is of a year at most, and bounded."""

READ_WHOLE_TABLES = {
    # Projects are few.
    "deleted_projects",
    "further_projects",
    "project_ids",
    "unpurged_project_ids",
    "list_projects",
    "newest_deleted_projects",
    "interrupted_project_deletions",
    "release_project_leases",
    "pending_project_purges",
    "running_project_deletions",
    "assign_projects_to_purge",
    "set_projects_purged",
    "large_collections",  # nor are collections many
    # Models are few too.
    "embedding_models",
    "retire_embedding_models",
    "forget_former_models",
    "release_embedding_lease",
    "projects_to_embed",
    "sweep_projects",
    "ledger_marks",  # the table of the instance, which has some rows
    "get_clock",  # see its own test
    "newest_messages",  # off the loop, with a time limit
    "newest_messages_of_user",  # the same
    "index_entries",  # when an index is examined
    "plain_idempotency_keys",  # once, after an upgrade
    # When the secret is rotated, with no server.
    "all_running_erasures",
    "remove_subject_hashes",
    "delete_all_tombstones",
    "delete_all_idempotency_records",
}

_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")
_CALLS = {
    "fetch_one",
    "fetch_apart",
    "fetch_all",
    "fetch_page",
    "execute",
    "execute_many",
    "defer",
    "defer_many",
    "defer_to_commit",
}


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    """A connection to a database with the real schema."""
    path = tmp_path_factory.mktemp("schema") / "userkeep.db"
    path.touch()
    with closing(connect(str(path))) as connection:
        migrate(connection, str(path))
        yield connection


def text_of(name: str, *given: str) -> str:
    return text_with(QUERIES[name], given, SqliteFilterCompiler())


def plan(schema: apsw.Connection, name: str, *given: str) -> list[str]:
    """Return the steps of SQLite's plan."""
    text = text_of(name, *given)
    values = dict.fromkeys(_PARAMETER.findall(text))
    return [row[3] for row in schema.execute(f"EXPLAIN QUERY PLAN {text}", values)]


def names_in_code(dialect: str) -> set[str]:
    """Return the names of all queries that the code runs on one engine."""
    names = set()
    [other] = set(DIALECTS) - {dialect}
    for file in CODE.rglob("*.py"):
        if (CODE / "storage" / other) in file.parents:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        attr=call, value=ast.Name(id="tx") | ast.Attribute(attr="_tx")
                    ),
                    args=[ast.Constant(value=str(name)), *_],
                ) if call in _CALLS:
                    names.add(name)
                case ast.Subscript(
                    value=ast.Attribute(attr="_queries") | ast.Name(id="queries"),
                    slice=ast.Constant(value=str(name)),
                ):
                    names.add(name)
    return names


# The loader.


def test_a_file_is_parsed_into_named_queries_without_comments() -> None:
    text = """-- Users in general.

-- name: get_user
-- One user.
SELECT *
FROM users
    -- an indented comment
WHERE user_id = :user_id;

-- fragment: unowned
user_id IS NULL
-- name: drop_users
DELETE FROM users
"""
    assert parse_queries(text) == {
        ("name", "get_user"): "SELECT *\nFROM users\nWHERE user_id = :user_id",
        ("fragment", "unowned"): "user_id IS NULL",
        ("name", "drop_users"): "DELETE FROM users",
    }


def test_a_block_is_included_when_its_value_is_given() -> None:
    query = Query("SELECT 1 WHERE a = :a /*? b: AND b = :b */ /*? c: AND c = :c */")
    assert query.blocks == ("b", "c")
    assert query.text({"a": 1, "b": 2}) == "SELECT 1 WHERE a = :a AND b = :b "
    assert query.text({"a": 1, "c": 2}) == "SELECT 1 WHERE a = :a  AND c = :c"
    assert query.text({"a": 1, "b": 2, "c": 3}) == "SELECT 1 WHERE a = :a AND b = :b AND c = :c"


def test_none_counts_as_absent_but_empty_and_zero_do_not() -> None:
    query = Query("SELECT 1 /*? b: AND b = :b */")
    assert query.text({"b": None}) == query.text({}) == "SELECT 1 "
    for value in (0, "", False):
        assert query.text({"b": value}) == "SELECT 1 AND b = :b"


def test_each_set_of_blocks_has_one_text_that_is_prepared_once() -> None:
    query = Query("SELECT 1 /*? b: AND b = :b */")
    assert query.text({"b": 1}) is query.text({"b": 2})


def test_a_filter_replaces_its_placeholder_and_nothing_else() -> None:
    query = Query("SELECT 1 WHERE a = :a /*? filter: AND {filter} */")
    assert query.text({"a": 1}) == "SELECT 1 WHERE a = :a "
    values = {"a": 1, "filter": Condition(("x",), "eq", "{filter} :a '")}
    text, printed = with_filter(query.text(values), values, SqliteFilterCompiler())
    assert re.fullmatch(r"SELECT 1 WHERE a = :a AND \(\(json_type\(metadata, :filter_1\).*", text)
    assert "{filter}" not in text
    assert printed["filter_2"] == "{filter} :a '"
    with pytest.raises(LookupError, match=r"no \{filter\} in this query"):
        with_filter("SELECT 1", values, SqliteFilterCompiler())


def test_no_text_contains_markup_of_the_loader() -> None:
    for name in QUERIES:
        for given in variants(name, QUERIES[name]):
            text = text_of(name, *given)
            assert not re.search(r"/\*|\*/|--|\{|\}|;", text.replace("->>", "")), name


# The queries of the product.


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_queries_are_exactly_those_that_code_names(dialect: str) -> None:
    assert names_in_code(dialect) == set(load_queries(dialect))


@pytest.mark.parametrize("name", QUERIES)
def test_every_text_of_a_query_is_valid_on_the_real_schema(
    schema: apsw.Connection, name: str
) -> None:
    for given in variants(name, QUERIES[name]):
        text = text_of(name, *given)
        values = dict.fromkeys(_PARAMETER.findall(text))
        assert schema.execute(f"EXPLAIN {text}", values).fetchall()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_query_is_empty(dialect: str) -> None:
    assert all(query.source for query in load_queries(dialect).values())


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_checks_whether_a_value_is_null(name: str) -> None:
    # With `(:x IS NULL OR x = :x)` the planner uses no index; optional blocks are used instead.
    for given in variants(name, QUERIES[name]):
        assert not re.search(r":\w+\s+IS\s+(NOT\s+)?NULL", text_of(name, *given), re.IGNORECASE)


PAGE = [(), ("after",), ("descending",), ("before", "descending")]


@pytest.mark.parametrize("page", PAGE, ids="-".join)
@pytest.mark.parametrize(
    ("name", "filters", "index"),
    [
        ("list_users", (), "users_listed (project_id=? AND state=?"),
        ("list_users", ("email_folded",), "users_by_email (project_id=? AND email_folded=?"),
        ("list_sessions", (), "sessions_listed (project_id=? AND state=?"),
        (
            "list_sessions",
            ("user_id",),
            "sessions_of_user (project_id=? AND user_id=? AND state=?",
        ),
        (
            "list_sessions_by_activity",
            (),
            "sessions_active (project_id=? AND state=?",
        ),
        (
            "list_sessions_by_activity",
            ("user_id",),
            "sessions_of_user_active (project_id=? AND user_id=? AND state=?",
        ),
        ("list_erasures", (), "erasures_listed (project_id=?"),
        ("list_messages", ("limit",), "(project_id=? AND session_id=?"),
    ],
)
def test_every_page_of_a_list_uses_an_index_in_its_order(
    schema: apsw.Connection,
    name: str,
    filters: tuple[str, ...],
    index: str,
    page: tuple[str, ...],
) -> None:
    steps = plan(schema, name, *filters, *page)
    assert any(index in step for step in steps)
    assert not any(step.startswith("SCAN") or "TEMP B-TREE" in step for step in steps)
    if {"after", "before"} & {*page}:
        assert any(re.search(r"AND (rowid|seq|active_at)[<>]\?", step) for step in steps)


@pytest.mark.parametrize("name", ["skip_users", "skip_sessions"])
def test_an_offset_is_counted_in_a_narrow_index(schema: apsw.Connection, name: str) -> None:
    [step] = plan(schema, name)
    assert "USING COVERING INDEX" in step


@pytest.mark.parametrize("name", sorted(set(QUERIES) - READ_WHOLE_TABLES))
def test_no_query_scans_a_whole_table(schema: apsw.Connection, name: str) -> None:
    tables = {table for (table,) in schema.execute("SELECT name FROM sqlite_schema")}
    for given in variants(name, QUERIES[name]):
        for step in plan(schema, name, *given):
            match step.split():
                case ["SCAN", "message_words", *_, "VIRTUAL", "TABLE", "INDEX", how]:
                    assert "M" in how, f"{given}: {step}"  # a full-text query
                case ["SCAN", _, "USING", *_, index] if index in OF_THE_UNFINISHED:
                    pass
                case ["SCAN", table, *_]:
                    assert table not in tables, f"{given}: {step}"
                case ["SEARCH", "messages", *_, "(project_id=?)"]:
                    raise AssertionError(f"{given}: {step}")
            is_by_day = name in COUNT_BY_DAY and step == "USE TEMP B-TREE FOR GROUP BY"
            assert "TEMP B-TREE" not in step or is_by_day, f"{given}: {step}"


@pytest.mark.parametrize("name", ["first_purge_request", "oldest_unpurged", "unpurged_erasures"])
def test_what_waits_for_a_purge_is_found_without_reading_what_is_purged(
    schema: apsw.Connection, name: str
) -> None:
    assert any("USING INDEX erasures_to_purge" in step for step in plan(schema, name))


def test_the_newest_time_is_found_without_reading_every_row(schema: apsw.Connection) -> None:
    # It scans three tables backwards, for one row each.
    text = text_of("get_clock")
    assert text.count("ORDER BY number DESC LIMIT 1") == text.count("number")
    assert not any("TEMP B-TREE" in step for step in plan(schema, "get_clock"))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_query_that_hides_a_deleted_session_also_hides_those_of_other_users(
    dialect: str,
) -> None:
    by_id = re.compile(r"session_id = :session_id (AND|/\*\? scope_user_id: AND)")
    checked = []
    for name, query in load_queries(dialect).items():
        text = " ".join(query.source.split())
        if by_id.search(text) and "state <> 'deleting'" in text:
            checked.append(name)
            assert "scope_user_id" in query.blocks, name
    assert {"get_message", "list_messages", "reserve_seqs"} <= set(checked)


@pytest.mark.parametrize("page", [(), ("after",), ("before", "descending")], ids="-".join)
def test_users_with_a_word_are_found_by_indexes(
    schema: apsw.Connection, page: tuple[str, ...]
) -> None:
    expected = {
        "users_with_rare_word": "user_words_by_word (project_id=? AND word>? AND word<?",
        "users_with_common_word": "user_words_by_beginning (project_id=? AND beginning=?",
        "users_with_letter": "users_listed (project_id=? AND state=?",
    }
    for name, index in expected.items():
        steps = plan(schema, name, *page)
        assert any(index in step for step in steps), steps


def test_words_of_numbered_users_are_looked_up_in_indexes(schema: apsw.Connection) -> None:
    expected = {
        "users_with_word_between": "by_beginning (project_id=? AND beginning=? AND user_number>?",
        "users_with_word_among": "PRIMARY KEY (project_id=? AND user_number=?",
    }
    for name, index in expected.items():
        assert any(index in step for step in plan(schema, name)), name
