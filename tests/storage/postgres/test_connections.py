"""Connections that break, servers that change, URLs that are wrong."""

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
from tests.postgres import OwnPostgresServer, as_role, postgres_server
from tests.storage.postgres.conftest import OpenEngine
from tests.storage.postgres.notes import (
    QUERIES,
    add_note,
    backend_pid,
    connection_count,
    count,
    create_table,
    notes_in_database,
    read_notes,
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
    """Writes in a thread or on an event loop, always the same loop."""
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
def single_connection(open_engine: OpenEngine) -> PostgresEngine:
    """An engine with one connection for threads and one for a loop, and a table of notes."""
    engine = open_engine(pool_size=1)
    engine.write(create_table)
    return engine


# A connection breaks.


def test_a_connection_that_broke_while_idle_is_replaced(
    single_connection: PostgresEngine, url: str, write: Ask
) -> None:
    for n in range(3):
        terminate(url, write(single_connection, backend_pid))
        assert write(single_connection, add_note(f"{n}")) == f"{n}"
        terminate(url, write(single_connection, backend_pid))
        assert single_connection.read(count) == n + 1
    assert notes_in_database(url) == ["0", "1", "2"]


def test_an_operation_whose_connection_breaks_before_the_commit_is_retried_and_committed_once(
    single_connection: PostgresEngine, url: str, write: Ask
) -> None:
    runs: list[int] = []

    def write_and_lose_connection(tx: Transaction) -> int:
        add_note("first")(tx)
        runs.append(backend_pid(tx))
        if len(runs) == 1:
            terminate(url, runs[0])
        add_note("second")(tx)
        return len(runs)

    assert write(single_connection, write_and_lose_connection) == 2
    assert runs[0] != runs[1]
    assert notes_in_database(url) == ["first", "second"]


def test_an_operation_whose_connection_breaks_at_the_commit_does_not_succeed(
    single_connection: PostgresEngine, url: str, write: Ask
) -> None:
    # The server ends the transaction before COMMIT reaches it, which the engine cannot know.
    def write_and_lose_connection(tx: Transaction) -> None:
        add_note("lost")(tx)
        terminate(url, backend_pid(tx))

    with pytest.raises(Unavailable, match="may have happened or not"):
        write(single_connection, write_and_lose_connection)
    assert notes_in_database(url) == []
    write(single_connection, add_note("after"))
    assert notes_in_database(url) == ["after"]


def test_an_operation_that_breaks_every_connection_fails_in_the_end(
    single_connection: PostgresEngine, url: str
) -> None:
    def lose_connection(tx: Transaction) -> None:
        terminate(url, backend_pid(tx))
        add_note("never")(tx)

    with pytest.raises(Unavailable, match="unreachable"):
        single_connection.write(lose_connection)
    single_connection.write(add_note("after"))
    assert notes_in_database(url) == ["after"]


def test_a_read_whose_connection_breaks_is_retried(
    single_connection: PostgresEngine, url: str, write: Ask
) -> None:
    write(single_connection, add_note("there"))
    broken: list[int] = []

    def count_twice(tx: Transaction) -> int:
        first = count(tx)
        if len(broken) < 2:
            broken.append(backend_pid(tx))
            terminate(url, broken[-1])
        return first + count(tx)

    assert single_connection.read(count_twice) == 2
    broken.clear()
    assert asyncio.run(single_connection.read_async(count_twice)) == 2


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_a_lost_response_to_commit_is_reported_as_unknown(
    proxy: Proxy, write: Ask, reset: bool
) -> None:
    runs: list[None] = []

    def write_and_lose_response(tx: Transaction) -> None:
        runs.append(None)
        add_note("perhaps")(tx)
        proxy.drop_next_response(reset=reset)

    with closing(PostgresEngine(proxy.url, QUERIES, pool_size=1)) as engine:
        engine.write(create_table)
        write(engine, add_note("before"))  # now COMMIT is prepared, and is sent alone
        with pytest.raises(Unavailable) as error:
            write(engine, write_and_lose_response)
        assert "it may have happened or not" in error.value.detail
        assert "Idempotency-Key" in error.value.detail
        assert len(runs) == 1
        assert notes_in_database(proxy.direct_url) == ["before", "perhaps"]
        write(engine, add_note("after"))
    assert notes_in_database(proxy.direct_url) == ["before", "perhaps", "after"]


def test_an_error_at_the_commit_that_may_come_from_one_node_of_a_cluster_is_reported_as_unknown(
    single_connection: PostgresEngine, url: str, write: Ask
) -> None:
    rows(url, _FAIL_AT_COMMIT)
    rows(
        url,
        "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION fail_at_commit()",
    )
    with pytest.raises(Unavailable, match="may have happened or not"):
        write(single_connection, add_note("08006"))
    with pytest.raises(Unavailable, match=r"out of space.*nothing was changed"):
        write(single_connection, add_note("53100"))
    assert notes_in_database(url) == []


_FAIL_AT_COMMIT = """
CREATE FUNCTION fail_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a node does not answer' USING ERRCODE = NEW.text;
END $$
"""


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_a_lost_response_to_any_other_statement_is_retried_and_committed_once(
    proxy: Proxy, write: Ask, reset: bool
) -> None:
    runs: list[None] = []

    def write_and_lose_response(tx: Transaction) -> int:
        runs.append(None)
        if len(runs) == 1:
            proxy.drop_next_response(reset=reset)
        add_note("once")(tx)
        return len(runs)

    with closing(PostgresEngine(proxy.url, QUERIES, pool_size=1)) as engine:
        engine.write(create_table)
        write(engine, add_note("before"))
        assert write(engine, write_and_lose_response) == 2
    assert notes_in_database(proxy.direct_url) == ["before", "once"]


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_connection_that_is_reset_after_a_last_message_is_detected(
    proxy: Proxy, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    runs: list[None] = []

    def write_and_search(tx: Transaction) -> int:
        runs.append(None)
        add_note("once")(tx)
        if len(runs) == 1:
            search(60)(tx)
        return len(runs)

    async def ask(engine: PostgresEngine) -> int:
        asked = asyncio.ensure_future(engine.write_async(write_and_search))
        await asyncio.sleep(0.3)
        proxy.reset_after_warning()  # blocks the loop, which then sees all of it together
        return await asyncio.wait_for(asked, 10)

    with closing(PostgresEngine(proxy.url, QUERIES, pool_size=1)) as engine:
        engine.write(create_table)
        with asyncio.Runner(loop_factory=make_loop) as runner:
            assert runner.run(ask(engine)) == 2
    assert notes_in_database(proxy.direct_url) == ["once"]


# The server changes after a statement was prepared.


def test_statements_that_the_server_has_deallocated_are_prepared_again(
    single_connection: PostgresEngine, write: Ask
) -> None:
    write(single_connection, add_note("before"))
    for _ in range(3):
        deallocate_all(single_connection, write)
        write(single_connection, add_note("after"))
        assert single_connection.read(count) > 0
    assert read_notes(single_connection) == ["before", "after", "after", "after"]


class Row:
    """A row with any columns."""

    def __init__(self, *columns: object) -> None:
        self.columns = columns


def deallocate_all(engine: PostgresEngine, write: Ask) -> None:
    """Do as a pooler's DISCARD ALL does; in the first run, COMMIT is deallocated too."""
    runs: list[None] = []

    def deallocate(tx: Transaction) -> None:
        runs.append(None)
        if len(runs) == 1:
            tx.execute("deallocate_all")

    write(engine, deallocate)
    assert len(runs) == 2


def test_a_table_that_changes_after_a_statement_was_prepared_is_read_correctly(
    single_connection: PostgresEngine, url: str, write: Ask
) -> None:
    def whole(tx: Transaction) -> int:
        return len(tx.fetch_all("whole_notes", Row)[0].columns)

    write(single_connection, add_note("there"))
    columns = single_connection.read(whole)
    assert asyncio.run(single_connection.read_async(whole)) == columns
    assert write(single_connection, whole) == columns
    rows(url, "ALTER TABLE notes ADD COLUMN more text")
    assert write(single_connection, whole) == columns + 1
    assert single_connection.read(whole) == columns + 1
    assert asyncio.run(single_connection.read_async(whole)) == columns + 1


def test_a_column_added_during_an_operation_does_no_harm(
    single_connection: PostgresEngine, url: str
) -> None:
    single_connection.write(lambda tx: tx.fetch_all("whole_notes", Row))
    runs: list[None] = []

    def write_and_read(tx: Transaction) -> int:
        runs.append(None)
        if len(runs) == 1:
            rows(url, "ALTER TABLE notes ADD COLUMN more text")
        add_note("written")(tx)
        return len(tx.fetch_all("whole_notes", Row))

    assert single_connection.write(write_and_read) == 1
    assert notes_in_database(url) == ["written"]


# The clock.


def test_time_does_not_go_back_at_a_restart(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened_at(microseconds: int) -> int:
        monkeypatch.setattr(clocks, "time_ns", lambda: microseconds * 1000)
        with closing(PostgresEngine(url, QUERIES)) as engine:
            return engine.write(lambda tx: int(tx.now))

    at_noon = opened_at(NOON)
    assert at_noon >= NOON
    earlier = opened_at(NOON - HOUR // 4)
    assert NOON < earlier < NOON + 1_000
    assert earlier < opened_at(NOON - HOUR // 2) < NOON + 1_000
    assert opened_at(NOON + HOUR) >= NOON + HOUR


def test_a_server_whose_clock_is_behind_does_not_set_the_saved_clock_back(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(PostgresEngine(url, QUERIES)) as behind:
        monkeypatch.setattr(clocks, "time_ns", lambda: NOON * 1000)
        PostgresEngine(url, QUERIES).close()
        monkeypatch.setattr(clocks, "time_ns", lambda: (NOON - HOUR // 2) * 1000)
        behind.write(lambda tx: tx.now)
    with closing(PostgresEngine(url, QUERIES)) as again:
        assert again.write(lambda tx: int(tx.now)) > NOON


def test_each_write_is_later_than_the_one_before_while_the_system_clock_stands_still(
    engine: PostgresEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "time_ns", lambda: NOON * 1000)
    for n in range(5):
        engine.write(add_note(f"{n}"))
    times = engine.read(lambda tx: tx.fetch_all("times", int))
    assert times == sorted(set(times))


# The URL.


def with_parameter(url: str, parameter: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{parameter}"


def test_the_default_application_name_is_userkeep(engine: PostgresEngine, url: str) -> None:
    assert engine.write(setting("application_name")) == "userkeep"
    assert connection_count(url, "userkeep") > 0


def test_the_url_can_set_the_application_name(url: str, open_engine: OpenEngine) -> None:
    engine = open_engine(with_parameter(url, "application_name=memory"))
    assert engine.write(setting("application_name")) == "memory"


def test_the_url_can_set_server_settings(url: str, open_engine: OpenEngine) -> None:
    engine = open_engine(with_parameter(url, "options=-cwork_mem%3D12345kB"))
    assert engine.write(setting("work_mem")) == "12345kB"


def test_the_next_of_several_servers_is_used_when_the_first_is_down(
    own_server: OwnPostgresServer, open_engine: OpenEngine
) -> None:
    url = own_server.new_database()
    several = url.replace("@127.0.0.1", f"@127.0.0.1:{free_port()},127.0.0.1")
    engine = open_engine(several, pool_size=1)
    engine.write(create_table)
    terminate(url, asyncio.run(engine.write_async(backend_pid)))
    terminate(url, engine.write(backend_pid))
    assert asyncio.run(engine.write_async(add_note("there"))) == "there"
    assert engine.write(search(0.7)) == 1, "a slow server is probed"
    assert notes_in_database(url) == ["there"]


@pytest.fixture(scope="module")
def password_required() -> Iterator[str]:
    """The URL of a database that requires a password, without the password."""
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
                break  # from now on it requires a password
            sleep(0.05)
        yield url


def with_password(url: str, password: str) -> str:
    return url.replace("keeper@", f"keeper:{password}@")


def test_a_password_is_never_shown(
    password_required: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with closing(
        PostgresEngine(with_password(password_required, "correct%20horse"), QUERIES)
    ) as engine:
        described = engine.describe()
    assert described.startswith("PostgreSQL ")
    assert "127.0.0.1:" in described
    with pytest.raises(StorageError) as error:
        PostgresEngine(with_password(password_required, "wrong%20horse"), QUERIES)
    assert "password authentication failed" in error.value.detail
    for shown in (described, error.value.detail, str(error.value), caplog.text):
        assert "horse" not in shown


def test_a_missing_password_is_rejected_with_an_explanation(password_required: str) -> None:
    with pytest.raises(StorageError, match="password") as error:
        PostgresEngine(password_required, QUERIES)
    assert "127.0.0.1:" in error.value.detail


def test_an_error_names_the_wrong_port() -> None:
    port = free_port()
    with pytest.raises(StorageError) as error:
        PostgresEngine(f"postgresql://jane:correct-horse@127.0.0.1:{port}/memory", QUERIES)
    assert f"PostgreSQL at 127.0.0.1:{port}/memory cannot be used" in error.value.detail
    assert "Check that it is running" in error.value.detail
    assert "horse" not in error.value.detail


def test_an_error_names_the_wrong_database() -> None:
    url = postgres_server().new_database()
    wrong = url.replace("userkeep_test_", "userkeep_nowhere_")
    with pytest.raises(StorageError) as error:
        PostgresEngine(wrong, QUERIES)
    assert "userkeep_nowhere_" in error.value.detail
    assert "does not exist" in error.value.detail
    assert "that the database exists" in error.value.detail


def test_a_server_without_a_free_connection_is_explained() -> None:
    url, role = postgres_server().new_database(), postgres_server().new_role()
    with psycopg.connect(url, autocommit=True) as connection:
        limit = sql.SQL("ALTER ROLE {} CONNECTION LIMIT 0").format(sql.Identifier(role))
        connection.execute(limit)
    with pytest.raises(StorageError, match="too many connections for role") as error:
        PostgresEngine(as_role(url, role), QUERIES)
    assert "lower USERKEEP_POSTGRES_POOL_SIZE" in error.value.detail
    assert "that it is running" not in error.value.detail


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
def test_an_invalid_url_is_rejected_with_an_explanation_without_its_password(
    wrong: str,
) -> None:
    with pytest.raises(StorageError) as error:
        PostgresEngine(wrong, QUERIES)
    assert error.value.detail.endswith(".")
    assert "horse" not in error.value.detail


def test_writes_to_a_read_only_database_fail_with_an_explanation(
    url: str, open_engine: OpenEngine
) -> None:
    engine = open_engine()
    engine.write(create_table)
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
        later.write(add_note("not now"))
