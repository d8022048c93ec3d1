"""Writes: durable before they return, completely or not at all, and once."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from time import sleep
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.storage.postgres.conftest import OpenEngine
from tests.storage.postgres.notes import (
    QUERIES,
    add_note,
    connection_count,
    create_table,
    gate_closed,
    notes_in_database,
    read_notes,
    setting,
    wait_at_gate,
    wait_until_at_gate,
)
from tests.storage.subprocesses import run_in_subprocess
from userkeep.config import Settings
from userkeep.domain.errors import Conflict, Unavailable
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Operation, Transaction
from userkeep.domain.user import NewUser
from userkeep.handlers.calls import Call, ReplayedResponse
from userkeep.handlers.table import HANDLERS
from userkeep.instance import make_rules
from userkeep.storage.postgres import PostgresEngine
from userkeep.storage.postgres.engine import LONG_READ_POOL_SIZE, PIPELINED_READERS
from userkeep.storage.postgres.errors import SqlError

POOL_SIZE = 3
SCOPE = Scope(1, make_rules(Settings(), b"a secret of the tests"))


def fail(tx: Transaction) -> None:
    tx.execute("add_note", text="half done", now_at=tx.now)
    raise Conflict("not like this")


def reply_to_missing_note(tx: Transaction) -> None:
    tx.execute("answer_note", answers=1_000_000, text="a reply")


def set_default(url: str, name: str, value: str) -> None:
    """Set the default of a setting for new connections to the database."""
    database = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                sql.Identifier(database), sql.Identifier(name), sql.Literal(value)
            )
        )


# Durability.


def test_a_write_is_visible_to_others_before_it_returns(engine: PostgresEngine, url: str) -> None:
    for n in range(5):
        engine.write(add_note(f"note {n}"))
        assert len(notes_in_database(url)) == n + 1


@pytest.mark.parametrize(
    ("default", "effective"),
    [("off", "on"), ("local", "local"), ("remote_write", "remote_write"), ("on", "on")],
)
def test_commits_are_durable_whatever_the_database_sets(
    url: str, open_engine: OpenEngine, default: str, effective: str
) -> None:
    set_default(url, "synchronous_commit", default)
    engine = open_engine()
    assert engine.write(setting("synchronous_commit")) == effective
    assert asyncio.run(engine.read_async(setting("synchronous_commit"))) == effective


@pytest.mark.parametrize(
    ("name", "default", "effective"),
    [
        ("default_transaction_isolation", "serializable", "read committed"),
        ("default_transaction_deferrable", "on", None),
    ],
)
def test_writes_are_read_committed_whatever_the_database_sets(
    url: str, open_engine: OpenEngine, name: str, default: str, effective: str | None
) -> None:
    open_engine().write(create_table)
    set_default(url, name, default)
    engine = open_engine()
    engine.write(add_note("written"))
    assert read_notes(engine) == ["written"]
    if effective:
        assert engine.write(setting("transaction_isolation")) == effective


# Atomicity.


def test_an_operation_that_raises_is_rolled_back(engine: PostgresEngine) -> None:
    for _ in range(3):
        with pytest.raises(Conflict, match="not like this"):
            engine.write(fail)
    engine.write(add_note("after"))
    assert read_notes(engine) == ["after"]


def test_an_operation_with_an_invalid_row_is_rolled_back(
    engine: PostgresEngine,
) -> None:
    def write_two(tx: Transaction) -> None:
        add_note("before the invalid one")(tx)
        add_note("")(tx)

    with pytest.raises(SqlError, match="23514"):
        engine.write(write_two)
    engine.write(add_note("after"))
    assert read_notes(engine) == ["after"]


def test_one_invalid_row_of_many_rolls_back_all(engine: PostgresEngine) -> None:
    def write_many(tx: Transaction) -> int:
        return tx.execute_many("add_note", [{"text": each, "now_at": tx.now} for each in "abc"])

    def write_invalid(tx: Transaction) -> int:
        return tx.execute_many("add_note", [{"text": t, "now_at": tx.now} for t in ("a", "", "c")])

    with pytest.raises(SqlError, match="23514"):
        engine.write(write_invalid)
    assert read_notes(engine) == []
    assert engine.write(write_many) == 3
    assert read_notes(engine) == ["a", "b", "c"]


def test_a_failed_commit_is_rolled_back_and_the_connection_stays_usable(
    open_engine: OpenEngine,
) -> None:
    engine = open_engine(pool_size=1)
    engine.write(create_table)
    for n in range(3):
        with pytest.raises(SqlError, match="23503"):
            engine.write(reply_to_missing_note)
        assert read_notes(engine) == [f"note {before}" for before in range(n)]
        engine.write(add_note(f"note {n}"))


def test_an_operation_that_hides_a_failed_statement_does_not_succeed(
    engine: PostgresEngine,
) -> None:
    def hide_error(tx: Transaction) -> str:
        add_note("before")(tx)
        try:
            add_note("")(tx)
        except SqlError:
            return "all is well"
        raise AssertionError

    with pytest.raises(SqlError):
        engine.write(hide_error)
    assert read_notes(engine) == []


def test_an_operation_without_statements_succeeds(engine: PostgresEngine) -> None:
    assert engine.write(lambda _tx: "nothing") == "nothing"
    assert engine.read(lambda _tx: "nothing") == "nothing"


def test_an_operation_may_raise_any_exception(engine: PostgresEngine) -> None:
    def stop(_tx: Transaction) -> None:
        raise StopIteration

    async def ask() -> None:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await engine.write_async(stop)

    asyncio.run(ask())


# Conflicts.


def test_two_writers_in_a_deadlock_both_succeed(engine: PostgresEngine) -> None:
    engine.write(add_note("a"))
    engine.write(add_note("b"))
    both_have_locked_one = threading.Barrier(2)
    runs: list[str] = []

    def change(name: str, first: int, second: int) -> Operation[str]:
        def write(tx: Transaction) -> str:
            tx.execute("change_note", id=first, more=f" {name}")
            if name not in runs:
                runs.append(name)
                both_have_locked_one.wait(10)
            else:
                runs.append(name)
            tx.execute("change_note", id=second, more=f" {name}")
            return name

        return write

    with ThreadPoolExecutor(2) as pool:
        writing = [
            pool.submit(engine.write, change("x", 1, 2)),
            pool.submit(engine.write, change("y", 2, 1)),
        ]
        assert [each.result(20) for each in writing] == ["x", "y"]
    assert len(runs) > 2, "one of them was run again"
    for text in read_notes(engine):
        assert sorted(text.split()[1:]) == ["x", "y"]


def test_the_second_of_two_writers_of_one_key_finds_the_row_of_the_first(
    engine: PostgresEngine,
) -> None:
    have_checked = threading.Barrier(2)
    first_checks: list[bool] = []

    def once(tx: Transaction) -> str:
        if tx.fetch_one("has_key", int, key="k"):
            return "found"
        first_checks.append(True)
        if len(first_checks) <= 2:
            have_checked.wait(10)
        tx.execute("add_note_once", text="written", key="k")
        return "written"

    with ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(engine.write, once) for _ in range(2)]
        assert sorted(each.result(20) for each in writing) == ["found", "written"]
    assert read_notes(engine) == ["written"]


def test_one_of_two_requests_with_one_idempotency_key_on_two_servers_runs(
    open_engine: OpenEngine,
) -> None:
    engines = [open_engine(), open_engine()]
    have_begun = threading.Barrier(2)

    def perform(engine: PostgresEngine, number: int) -> Any:
        user = NewUser(user_id=f"jane {number}")
        call = Call(
            scope=SCOPE, ids={}, body=user, idempotency_key=f"{number}", request_hash="add jane"
        )
        runs: list[None] = []

        def write(tx: Transaction) -> Any:
            runs.append(None)
            if len(runs) == 1:
                have_begun.wait(10)
            return HANDLERS["users.add"](tx.in_scope(SCOPE), call)

        return engine.write(write)

    for number in range(20):
        with ThreadPoolExecutor(2) as pool:
            sent = [pool.submit(perform, engine, number) for engine in engines]
            results = [each.result(20) for each in sent]
        assert [isinstance(each, ReplayedResponse) for each in results].count(True) == 1
        uuids = {
            (each.value if isinstance(each, ReplayedResponse) else each).uuid for each in results
        }
        assert len(uuids) == 1


# Waiting.


def test_operations_beyond_the_queue_limit_are_rejected_and_the_others_run(
    open_engine: OpenEngine, url: str
) -> None:
    engine = open_engine(pool_size=POOL_SIZE, queue_limit=3)
    engine.write(create_table)

    async def ask() -> list[Any]:
        with gate_closed(url):
            at_gate = [
                asyncio.ensure_future(engine.write_async(wait_at_gate)) for _ in range(POOL_SIZE)
            ]
            await asyncio.to_thread(wait_until_at_gate, url, POOL_SIZE)
            waiting = [
                asyncio.ensure_future(engine.write_async(add_note(f"{n}"))) for n in range(5)
            ]
            await asyncio.sleep(0.1)
        await asyncio.gather(*at_gate)
        return await asyncio.gather(*waiting, return_exceptions=True)

    outcomes = asyncio.run(ask())
    assert outcomes[:3] == ["0", "1", "2"]
    for rejected in outcomes[3:]:
        assert isinstance(rejected, Unavailable)
        assert "Too many requests" in rejected.detail
    assert sorted(read_notes(engine)) == outcomes[:3]
    engine.write(add_note("there is room again"))


def test_the_queue_limit_holds_for_threads_too(open_engine: OpenEngine, url: str) -> None:
    engine = open_engine(pool_size=1, queue_limit=3)
    engine.write(create_table)
    with ThreadPoolExecutor(9) as pool:
        with gate_closed(url):
            at_gate = pool.submit(engine.write, wait_at_gate)
            wait_until_at_gate(url, 1)
            asked = [pool.submit(engine.write, add_note(f"{n}")) for n in range(8)]
            sleep(0.3)
        at_gate.result(20)
        rejected = [each for each in asked if isinstance(each.exception(20), Unavailable)]
    assert len(rejected) == 5
    assert len(read_notes(engine)) == 3


def test_callers_waiting_for_busy_connections_are_not_rejected(
    open_engine: OpenEngine, url: str
) -> None:
    engine = open_engine(pool_size=1)
    engine.write(create_table)

    async def ask() -> list[Any]:
        with gate_closed(url):
            waiting: list[Any] = [asyncio.ensure_future(engine.write_async(wait_at_gate))]
            await asyncio.to_thread(wait_until_at_gate, url, 1)
            waiting += [
                asyncio.ensure_future(engine.write_async(add_note(f"{n}"))) for n in range(2)
            ]
            await asyncio.sleep(2.2)
            waiting += [asyncio.ensure_future(engine.write_async(add_note("2")))]
            await asyncio.sleep(0.1)
        return await asyncio.gather(*waiting)

    assert asyncio.run(ask())[1:] == ["0", "1", "2"]


def test_as_many_operations_run_concurrently_as_the_pool_has_connections(
    url: str, open_engine: OpenEngine
) -> None:
    engine = open_engine(f"{url}&application_name=counted", pool_size=POOL_SIZE)

    async def ask() -> None:
        with gate_closed(url):
            waiting = [engine.read_async(wait_at_gate) for _ in range(3 * POOL_SIZE)]
            waiting += [engine.read_async(wait_at_gate, is_bounded=False) for _ in range(5)]
            all_ = asyncio.gather(*waiting)
            await asyncio.to_thread(wait_until_at_gate, url, POOL_SIZE + LONG_READ_POOL_SIZE)
            await asyncio.sleep(0.2)
            wait_until_at_gate(url, POOL_SIZE + LONG_READ_POOL_SIZE)
            assert (
                connection_count(url, "counted")
                == POOL_SIZE + LONG_READ_POOL_SIZE + PIPELINED_READERS
            )
        await all_

    asyncio.run(ask())


def test_a_write_runs_even_if_its_caller_has_left(open_engine: OpenEngine, url: str) -> None:
    engine = open_engine(pool_size=1)
    engine.write(create_table)

    async def leave() -> None:
        with gate_closed(url):
            at_gate = asyncio.ensure_future(engine.write_async(wait_at_gate))
            await asyncio.to_thread(wait_until_at_gate, url, 1)
            left = asyncio.ensure_future(engine.write_async(add_note("left")))
            stayed = asyncio.ensure_future(engine.write_async(add_note("stayed")))
            await asyncio.sleep(0.05)
            left.cancel()
        await at_gate
        assert await stayed == "stayed"
        assert left.cancelled()

    asyncio.run(leave())
    assert read_notes(engine) == ["left", "stayed"]


def test_a_caller_that_leaves_during_a_write_does_not_affect_others(
    open_engine: OpenEngine, url: str
) -> None:
    engine = open_engine(pool_size=1)
    engine.write(create_table)

    def write_at_gate(tx: Transaction) -> None:
        add_note("left")(tx)
        wait_at_gate(tx)

    async def leave() -> None:
        with gate_closed(url):
            left = asyncio.ensure_future(engine.write_async(write_at_gate))
            await asyncio.to_thread(wait_until_at_gate, url, 1)
            left.cancel()
            stayed = asyncio.ensure_future(engine.write_async(add_note("stayed")))
            await asyncio.sleep(0.05)
        assert await stayed == "stayed"
        assert left.cancelled()

    asyncio.run(leave())
    assert read_notes(engine) == ["left", "stayed"]


def test_connections_of_ended_event_loops_are_closed(open_engine: OpenEngine, url: str) -> None:
    engine = open_engine(f"{url}&application_name=loops", pool_size=2)
    engine.write(create_table)
    for n in range(10):
        assert asyncio.run(engine.write_async(add_note(f"{n}"))) == f"{n}"
    assert read_notes(engine) == [f"{n}" for n in range(10)]
    assert connection_count(url, "loops") < 8


# Closing.


def test_closing_completes_or_rejects_every_write_of_a_thread(url: str) -> None:
    engine = PostgresEngine(url, QUERIES, pool_size=2)
    engine.write(create_table)
    with ThreadPoolExecutor(8) as pool:
        with gate_closed(url):
            at_gate = [pool.submit(engine.write, wait_at_gate) for _ in range(2)]
            wait_until_at_gate(url, 2)
            asked = [pool.submit(engine.write, add_note(f"{n}")) for n in range(5)]
            sleep(0.2)
            closed = pool.submit(engine.close)
            sleep(0.2)
        assert [each.result(10) for each in at_gate] == [None, None]
        errors = [each.exception(10) for each in asked]
        closed.result(10)
    for error in errors:
        assert error is None or "shutting down" in str(error)
    done = [f"{n}" for n, error in enumerate(errors) if error is None]
    assert sorted(notes_in_database(url)) == done


def test_closing_completes_or_rejects_every_write_on_an_event_loop(url: str) -> None:
    async def ask() -> list[Any]:
        engine = PostgresEngine(url, QUERIES, pool_size=2)
        await engine.write_async(create_table)
        with gate_closed(url):
            waiting: list[Any] = [
                asyncio.ensure_future(engine.write_async(wait_at_gate)) for _ in range(2)
            ]
            await asyncio.to_thread(wait_until_at_gate, url, 2)
            waiting += [
                asyncio.ensure_future(engine.write_async(add_note(f"{n}"))) for n in range(5)
            ]
            await asyncio.sleep(0.1)
            closed = asyncio.create_task(asyncio.to_thread(engine.close))
            await asyncio.sleep(0.2)
        await asyncio.wait_for(closed, 10)
        return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)

    outcomes = asyncio.run(ask())[2:]
    for outcome in outcomes:
        assert isinstance(outcome, str) or "shutting down" in str(outcome)
    assert sorted(notes_in_database(url)) == [each for each in outcomes if isinstance(each, str)]


def test_a_closed_engine_rejects_operations_and_has_no_connection(url: str) -> None:
    named = f"{url}&application_name=closed"
    with closing(PostgresEngine(named, QUERIES)) as engine:
        engine.write(create_table)
        assert connection_count(url, "closed") > 0
    calls: list[Callable[[], object]] = [
        lambda: engine.write(add_note("late")),
        lambda: engine.read(add_note("late")),
        lambda: asyncio.run(engine.write_async(add_note("late"))),
        lambda: asyncio.run(engine.read_async(add_note("late"))),
        lambda: asyncio.run(engine.read_async(add_note("late"), is_bounded=False)),
    ]
    for call in calls:
        with pytest.raises(Unavailable, match="shutting down"):
            call()
    assert notes_in_database(url) == []
    while connection_count(url, "closed"):
        sleep(0.01)  # the server notices it a little later


def test_an_engine_can_be_closed_twice(engine: PostgresEngine) -> None:
    engine.close()
    engine.close()


def test_a_forked_process_must_open_the_database_again(url: str) -> None:
    code = """
    from tests.storage.postgres.notes import QUERIES, create_table, add_note, read_notes
    from userkeep.storage.postgres import PostgresEngine
    engine = PostgresEngine(sys.argv[1], QUERIES)
    engine.write(create_table)
    engine.write(add_note("before"))
    child = os.fork()
    if child == 0:
        for use in (lambda: engine.write(add_note("by the child")), lambda: read_notes(engine)):
            try:
                use()
            except UserkeepError as error:
                print(error.detail, flush=True)
        engine.close()
        again = PostgresEngine(sys.argv[1], QUERIES)
        again.write(add_note("by the child, who opened it again"))
        again.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    engine.write(add_note("after"))
    print(read_notes(engine))
    engine.close()
    """
    *errors, notes = run_in_subprocess(code, url).splitlines()
    assert len(errors) == 2
    assert all("Open it again in the new process" in each for each in errors)
    assert notes == "['before', 'by the child, who opened it again', 'after']"
