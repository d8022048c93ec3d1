"""Writes: durable before they are answered, whole or not at all, once."""

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

from tests.storage.elsewhere import run_elsewhere
from tests.storage.postgres.conftest import OpenEngine
from tests.storage.postgres.notes import (
    QUERIES,
    connections,
    gate_closed,
    make,
    note,
    noted,
    noted_in,
    setting,
    wait_at_gate,
    wait_until_at_gate,
)
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


def refuse(tx: Transaction) -> None:
    tx.execute("add_note", text="half done", now_at=tx.now)
    raise Conflict("not like this")


def answer_nobody(tx: Transaction) -> None:
    tx.execute("answer_note", answers=1_000_000, text="to nobody")


def set_default(url: str, name: str, value: str) -> None:
    """What connections to the database begin with from now on."""
    database = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                sql.Identifier(database), sql.Identifier(name), sql.Literal(value)
            )
        )


# Durable.


def test_a_write_is_seen_by_others_before_it_is_answered(engine: PostgresEngine, url: str) -> None:
    for n in range(5):
        engine.write(note(f"note {n}"))
        assert len(noted_in(url)) == n + 1


@pytest.mark.parametrize(
    ("default", "in_force"),
    [("off", "on"), ("local", "local"), ("remote_write", "remote_write"), ("on", "on")],
)
def test_a_commit_waits_for_the_disk_whatever_the_database_begins_with(
    url: str, open_engine: OpenEngine, default: str, in_force: str
) -> None:
    set_default(url, "synchronous_commit", default)
    engine = open_engine()
    assert engine.write(setting("synchronous_commit")) == in_force
    assert asyncio.run(engine.read_async(setting("synchronous_commit"))) == in_force


@pytest.mark.parametrize(
    ("name", "default", "in_force"),
    [
        ("default_transaction_isolation", "serializable", "read committed"),
        ("default_transaction_deferrable", "on", None),
    ],
)
def test_a_write_is_of_the_kind_it_needs_whatever_the_database_begins_with(
    url: str, open_engine: OpenEngine, name: str, default: str, in_force: str | None
) -> None:
    open_engine().write(make)
    set_default(url, name, default)
    engine = open_engine()
    engine.write(note("written"))
    assert noted(engine) == ["written"]
    if in_force:
        assert engine.write(setting("transaction_isolation")) == in_force


# Whole or not at all.


def test_an_operation_that_raises_leaves_nothing(engine: PostgresEngine) -> None:
    for _ in range(3):
        with pytest.raises(Conflict, match="not like this"):
            engine.write(refuse)
    engine.write(note("after"))
    assert noted(engine) == ["after"]


def test_a_row_that_the_database_refuses_leaves_nothing_of_its_operation(
    engine: PostgresEngine,
) -> None:
    def write_two(tx: Transaction) -> None:
        note("before the bad one")(tx)
        note("")(tx)

    with pytest.raises(SqlError, match="23514"):
        engine.write(write_two)
    engine.write(note("after"))
    assert noted(engine) == ["after"]


def test_one_bad_row_of_many_leaves_none(engine: PostgresEngine) -> None:
    def write_many(tx: Transaction) -> int:
        return tx.execute_many("add_note", [{"text": each, "now_at": tx.now} for each in "abc"])

    def write_bad(tx: Transaction) -> int:
        return tx.execute_many("add_note", [{"text": t, "now_at": tx.now} for t in ("a", "", "c")])

    with pytest.raises(SqlError, match="23514"):
        engine.write(write_bad)
    assert noted(engine) == []
    assert engine.write(write_many) == 3
    assert noted(engine) == ["a", "b", "c"]


def test_a_commit_that_fails_leaves_nothing_and_the_lane_goes_on(open_engine: OpenEngine) -> None:
    engine = open_engine(pool_size=1)
    engine.write(make)
    for n in range(3):
        with pytest.raises(SqlError, match="23503"):
            engine.write(answer_nobody)
        assert noted(engine) == [f"note {before}" for before in range(n)]
        engine.write(note(f"note {n}"))


