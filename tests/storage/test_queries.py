"""Named queries: the loader, and every text that the real ones can become, on the real schema."""

import ast
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tests.storage.texts import text_with, variants
from userkeep.domain.values.filters import Condition
from userkeep.storage.filters import with_filter
from userkeep.storage.queries import Query, load_queries, parse_queries
from userkeep.storage.sqlite.connection import connect
from userkeep.storage.sqlite.filters import SqliteFilterPrinter
from userkeep.storage.sqlite.migrations import migrate

QUERIES = load_queries("sqlite")
CODE = Path(__file__).parents[2] / "userkeep"

NOTHING_TO_DO = {
    "move_words",  # each message is taken out of the index and put in again
    "words_of_messages",  # they are in the index alone
}

READ_EVERYTHING = {
    "project_ids",
    "get_clock",  # see its own test
    "newest_messages",  # off the loop, with a time limit
    "newest_messages_of_user",  # as well
    "index_entries",  # when an index is examined
}

_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")
_ASKING = {
    "fetch_one",
    "fetch_all",
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
    with closing(connect(str(path))) as connection:
        migrate(connection, str(path))
        yield connection


def text_of(name: str, *given: str) -> str:
    return text_with(QUERIES[name], given, SqliteFilterPrinter())


def plan(schema: apsw.Connection, name: str, *given: str) -> list[str]:
    """What SQLite would do, step by step."""
    text = text_of(name, *given)
    values = dict.fromkeys(_PARAMETER.findall(text))
    return [row[3] for row in schema.execute(f"EXPLAIN QUERY PLAN {text}", values)]


def names_in_code() -> set[str]:
    """The names of all queries that code asks a transaction for."""
    names = set()
    for file in CODE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr=asking, value=ast.Name(id="tx")),
                    args=[ast.Constant(value=str(name)), *_],
                ) if asking in _ASKING:
                    names.add(name)
                case ast.Subscript(
                    value=ast.Attribute(attr="_queries"), slice=ast.Constant(value=str(name))
                ):
                    names.add(name)
    return names


# The loader.


def test_a_file_is_cut_into_named_queries_without_their_comments() -> None:
    text = """-- Users, by and large.

-- name: get_user
-- One user.
SELECT *
FROM users
    -- the caller's own
WHERE user_id = :user_id;

-- fragment: nobody
user_id IS NULL
-- name: drop_users
DELETE FROM users
"""
    assert parse_queries(text) == {
        ("name", "get_user"): "SELECT *\nFROM users\nWHERE user_id = :user_id",
        ("fragment", "nobody"): "user_id IS NULL",
        ("name", "drop_users"): "DELETE FROM users",
    }


def test_a_block_is_there_where_its_value_is_given() -> None:
    query = Query("SELECT 1 WHERE a = :a /*? b: AND b = :b */ /*? c: AND c = :c */")
    assert query.blocks == ("b", "c")
    assert query.text({"a": 1, "b": 2}) == "SELECT 1 WHERE a = :a AND b = :b "
    assert query.text({"a": 1, "c": 2}) == "SELECT 1 WHERE a = :a  AND c = :c"
    assert query.text({"a": 1, "b": 2, "c": 3}) == "SELECT 1 WHERE a = :a AND b = :b AND c = :c"


def test_none_is_not_given_but_nothing_and_zero_are() -> None:
    query = Query("SELECT 1 /*? b: AND b = :b */")
    assert query.text({"b": None}) == query.text({}) == "SELECT 1 "
    for value in (0, "", False):
        assert query.text({"b": value}) == "SELECT 1 AND b = :b"


def test_each_set_of_blocks_has_one_text_so_that_it_is_prepared_once() -> None:
    query = Query("SELECT 1 /*? b: AND b = :b */")
    assert query.text({"b": 1}) is query.text({"b": 2})


def test_a_filter_is_printed_where_the_text_has_a_place_for_it_and_nowhere_else() -> None:
    query = Query("SELECT 1 WHERE a = :a /*? filter: AND {filter} */")
    assert query.text({"a": 1}) == "SELECT 1 WHERE a = :a "
    values = {"a": 1, "filter": Condition(("x",), "eq", "{filter} :a '")}
    text, printed = with_filter(query.text(values), values, SqliteFilterPrinter())
    assert re.fullmatch(r"SELECT 1 WHERE a = :a AND \(\(json_type\(metadata, :filter_1\).*", text)
    assert "{filter}" not in text
    assert printed["filter_2"] == "{filter} :a '"
    with pytest.raises(LookupError, match=r"no \{filter\} in this query"):
        with_filter("SELECT 1", values, SqliteFilterPrinter())


def test_no_mark_of_the_loader_is_left_in_any_text() -> None:
    for name in QUERIES:
        for given in variants(name, QUERIES[name]):
            text = text_of(name, *given)
            assert not re.search(r"/\*|\*/|--|\{|\}|;", text.replace("->>", "")), name


# The real ones.


def test_every_query_that_code_names_is_there_and_every_one_that_is_there_is_named() -> None:
    assert names_in_code() == set(QUERIES)


@pytest.mark.parametrize("name", QUERIES)
def test_every_text_that_a_query_can_become_is_sql_on_the_real_schema(
    schema: apsw.Connection, name: str
) -> None:
    for given in variants(name, QUERIES[name]):
        text = text_of(name, *given)
        values = dict.fromkeys(_PARAMETER.findall(text))
        assert name in NOTHING_TO_DO or schema.execute(f"EXPLAIN {text}", values).fetchall()


def test_what_has_nothing_to_do_is_known() -> None:
    assert {name for name in QUERIES if not QUERIES[name].source} == NOTHING_TO_DO


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_asks_whether_a_value_is_given(name: str) -> None:
    # `(:x IS NULL OR x = :x)` keeps the planner from every index: that is what blocks are for.
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
        ("list_erasures", (), "erasures_listed (project_id=?"),
        ("list_messages", ("limit",), "(project_id=? AND session_id=?"),
    ],
)
def test_a_page_of_a_list_is_reached_through_an_index_in_its_order(
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
        assert any(re.search(r"AND (rowid|seq)[<>]\?", step) for step in steps)


@pytest.mark.parametrize("name", ["skip_users", "skip_sessions"])
def test_an_offset_is_counted_in_a_narrow_index(schema: apsw.Connection, name: str) -> None:
    [step] = plan(schema, name)
    assert "USING COVERING INDEX" in step


@pytest.mark.parametrize("name", sorted(set(QUERIES) - READ_EVERYTHING - NOTHING_TO_DO))
def test_no_query_reads_a_table_from_end_to_end(schema: apsw.Connection, name: str) -> None:
    tables = {table for (table,) in schema.execute("SELECT name FROM sqlite_schema")}
    for given in variants(name, QUERIES[name]):
        for step in plan(schema, name, *given):
            match step.split():
                case ["SCAN", "message_words", *_, "VIRTUAL", "TABLE", "INDEX", how]:
                    assert "M" in how, f"{given}: {step}"  # it matches words
                case ["SCAN", table, *_]:
                    assert table not in tables, f"{given}: {step}"
                case ["SEARCH", "messages", *_, "(project_id=?)"]:
                    raise AssertionError(f"{given}: {step}")
            assert "TEMP B-TREE" not in step, f"{given}: {step}"


def test_the_newest_time_is_found_without_looking_at_every_row(schema: apsw.Connection) -> None:
    # It scans three tables backwards, each for one row.
    text = text_of("get_clock")
    assert text.count("ORDER BY number DESC LIMIT 1") == text.count("number")
    assert not any("TEMP B-TREE" in step for step in plan(schema, "get_clock"))
