"""Many reads on one connection: each gets its own result, whatever happens to the others."""

import asyncio
import gc
from collections.abc import Callable
from time import monotonic, process_time, sleep
from typing import Any, NamedTuple

import pytest
import uvloop

from tests.storage.postgres.conftest import OpenEngine
from tests.storage.postgres.notes import (
    add_note,
    connection_count,
    count,
    create_table,
    read_notes,
    search,
    terminate,
)
from tests.storage.postgres.proxy import Proxy
from userkeep.domain.errors import Unavailable
from userkeep.domain.transaction import Operation, Transaction
from userkeep.storage.postgres import PostgresEngine

READS = 200


class Echo(NamedTuple):
    """A value that was sent back, and the process of the server that sent it."""

    value: str
    process: str


def echo(number: int) -> Operation[tuple[int, str]]:
    """Return a read with a result of its own, and the process of the server that ran it."""

    def read(tx: Transaction) -> tuple[int, str]:
        [row] = tx.fetch_all("echo", Echo, value=str(number))
        return int(row.value), row.process

    return read


async def wait_until_pipelined(engine: PostgresEngine, reads: int = READS) -> str:
    """Wait until one process runs all of many reads: that of the pipeline; return its number."""
    for _ in range(200):
        results = await asyncio.gather(
            *(engine.read_async(echo(number)) for number in range(reads))
        )
        assert [number for number, _ in results] == list(range(reads))
        processes = {pid for _, pid in results}
        if len(processes) == 1:
            return processes.pop()
        await asyncio.sleep(0.02)
    raise AssertionError("the reads never met on one connection")


def test_each_of_many_reads_gets_its_own_result(engine: PostgresEngine) -> None:
    asyncio.run(wait_until_pipelined(engine))