def test_an_operation_that_hides_a_refused_statement_is_not_taken_for_done(
    engine: PostgresEngine,
) -> None:
    def carry_on(tx: Transaction) -> str:
        note("before")(tx)
        try:
            note("")(tx)
        except SqlError:
            return "all is well"
        raise AssertionError

    with pytest.raises(SqlError):
        engine.write(carry_on)
    assert noted(engine) == []


def test_a_write_that_asks_for_nothing_is_done(engine: PostgresEngine) -> None:
    assert engine.write(lambda _tx: "nothing") == "nothing"
    assert engine.read(lambda _tx: "nothing") == "nothing"


def test_what_an_operation_raises_may_be_anything(engine: PostgresEngine) -> None:
    def stop(_tx: Transaction) -> None:
        raise StopIteration

    async def ask() -> None:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await engine.write_async(stop)

    asyncio.run(ask())


# Who meets another.


def test_two_writers_that_wait_for_each_other_both_succeed(engine: PostgresEngine) -> None:
    engine.write(note("a"))
    engine.write(note("b"))
    both_hold_one = threading.Barrier(2)
    runs: list[str] = []

    def change(name: str, first: int, second: int) -> Operation[str]:
        def write(tx: Transaction) -> str:
            tx.execute("change_note", id=first, more=f" {name}")
            if name not in runs:
                runs.append(name)
                both_hold_one.wait(10)
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
    assert len(runs) == 3, "one of them was run again"
    for text in noted(engine):
        assert sorted(text.split()[1:]) == ["x", "y"]


def test_of_two_that_write_one_key_the_second_finds_what_the_first_wrote(
    engine: PostgresEngine,
) -> None:
    have_looked = threading.Barrier(2)
    first_looks: list[bool] = []

    def once(tx: Transaction) -> str:
        if tx.fetch_one("has_key", int, key="k"):
            return "found"
        first_looks.append(True)
        if len(first_looks) <= 2:
            have_looked.wait(10)
        tx.execute("add_note_once", text="written", key="k")
        return "written"

    with ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(engine.write, once) for _ in range(2)]
        assert sorted(each.result(20) for each in writing) == ["found", "written"]
    assert noted(engine) == ["written"]


def test_of_two_requests_with_one_idempotency_key_on_two_servers_one_is_carried_out(
    open_engine: OpenEngine,
) -> None:
    engines = [open_engine(), open_engine()]
    have_begun = threading.Barrier(2)

    def perform(engine: PostgresEngine, number: int) -> Any:
        user = NewUser(user_id=f"jane {number}")
        call = Call(ids={}, body=user, idempotency_key=f"{number}", request=b"add jane")
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


# Who waits.


def test_too_many_that_wait_are_refused_and_the_others_done(
    open_engine: OpenEngine, url: str
) -> None:
    engine = open_engine(pool_size=POOL_SIZE, queue_limit=3)
    engine.write(make)

    async def ask() -> list[Any]:
        with gate_closed(url):
            at_gate = [
                asyncio.ensure_future(engine.write_async(wait_at_gate)) for _ in range(POOL_SIZE)
            ]
            await asyncio.to_thread(wait_until_at_gate, url, POOL_SIZE)
            waiting = [asyncio.ensure_future(engine.write_async(note(f"{n}"))) for n in range(5)]
            await asyncio.sleep(0.1)
        await asyncio.gather(*at_gate)
        return await asyncio.gather(*waiting, return_exceptions=True)

    outcomes = asyncio.run(ask())
    assert outcomes[:3] == ["0", "1", "2"]
    for refused in outcomes[3:]:
        assert isinstance(refused, Unavailable)
        assert "Too many requests" in refused.detail
    assert sorted(noted(engine)) == outcomes[:3]
    engine.write(note("there is room again"))


