"""Many reads on one connection: each gets its own answer, whatever becomes of the others."""

import asyncio
import gc
from collections.abc import Callable
from time import process_time, sleep
from typing import Any, NamedTuple

import pytest
import uvloop

from tests.storage.postgres.conftest import OpenEngine
from tests.storage.postgres.notes import (
    connections,
    count,
    make,
    note,
    noted,
    search,
    terminate,
)
from tests.storage.postgres.proxy import Proxy
from userkeep.domain.errors import Unavailable
from userkeep.domain.transaction import Operation, Transaction
from userkeep.storage.postgres import PostgresEngine

READS = 200


class Given(NamedTuple):
    """What came back, and from which process of the server."""

    value: str
    process: str


def given_back(number: int) -> Operation[tuple[int, str]]:
    """A read that can be told from all others, with the process of the server that answered."""

    def read(tx: Transaction) -> tuple[int, str]:
        [row] = tx.fetch_all("given_back", Given, value=str(number))
        return int(row.value), row.process

    return read


async def piped(engine: PostgresEngine, reads: int = READS) -> str:
    """Wait until all of many reads are answered by one process: it is the pipe's; its number."""
    for _ in range(200):
        answers = await asyncio.gather(
            *(engine.read_async(given_back(number)) for number in range(reads))
        )
        assert [number for number, _ in answers] == list(range(reads))
        processes = {pid for _, pid in answers}
        if len(processes) == 1:
            return processes.pop()
        await asyncio.sleep(0.02)
    raise AssertionError("the reads never met on one connection")


def test_each_of_many_reads_gets_its_own_answer(engine: PostgresEngine) -> None:
    asyncio.run(piped(engine))


