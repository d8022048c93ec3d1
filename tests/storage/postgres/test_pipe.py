"""Many reads on one connection: each gets its own answer, whatever becomes of the others."""

import asyncio
from typing import Any, NamedTuple

import pytest

from recollect.domain.errors import Unavailable
from recollect.domain.transaction import Operation, Transaction
from recollect.storage.postgres import PostgresEngine
from tests.storage.postgres.conftest import OpenEngine
from tests.storage.postgres.notes import (
    connections,
    count,
    make,
    note,
    search,
    terminate,
)

READS = 200


class Given(NamedTuple):
    """What came back, and from which process of the server."""

    value: str
    process: str


def given_back(number: int) -> Operation[tuple[int, str]]:
    """A read that can be told from all others, with the process of the server that answered."""

    def read(tx: Transaction) -> tuple[int, str]:
        [row] = tx.all("given_back", Given, value=str(number))
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