def test_threads_that_wait_are_bounded_too(open_engine: OpenEngine, url: str) -> None:
    engine = open_engine(pool_size=1, queue_limit=3)
    engine.write(make)
    with ThreadPoolExecutor(9) as pool:
        with gate_closed(url):
            at_gate = pool.submit(engine.write, wait_at_gate)
            wait_until_at_gate(url, 1)
            asked = [pool.submit(engine.write, note(f"{n}")) for n in range(8)]
            sleep(0.3)
        at_gate.result(20)
        refused = [each for each in asked if isinstance(each.exception(20), Unavailable)]
    assert len(refused) == 5
    assert len(noted(engine)) == 3


def test_those_who_wait_for_lanes_that_are_busy_with_a_database_that_is_well_are_not_sent_away(
    open_engine: OpenEngine, url: str
) -> None:
    engine = open_engine(pool_size=1)
    engine.write(make)

    async def ask() -> list[Any]:
        with gate_closed(url):
            waiting: list[Any] = [asyncio.ensure_future(engine.write_async(wait_at_gate))]
            await asyncio.to_thread(wait_until_at_gate, url, 1)
            waiting += [asyncio.ensure_future(engine.write_async(note(f"{n}"))) for n in range(2)]
            await asyncio.sleep(2.2)
            waiting += [asyncio.ensure_future(engine.write_async(note("2")))]
            await asyncio.sleep(0.1)
        return await asyncio.gather(*waiting)

    assert asyncio.run(ask())[1:] == ["0", "1", "2"]


def test_as_many_operations_run_at_once_as_there_are_lanes(
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
                connections(url, "counted") == POOL_SIZE + LONG_READ_POOL_SIZE + PIPELINED_READERS
            )
        await all_

    asyncio.run(ask())


def test_a_write_runs_even_if_nobody_waits_for_it_any_more(
    open_engine: OpenEngine, url: str
) -> None:
    engine = open_engine(pool_size=1)
    engine.write(make)

    async def leave() -> None:
        with gate_closed(url):
            at_gate = asyncio.ensure_future(engine.write_async(wait_at_gate))
            await asyncio.to_thread(wait_until_at_gate, url, 1)
            left = asyncio.ensure_future(engine.write_async(note("left")))
            stayed = asyncio.ensure_future(engine.write_async(note("stayed")))
            await asyncio.sleep(0.05)
            left.cancel()
        await at_gate
        assert await stayed == "stayed"
        assert left.cancelled()

    asyncio.run(leave())
    assert noted(engine) == ["left", "stayed"]


def test_a_caller_who_leaves_in_the_middle_of_a_write_disturbs_nobody(
    open_engine: OpenEngine, url: str
) -> None:
    engine = open_engine(pool_size=1)
    engine.write(make)

    def write_at_gate(tx: Transaction) -> None:
        note("left")(tx)
        wait_at_gate(tx)

    async def leave() -> None:
        with gate_closed(url):
            left = asyncio.ensure_future(engine.write_async(write_at_gate))
            await asyncio.to_thread(wait_until_at_gate, url, 1)
            left.cancel()
            stayed = asyncio.ensure_future(engine.write_async(note("stayed")))
            await asyncio.sleep(0.05)
        assert await stayed == "stayed"
        assert left.cancelled()

    asyncio.run(leave())
    assert noted(engine) == ["left", "stayed"]


def test_loops_come_and_go(open_engine: OpenEngine, url: str) -> None:
    engine = open_engine(f"{url}&application_name=loops", pool_size=2)
    engine.write(make)
    for n in range(10):
        assert asyncio.run(engine.write_async(note(f"{n}"))) == f"{n}"
    assert noted(engine) == [f"{n}" for n in range(10)]
    assert connections(url, "loops") < 8


# The end.


