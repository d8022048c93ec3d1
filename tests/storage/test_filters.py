"""Filters on both engines: they find what the filter matches, and their statements are not kept."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path as Folder
from typing import Any

import apsw
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.finding import Find, finding_on_postgres, finding_on_sqlite
from tests.postgres import migrated_database
from userkeep.api.operations import OPERATIONS
from userkeep.api.parsing import read_query
from userkeep.config import Settings
from userkeep.domain.errors import Unavailable
from userkeep.domain.scope import Scope
from userkeep.domain.session import NewSession, Session
from userkeep.domain.transaction import Transaction, scoped
from userkeep.domain.values.filters import (
    And,
    AnyItem,
    AtRoot,
    Condition,
    IsArray,
    Node,
    Not,
    Or,
    Path,
    Scalar,
)
from userkeep.domain.values.times import Instant
from userkeep.instance import make_rules
from userkeep.services import sessions
from userkeep.storage.engine import Engine
from userkeep.storage.postgres import PostgresEngine
from userkeep.storage.postgres.filters import PostgresFilterCompiler
from userkeep.storage.postgres.statements import statement
from userkeep.storage.queries import Query, load_queries
from userkeep.storage.sqlite import SqliteEngine
from userkeep.storage.sqlite.filters import SqliteFilterCompiler
from userkeep.storage.sqlite.migrations import migrate
from userkeep.storage.sqlite.transaction import SqliteTransaction

SCOPE = Scope(1, make_rules(Settings(), b"a secret of the tests"))


# What a filter matches, in Python.


class Nothing:
    """There is nothing at a path."""


def matches(node: Node, document: Any, root: Any) -> bool:
    """Return whether a document matches a filter."""
    match node:
        case And(nodes):
            return all(matches(each, document, root) for each in nodes)
        case Or(nodes):
            return any(matches(each, document, root) for each in nodes)
        case Not(inner):
            return not matches(inner, document, root)
        case AtRoot(inner):
            return matches(inner, root, root)
        case IsArray(path):
            return isinstance(at(path, document), list)
        case AnyItem(path, inner, or_itself):
            found = at(path, document)
            items = found if isinstance(found, list) else [found] if or_itself else []
            return any(matches(inner, each, root) for each in items if each is not Nothing)
        case Condition(path, op, value):
            return is_true(op, at(path, document), value)


def at(path: Path, document: Any) -> Any:
    """Return what is at a path."""
    for step in path:
        if isinstance(step, str):
            document = document.get(step, Nothing) if isinstance(document, dict) else Nothing
        else:
            is_there = isinstance(document, list) and -len(document) <= step < len(document)
            document = document[step] if is_there else Nothing
    return document


def is_true(op: str, found: Any, value: Any) -> bool:
    """Return whether a condition is true of a value."""
    if op == "exists":
        return (found is not Nothing) is value
    if found is Nothing:
        return False
    match op:
        case "ne":
            return not is_equal(found, value)
        case "in":
            return any(is_equal(found, each) for each in value)
        case "contains":
            in_text = isinstance(found, str) and isinstance(value, str) and value in found
            return in_text or (isinstance(found, list) and contains(found, value))
        case "starts_with":
            return isinstance(found, str) and found.startswith(value)
        case _:
            return is_equal(found, value) if op == "eq" else is_ordered(op, found, value)


def contains(items: list[Any], value: Any) -> bool:
    """Return whether one of the items is equal."""
    return any(is_equal(each, value) for each in items)


def is_ordered(op: str, found: Any, value: Any) -> bool:
    """Compare two values."""
    if kind(found) != kind(value):
        return False
    compared = {"gt": found > value, "gte": found >= value, "lt": found < value}
    return bool(compared.get(op, found <= value))


def is_equal(found: Any, value: Scalar) -> bool:
    """Return whether two values are equal."""
    return kind(found) == kind(value) and kind(value) != "other" and bool(found == value)


def kind(value: Any) -> str:
    """Return the kind of a value; only values of one kind can be equal."""
    match value:
        case None | bool():
            return str(value)
        case int() | float():
            return "number"
        case str():
            return "text"
    return "other"


# What the engines find.


@pytest.fixture(scope="module")
def on_sqlite() -> Iterator[Find]:
    """Returns whether SQLite finds a document."""
    with finding_on_sqlite() as find:
        yield find


@pytest.fixture(scope="module")
def on_postgres() -> Iterator[Find]:
    """Returns whether PostgreSQL finds a document."""
    with finding_on_postgres() as find:
        yield find


KEYS = st.sampled_from(["a", "b", "0", "$", "é"])
NUMBERS = st.sampled_from([0, 1, -1, 2, 1.0, -0.0, 0.5, 1e300, 2**53, 2**63 - 1, -(2**63)])
TEXTS = st.sampled_from(["", "a", "ab", "b", "1", "true", "null", "[1]", "\uffff", "😀", "'", '"'])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.none() | st.dictionaries(KEYS, VALUES, max_size=3)
PATHS = st.lists(KEYS | st.sampled_from([0, 1, -1, -2]), max_size=3).map(tuple)
LEAVES = (
    st.builds(Condition, PATHS, st.sampled_from(["eq", "ne", "contains"]), SCALARS)
    | st.builds(Condition, PATHS, st.sampled_from(["gt", "gte", "lt", "lte"]), NUMBERS | TEXTS)
    | st.builds(Condition, PATHS, st.just("in"), st.lists(SCALARS, min_size=1).map(tuple))
    | st.builds(Condition, PATHS, st.just("exists"), st.booleans())
    | st.builds(Condition, PATHS, st.just("starts_with"), TEXTS)
    | st.builds(IsArray, PATHS)
)
NODES: st.SearchStrategy[Node] = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(And, st.lists(inner, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, max_size=3).map(tuple))
        | st.builds(Not, inner)
        | st.builds(AtRoot, inner)
        | st.builds(AnyItem, PATHS, inner, st.booleans())
    ),
    max_leaves=6,
)


@given(NODES, DOCUMENTS)
@example(AnyItem(("a",), Condition((), "eq", "ab"), or_itself=True), {"a": "ab"})
@example(AnyItem(("a",), AnyItem((), Condition((), "eq", True), or_itself=True)), {"a": [[True]]})
@example(Condition(("a",), "contains", 1), {"a": [[1]]})
@example(Condition(("a",), "in", (1, None)), {"a": [1]})
@example(AnyItem((), Not(Condition((), "exists", True))), None)
def test_both_engines_find_what_the_filter_matches(
    on_sqlite: Find, on_postgres: Find, node: Node, document: Any
) -> None:
    metadata = Nothing if document is None else document
    expected = matches(node, metadata, metadata)
    assert on_sqlite(node, document) is expected
    assert on_postgres(node, document) is expected


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1))
def test_a_number_equals_itself_exactly(on_sqlite: Find, on_postgres: Find, number: float) -> None:
    document = {"a": number}
    for find in (on_sqlite, on_postgres):
        for op, is_found in (("eq", True), ("gte", True), ("lte", True), ("gt", False)):
            assert find(Condition(("a",), op, number), document) is is_found  # type: ignore[arg-type]
        assert find(Condition(("a",), "in", (number,)), document)
        assert find(AnyItem(("a",), Condition((), "eq", number), or_itself=True), document)


def test_no_text_of_a_client_is_in_the_sql() -> None:
    text = "MINE"
    tree = And(
        (
            Condition((text, 0), "eq", text),
            Condition((text,), "in", (text, 1)),
            Condition((text,), "contains", text),
            Condition((text,), "starts_with", text),
            Not(AnyItem((text,), Or((Condition((text,), "gt", text), IsArray((text,)))))),
        )
    )
    for compiler in (SqliteFilterCompiler(), PostgresFilterCompiler()):
        assert text not in compiler.compile(tree)
        assert all(text in str(value) for value in compiler.values.values())


# Time limits.


def search(tx: Transaction, node: Node | None = None) -> list[Session]:
    """List sessions, as a service does."""
    return tx.fetch_all("list_sessions", Session, project_id=1, limit=1, filter=node)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_search_that_takes_too_long_is_stopped_with_an_explanation(
    engine: str, tmp_path: Folder
) -> None:
    is_not_there = Not(AnyItem(("words",), Condition((), "contains", "shoes")))
    thorough = And((is_not_there,) * 100)
    metadata = {"words": ["word"] * 9_000}

    async def search_twice(opened: Engine) -> None:
        with pytest.raises(Unavailable) as stopped:
            await opened.read_async(lambda tx: search(tx, thorough), is_bounded=False)
        assert stopped.value.detail == (
            "This took longer than 0.1 s and was stopped. Use conditions that match less, or "
            "request fewer rows."
        )
        found = await opened.read_async(search, is_bounded=False)
        assert len(found) == 1

    with closing(opened_engine(engine, tmp_path)) as opened:
        for _ in range(20):
            opened.write(scoped(SCOPE, sessions.add, NewSession(metadata=metadata)))
        asyncio.run(search_twice(opened))


def opened_engine(name: str, folder: Folder) -> Engine:
    """Open an engine on a new database, with a time limit of 0.1 s for long reads."""
    if name == "postgres":
        url = migrated_database()
        return PostgresEngine(url, load_queries("postgres"), read_limit_ms=100)
    path = str(folder / "userkeep.db")
    return SqliteEngine(path, load_queries("sqlite"), read_limit_ms=100)


def test_a_list_with_a_filter_counts_as_an_unbounded_read() -> None:
    queries = [each.query for each in OPERATIONS if each.query]
    taking = [query for query in queries if "filter" in query.__struct_fields__]
    assert len(taking) == 5
    for query in taking:
        assert read_query([("limit", "10")], query).is_bounded
        assert not read_query([("limit", "10"), ("filter", "{}")], query).is_bounded


# Caches of statements.


def many_filters() -> Iterator[Node]:
    """Yield filters that all have different SQL."""
    for size in range(1, 151):
        yield Or(tuple(Condition((f"a{n}",), "eq", n) for n in range(size)))


def test_statements_with_a_filter_are_not_kept_in_postgresql_or_here() -> None:
    queries = load_queries("postgres") | {
        "prepared": Query("SELECT name FROM pg_prepared_statements ORDER BY name")
    }
    with closing(PostgresEngine(migrated_database(), queries, pool_size=1)) as engine:
        engine.read(search)
        prepared = engine.read(lambda tx: tx.fetch_all("prepared", str))
        assert prepared
        kept = statement.cache_info().currsize
        for node in many_filters():
            assert engine.read(lambda tx, node=node: search(tx, node)) == []  # type: ignore[misc]
        assert {*engine.read(lambda tx: tx.fetch_all("prepared", str))} - {*prepared} == set()
        assert statement.cache_info().currsize == kept


def test_statements_with_a_filter_do_not_evict_others_from_sqlites_cache() -> None:
    with closing(apsw.Connection(":memory:")) as connection:
        migrate(connection, ":memory:")
        tx = SqliteTransaction(connection.cursor(), load_queries("sqlite"), Instant(0))
        search(tx)
        before = connection.cache_stats()
        for node in many_filters():
            assert search(tx, node) == []
        assert connection.cache_stats()["evictions"] == before["evictions"]
        search(tx)
        assert connection.cache_stats()["hits"] == before["hits"] + 1
