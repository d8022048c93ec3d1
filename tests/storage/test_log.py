"""The write-ahead log: it is cut back while writes go on, and is gone when the engine is closed."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.storage.conftest import OpenEngine
from tests.storage.notes import log_bytes, make, note, noted_in
from userkeep.domain.transaction import Transaction
from userkeep.storage.sqlite import SqliteEngine

pytestmark = pytest.mark.disk

MIB = 1024 * 1024
TEXT = "x" * 50_000


def write_for(
    engine: SqliteEngine, path: Path, seconds: float, *, readers: int, steps: int
) -> tuple[int, list[int]]:
    """Write as fast as eight clients can; how much was written, and the sizes of the log."""

    async def write(ends: float) -> int:
        written = 0
        while monotonic() < ends:
            await engine.write_async(note(TEXT))
            sizes.append(log_bytes(path))
            written += 1
        return written

    async def read(ends: float) -> int:
        while monotonic() < ends:
            await engine.read_async(search, is_bounded=False)
            await engine.read_async(lambda tx: tx.fetch_one("count_notes", int))
        return 0

    def search(tx: Transaction) -> int | None:
        return tx.fetch_one("search", int, steps=steps)

    async def run() -> int:
        ends = monotonic() + seconds
        reading = [read(ends) for _ in range(readers)]
        return sum(await asyncio.gather(*[write(ends) for _ in range(8)], *reading))

    sizes: list[int] = []
    return asyncio.run(run()) * len(TEXT), sizes


@pytest.mark.parametrize("steps", [1_000, 1_000_000], ids=["short searches", "longer searches"])
def test_the_log_stays_bounded_while_writes_and_searches_go_on(
    open_engine: OpenEngine, path: Path, steps: int
) -> None:
    # The log is cut back once a second at most: it may hold the limit and what a second writes.
    engine = open_engine(wal_limit_bytes=8 * MIB)
    engine.write(make)
    written, sizes = write_for(engine, path, 6, readers=4, steps=steps)
    print(f"{written / MIB:.0f} MiB written, log at most {max(sizes) / MIB:.1f} MiB")
    assert max(sizes) < 8 * MIB + 2.5 * written / 6
    assert max(sizes) < 0.8 * written


def test_a_steady_trickle_keeps_the_log_short(engine: SqliteEngine, path: Path) -> None:
    largest = 0
    for _ in range(400):
        engine.write(note(TEXT))
        largest = max(largest, log_bytes(path))
    assert largest < 8 * MIB  # of 20 MiB: it starts over once it was copied back


def test_a_reader_that_stays_holds_up_nobody_and_the_log_shrinks_when_it_leaves(
    open_engine: OpenEngine, path: Path
) -> None:
    def count(tx: Transaction) -> int | None:
        return tx.fetch_one("count_notes", int)

    engine = open_engine(wal_limit_bytes=MIB, read_limit_ms=500)
    engine.write(make)
    is_reading, may_leave = threading.Event(), threading.Event()

    def stay(tx: Transaction) -> int | None:
        tx.fetch_one("count_notes", int)
        is_reading.set()
        may_leave.wait(30)
        return tx.fetch_one("count_notes", int)

    staying = threading.Thread(target=engine.read, args=(stay,))
    staying.start()
    is_reading.wait(10)
    longest = 0.0
    for _ in range(400):
        began = monotonic()
        engine.write(note(TEXT))
        longest = max(longest, monotonic() - began)
    grown = log_bytes(path)
    with ThreadPoolExecutor(1) as pool:
        searching = pool.submit(asyncio.run, engine.read_async(count, is_bounded=False))
        wait([searching], timeout=5)
        is_answered = searching.done()
        may_leave.set()
    staying.join()
    assert is_answered, "a search waits until somebody else has read to the end"
    assert searching.result() == 400
    assert grown > 15 * MIB
    assert longest < 2
    sleep(1.1)
    engine.write(note("cuts the log"))
    engine.write(note("after"))
    assert log_bytes(path) < 5 * MIB


def test_closing_leaves_no_log_and_everything_in_the_file(engine: SqliteEngine, path: Path) -> None:
    for n in range(20):
        engine.write(note(f"note {n}"))
    engine.read(lambda tx: tx.fetch_one("count_notes", int))
    asyncio.run(engine.read_async(lambda tx: tx.fetch_one("count_notes", int), is_bounded=False))
    engine.close()
    beside = sorted(each.name for each in path.parent.iterdir())
    assert beside == ["userkeep.db", "userkeep.db.lock"]
    assert len(noted_in(path)) == 20
