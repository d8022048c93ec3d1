"""A disk that is full or fails: whose write it hits, and what the others see of it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.storage.conftest import OpenEngine
from tests.storage.disks import ShakyDisk
from tests.storage.notes import log_bytes, make, note, noted, noted_in, together
from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.transaction import Transaction
from userkeep.storage.sqlite import SqliteEngine

pytestmark = pytest.mark.disk

MARK = "this does not fit"
ERRORS = pytest.mark.parametrize("error", [apsw.FullError, apsw.IOError])


@pytest.fixture
def engine(disk: ShakyDisk, open_engine: OpenEngine) -> Iterator[SqliteEngine]:
    """An engine with an empty table of notes, on the shaky disk; repaired before it is closed."""
    engine = open_engine()
    engine.write(make)
    yield engine
    disk.error = None


def small(tx: Transaction) -> None:
    """Met by the disk when it is committed."""
    tx.execute("add_note", text=MARK, now_at=tx.now)


def large(tx: Transaction) -> None:
    """Met by the disk before its end, because it does not fit in SQLite's cache."""
    for _ in range(24):
        tx.execute("add_note", text=MARK * (1024 * 1024 // len(MARK)), now_at=tx.now)


@ERRORS
@pytest.mark.parametrize("operation", [small, large])
def test_the_operation_that_the_disk_refuses_fails_alone(
    engine: SqliteEngine, disk: ShakyDisk, error: type[apsw.Error], operation: object
) -> None:
    disk.error, disk.mark = error, MARK.encode()
    texts = [f"note {n}" for n in range(20)]
    operations = [note(text) for text in texts]
    operations.insert(10, operation)  # type: ignore[arg-type]
    outcomes = together(engine, *operations)
    refused = outcomes.pop(10)
    assert isinstance(refused, Unavailable)
    assert "nothing was changed" in refused.detail
    assert outcomes == texts
    assert noted(engine) == texts


@ERRORS
@pytest.mark.parametrize("operation", [small, large])
def test_an_operation_alone_that_the_disk_refuses_leaves_nothing(
    engine: SqliteEngine, disk: ShakyDisk, error: type[apsw.Error], operation: object
) -> None:
    disk.error, disk.mark = error, MARK.encode()
    with pytest.raises(Unavailable, match="nothing was changed"):
        engine.write(operation)  # type: ignore[arg-type]
    assert engine.write(note("after")) == "after"
    assert noted(engine) == ["after"]


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        ("write", apsw.FullError, "The disk of the database is full"),
        ("write", apsw.IOError, "Reading or writing the database failed"),
        ("sync", apsw.IOError, "Reading or writing the database failed"),
    ],
)
def test_while_the_disk_takes_nothing_all_are_refused_and_nothing_is_lost(
    engine: SqliteEngine,
    disk: ShakyDisk,
    path: Path,
    call: str,
    error: type[apsw.Error],
    sentence: str,
) -> None:
    engine.write(note("before"))
    disk.error, disk.fails_on = error, {call}
    outcomes = together(engine, *[note(f"note {n}") for n in range(5)])
    assert all(isinstance(each, Unavailable) and sentence in each.detail for each in outcomes)
    assert noted(engine) == ["before"]
    disk.error = None
    assert engine.write(note("after")) == "after"
    assert noted(engine) == ["before", "after"]
    engine.close()
    assert noted_in(path) == ["before", "after"]


