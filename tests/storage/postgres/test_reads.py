"""Reads: each sees one snapshot, none waits for a writer, and long ones have a time limit."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep
from typing import Any

import pytest

from tests.storage.postgres.conftest import OpenEngine
from tests.storage.postgres.notes import (
    add_note,
    count,
    create_table,
    gate_closed,
    read_notes,
    rows,
    search,
    wait_at_gate,
    wait_until_at_gate,
)
from userkeep.domain.errors import Unavailable
from userkeep.domain.transaction import Operation, Transaction
from userkeep.storage.postgres import PostgresEngine
from userkeep.storage.postgres.engine import LONG_READ_POOL_SIZE


def test_a_read_of_two_statements_sees_one_snapshot_during_concurrent_writes(
    engine: PostgresEngine,
) -> None:
    engine.write(add_note("before"))
    counted_first: list[int] = []
    has_counted, may_count_again = threading.Event(), threading.Event()

    def count_twice(tx: Transaction) -> tuple[int, int]:
        first = count(tx)
        counted_first.append(first)
        if len(counted_first) == 2:
            has_counted.set()
            may_count_again.wait(10)
        return first, count(tx)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(engine.read, count_twice)
        has_counted.wait(10)
        for n in range(20):
            engine.write(add_note(f"note {n}"))
        may_count_again.set()
        assert reading.result(10) == (1, 1)
    assert counted_first == [1, 1], "it began again in a transaction, once"
    assert engine.read(count) == 21


def test_a_read_of_one_statement_runs_once(engine: PostgresEngine) -> None:
    runs: list[None] = []

    def count_once(tx: Transaction) -> int:
        runs.append(None)
        return count(tx)

    assert engine.read(count_once) == 0
    assert len(runs) == 1


def test_a_query_apart_does_not_count_as_a_statement_of_a_read(engine: PostgresEngine) -> None:
    runs: list[None] = []

    def count_apart(tx: Transaction) -> tuple[int | None, int]:
        runs.append(None)
        return tx.fetch_apart("count_notes", int), count(tx)

    engine.write(add_note("one"))
    assert engine.read(count_apart) == (1, 1)
    assert asyncio.run(engine.read_async(count_apart)) == (1, 1)
    assert len(runs) == 2


@pytest.mark.parametrize("is_bounded", [True, False])
def test_a_read_on_an_event_loop_sees_one_snapshot_during_concurrent_writes(
    engine: PostgresEngine, url: str, is_bounded: bool
) -> None:
    def count_twice(tx: Transaction) -> tuple[int, int]:
        first = count(tx)
        wait_at_gate(tx)
        return first, count(tx)

    async def read_while_writing() -> tuple[int, int]:
        with gate_closed(url):
            reading = asyncio.ensure_future(engine.read_async(count_twice, is_bounded=is_bounded))
            await asyncio.to_thread(wait_until_at_gate, url, 1)
            for n in range(20):
                await engine.write_async(add_note(f"note {n}"))
        return await reading

    assert asyncio.run(read_while_writing()) == (0, 0)
    assert engine.read(count) == 20


def test_a_read_sees_every_write_that_has_returned(engine: PostgresEngine) -> None:
    async def write_and_read() -> None:
        for n in range(1, 30):
            await engine.write_async(add_note(f"note {n}"))
            assert await engine.read_async(count) == n
            assert await engine.read_async(count, is_bounded=False) == n
            assert await asyncio.to_thread(engine.read, count) == n

    asyncio.run(write_and_read())


def test_a_read_does_not_wait_for_a_writer(engine: PostgresEngine, url: str) -> None:
    engine.write(add_note("0"))

    def change(tx: Transaction) -> None:
        tx.execute("change_note", id=1, more="+")
        wait_at_gate(tx)

    async def read_concurrently() -> list[str]:
        with gate_closed(url):
            writing = asyncio.ensure_future(engine.write_async(change))
            await asyncio.to_thread(wait_until_at_gate, url, 1)
            seen = await engine.read_async(lambda tx: tx.fetch_all("notes", str))
        await writing
        return seen

    assert asyncio.run(read_concurrently()) == ["0"]
    assert read_notes(engine) == ["0+"]


def test_a_read_of_several_statements_cannot_write(engine: PostgresEngine) -> None:
    def read_and_write(tx: Transaction) -> None:
        count(tx)
        add_note("by a reader")(tx)

    with pytest.raises(Unavailable, match="read-only at the moment"):
        engine.read(read_and_write)
    assert read_notes(engine) == []


def test_the_caller_gets_the_exception_of_a_read_and_the_next_read_works(
    engine: PostgresEngine,
) -> None:
    def fail(tx: Transaction) -> None:
        count(tx)
        raise LookupError("not like this")

    def fail_later(tx: Transaction) -> None:
        count(tx)
        fail(tx)

    for failing in (fail, fail_later):
        for _ in range(3):
            with pytest.raises(LookupError, match="not like this"):
                engine.read(failing)
            with pytest.raises(LookupError, match="not like this"):
                asyncio.run(engine.read_async(failing, is_bounded=False))
    engine.write(add_note("after"))
    assert read_notes(engine) == ["after"]


def test_a_statement_that_takes_too_long_is_stopped_with_an_explanation_and_the_next_one_works(
    open_engine: OpenEngine,
) -> None:
    engine = open_engine(statement_limit_ms=200, pool_size=1)
    engine.write(create_table)

    def write_and_search(tx: Transaction) -> None:
        add_note("half done")(tx)
        search(30)(tx)

    for ask in (lambda: engine.write(write_and_search), lambda: engine.read(search(30))):
        began = monotonic()
        with pytest.raises(Unavailable, match=r"took longer than 0\.2 s; nothing was changed"):
            ask()
        assert 0.2 <= monotonic() - began < 5
        assert read_notes(engine) == []
    engine.write(add_note("after"))
    assert read_notes(engine) == ["after"]


def test_long_reads_have_their_own_time_limit(open_engine: OpenEngine) -> None:
    engine = open_engine(statement_limit_ms=10_000, read_limit_ms=200)

    async def ask() -> None:
        began = monotonic()
        with pytest.raises(
            Unavailable, match=r"took longer than 0\.2 s and was stopped"
        ) as stopped:
            await engine.read_async(search(30), is_bounded=False)
        assert "match less" in stopped.value.detail
        assert 0.2 <= monotonic() - began < 5
        assert await engine.read_async(search(0.4)) == 1
        assert await engine.read_async(search(0), is_bounded=False) == 1

    asyncio.run(ask())


def test_waiting_for_a_connection_does_not_count_towards_the_time_limit(
    open_engine: OpenEngine,
) -> None:
    engine = open_engine(read_limit_ms=900)

    async def crowd() -> list[Any]:
        reads = [engine.read_async(search(30), is_bounded=False) for _ in range(4)]
        reads.append(engine.read_async(search(0.5), is_bounded=False))
        return await asyncio.gather(*reads, return_exceptions=True)

    *stopped, counted = asyncio.run(crowd())
    assert all("took longer" in str(each) for each in stopped)
    assert counted == 1


def test_long_reads_do_not_block_others(open_engine: OpenEngine) -> None:
    engine = open_engine(read_limit_ms=800)
    engine.write(create_table)

    async def write_concurrently() -> int:
        searches = [engine.read_async(search(30), is_bounded=False) for _ in range(4)]
        searching = asyncio.gather(*searches, return_exceptions=True)
        written = 0
        while not searching.done():
            await engine.write_async(add_note(f"note {written}"))
            assert await engine.read_async(count) == written + 1
            written += 1
        return written

    assert asyncio.run(write_concurrently()) > 10


def test_many_threads_read_at_the_same_time(engine: PostgresEngine) -> None:
    all_threads = threading.Barrier(8, timeout=10)

    def meet(tx: Transaction) -> int:
        all_threads.wait()
        return count(tx)

    engine.write(add_note("one"))
    with ThreadPoolExecutor(8) as pool:
        assert [each.result(10) for each in [pool.submit(engine.read, meet) for _ in range(8)]] == [
            1
        ] * 8


def test_a_large_result_arrives_complete_while_others_are_returned(
    engine: PostgresEngine, url: str
) -> None:
    rows(url, "INSERT INTO notes (text) SELECT repeat('漢字😀', 5000) FROM generate_series(1, 200)")

    async def read_all() -> None:
        great = [
            engine.read_async(lambda tx: tx.fetch_all("notes", str), is_bounded=is_bounded)
            for is_bounded in (True, False, True)
        ]
        small = [engine.read_async(count) for _ in range(50)]
        for texts in await asyncio.gather(*great):
            assert texts == ["漢字😀" * 5000] * 200
        assert await asyncio.gather(*small) == [200] * 50

    asyncio.run(read_all())


def test_a_large_write_is_sent_completely(engine: PostgresEngine) -> None:
    texts = [f"{n} " + "😀" * 250_000 for n in range(20)]

    def write(tx: Transaction) -> int:
        return tx.execute_many("add_note", [{"text": text, "now_at": tx.now} for text in texts])

    assert asyncio.run(engine.write_async(write)) == 20
    assert read_notes(engine) == texts


def compute_for_ever(tx: Transaction) -> None:
    while True:
        tx.check_deadline()


def search_again_and_again(tx: Transaction) -> None:
    while True:
        search(0.05)(tx)


def search_for_ever(tx: Transaction) -> None:
    search(3600)(tx)


ENDLESS = [compute_for_ever, search_again_and_again, search_for_ever]


def wait_until_nothing_runs(url: str) -> None:
    ends = monotonic() + 60
    while rows(url, _SLEEPING):
        assert monotonic() < ends, "the server still runs the statement"
        sleep(0.02)


_SLEEPING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'
    AND query LIKE '%pg_sleep($1)%'
"""