def test_a_read_that_is_refused_spoils_no_other(open_engine: OpenEngine) -> None:
    engine = open_engine(statement_limit_ms=300)
    engine.write(make)

    async def ask() -> list[Any]:
        await piped(engine)
        reads: list[Any] = [engine.read_async(given_back(number)) for number in range(READS)]
        reads.insert(READS // 2, engine.read_async(search(5)))
        return await asyncio.gather(*reads, return_exceptions=True)

    answers = asyncio.run(ask())
    refused = answers.pop(READS // 2)
    assert isinstance(refused, Unavailable)
    assert [number for number, _ in answers] == list(range(READS))


def test_reads_of_several_statements_see_one_snapshot_beside_the_others(
    engine: PostgresEngine,
) -> None:
    def twice(tx: Transaction) -> tuple[int, int]:
        return count(tx), count(tx)

    async def ask() -> None:
        await piped(engine)
        writes = [engine.write_async(note(f"{number}")) for number in range(50)]
        reads = [engine.read_async(twice) for _ in range(50)]
        *_, seen = await asyncio.gather(asyncio.gather(*writes), asyncio.gather(*reads))
        assert all(first == second for first, second in seen)

    asyncio.run(ask())


def test_what_changes_something_is_done_once_by_the_lanes(engine: PostgresEngine) -> None:
    async def ask() -> None:
        process = await piped(engine)
        assert await engine.read_async(note("by a reader")) == "by a reader"
        assert await piped(engine) == process

    asyncio.run(ask())
    assert noted(engine) == ["by a reader"]


def test_where_the_connection_breaks_the_reads_are_answered_all_the_same(
    engine: PostgresEngine, url: str
) -> None:
    async def ask() -> None:
        process = await piped(engine)
        reads: list[Any] = [
            asyncio.ensure_future(engine.read_async(given_back(n))) for n in range(READS)
        ]
        reads.append(asyncio.ensure_future(engine.read_async(search(0.2))))
        await asyncio.to_thread(terminate, url, int(process))
        answers: list[Any] = await asyncio.gather(*reads)
        assert [number for number, _ in answers[:READS]] == list(range(READS))
        assert await piped(engine) != process, "another connection, after a while"

    asyncio.run(ask())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_that_ends_without_a_word_is_noticed_and_deleted(
    open_engine: OpenEngine, proxy: Proxy, run: Callable[..., None], reset: bool
) -> None:
    engine = open_engine(proxy.url)

    async def ask() -> None:
        process = await piped(engine)
        # Where all is slow the reads go to the lanes, and it is a lane that meets the end.
        while await piped(engine) == process:
            proxy.swallow_next_answer(reset=reset)
            reads = (engine.read_async(given_back(number)) for number in range(READS))
            answers = await asyncio.gather(*reads)
            assert [number for number, _ in answers] == list(range(READS))
        began = process_time()
        await asyncio.sleep(0.5)
        assert process_time() - began < 0.25, "the loop is called for nothing"

    run(ask())


def test_many_slow_reads_do_not_wait_for_each_other(engine: PostgresEngine) -> None:
    async def ask() -> None:
        await piped(engine)
        reads: list[Any] = []
        async with asyncio.timeout(4):  # one after the other they take 8 s
            for _ in range(80):
                reads.append(asyncio.ensure_future(engine.read_async(search(0.1))))
                await asyncio.sleep(0.001)
            await asyncio.gather(*reads)

    asyncio.run(ask())


def test_the_connection_is_used_again_when_it_has_caught_up(engine: PostgresEngine) -> None:
    async def ask() -> None:
        process = await piped(engine)
        slow = asyncio.ensure_future(engine.read_async(search(1)))
        await asyncio.sleep(0.5)
        _, other = await engine.read_async(given_back(1))
        assert other != process
        assert await slow == 1
        assert await piped(engine) == process

    asyncio.run(ask())


def test_what_waits_when_the_engine_is_closed_is_told_so(open_engine: OpenEngine) -> None:
    engine = open_engine()

    async def ask() -> None:
        await piped(engine)
        reads: list[Any] = [asyncio.ensure_future(engine.read_async(search(5)))]
        reads += [asyncio.ensure_future(engine.read_async(given_back(n))) for n in range(READS)]
        await asyncio.sleep(0)
        await asyncio.to_thread(engine.close)
        for answer in await asyncio.gather(*reads, return_exceptions=True):
            assert isinstance(answer, Unavailable)

    asyncio.run(ask())


def test_a_slow_read_holds_up_the_others_for_a_moment_only(engine: PostgresEngine) -> None:
    async def ask() -> None:
        await piped(engine)
        slow = asyncio.ensure_future(engine.read_async(search(5)))
        await asyncio.sleep(0)
        async with asyncio.timeout(3):
            assert (await engine.read_async(given_back(1)))[0] == 1
        slow.cancel()

    asyncio.run(ask())


def test_whoever_leaves_takes_no_answer_from_others(engine: PostgresEngine) -> None:
    async def ask() -> None:
        await piped(engine)
        reads = [asyncio.ensure_future(engine.read_async(given_back(n))) for n in range(READS)]
        await asyncio.sleep(0)
        for read in reads[::2]:
            read.cancel()
        answers = await asyncio.gather(*reads[1::2])
        assert [number for number, _ in answers] == list(range(READS))[1::2]

    asyncio.run(ask())


def test_a_connection_that_is_still_being_made_is_not_left_open(
    open_engine: OpenEngine, url: str
) -> None:
    async def leave_soon(engine: PostgresEngine, delay_s: float) -> None:
        await engine.write_async(count)  # so that there is a lane for the read
        await engine.read_async(count)
        await asyncio.sleep(delay_s)
        engine.close()

    open_engine().write(make)
    for number in range(20):
        loop = asyncio.new_event_loop()
        engine = open_engine(f"{url}&application_name=early", pool_size=1)
        loop.run_until_complete(leave_soon(engine, number / 1000))
        loop.close()
    sleep(0.2)
    gc.collect()  # what is left open is a warning, and so an error
    assert connections(url, "early") == 0


@pytest.mark.parametrize("loops", [3])
def test_nothing_is_left_of_a_loop_that_has_ended(
    open_engine: OpenEngine, url: str, loops: int
) -> None:
    engine = open_engine(f"{url}&application_name=piped")
    engine.write(make)
    for _ in range(loops):
        asyncio.run(piped(engine))
    engine.close()
    assert connections(url, "piped") == 0