def test_a_file_that_cannot_grow_refuses_what_needs_room_and_nobody_else(
    open_engine: OpenEngine,
) -> None:
    def limit(connection: apsw.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 60").fetchall()

    apsw.connection_hooks.append(limit)
    try:
        engine = open_engine()
    finally:
        apsw.connection_hooks.remove(limit)
    engine.write(make)
    first, failed, last = together(engine, note("first"), large, note("last"))
    assert (first, last) == ("first", "last")
    assert isinstance(failed, Unavailable)
    assert "full" in failed.detail
    assert noted(engine) == ["first", "last"]


def test_a_log_that_cannot_be_copied_back_keeps_everything(
    engine: SqliteEngine, disk: ShakyDisk, path: Path
) -> None:
    disk.error, disk.file = apsw.FullError, ".db"
    long = "x" * 100_000
    for _ in range(100):
        engine.write(note(long))
    assert log_bytes(path) > 8_000_000
    assert noted(engine) == [long] * 100
    disk.error = None
    engine.write(note("after"))
    engine.close()
    assert noted_in(path) == [*[long] * 100, "after"]
    assert log_bytes(path) == 0


@pytest.mark.parametrize("is_bounded", [True, False])
def test_a_log_that_cannot_be_copied_back_keeps_nobody_from_reading_or_closing(
    disk: ShakyDisk, open_engine: OpenEngine, is_bounded: bool
) -> None:
    engine = open_engine(wal_limit_bytes=1024 * 1024, read_limit_ms=500)
    engine.write(make)
    disk.error, disk.file = apsw.FullError, ".db"
    for _ in range(100):
        engine.write(note("x" * 100_000))
    pool = ThreadPoolExecutor(2)
    reading = pool.submit(read_notes, engine, is_bounded=is_bounded)
    try:
        assert len(reading.result(5)) == 100
    finally:
        disk.error = None
        pool.submit(engine.close).result(5)
        pool.shutdown()


def test_an_engine_whose_log_cannot_be_copied_back_can_be_closed_while_a_search_waits(
    disk: ShakyDisk, open_engine: OpenEngine
) -> None:
    engine = open_engine(wal_limit_bytes=1024 * 1024, read_limit_ms=500)
    engine.write(make)
    disk.error, disk.file = apsw.FullError, ".db"
    for _ in range(100):
        engine.write(note("x" * 100_000))
    pool = ThreadPoolExecutor(2)
    both: list[Future[Any]] = [
        pool.submit(read_notes, engine, is_bounded=False),
        pool.submit(engine.close),
    ]
    try:
        assert wait(both, timeout=5).not_done == set(), "closing waits for a search that waits too"
    finally:
        disk.error = None
        wait(both, timeout=30)
        pool.shutdown()


def read_notes(engine: SqliteEngine, *, is_bounded: bool) -> list[str]:
    return asyncio.run(
        engine.read_async(lambda tx: tx.fetch_all("notes", str), is_bounded=is_bounded)
    )


@pytest.mark.parametrize("is_bounded", [True, False])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_read_that_meets_a_broken_disk_is_told_so(
    engine: SqliteEngine, disk: ShakyDisk, is_bounded: bool, is_first: bool
) -> None:
    if not is_first:
        read_notes(engine, is_bounded=is_bounded)
    engine.write(note("before"))
    disk.error, disk.fails_on = apsw.IOError, {"read"}
    with pytest.raises(Unavailable):
        read_notes(engine, is_bounded=is_bounded)
    disk.error = None
    assert read_notes(engine, is_bounded=is_bounded) == ["before"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (apsw.FullError, "The disk of {path} is full. Free some space, then start again."),
        (apsw.IOError, "Reading or writing {path} failed"),
    ],
)
@pytest.mark.parametrize("is_new", [True, False])
def test_a_disk_that_takes_nothing_at_the_start_is_told_in_a_sentence(
    disk: ShakyDisk,
    open_engine: OpenEngine,
    path: Path,
    error: type[apsw.Error],
    sentence: str,
    is_new: bool,
) -> None:
    if not is_new:
        leave_steps_to_take(path)
    before = path.read_bytes() if path.exists() else b""
    disk.error, disk.fails_on = error, {"write", "sync"}
    with pytest.raises(StorageError) as refused:
        open_engine()
    assert sentence.format(path=path) in refused.value.detail
    assert (path.read_bytes() if path.exists() else b"") == before
    disk.error = None
    engine = open_engine()
    engine.write(make)


def leave_steps_to_take(path: Path) -> None:
    """A database in which no step was taken yet: what the next start writes."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = wal; CREATE TABLE other (x); DROP TABLE other")
    connection.close()
