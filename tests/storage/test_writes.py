"""The writer lane: many operations in one commit, each as if it were alone."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

import apsw
import pytest

from tests.storage.conftest import OpenEngine
from tests.storage.notes import (
    commits_in_log,
    held,
    make,
    note,
    noted,
    noted_in,
    together,
)
from userkeep.domain.errors import Conflict, Unavailable
from userkeep.domain.transaction import Transaction
from userkeep.storage.sqlite import SqliteEngine


def refuse(tx: Transaction) -> None:
    tx.execute("add_note", text="half done", now_at=tx.now)
    raise Conflict("not like this")


def answer_nobody(tx: Transaction) -> None:
    tx.execute("answer_note", answers=1_000_000, text="to nobody")


def interrupt(tx: Transaction) -> None:
    tx.execute("add_note", text="before the interrupt", now_at=tx.now)
    tx.execute("add_and_interrupt", text="interrupted")


def test_writes_that_wait_together_are_one_commit(
    unhurried: None, engine: SqliteEngine, path: Path
) -> None:
    before = commits_in_log(path)
    texts = [f"note {n}" for n in range(50)]
    assert together(engine, *map(note, texts)) == texts
    assert commits_in_log(path) - before == 1
    assert noted(engine) == texts


def test_a_write_alone_is_one_commit(engine: SqliteEngine, path: Path) -> None:
    before = commits_in_log(path)
    engine.write(note("alone"))
    assert commits_in_log(path) - before == 1


def test_a_write_is_in_the_file_before_it_is_answered(engine: SqliteEngine, path: Path) -> None:
    for n in range(5):
        engine.write(note(f"note {n}"))
        assert len(noted_in(path)) == n + 1


def test_nobody_waits_for_a_crowd_of_slow_operations(engine: SqliteEngine, path: Path) -> None:
    def slow(tx: Transaction) -> None:
        sleep(0.015)
        tx.execute("add_note", text="slow", now_at=tx.now)

    before = commits_in_log(path)
    together(engine, *[slow] * 10)
    assert commits_in_log(path) - before >= 4


def test_threads_and_loops_share_a_group(unhurried: None, engine: SqliteEngine, path: Path) -> None:
    before = commits_in_log(path)
    with ThreadPoolExecutor(8) as pool:

        async def from_a_loop() -> list[str]:
            with held(engine):
                from_threads = [pool.submit(engine.write, note(f"thread {n}")) for n in range(8)]
                waiting = [
                    asyncio.ensure_future(engine.write_async(note(f"loop {n}"))) for n in (1, 2)
                ]
                await asyncio.sleep(0.2)
            await asyncio.gather(*waiting)
            return [future.result(10) for future in from_threads]

        assert asyncio.run(from_a_loop()) == [f"thread {n}" for n in range(8)]
    assert len(noted(engine)) == 10
    assert commits_in_log(path) - before == 1


def test_an_operation_that_raises_is_rolled_back_alone(
    unhurried: None, engine: SqliteEngine, path: Path
) -> None:
    before = commits_in_log(path)
    first, failed, last = together(engine, note("first"), refuse, note("last"))
    assert (first, last) == ("first", "last")
    assert isinstance(failed, Conflict)
    assert noted(engine) == ["first", "last"]
    assert commits_in_log(path) - before == 1


def test_an_operation_that_raises_with_nobody_beside_it_leaves_nothing(
    engine: SqliteEngine,
) -> None:
    with pytest.raises(Conflict, match="not like this"):
        engine.write(refuse)
    engine.write(note("after"))
    assert noted(engine) == ["after"]


def test_a_row_that_the_database_refuses_fails_its_own_operation(engine: SqliteEngine) -> None:
    first, failed, last = together(engine, note("first"), note(""), note("last"))
    assert (first, last) == ("first", "last")
    assert isinstance(failed, apsw.ConstraintError)
    assert noted(engine) == ["first", "last"]


def test_where_commit_fails_only_those_fail_that_fail_alone(engine: SqliteEngine) -> None:
    first, failed, last = together(engine, note("first"), answer_nobody, note("last"))
    assert (first, last) == ("first", "last")
    assert isinstance(failed, apsw.ConstraintError)
    assert noted(engine) == ["first", "last"]


def test_a_commit_that_fails_with_nobody_beside_it_leaves_nothing(engine: SqliteEngine) -> None:
    with pytest.raises(apsw.ConstraintError):
        engine.write(answer_nobody)
    engine.write(note("after"))
    assert noted(engine) == ["after"]


def test_an_interrupted_operation_fails_alone(interruptible: None, open_engine: OpenEngine) -> None:
    engine = open_engine()
    engine.write(make)
    first, failed, last = together(engine, note("first"), interrupt, note("last"))
    assert (first, last) == ("first", "last")
    assert isinstance(failed, Unavailable)
    assert "nothing was changed" in failed.detail
    assert noted(engine) == ["first", "last"]


def test_an_interrupt_with_nobody_beside_it_leaves_nothing(
    interruptible: None, open_engine: OpenEngine
) -> None:
    engine = open_engine()
    engine.write(make)
    with pytest.raises(Unavailable):
        engine.write(interrupt)
    engine.write(note("after"))
    assert noted(engine) == ["after"]


def test_an_operation_that_hides_the_end_of_its_transaction_changes_nothing(
    interruptible: None, open_engine: OpenEngine
) -> None:
    def carry_on(tx: Transaction) -> str:
        try:
            interrupt(tx)
        except apsw.InterruptError:
            return "all is well"
        raise AssertionError

    engine = open_engine()
    engine.write(make)
    first, failed, last = together(engine, note("first"), carry_on, note("last"))
    assert (first, last) == ("first", "last")
    assert isinstance(failed, Exception)
    assert noted(engine) == ["first", "last"]


def test_every_neighbour_of_the_broken_is_written_once(
    interruptible: None, open_engine: OpenEngine
) -> None:
    engine = open_engine()
    engine.write(make)
    texts = [f"note {n}" for n in range(40)]
    operations = [note(text) for text in texts]
    operations[7:7] = [interrupt, answer_nobody]  # type: ignore[list-item]
    operations[30:30] = [refuse, interrupt]  # type: ignore[list-item]
    outcomes = together(engine, *operations)
    assert [each for each in outcomes if isinstance(each, str)] == texts
    assert noted(engine) == texts


def test_too_many_waiting_writes_are_refused_and_the_others_done(open_engine: OpenEngine) -> None:
    engine = open_engine(queue_limit=3)
    engine.write(make)
    outcomes = together(engine, *[note(f"note {n}") for n in range(5)])
    assert outcomes[:3] == ["note 0", "note 1", "note 2"]
    for refused in outcomes[3:]:
        assert isinstance(refused, Unavailable)
        assert "Too many requests" in refused.detail
    assert noted(engine) == outcomes[:3]
    engine.write(note("there is room again"))


def test_a_write_runs_even_if_nobody_waits_for_it_any_more(engine: SqliteEngine) -> None:
    async def leave() -> None:
        with held(engine):
            left = asyncio.ensure_future(engine.write_async(note("left")))
            stayed = asyncio.ensure_future(engine.write_async(note("stayed")))
            await asyncio.sleep(0)
            left.cancel()
        assert await stayed == "stayed"
        assert left.cancelled()

    asyncio.run(leave())
    assert noted(engine) == ["left", "stayed"]


def test_a_write_runs_even_if_its_loop_has_ended(engine: SqliteEngine) -> None:
    async def ask() -> None:
        waiting = asyncio.ensure_future(engine.write_async(note("left")))
        await asyncio.sleep(0)
        assert not waiting.done()

    with held(engine):
        asyncio.run(ask())
    engine.write(note("after"))
    assert noted(engine) == ["left", "after"]


def test_a_locked_file_refuses_all_who_wait_at_once(
    impatient: float, open_engine: OpenEngine, path: Path
) -> None:
    engine = open_engine()
    engine.write(make)

    async def write_all() -> list[str | BaseException]:
        waiting = [engine.write_async(note(f"note {n}")) for n in range(20)]
        return await asyncio.gather(*waiting, return_exceptions=True)

    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN IMMEDIATE")
        began = monotonic()
        outcomes = asyncio.run(write_all())
        took = monotonic() - began
        other.execute("ROLLBACK")
    assert all(isinstance(each, Unavailable) for each in outcomes)
    assert "Another program has locked the database file" in str(outcomes[0])
    assert took < 10 * impatient, "they waited for the lock one after another"
    assert engine.write(note("after")) == "after"
    assert noted(engine) == ["after"]


def test_closing_runs_what_is_queued(open_engine: OpenEngine, path: Path) -> None:
    engine = open_engine()
    engine.write(make)
    texts = [f"note {n}" for n in range(20)]
    with ThreadPoolExecutor(21) as pool:
        with held(engine):
            asked = [pool.submit(engine.write, note(text)) for text in texts]
            sleep(0.2)
            closing = pool.submit(engine.close)
            sleep(0.1)
        assert [each.result(10) for each in asked] == texts
        closing.result(10)
    assert sorted(noted_in(path)) == sorted(texts)


def test_a_closed_engine_refuses_writes(engine: SqliteEngine, path: Path) -> None:
    engine.close()
    with pytest.raises(Unavailable, match="shutting down"):
        engine.write(note("late"))
    with pytest.raises(Unavailable, match="shutting down"):
        asyncio.run(engine.write_async(note("late")))
    assert noted_in(path) == []


def test_an_engine_can_be_closed_twice(engine: SqliteEngine) -> None:
    engine.close()
    engine.close()


def test_a_database_in_memory_reads_and_writes_as_a_file_does(open_engine: OpenEngine) -> None:
    engine = open_engine(":memory:")
    engine.write(make)
    first, failed, last = together(engine, note("first"), refuse, note("last"))
    assert (first, last) == ("first", "last")
    assert isinstance(failed, Conflict)
    assert noted(engine) == ["first", "last"]
    assert asyncio.run(engine.read_async(lambda tx: tx.fetch_one("count_notes", int))) == 2
