"""The WAL: it is truncated during writes, and removed when the engine is closed."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

import apsw
import pytest

from tests.storage.conftest import OpenEngine
from tests.storage.notes import add_note, create_table, notes_in_file, wal_bytes
from userkeep.domain.transaction import Transaction
from userkeep.storage.sqlite import SqliteEngine

pytestmark = pytest.mark.disk

MIB = 1024 * 1024
TEXT = "x" * 50_000
WRITING_S = 4


def write_for(
    engine: SqliteEngine,
    path: Path,
    seconds: float,
    *,
    readers: int,
    steps: int,
    searches: list[float],
) -> tuple[int, list[int]]:
    """Write with eight clients; return how much was written, and the sizes of the WAL.

    Args:
        searches: gets how long each search took, in seconds.
    """

    async def write(ends: float) -> int:
        written = 0
        while monotonic() < ends:
            await engine.write_async(add_note(TEXT))
            sizes.append(wal_bytes(path))
            written += 1
        return written

    async def read(ends: float) -> int:
        while monotonic() < ends:
            began = monotonic()
            await engine.read_async(search, is_bounded=False)
            searches.append(monotonic() - began)
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
def test_the_wal_stays_bounded_during_writes_and_searches(
    open_engine: OpenEngine, path: Path, steps: int
) -> None:
    # The WAL is truncated once a second at most, while no search runs: it may have the limit plus
    # the writes of a second and of some searches, which are short unless the machine is busy.
    engine = open_engine(wal_limit_bytes=4 * MIB)
    engine.write(create_table)
    searches: list[float] = []
    written, sizes = write_for(engine, path, WRITING_S, readers=4, steps=steps, searches=searches)
    print(f"{written / MIB:.0f} MiB written, WAL at most {max(sizes) / MIB:.1f} MiB")
    print(f"longest search {max(searches):.2f} s")
    assert max(sizes) < 4 * MIB + (2 + 4 * max(searches)) * written / WRITING_S
    assert max(sizes) < 0.8 * written or max(searches) > 0.5


def test_single_writes_keep_the_wal_short(engine: SqliteEngine, path: Path) -> None:
    largest = 0
    for _ in range(400):
        engine.write(add_note(TEXT))
        largest = max(largest, wal_bytes(path))
    assert largest < 8 * MIB  # of 20 MiB: it starts over after each checkpoint


def test_a_long_reader_blocks_nobody_and_the_wal_is_truncated_when_it_ends(
    open_engine: OpenEngine, path: Path
) -> None:
    def count(tx: Transaction) -> int | None:
        return tx.fetch_one("count_notes", int)

    engine = open_engine(wal_limit_bytes=MIB, read_limit_ms=500)
    engine.write(create_table)
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
        engine.write(add_note(TEXT))
        longest = max(longest, monotonic() - began)
    grown = wal_bytes(path)
    with ThreadPoolExecutor(1) as pool:
        searching = pool.submit(asyncio.run, engine.read_async(count, is_bounded=False))
        wait([searching], timeout=5)
        has_returned = searching.done()
        may_leave.set()
    staying.join()
    assert has_returned, "a search waits for another reader"
    assert searching.result() == 400
    assert grown > 15 * MIB
    assert longest < 2
    sleep(1.1)
    engine.write(add_note("truncates the WAL"))
    engine.write(add_note("after"))
    assert wal_bytes(path) < 5 * MIB


def test_the_open_read_of_another_program_holds_no_searches_back(
    open_engine: OpenEngine, path: Path
) -> None:
    def count(tx: Transaction) -> int | None:
        return tx.fetch_one("count_notes", int)

    engine = open_engine(wal_limit_bytes=MIB)
    engine.write(create_table)
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN; SELECT count(*) FROM notes").fetchall()
        ends = monotonic() + 20
        for _ in range(200):
            engine.write(add_note(TEXT))
            asyncio.run(engine.read_async(count, is_bounded=False))
        assert monotonic() < ends, "searches wait for another program's read"
        other.execute("COMMIT")
    grown = wal_bytes(path)
    assert grown > 8 * MIB
    ends = monotonic() + 30
    while wal_bytes(path) >= grown:
        assert monotonic() < ends
        engine.write(add_note("truncates the WAL"))
        sleep(0.1)


def test_closing_moves_the_whole_wal_into_the_file(engine: SqliteEngine, path: Path) -> None:
    for n in range(20):
        engine.write(add_note(f"note {n}"))
    engine.read(lambda tx: tx.fetch_one("count_notes", int))
    asyncio.run(engine.read_async(lambda tx: tx.fetch_one("count_notes", int), is_bounded=False))
    engine.close()
    beside = sorted(each.name for each in path.parent.iterdir())
    assert beside == ["userkeep.db", "userkeep.db.lock"]
    assert len(notes_in_file(path)) == 20
