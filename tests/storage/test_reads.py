"""Reads: each sees one snapshot, none waits for a writer, and long ones have a time limit."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from tests.storage.conftest import OpenEngine
from tests.storage.notes import add_note, create_table, read_notes, writer_blocked
from userkeep.domain.errors import Unavailable
from userkeep.domain.transaction import Transaction
from userkeep.storage.sqlite import SqliteEngine


def count(tx: Transaction) -> int:
    return tx.fetch_one("count_notes", int) or 0


def search_for_ever(tx: Transaction) -> int | None:
    return tx.fetch_one("search_for_ever", int)


def test_a_read_sees_one_snapshot_during_concurrent_writes(engine: SqliteEngine) -> None:
    engine.write(add_note("before"))
    has_counted, may_count_again = threading.Event(), threading.Event()

    def count_twice(tx: Transaction) -> tuple[int, int]:
        first = count(tx)
        has_counted.set()
        may_count_again.wait(10)
        return first, count(tx)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(engine.read, count_twice)
        has_counted.wait(10)
        for n in range(50):
            engine.write(add_note(f"note {n}"))
        may_count_again.set()
        assert reading.result(10) == (1, 1)
    assert engine.read(count) == 51


def test_a_read_in_a_reader_thread_sees_one_snapshot_during_concurrent_writes(
    engine: SqliteEngine,
) -> None:
    async def read_while_writing() -> tuple[int, int]:
        may_count_again = threading.Event()

        def count_twice(tx: Transaction) -> tuple[int, int]:
            first = count(tx)
            loop.call_soon_threadsafe(has_counted.set)
            may_count_again.wait(10)
            return first, count(tx)

        loop, has_counted = asyncio.get_running_loop(), asyncio.Event()
        reading = asyncio.ensure_future(engine.read_async(count_twice, is_bounded=False))
        await has_counted.wait()
        await asyncio.gather(*[engine.write_async(add_note(f"note {n}")) for n in range(50)])
        may_count_again.set()
        return await reading

    assert asyncio.run(read_while_writing()) == (0, 0)
    assert engine.read(count) == 50


def test_a_read_sees_every_write_that_has_returned(engine: SqliteEngine) -> None:
    async def write_and_read() -> None:
        for n in range(1, 30):
            await engine.write_async(add_note(f"note {n}"))
            assert await engine.read_async(count) == n
            assert await engine.read_async(count, is_bounded=False) == n

    asyncio.run(write_and_read())


def test_a_read_does_not_wait_for_the_writer(engine: SqliteEngine) -> None:
    async def read_in_a_lane() -> int:
        return await engine.read_async(count, is_bounded=False)

    with writer_blocked(engine):
        began = monotonic()
        assert engine.read(count) == 0
        assert asyncio.run(read_in_a_lane()) == 0
        assert monotonic() - began < 1


@pytest.mark.parametrize("is_bounded", [True, False])
def test_a_read_cannot_write(engine: SqliteEngine, is_bounded: bool) -> None:
    with pytest.raises(Unavailable):
        asyncio.run(engine.read_async(add_note("by a reader"), is_bounded=is_bounded))
    assert read_notes(engine) == []


def test_the_caller_gets_the_exception_of_a_read_and_the_next_read_works(
    engine: SqliteEngine,
) -> None:
    def fail(tx: Transaction) -> None:
        count(tx)
        raise LookupError("not like this")

    for _ in range(3):
        with pytest.raises(LookupError, match="not like this"):
            engine.read(fail)
        with pytest.raises(LookupError, match="not like this"):
            asyncio.run(engine.read_async(fail, is_bounded=False))
    engine.write(add_note("after"))
    assert read_notes(engine) == ["after"]


def test_a_long_read_is_stopped_with_an_explanation_and_the_next_one_works(
    open_engine: OpenEngine,
) -> None:
    engine = open_engine(read_limit_ms=200)
    engine.write(create_table)

    async def search() -> None:
        began = monotonic()
        with pytest.raises(
            Unavailable, match=r"took longer than 0\.2 s and was stopped"
        ) as stopped:
            await engine.read_async(search_for_ever, is_bounded=False)
        assert "match less" in stopped.value.detail
        assert 0.2 <= monotonic() - began < 5
        assert await engine.read_async(count, is_bounded=False) == 0

    for _ in range(3):
        asyncio.run(search())


def test_waiting_for_a_reader_thread_does_not_count_towards_the_time_limit(
    open_engine: OpenEngine,
) -> None:
    engine = open_engine(read_limit_ms=300)
    engine.write(create_table)

    async def crowd() -> list[int | BaseException | None]:
        operations = [search_for_ever, search_for_ever, search_for_ever, search_for_ever, count]
        reads = [engine.read_async(each, is_bounded=False) for each in operations]
        return await asyncio.gather(*reads, return_exceptions=True)

    *stopped, counted = asyncio.run(crowd())
    assert all(isinstance(each, Unavailable) for each in stopped)
    assert counted == 0


def test_long_reads_do_not_block_the_loop_or_writers(open_engine: OpenEngine) -> None:
    engine = open_engine(read_limit_ms=1_000)
    engine.write(create_table)

    async def write_concurrently() -> int:
        searches = [engine.read_async(search_for_ever, is_bounded=False) for _ in range(4)]
        searching = asyncio.gather(*searches, return_exceptions=True)
        written = 0
        while not searching.done():
            await engine.write_async(add_note(f"note {written}"))
            assert await engine.read_async(count) == written + 1
            written += 1
        return written

    assert asyncio.run(write_concurrently()) > 10


def test_many_threads_read_at_the_same_time(engine: SqliteEngine) -> None:
    all_threads = threading.Barrier(8, timeout=10)

    def meet(tx: Transaction) -> int:
        all_threads.wait()
        return count(tx)

    engine.write(add_note("one"))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: engine.read(meet), range(8))) == [1] * 8


def test_a_closed_engine_rejects_reads(engine: SqliteEngine) -> None:
    assert read_notes(engine) == []
    engine.close()
    with pytest.raises(Unavailable):
        read_notes(engine)


def test_a_closed_engine_rejects_reads_of_new_threads(
    engine: SqliteEngine,
) -> None:
    engine.close()
    with ThreadPoolExecutor(1) as pool, pytest.raises(Unavailable):
        pool.submit(read_notes, engine).result(10)


def test_a_closed_engine_rejects_reads_in_reader_threads(engine: SqliteEngine) -> None:
    engine.close()
    with pytest.raises(Unavailable):
        asyncio.run(engine.read_async(count, is_bounded=False))


def test_closing_waits_for_a_read_in_a_reader_thread(engine: SqliteEngine) -> None:
    async def close_while_reading() -> int:
        loop, is_reading = asyncio.get_running_loop(), asyncio.Event()
        may_end = threading.Event()

        def read(tx: Transaction) -> int:
            loop.call_soon_threadsafe(is_reading.set)
            may_end.wait(10)
            return count(tx)

        reading = asyncio.ensure_future(engine.read_async(read, is_bounded=False))
        await is_reading.wait()
        closing = asyncio.ensure_future(asyncio.to_thread(engine.close))
        await asyncio.sleep(0.1)
        may_end.set()
        await closing
        return await reading

    assert asyncio.run(close_while_reading()) == 0


def compute_for_ever(tx: Transaction) -> None:
    while True:
        tx.check_deadline()


def test_a_read_that_computes_is_stopped_at_its_time_limit(open_engine: OpenEngine) -> None:
    engine = open_engine(read_limit_ms=200)

    async def compute() -> None:
        with pytest.raises(Unavailable, match=r"took longer than 0\.2 s and was stopped"):
            await engine.read_async(compute_for_ever, is_bounded=False)

    asyncio.run(compute())


def test_a_long_read_ends_when_its_caller_is_cancelled(open_engine: OpenEngine) -> None:
    engine = open_engine(read_limit_ms=60_000)
    engine.write(create_table)

    async def leave() -> int:
        for operation in (compute_for_ever, search_for_ever) * 3:
            reading = asyncio.create_task(engine.read_async(operation, is_bounded=False))
            await asyncio.sleep(0.01)
            reading.cancel()
        return await engine.read_async(count, is_bounded=False)

    assert asyncio.run(leave()) == 0


def test_closing_the_database_ends_long_reads(open_engine: OpenEngine) -> None:
    engine = open_engine(read_limit_ms=60_000)

    async def close() -> None:
        reading = asyncio.create_task(engine.read_async(compute_for_ever, is_bounded=False))
        await asyncio.sleep(0.01)
        await asyncio.to_thread(engine.close)
        with pytest.raises(Unavailable):
            await reading

    asyncio.run(close())