def test_at_the_end_everybody_is_answered_and_what_is_answered_is_done(url: str) -> None:
    engine = PostgresEngine(url, QUERIES, pool_size=2)
    engine.write(make)
    with ThreadPoolExecutor(8) as pool:
        with gate_closed(url):
            at_gate = [pool.submit(engine.write, wait_at_gate) for _ in range(2)]
            wait_until_at_gate(url, 2)
            asked = [pool.submit(engine.write, note(f"{n}")) for n in range(5)]
            sleep(0.2)
            closed = pool.submit(engine.close)
            sleep(0.2)
        assert [each.result(10) for each in at_gate] == [None, None]
        errors = [each.exception(10) for each in asked]
        closed.result(10)
    for error in errors:
        assert error is None or "shutting down" in str(error)
    done = [f"{n}" for n, error in enumerate(errors) if error is None]
    assert sorted(noted_in(url)) == done


def test_at_the_end_everybody_on_a_loop_is_answered_and_what_is_answered_is_done(url: str) -> None:
    async def ask() -> list[Any]:
        engine = PostgresEngine(url, QUERIES, pool_size=2)
        await engine.write_async(make)
        with gate_closed(url):
            waiting: list[Any] = [
                asyncio.ensure_future(engine.write_async(wait_at_gate)) for _ in range(2)
            ]
            await asyncio.to_thread(wait_until_at_gate, url, 2)
            waiting += [asyncio.ensure_future(engine.write_async(note(f"{n}"))) for n in range(5)]
            await asyncio.sleep(0.1)
            closed = asyncio.create_task(asyncio.to_thread(engine.close))
            await asyncio.sleep(0.2)
        await asyncio.wait_for(closed, 10)
        return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)

    outcomes = asyncio.run(ask())[2:]
    for outcome in outcomes:
        assert isinstance(outcome, str) or "shutting down" in str(outcome)
    assert sorted(noted_in(url)) == [each for each in outcomes if isinstance(each, str)]


def test_a_closed_engine_refuses_and_holds_no_connection(url: str) -> None:
    named = f"{url}&application_name=closed"
    with closing(PostgresEngine(named, QUERIES)) as engine:
        engine.write(make)
        assert connections(url, "closed") > 0
    refusals: list[Callable[[], object]] = [
        lambda: engine.write(note("late")),
        lambda: engine.read(note("late")),
        lambda: asyncio.run(engine.write_async(note("late"))),
        lambda: asyncio.run(engine.read_async(note("late"))),
        lambda: asyncio.run(engine.read_async(note("late"), is_bounded=False)),
    ]
    for refused in refusals:
        with pytest.raises(Unavailable, match="shutting down"):
            refused()
    assert noted_in(url) == []
    while connections(url, "closed"):
        sleep(0.01)  # the server takes its time to notice


def test_an_engine_can_be_closed_twice(engine: PostgresEngine) -> None:
    engine.close()
    engine.close()


def test_a_forked_process_is_told_to_open_the_database_again(url: str) -> None:
    code = """
    from tests.storage.postgres.notes import QUERIES, make, note, noted
    from userkeep.storage.postgres import PostgresEngine
    engine = PostgresEngine(sys.argv[1], QUERIES)
    engine.write(make)
    engine.write(note("before"))
    child = os.fork()
    if child == 0:
        for use in (lambda: engine.write(note("by the child")), lambda: noted(engine)):
            try:
                use()
            except UserkeepError as error:
                print(error.detail, flush=True)
        engine.close()
        again = PostgresEngine(sys.argv[1], QUERIES)
        again.write(note("by the child, who opened it again"))
        again.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    engine.write(note("after"))
    print(noted(engine))
    engine.close()
    """
    *told, seen = run_elsewhere(code, url).splitlines()
    assert len(told) == 2
    assert all("Open it again in the new process" in each for each in told)
    assert seen == "['before', 'by the child, who opened it again', 'after']"
