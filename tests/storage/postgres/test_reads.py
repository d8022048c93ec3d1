"""Readers: each sees one snapshot, none waits for a writer, none goes on for ever."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import pytest

from tests.storage.postgres.conftest import OpenEngine
from tests.storage.postgres.notes import (
    count,
    gate_closed,
    make,
    note,
    noted,
    rows,
    search,
    wait_at_gate,
    wait_until_at_gate,
)
from userkeep.domain.errors import Unavailable
from userkeep.domain.transaction import Transaction
from userkeep.storage.postgres import PostgresEngine


def test_a_read_of_two_statements_sees_one_snapshot_while_writes_go_on(
    engine: PostgresEngine,
) -> None:
    engine.write(note("before"))
    looked: list[int] = []
    has_looked, may_look_again = threading.Event(), threading.Event()

    def look_twice(tx: Transaction) -> tuple[int, int]:
        first = count(tx)
        looked.append(first)
        if len(looked) == 2:
            has_looked.set()
            may_look_again.wait(10)
        return first, count(tx)

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(engine.read, look_twice)
        has_looked.wait(10)
        for n in range(20):
            engine.write(note(f"note {n}"))
        may_look_again.set()
        assert looking.result(10) == (1, 1)
    assert looked == [1, 1], "it began again in a transaction, once"
    assert engine.read(count) == 21


def test_a_read_of_one_statement_runs_once(engine: PostgresEngine) -> None:
    runs: list[None] = []

    def look(tx: Transaction) -> int:
        runs.append(None)
        return count(tx)

    assert engine.read(look) == 0
    assert len(runs) == 1


@pytest.mark.parametrize("is_bounded", [True, False])
def test_a_read_on_a_loop_sees_one_snapshot_while_writes_go_on(
    engine: PostgresEngine, url: str, is_bounded: bool
) -> None:
    def look_twice(tx: Transaction) -> tuple[int, int]:
        first = count(tx)
        wait_at_gate(tx)
        return first, count(tx)

    async def look_while_writing() -> tuple[int, int]:
        with gate_closed(url):
            looking = asyncio.ensure_future(engine.read_async(look_twice, is_bounded=is_bounded))
            await asyncio.to_thread(wait_until_at_gate, url, 1)
            for n in range(20):
                await engine.write_async(note(f"note {n}"))
        return await looking

    assert asyncio.run(look_while_writing()) == (0, 0)
    assert engine.read(count) == 20


def test_a_read_sees_what_was_answered_before_it(engine: PostgresEngine) -> None:
    async def write_and_read() -> None:
        for n in range(1, 30):
            await engine.write_async(note(f"note {n}"))
            assert await engine.read_async(count) == n
            assert await engine.read_async(count, is_bounded=False) == n
            assert await asyncio.to_thread(engine.read, count) == n

    asyncio.run(write_and_read())


def test_a_read_does_not_wait_for_a_writer(engine: PostgresEngine, url: str) -> None:
    engine.write(note("0"))

    def change(tx: Transaction) -> None:
        tx.execute("change_note", id=1, more="+")
        wait_at_gate(tx)

    async def read_meanwhile() -> list[str]:
        with gate_closed(url):
            writing = asyncio.ensure_future(engine.write_async(change))
            await asyncio.to_thread(wait_until_at_gate, url, 1)
            seen = await engine.read_async(lambda tx: tx.fetch_all("notes", str))
        await writing
        return seen

    assert asyncio.run(read_meanwhile()) == ["0"]
    assert noted(engine) == ["0+"]


def test_a_read_of_several_statements_cannot_write(engine: PostgresEngine) -> None:
    def look_and_write(tx: Transaction) -> None:
        count(tx)
        note("by a reader")(tx)

    with pytest.raises(Unavailable, match="read-only at the moment"):
        engine.read(look_and_write)
    assert noted(engine) == []


def test_what_a_read_raises_reaches_who_asked_and_the_next_read_works(
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
    engine.write(note("after"))
    assert noted(engine) == ["after"]


def test_a_statement_that_takes_too_long_is_stopped_with_a_sentence_and_the_next_one_works(
    open_engine: OpenEngine,
) -> None:
    engine = open_engine(statement_limit_ms=200, pool_size=1)
    engine.write(make)

    def write_and_search(tx: Transaction) -> None:
        note("half done")(tx)
        search(30)(tx)

    for ask in (lambda: engine.write(write_and_search), lambda: engine.read(search(30))):
        began = monotonic()
        with pytest.raises(Unavailable, match=r"took longer than 0\.2 s; nothing was changed"):
            ask()
        assert 0.2 <= monotonic() - began < 5
        assert noted(engine) == []
    engine.write(note("after"))
    assert noted(engine) == ["after"]


def test_long_reads_have_a_limit_of_their_own(open_engine: OpenEngine) -> None:
    engine = open_engine(statement_limit_ms=10_000, read_limit_ms=200)

    async def ask() -> None:
        began = monotonic()
        with pytest.raises(Unavailable, match=r"search took longer than 0\.2 s") as stopped:
            await engine.read_async(search(30), is_bounded=False)
        assert "Narrow it" in stopped.value.detail
        assert 0.2 <= monotonic() - began < 5
        assert await engine.read_async(search(0.4)) == 1
        assert await engine.read_async(search(0), is_bounded=False) == 1

    asyncio.run(ask())


def test_a_long_read_that_waits_for_a_lane_still_has_all_its_time(open_engine: OpenEngine) -> None:
    engine = open_engine(read_limit_ms=900)

    async def crowd() -> list[Any]:
        reads = [engine.read_async(search(30), is_bounded=False) for _ in range(4)]
        reads.append(engine.read_async(search(0.5), is_bounded=False))
        return await asyncio.gather(*reads, return_exceptions=True)

    *stopped, counted = asyncio.run(crowd())
    assert all("search took longer" in str(each) for each in stopped)
    assert counted == 1


def test_long_reads_do_not_hold_up_others(open_engine: OpenEngine) -> None:
    engine = open_engine(read_limit_ms=800)
    engine.write(make)

    async def write_meanwhile() -> int:
        searches = [engine.read_async(search(30), is_bounded=False) for _ in range(4)]
        searching = asyncio.gather(*searches, return_exceptions=True)
        written = 0
        while not searching.done():
            await engine.write_async(note(f"note {written}"))
            assert await engine.read_async(count) == written + 1
            written += 1
        return written

    assert asyncio.run(write_meanwhile()) > 10


def test_many_threads_read_at_once(engine: PostgresEngine) -> None:
    everybody = threading.Barrier(8, timeout=10)

    def meet(tx: Transaction) -> int:
        everybody.wait()
        return count(tx)

    engine.write(note("one"))
    with ThreadPoolExecutor(8) as pool:
        assert [each.result(10) for each in [pool.submit(engine.read, meet) for _ in range(8)]] == [
            1
        ] * 8


def test_a_great_answer_comes_whole_while_others_are_answered(
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


def test_a_great_write_goes_out_whole(engine: PostgresEngine) -> None:
    texts = [f"{n} " + "😀" * 250_000 for n in range(20)]

    def write(tx: Transaction) -> int:
        return tx.execute_many("add_note", [{"text": text, "now_at": tx.now} for text in texts])

    assert asyncio.run(engine.write_async(write)) == 20
    assert noted(engine) == texts