@pytest.mark.parametrize("operation", ENDLESS)
def test_a_long_read_is_stopped_at_its_time_limit_whatever_it_does(
    open_engine: OpenEngine, operation: Operation[None]
) -> None:
    engine = open_engine(read_limit_ms=200)

    async def read() -> None:
        with pytest.raises(Unavailable, match=r"took longer than 0\.2 s and was stopped"):
            await engine.read_async(operation, is_bounded=False)
        assert await engine.read_async(search(0), is_bounded=False) == 1

    asyncio.run(read())


@pytest.mark.parametrize("operation", ENDLESS)
def test_a_long_read_ends_when_its_caller_is_cancelled(
    open_engine: OpenEngine, url: str, operation: Operation[None]
) -> None:
    engine = open_engine(read_limit_ms=60_000)

    async def leave() -> int | None:
        for _ in range(2 * LONG_READ_POOL_SIZE):
            reading = asyncio.create_task(engine.read_async(operation, is_bounded=False))
            await asyncio.sleep(0.02)
            reading.cancel()
        return await engine.read_async(search(0), is_bounded=False)

    assert asyncio.run(leave()) == 1
    wait_until_nothing_runs(url)


def test_a_long_read_that_still_waits_when_its_caller_is_cancelled_never_begins(
    open_engine: OpenEngine,
) -> None:
    engine = open_engine(read_limit_ms=60_000)
    begun: list[None] = []
    may_end = threading.Event()

    def block(tx: Transaction) -> int:
        may_end.wait(10)
        return search(0)(tx) or 0

    async def leave() -> None:
        blocking = [
            asyncio.create_task(engine.read_async(block, is_bounded=False))
            for _ in range(LONG_READ_POOL_SIZE)
        ]
        waiting = asyncio.create_task(
            engine.read_async(lambda _tx: begun.append(None), is_bounded=False)
        )
        await asyncio.sleep(0.02)
        waiting.cancel()
        may_end.set()
        assert await asyncio.gather(*blocking) == [1] * LONG_READ_POOL_SIZE
        assert await engine.read_async(search(0), is_bounded=False) == 1

    asyncio.run(leave())
    assert begun == []


