"""Connections that break, servers that change, addresses that lead nowhere."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from time import sleep
from typing import Any

import psycopg
import pytest
import uvloop
from psycopg import sql

from devtools.ports import free_port
from tests.postgres import OwnPostgresServer, postgres_server
from tests.storage.postgres.conftest import OpenEngine
from tests.storage.postgres.notes import (
    QUERIES,
    backend,
    connections,
    count,
    make,
    note,
    noted,
    noted_in,
    rows,
    search,
    setting,
    terminate,
)
from tests.storage.postgres.proxy import Proxy
from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.transaction import Operation, Transaction
from userkeep.storage import clock as clocks
from userkeep.storage.postgres import PostgresEngine

NOON = 1_900_000_000_000_000
HOUR = 3600 * 1_000_000

Ask = Callable[[PostgresEngine, Operation[Any]], Any]


def in_a_thread(engine: PostgresEngine, operation: Operation[Any]) -> Any:
    return engine.write(operation)


@pytest.fixture(params=["in a thread", "on a loop", "on uvloop"])
def write(request: pytest.FixtureRequest) -> Iterator[Ask]:
    """Writes by one of an engine's two ways, always on the same loop."""
    if request.param == "in a thread":
        yield in_a_thread
        return
    make_loop = uvloop.new_event_loop if request.param == "on uvloop" else None
    with asyncio.Runner(loop_factory=make_loop) as runner:

        def on_a_loop(engine: PostgresEngine, operation: Operation[Any]) -> Any:
            async def ask() -> Any:
                return await engine.write_async(operation)

            return runner.run(ask())

        yield on_a_loop


@pytest.fixture
def one_lane(open_engine: OpenEngine) -> PostgresEngine:
    """An engine with one connection for each way in, and a table of notes."""
    engine = open_engine(pool_size=1)
    engine.write(make)
    return engine


# A connection breaks.


def test_a_connection_that_broke_while_nobody_used_it_is_replaced_unnoticed(
    one_lane: PostgresEngine, url: str, write: Ask
) -> None:
    for n in range(3):
        terminate(url, write(one_lane, backend))
        assert write(one_lane, note(f"{n}")) == f"{n}"
        terminate(url, write(one_lane, backend))
        assert one_lane.read(count) == n + 1
    assert noted_in(url) == ["0", "1", "2"]


def test_an_operation_whose_connection_breaks_before_its_commit_runs_again_and_is_done_once(
    one_lane: PostgresEngine, url: str, write: Ask
) -> None:
    runs: list[int] = []

    def write_and_lose_connection(tx: Transaction) -> int:
        note("first")(tx)
        runs.append(backend(tx))
        if len(runs) == 1:
            terminate(url, runs[0])
        note("second")(tx)
        return len(runs)

    assert write(one_lane, write_and_lose_connection) == 2
    assert runs[0] != runs[1]
    assert noted_in(url) == ["first", "second"]


def test_an_operation_whose_connection_breaks_after_its_last_statement_is_not_taken_for_done(
    one_lane: PostgresEngine, url: str, write: Ask
) -> None:
    # The server notices before COMMIT reaches it; we cannot know that it did.
    def write_and_lose_connection(tx: Transaction) -> None:
        note("lost")(tx)
        terminate(url, backend(tx))

    with pytest.raises(Unavailable, match="may have happened or not"):
        write(one_lane, write_and_lose_connection)
    assert noted_in(url) == []
    write(one_lane, note("after"))
    assert noted_in(url) == ["after"]


def test_an_operation_that_breaks_every_connection_ends_with_a_refusal(
    one_lane: PostgresEngine, url: str
) -> None:
    def lose_connection(tx: Transaction) -> None:
        terminate(url, backend(tx))
        note("never")(tx)

    with pytest.raises(Unavailable, match="unreachable"):
        one_lane.write(lose_connection)
    one_lane.write(note("after"))
    assert noted_in(url) == ["after"]


