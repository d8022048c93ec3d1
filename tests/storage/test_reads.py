"""Readers: each sees one snapshot, none waits for a writer, none goes on for ever."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from tests.storage.conftest import OpenEngine
from tests.storage.notes import held, make, note, noted
from userkeep.domain.errors import Unavailable
from userkeep.domain.transaction import Transaction
from userkeep.storage.sqlite import SqliteEngine


def count(tx: Transaction) -> int:
    return tx.fetch_one("count_notes", int) or 0


def search_for_ever(tx: Transaction) -> int | None:
    return tx.fetch_one("search_for_ever", int)


def test_a_read_sees_one_snapshot_while_writes_go_on(engine: SqliteEngine) -> None:
    engine.write(note("before"))
    has_looked, may_look_again = threading.Event(), threading.Event()

    def look_twice(tx: Transaction) -> tuple[int, int]:
        first = count(tx)
        has_looked.set()
        may_look_again.wait(10)
        return first, count(tx)

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(engine.read, look_twice)
        has_looked.wait(10)
        for n in range(50):
            engine.write(note(f"note {n}"))
        may_look_again.set()
        assert looking.result(10) == (1, 1)
    assert engine.read(count) == 51


def test_a_read_in_a_lane_sees_one_snapshot_while_writes_go_on(engine: SqliteEngine) -> None:
    async def look_while_writing() -> tuple[int, int]:
        may_look_again = threading.Event()

        def look_twice(tx: Transaction) -> tuple[int, int]:
            first = count(tx)
            loop.call_soon_threadsafe(has_looked.set)
            may_look_again.wait(10)
            return first, count(tx)

        loop, has_looked = asyncio.get_running_loop(), asyncio.Event()
        looking = asyncio.ensure_future(engine.read_async(look_twice, is_bounded=False))
        await has_looked.wait()
        await asyncio.gather(*[engine.write_async(note(f"note {n}")) for n in range(50)])
        may_look_again.set()
        return await looking

    assert asyncio.run(look_while_writing()) == (0, 0)
    assert engine.read(count) == 50


def test_a_read_sees_what_was_answered_before_it(engine: SqliteEngine) -> None:
    async def write_and_read() -> None:
        for n in range(1, 30):
            await engine.write_async(note(f"note {n}"))
            assert await engine.read_async(count) == n
            assert await engine.read_async(count, is_bounded=False) == n

    asyncio.run(write_and_read())


def test_a_read_does_not_wait_for_the_writer(engine: SqliteEngine) -> None:
    async def read_in_a_lane() -> int:
        return await engine.read_async(count, is_bounded=False)

    with held(engine):
        began = monotonic()
        assert engine.read(count) == 0
        assert asyncio.run(read_in_a_lane()) == 0
        assert monotonic() - began < 1


@pytest.mark.parametrize("is_bounded", [True, False])
def test_a_read_cannot_write(engine: SqliteEngine, is_bounded: bool) -> None:
    with pytest.raises(Unavailable):
        asyncio.run(engine.read_async(note("by a reader"), is_bounded=is_bounded))
    assert noted(engine) == []


def test_what_a_read_raises_reaches_who_asked_and_the_next_read_works(engine: SqliteEngine) -> None:
    def fail(tx: Transaction) -> None:
        count(tx)
        raise LookupError("not like this")

    for _ in range(3):
        with pytest.raises(LookupError, match="not like this"):
            engine.read(fail)
        with pytest.raises(LookupError, match="not like this"):
            asyncio.run(engine.read_async(fail, is_bounded=False))
    engine.write(note("after"))
    assert noted(engine) == ["after"]


def test_a_long_read_is_stopped_with_a_sentence_and_the_next_one_works(
    open_engine: OpenEngine,
) -> None:
    engine = open_engine(read_limit_ms=200)
    engine.write(make)

    async def search() -> None:
        began = monotonic()
        with pytest.raises(
            Unavailable, match=r"took longer than 0\.2 s and was stopped"
        ) as stopped:
            await engine.read_async(search_for_ever, is_bounded=False)
        assert "Narrow it" in stopped.value.detail
        assert 0.2 <= monotonic() - began < 5
        assert await engine.read_async(count, is_bounded=False) == 0

    for _ in range(3):
        asyncio.run(search())


def test_a_read_that_waits_for_a_lane_still_has_all_its_time(open_engine: OpenEngine) -> None:
    engine = open_engine(read_limit_ms=300)
    engine.write(make)

    async def crowd() -> list[int | BaseException | None]:
        operations = [search_for_ever, search_for_ever, search_for_ever, search_for_ever, count]
        reads = [engine.read_async(each, is_bounded=False) for each in operations]
        return await asyncio.gather(*reads, return_exceptions=True)

    *stopped, counted = asyncio.run(crowd())
    assert all(isinstance(each, Unavailable) for each in stopped)
    assert counted == 0


def test_long_reads_do_not_hold_up_the_loop_or_writers(open_engine: OpenEngine) -> None:
    engine = open_engine(read_limit_ms=1_000)
    engine.write(make)

    async def write_meanwhile() -> int:
        searches = [engine.read_async(search_for_ever, is_bounded=False) for _ in range(4)]
        searching = asyncio.gather(*searches, return_exceptions=True)
        written = 0
        while not searching.done():
            await engine.write_async(note(f"note {written}"))
            assert await engine.read_async(count) == written + 1
            written += 1
        return written

    assert asyncio.run(write_meanwhile()) > 10


def test_many_threads_read_at_once(engine: SqliteEngine) -> None:
    everybody = threading.Barrier(8, timeout=10)

    def meet(tx: Transaction) -> int:
        everybody.wait()
        return count(tx)

    engine.write(note("one"))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: engine.read(meet), range(8))) == [1] * 8


def test_a_closed_engine_refuses_reads(engine: SqliteEngine) -> None:
    assert noted(engine) == []
    engine.close()
    with pytest.raises(Unavailable):
        noted(engine)


def test_a_closed_engine_refuses_reads_of_threads_that_never_read_before(
    engine: SqliteEngine,
) -> None:
    engine.close()
    with ThreadPoolExecutor(1) as pool, pytest.raises(Unavailable):
        pool.submit(noted, engine).result(10)


def test_a_closed_engine_refuses_reads_in_lanes(engine: SqliteEngine) -> None:
    engine.close()
    with pytest.raises(Unavailable):
        asyncio.run(engine.read_async(count, is_bounded=False))


def test_closing_lets_a_read_in_a_lane_end(engine: SqliteEngine) -> None:
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