def test_a_failed_read_does_not_affect_others(open_engine: OpenEngine) -> None:
    engine = open_engine(statement_limit_ms=300)
    engine.write(create_table)

    async def ask() -> list[Any]:
        await wait_until_pipelined(engine)
        reads: list[Any] = [engine.read_async(echo(number)) for number in range(READS)]
        reads.insert(READS // 2, engine.read_async(search(5)))
        return await asyncio.gather(*reads, return_exceptions=True)

    results = asyncio.run(ask())
    failed = results.pop(READS // 2)
    assert isinstance(failed, Unavailable)
    assert [number for number, _ in results] == list(range(READS))


def test_reads_of_several_statements_see_one_snapshot(
    engine: PostgresEngine,
) -> None:
    def twice(tx: Transaction) -> tuple[int, int]:
        return count(tx), count(tx)

    async def ask() -> None:
        await wait_until_pipelined(engine)
        writes = [engine.write_async(add_note(f"{number}")) for number in range(50)]
        reads = [engine.read_async(twice) for _ in range(50)]
        *_, seen = await asyncio.gather(asyncio.gather(*writes), asyncio.gather(*reads))
        assert all(first == second for first, second in seen)

    asyncio.run(ask())


def test_a_read_that_changes_something_runs_once_in_the_pool(engine: PostgresEngine) -> None:
    async def ask() -> None:
        process = await wait_until_pipelined(engine)
        assert await engine.read_async(add_note("by a reader")) == "by a reader"
        assert await wait_until_pipelined(engine) == process

    asyncio.run(ask())
    assert read_notes(engine) == ["by a reader"]


def test_reads_succeed_although_the_connection_breaks(engine: PostgresEngine, url: str) -> None:
    async def ask() -> None:
        process = await wait_until_pipelined(engine)
        reads: list[Any] = [asyncio.ensure_future(engine.read_async(echo(n))) for n in range(READS)]
        reads.append(asyncio.ensure_future(engine.read_async(search(0.2))))
        await asyncio.to_thread(terminate, url, int(process))
        results: list[Any] = await asyncio.gather(*reads)
        assert [number for number, _ in results[:READS]] == list(range(READS))
        assert await wait_until_pipelined(engine) != process, "another connection, after a while"

    asyncio.run(ask())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_that_ends_silently_is_detected_and_closed(
    open_engine: OpenEngine, proxy: Proxy, run: Callable[..., None], reset: bool
) -> None:
    engine = open_engine(proxy.url)

    async def ask() -> None:
        process = await wait_until_pipelined(engine)
        # On a slow machine the reads go to the pool, and a pooled connection meets the end.
        while await wait_until_pipelined(engine) == process:
            proxy.drop_next_response(reset=reset)
            reads = (engine.read_async(echo(number)) for number in range(READS))
            results = await asyncio.gather(*reads)
            assert [number for number, _ in results] == list(range(READS))
        began = process_time()
        await asyncio.sleep(0.5)
        assert process_time() - began < 0.25, "the loop is woken for nothing"

    run(ask())


def test_many_slow_reads_run_concurrently(engine: PostgresEngine) -> None:
    async def ask() -> None:
        await wait_until_pipelined(engine)
        reads: list[Any] = []
        async with asyncio.timeout(4):  # one after another they take 8 s
            for _ in range(80):
                reads.append(asyncio.ensure_future(engine.read_async(search(0.1))))
                await asyncio.sleep(0.001)
            await asyncio.gather(*reads)

    asyncio.run(ask())


def test_the_connection_is_used_again_when_it_has_caught_up(engine: PostgresEngine) -> None:
    async def ask() -> None:
        process = await wait_until_pipelined(engine)
        slow = asyncio.ensure_future(engine.read_async(search(1)))
        await asyncio.sleep(0.5)
        _, other = await engine.read_async(echo(1))
        assert other != process
        assert await slow == 1
        assert await wait_until_pipelined(engine) == process

    asyncio.run(ask())


def test_waiting_reads_fail_when_the_engine_is_closed(open_engine: OpenEngine) -> None:
    engine = open_engine()

    async def ask() -> None:
        await wait_until_pipelined(engine)
        reads: list[Any] = [asyncio.ensure_future(engine.read_async(search(5)))]
        reads += [asyncio.ensure_future(engine.read_async(echo(n))) for n in range(READS)]
        await asyncio.sleep(0)
        await asyncio.to_thread(engine.close)
        for result in await asyncio.gather(*reads, return_exceptions=True):
            assert isinstance(result, Unavailable)

    asyncio.run(ask())


def test_a_slow_read_delays_others_only_briefly(engine: PostgresEngine) -> None:
    async def ask() -> None:
        await wait_until_pipelined(engine)
        slow = asyncio.ensure_future(engine.read_async(search(5)))
        await asyncio.sleep(0)
        async with asyncio.timeout(3):
            assert (await engine.read_async(echo(1)))[0] == 1
        slow.cancel()

    asyncio.run(ask())


def test_cancelled_reads_take_no_result_from_others(engine: PostgresEngine) -> None:
    async def ask() -> None:
        await wait_until_pipelined(engine)
        reads = [asyncio.ensure_future(engine.read_async(echo(n))) for n in range(READS)]
        await asyncio.sleep(0)
        for read in reads[::2]:
            read.cancel()
        results = await asyncio.gather(*reads[1::2])
        assert [number for number, _ in results] == list(range(READS))[1::2]

    asyncio.run(ask())


def test_a_connection_that_is_still_being_opened_is_not_left_open(
    open_engine: OpenEngine, url: str
) -> None:
    async def leave_soon(engine: PostgresEngine, delay_s: float) -> None:
        await engine.write_async(count)  # so that the pool has a connection for the read
        await engine.read_async(count)
        await asyncio.sleep(delay_s)
        engine.close()

    open_engine().write(create_table)
    for number in range(20):
        loop = asyncio.new_event_loop()
        engine = open_engine(f"{url}&application_name=early", pool_size=1)
        loop.run_until_complete(leave_soon(engine, number / 1000))
        loop.close()
    sleep(0.2)
    gc.collect()  # an open connection is a warning, which is an error here
    assert connection_count(url, "early") == 0


@pytest.mark.parametrize("loops", [3])
def test_no_connection_of_an_ended_event_loop_stays_open(
    open_engine: OpenEngine, url: str, loops: int
) -> None:
    engine = open_engine(f"{url}&application_name=pipelined")
    engine.write(create_table)
    for _ in range(loops):
        asyncio.run(wait_until_pipelined(engine))
    engine.close()
    ends = monotonic() + 60  # the server notices a closed socket a moment later
    while connection_count(url, "pipelined"):
        assert monotonic() < ends
        sleep(0.02)