@pytest.mark.parametrize("operation", ENDLESS)
def test_closing_the_database_ends_long_reads(
    open_engine: OpenEngine, url: str, operation: Operation[None]
) -> None:
    engine = open_engine(read_limit_ms=60_000)

    async def close() -> None:
        reading = asyncio.create_task(engine.read_async(operation, is_bounded=False))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(engine.close)
        with pytest.raises(Unavailable):
            await reading

    asyncio.run(close())
    wait_until_nothing_runs(url)


def test_only_short_reads_run_on_the_event_loop(engine: PostgresEngine) -> None:
    def thread(tx: Transaction) -> int:
        count(tx)
        count(tx)
        return threading.get_ident()

    async def ask() -> tuple[int, int]:
        return await engine.read_async(thread), await engine.read_async(thread, is_bounded=False)

    short, long = asyncio.run(ask())
    assert short == threading.get_ident()
    assert long != threading.get_ident()


def test_a_statement_of_a_long_read_may_take_what_is_left_of_its_time_limit(
    open_engine: OpenEngine,
) -> None:
    engine = open_engine(read_limit_ms=9_000)

    def limit_ms(tx: Transaction) -> int:
        return tx.fetch_one("statement_limit", int) or 0

    def limits(tx: Transaction) -> list[int]:
        first = limit_ms(tx)
        search(0.2)(tx)
        return [first, limit_ms(tx)]

    first, second = asyncio.run(engine.read_async(limits, is_bounded=False))
    assert 0 < second <= first - 200 <= 8_800


def test_too_many_long_reads_are_rejected(open_engine: OpenEngine) -> None:
    engine = open_engine(read_limit_ms=300, queue_limit=3)

    async def crowd() -> list[int | BaseException | None]:
        reads = [engine.read_async(search(0.1), is_bounded=False) for _ in range(5)]
        return await asyncio.gather(*reads, return_exceptions=True)

    results = asyncio.run(crowd())
    assert results[:3] == [1, 1, 1]
    assert all("Too many requests" in str(each) for each in results[3:])