def test_a_read_whose_connection_breaks_runs_again(
    one_lane: PostgresEngine, url: str, write: Ask
) -> None:
    write(one_lane, note("there"))
    broken: list[int] = []

    def look(tx: Transaction) -> int:
        first = count(tx)
        if len(broken) < 2:
            broken.append(backend(tx))
            terminate(url, broken[-1])
        return first + count(tx)

    assert one_lane.read(look) == 2
    broken.clear()
    assert asyncio.run(one_lane.read_async(look)) == 2


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_where_the_answer_of_commit_is_lost_the_client_is_told_that_nobody_knows(
    proxy: Proxy, write: Ask, reset: bool
) -> None:
    runs: list[None] = []

    def write_and_lose_answer(tx: Transaction) -> None:
        runs.append(None)
        note("perhaps")(tx)
        proxy.swallow_next_answer(reset=reset)

    with closing(PostgresEngine(proxy.url, QUERIES, pool_size=1)) as engine:
        engine.write(make)
        write(engine, note("before"))  # now COMMIT is prepared, and travels alone
        with pytest.raises(Unavailable) as told:
            write(engine, write_and_lose_answer)
        assert "it may have happened or not" in told.value.detail
        assert "Idempotency-Key" in told.value.detail
        assert len(runs) == 1
        assert noted_in(proxy.direct_url) == ["before", "perhaps"]
        write(engine, note("after"))
    assert noted_in(proxy.direct_url) == ["before", "perhaps", "after"]


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_where_any_other_answer_is_lost_the_operation_is_done_once(
    proxy: Proxy, write: Ask, reset: bool
) -> None:
    runs: list[None] = []

    def write_and_lose_answer(tx: Transaction) -> int:
        runs.append(None)
        if len(runs) == 1:
            proxy.swallow_next_answer(reset=reset)
        note("once")(tx)
        return len(runs)

    with closing(PostgresEngine(proxy.url, QUERIES, pool_size=1)) as engine:
        engine.write(make)
        write(engine, note("before"))
        assert write(engine, write_and_lose_answer) == 2
    assert noted_in(proxy.direct_url) == ["before", "once"]


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_server_that_resets_its_connections_after_a_last_word_is_not_waited_for(
    proxy: Proxy, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    runs: list[None] = []

    def write_and_search(tx: Transaction) -> int:
        runs.append(None)
        note("once")(tx)
        if len(runs) == 1:
            search(60)(tx)
        return len(runs)

    async def ask(engine: PostgresEngine) -> int:
        asked = asyncio.ensure_future(engine.write_async(write_and_search))
        await asyncio.sleep(0.3)
        proxy.end_with_last_words()  # the loop stands still, and then hears all of it at once
        return await asyncio.wait_for(asked, 10)

    with closing(PostgresEngine(proxy.url, QUERIES, pool_size=1)) as engine:
        engine.write(make)
        with asyncio.Runner(loop_factory=make_loop) as runner:
            assert runner.run(ask(engine)) == 2
    assert noted_in(proxy.direct_url) == ["once"]


# The server is changed under a statement.


def test_statements_that_the_server_has_deleted_are_prepared_again(
    one_lane: PostgresEngine, write: Ask
) -> None:
    write(one_lane, note("before"))
    for _ in range(3):
        delete_statements(one_lane, write)
        write(one_lane, note("after"))
        assert one_lane.read(count) > 0
    assert noted(one_lane) == ["before", "after", "after", "after"]


class Row:
    """Whatever columns there are."""

    def __init__(self, *columns: object) -> None:
        self.columns = columns


def delete_statements(engine: PostgresEngine, write: Ask) -> None:
    """As DISCARD ALL by a pooler in between does; COMMIT itself is deleted in the first run."""
    runs: list[None] = []

    def delete(tx: Transaction) -> None:
        runs.append(None)
        if len(runs) == 1:
            tx.execute("delete_statements")

    write(engine, delete)
    assert len(runs) == 2


def test_a_table_that_changes_under_a_prepared_statement_is_read_as_it_is_now(
    one_lane: PostgresEngine, url: str, write: Ask
) -> None:
    def whole(tx: Transaction) -> int:
        return len(tx.fetch_all("whole_notes", Row)[0].columns)

    write(one_lane, note("there"))
    columns = one_lane.read(whole)
    assert asyncio.run(one_lane.read_async(whole)) == columns
    assert write(one_lane, whole) == columns
    rows(url, "ALTER TABLE notes ADD COLUMN more text")
    assert write(one_lane, whole) == columns + 1
    assert one_lane.read(whole) == columns + 1
    assert asyncio.run(one_lane.read_async(whole)) == columns + 1


def test_a_column_that_comes_while_an_operation_is_half_done_does_it_no_harm(
    one_lane: PostgresEngine, url: str
) -> None:
    one_lane.write(lambda tx: tx.fetch_all("whole_notes", Row))
    runs: list[None] = []

    def write_and_look(tx: Transaction) -> int:
        runs.append(None)
        if len(runs) == 1:
            rows(url, "ALTER TABLE notes ADD COLUMN more text")
        note("written")(tx)
        return len(tx.fetch_all("whole_notes", Row))

    assert one_lane.write(write_and_look) == 1
    assert noted_in(url) == ["written"]


# The clock.


def test_time_does_not_go_back_over_a_restart(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened_at(microseconds: int) -> int:
        monkeypatch.setattr(clocks, "time_ns", lambda: microseconds * 1000)
        with closing(PostgresEngine(url, QUERIES)) as engine:
            return engine.write(lambda tx: int(tx.now))

    at_noon = opened_at(NOON)
    assert at_noon >= NOON
    yesterday = opened_at(NOON - 24 * HOUR)
    assert NOON < yesterday < NOON + 1_000
    assert yesterday < opened_at(NOON - 48 * HOUR) < NOON + 1_000
    assert opened_at(NOON + HOUR) >= NOON + HOUR


def test_a_server_whose_clock_is_behind_does_not_keep_its_time_over_anothers(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(PostgresEngine(url, QUERIES)) as behind:
        monkeypatch.setattr(clocks, "time_ns", lambda: NOON * 1000)
        PostgresEngine(url, QUERIES).close()
        monkeypatch.setattr(clocks, "time_ns", lambda: (NOON - 24 * HOUR) * 1000)
        behind.write(lambda tx: tx.now)
    with closing(PostgresEngine(url, QUERIES)) as again:
        assert again.write(lambda tx: int(tx.now)) > NOON


def test_each_write_is_later_than_the_one_before_while_the_clock_stands_still(
    engine: PostgresEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "time_ns", lambda: NOON * 1000)
    for n in range(5):
        engine.write(note(f"{n}"))
    times = engine.read(lambda tx: tx.fetch_all("times", int))
    assert times == sorted(set(times))


# Who we are, and where.


def with_parameter(url: str, parameter: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{parameter}"


def test_the_server_sees_our_name(engine: PostgresEngine, url: str) -> None:
    assert engine.write(setting("application_name")) == "userkeep"
    assert connections(url, "userkeep") > 0


def test_the_url_may_give_another_name(url: str, open_engine: OpenEngine) -> None:
    engine = open_engine(with_parameter(url, "application_name=memory"))
    assert engine.write(setting("application_name")) == "memory"


def test_the_url_may_carry_settings(url: str, open_engine: OpenEngine) -> None:
    engine = open_engine(with_parameter(url, "options=-cwork_mem%3D12345kB"))
    assert engine.write(setting("work_mem")) == "12345kB"


def test_the_next_of_several_servers_is_used_where_the_first_is_away(
    own_server: OwnPostgresServer, open_engine: OpenEngine
) -> None:
    url = own_server.new_database()
    several = url.replace("@127.0.0.1", f"@127.0.0.1:{free_port()},127.0.0.1")
    engine = open_engine(several, pool_size=1)
    engine.write(make)
    terminate(url, asyncio.run(engine.write_async(backend)))
    terminate(url, engine.write(backend))
    assert asyncio.run(engine.write_async(note("there"))) == "there"
    assert engine.write(search(0.7)) == 1, "a server that is slow is asked whether it is there"
    assert noted_in(url) == ["there"]


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """The URL of a database that asks for a password, without it."""
    settings = {"password_encryption": "scram-sha-256"}
    with OwnPostgresServer(tcp=True, settings=settings) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE ROLE keeper LOGIN SUPERUSER PASSWORD 'correct horse'")
            [(path,)] = connection.execute("SHOW hba_file")
            rule = "host all keeper 127.0.0.1/32 scram-sha-256"
            loaded = sql.SQL("COPY (SELECT {}) TO PROGRAM {}").format(
                sql.Literal(rule),
                sql.Literal(f"cat - {path} > {path}.new && mv {path}.new {path}"),
            )
            connection.execute(loaded)
            connection.execute("SELECT pg_reload_conf()")
        url = server.new_database().replace("postgres@", "keeper@")
        while True:
            try:
                psycopg.connect(url).close()
            except psycopg.OperationalError:
                break  # from now on it asks for a password
            sleep(0.05)
        yield url


def with_password(url: str, password: str) -> str:
    return url.replace("keeper@", f"keeper:{password}@")


def test_a_password_is_nowhere_to_be_seen(guarded: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with closing(PostgresEngine(with_password(guarded, "correct%20horse"), QUERIES)) as engine:
        described = engine.describe()
    assert described.startswith("PostgreSQL ")
    assert "127.0.0.1:" in described
    with pytest.raises(StorageError) as refused:
        PostgresEngine(with_password(guarded, "wrong%20horse"), QUERIES)
    assert "password authentication failed" in refused.value.detail
    for shown in (described, refused.value.detail, str(refused.value), caplog.text):
        assert "horse" not in shown


def test_no_password_is_refused_with_a_sentence(guarded: str) -> None:
    with pytest.raises(StorageError, match="password") as refused:
        PostgresEngine(guarded, QUERIES)
    assert "127.0.0.1:" in refused.value.detail


def test_a_wrong_port_is_named() -> None:
    port = free_port()
    with pytest.raises(StorageError) as refused:
        PostgresEngine(f"postgresql://jane:correct-horse@127.0.0.1:{port}/memory", QUERIES)
    assert f"PostgreSQL at 127.0.0.1:{port}/memory cannot be used" in refused.value.detail
    assert "Check that it is running" in refused.value.detail
    assert "horse" not in refused.value.detail


def test_a_wrong_database_is_named() -> None:
    url = postgres_server().new_database()
    wrong = url.replace("userkeep_test_", "userkeep_nowhere_")
    with pytest.raises(StorageError) as refused:
        PostgresEngine(wrong, QUERIES)
    assert "userkeep_nowhere_" in refused.value.detail
    assert "does not exist" in refused.value.detail
    assert "that the database exists" in refused.value.detail


@pytest.mark.parametrize(
    "wrong",
    [
        "postgresql://jane:correct-horse@127.0.0.1:port/memory",
        "postgresql://jane:correct-horse@127.0.0.1/memory?nonsense=1",
        "postgresql://jane:correct-horse@[::1/memory",
        "postgresql://jane:correct-horse@127.0.0.1/memory?connect_timeout=soon",
        "postgresql://jane:correct%ZZhorse@127.0.0.1/memory",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_with_a_sentence_and_without_its_password(
    wrong: str,
) -> None:
    with pytest.raises(StorageError) as refused:
        PostgresEngine(wrong, QUERIES)
    assert refused.value.detail.endswith(".")
    assert "horse" not in refused.value.detail


def test_a_database_that_can_only_be_read_is_refused_or_says_so(
    url: str, open_engine: OpenEngine
) -> None:
    engine = open_engine()
    engine.write(make)
    name = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(
                sql.Identifier(name)
            )
        )
    later = open_engine()
    assert later.read(count) == 0
    with pytest.raises(Unavailable, match="read-only at the moment"):
        later.write(note("not now"))
