"""The writer: many operations in one commit, each independent of the others."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

import apsw
import pytest

from tests.storage.conftest import OpenEngine
from tests.storage.notes import (
    add_note,
    commits_in_wal,
    create_table,
    notes_in_file,
    read_notes,
    run_in_one_group,
    writer_blocked,
)
from userkeep.domain.errors import Conflict, Unavailable
from userkeep.domain.transaction import Operation, Transaction
from userkeep.storage.sqlite import SqliteEngine


def fail(tx: Transaction) -> None:
    tx.execute("add_note", text="half done", now_at=tx.now)
    raise Conflict("not like this")


def reply_to_missing_note(tx: Transaction) -> None:
    tx.execute("answer_note", answers=1_000_000, text="a reply")


def interrupt(tx: Transaction) -> None:
    tx.execute("add_note", text="before the interrupt", now_at=tx.now)
    tx.execute("add_and_interrupt", text="interrupted")


def test_waiting_writes_share_one_commit(
    unlimited_group_time: None, engine: SqliteEngine, path: Path
) -> None:
    before = commits_in_wal(path)
    texts = [f"note {n}" for n in range(50)]
    assert run_in_one_group(engine, *map(add_note, texts)) == texts
    assert commits_in_wal(path) - before == 1
    assert read_notes(engine) == texts


def test_a_single_write_is_one_commit(engine: SqliteEngine, path: Path) -> None:
    before = commits_in_wal(path)
    engine.write(add_note("alone"))
    assert commits_in_wal(path) - before == 1


def test_a_write_is_in_the_file_before_it_returns(engine: SqliteEngine, path: Path) -> None:
    for n in range(5):
        engine.write(add_note(f"note {n}"))
        assert len(notes_in_file(path)) == n + 1


def test_slow_operations_are_committed_in_several_groups(engine: SqliteEngine, path: Path) -> None:
    def slow(tx: Transaction) -> None:
        sleep(0.015)
        tx.execute("add_note", text="slow", now_at=tx.now)

    before = commits_in_wal(path)
    run_in_one_group(engine, *[slow] * 10)
    assert commits_in_wal(path) - before >= 4


def test_threads_and_event_loops_share_a_group(
    unlimited_group_time: None, engine: SqliteEngine, path: Path
) -> None:
    before = commits_in_wal(path)
    with ThreadPoolExecutor(8) as pool:

        async def from_a_loop() -> list[str]:
            with writer_blocked(engine):
                from_threads = [
                    pool.submit(engine.write, add_note(f"thread {n}")) for n in range(8)
                ]
                waiting = [
                    asyncio.ensure_future(engine.write_async(add_note(f"loop {n}"))) for n in (1, 2)
                ]
                await asyncio.sleep(0.2)
            await asyncio.gather(*waiting)
            return [future.result(10) for future in from_threads]

        assert asyncio.run(from_a_loop()) == [f"thread {n}" for n in range(8)]
    assert len(read_notes(engine)) == 10
    assert commits_in_wal(path) - before == 1


def test_only_the_operation_that_raises_is_rolled_back(
    unlimited_group_time: None, engine: SqliteEngine, path: Path
) -> None:
    before = commits_in_wal(path)
    first, failed, last = run_in_one_group(engine, add_note("first"), fail, add_note("last"))
    assert (first, last) == ("first", "last")
    assert isinstance(failed, Conflict)
    assert read_notes(engine) == ["first", "last"]
    assert commits_in_wal(path) - before == 1


def test_a_single_operation_that_raises_is_rolled_back(
    engine: SqliteEngine,
) -> None:
    with pytest.raises(Conflict, match="not like this"):
        engine.write(fail)
    engine.write(add_note("after"))
    assert read_notes(engine) == ["after"]


def test_only_the_operation_with_an_invalid_row_fails(engine: SqliteEngine) -> None:
    first, failed, last = run_in_one_group(
        engine, add_note("first"), add_note(""), add_note("last")
    )
    assert (first, last) == ("first", "last")
    assert isinstance(failed, apsw.ConstraintError)
    assert read_notes(engine) == ["first", "last"]


def test_only_the_operation_at_fault_fails_when_the_group_commit_fails(
    engine: SqliteEngine,
) -> None:
    first, failed, last = run_in_one_group(
        engine, add_note("first"), reply_to_missing_note, add_note("last")
    )
    assert (first, last) == ("first", "last")
    assert isinstance(failed, apsw.ConstraintError)
    assert read_notes(engine) == ["first", "last"]


def test_a_single_operation_whose_commit_fails_is_rolled_back(engine: SqliteEngine) -> None:
    with pytest.raises(apsw.ConstraintError):
        engine.write(reply_to_missing_note)
    engine.write(add_note("after"))
    assert read_notes(engine) == ["after"]


def test_only_the_interrupted_operation_fails(interruptible: None, open_engine: OpenEngine) -> None:
    engine = open_engine()
    engine.write(create_table)
    first, failed, last = run_in_one_group(engine, add_note("first"), interrupt, add_note("last"))
    assert (first, last) == ("first", "last")
    assert isinstance(failed, Unavailable)
    assert "nothing was changed" in failed.detail
    assert read_notes(engine) == ["first", "last"]


def test_a_single_interrupted_operation_is_rolled_back(
    interruptible: None, open_engine: OpenEngine
) -> None:
    engine = open_engine()
    engine.write(create_table)
    with pytest.raises(Unavailable):
        engine.write(interrupt)
    engine.write(add_note("after"))
    assert read_notes(engine) == ["after"]


def test_an_operation_that_hides_an_aborted_transaction_changes_nothing(
    interruptible: None, open_engine: OpenEngine
) -> None:
    def hide_error(tx: Transaction) -> str:
        try:
            interrupt(tx)
        except apsw.InterruptError:
            return "all is well"
        raise AssertionError

    engine = open_engine()
    engine.write(create_table)
    first, failed, last = run_in_one_group(engine, add_note("first"), hide_error, add_note("last"))
    assert (first, last) == ("first", "last")
    assert isinstance(failed, Exception)
    assert read_notes(engine) == ["first", "last"]


def test_every_other_operation_of_a_group_with_failures_is_written_once(
    interruptible: None, open_engine: OpenEngine
) -> None:
    engine = open_engine()
    engine.write(create_table)
    texts = [f"note {n}" for n in range(40)]
    operations = [add_note(text) for text in texts]
    operations[7:7] = [interrupt, reply_to_missing_note]  # type: ignore[list-item]
    operations[30:30] = [fail, interrupt]  # type: ignore[list-item]
    outcomes = run_in_one_group(engine, *operations)
    assert [each for each in outcomes if isinstance(each, str)] == texts
    assert read_notes(engine) == texts


def test_writes_beyond_the_queue_limit_are_rejected_and_the_others_are_written(
    open_engine: OpenEngine,
) -> None:
    engine = open_engine(queue_limit=3)
    engine.write(create_table)
    outcomes = run_in_one_group(engine, *[add_note(f"note {n}") for n in range(5)])
    assert outcomes[:3] == ["note 0", "note 1", "note 2"]
    for rejected in outcomes[3:]:
        assert isinstance(rejected, Unavailable)
        assert "Too many requests" in rejected.detail
    assert read_notes(engine) == outcomes[:3]
    engine.write(add_note("there is room again"))


def test_a_write_runs_even_if_its_caller_has_left(engine: SqliteEngine) -> None:
    async def leave() -> None:
        with writer_blocked(engine):
            left = asyncio.ensure_future(engine.write_async(add_note("left")))
            stayed = asyncio.ensure_future(engine.write_async(add_note("stayed")))
            await asyncio.sleep(0)
            left.cancel()
        assert await stayed == "stayed"
        assert left.cancelled()

    asyncio.run(leave())
    assert read_notes(engine) == ["left", "stayed"]


def test_a_write_runs_even_if_its_event_loop_has_ended(engine: SqliteEngine) -> None:
    async def ask() -> None:
        waiting = asyncio.ensure_future(engine.write_async(add_note("left")))
        await asyncio.sleep(0)
        assert not waiting.done()

    with writer_blocked(engine):
        asyncio.run(ask())
    engine.write(add_note("after"))
    assert read_notes(engine) == ["left", "after"]


def test_a_locked_file_fails_all_waiting_writes_at_the_same_time(
    short_busy_timeout: float, open_engine: OpenEngine, path: Path
) -> None:
    engine = open_engine()
    engine.write(create_table)

    async def write_all() -> list[str | BaseException]:
        waiting = [engine.write_async(add_note(f"note {n}")) for n in range(20)]
        return await asyncio.gather(*waiting, return_exceptions=True)

    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN IMMEDIATE")
        began = monotonic()
        outcomes = asyncio.run(write_all())
        took = monotonic() - began
        other.execute("ROLLBACK")
    assert all(isinstance(each, Unavailable) for each in outcomes)
    assert "Another program has locked the database file" in str(outcomes[0])
    assert took < 10 * short_busy_timeout, "they waited for the lock one after another"
    assert engine.write(add_note("after")) == "after"
    assert read_notes(engine) == ["after"]


def test_closing_runs_queued_writes(open_engine: OpenEngine, path: Path) -> None:
    engine = open_engine()
    engine.write(create_table)
    texts = [f"note {n}" for n in range(20)]
    with ThreadPoolExecutor(21) as pool:
        with writer_blocked(engine):
            asked = [pool.submit(engine.write, add_note(text)) for text in texts]
            sleep(0.2)
            closing = pool.submit(engine.close)
            sleep(0.1)
        assert [each.result(10) for each in asked] == texts
        closing.result(10)
    assert sorted(notes_in_file(path)) == sorted(texts)


def test_a_closed_engine_rejects_writes(engine: SqliteEngine, path: Path) -> None:
    engine.close()
    with pytest.raises(Unavailable, match="shutting down"):
        engine.write(add_note("late"))
    with pytest.raises(Unavailable, match="shutting down"):
        asyncio.run(engine.write_async(add_note("late")))
    assert notes_in_file(path) == []


def test_an_engine_can_be_closed_twice(engine: SqliteEngine) -> None:
    engine.close()
    engine.close()


def test_a_database_in_memory_reads_and_writes_like_a_file(open_engine: OpenEngine) -> None:
    engine = open_engine(":memory:")
    engine.write(create_table)
    first, failed, last = run_in_one_group(engine, add_note("first"), fail, add_note("last"))
    assert (first, last) == ("first", "last")
    assert isinstance(failed, Conflict)
    assert read_notes(engine) == ["first", "last"]
    assert asyncio.run(engine.read_async(lambda tx: tx.fetch_one("count_notes", int))) == 2


def test_a_short_write_waits_for_one_of_many_large_ones_only(engine: SqliteEngine) -> None:
    order: list[str] = []

    def note(name: str) -> Operation[None]:
        return lambda _tx: order.append(name)

    async def crowd() -> None:
        with writer_blocked(engine):
            large = [
                asyncio.ensure_future(engine.write_async(note(f"large {n}"), is_bounded=False))
                for n in range(5)
            ]
            await asyncio.sleep(0)
            short = asyncio.ensure_future(engine.write_async(note("short")))
            await asyncio.sleep(0)
        await asyncio.gather(short, *large)

    asyncio.run(crowd())
    assert order == ["large 0", "short", "large 1", "large 2", "large 3", "large 4"]
