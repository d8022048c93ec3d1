"""A disk that is full, fails or is slow: which operations fail or wait, and which do not."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from time import monotonic
from typing import Any

import apsw
import pytest

from tests.storage.conftest import OpenEngine
from tests.storage.faulty_disk import FaultyDisk
from tests.storage.notes import (
    add_note,
    create_table,
    notes_in_file,
    read_notes,
    run_in_one_group,
    wal_bytes,
)
from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.transaction import Transaction
from userkeep.storage.sqlite import SqliteEngine

pytestmark = pytest.mark.disk

MARK = "this does not fit"
ERRORS = pytest.mark.parametrize("error", [apsw.FullError, apsw.IOError])


@pytest.fixture
def engine(disk: FaultyDisk, open_engine: OpenEngine) -> Iterator[SqliteEngine]:
    """An engine with an empty table of notes, on a disk that works again before it is closed."""
    engine = open_engine()
    engine.write(create_table)
    yield engine
    disk.error = None


def small(tx: Transaction) -> None:
    """Fails at its commit."""
    tx.execute("add_note", text=MARK, now_at=tx.now)


def large(tx: Transaction) -> None:
    """Fails before its end, because it does not fit in SQLite's cache."""
    for _ in range(24):
        tx.execute("add_note", text=MARK * (1024 * 1024 // len(MARK)), now_at=tx.now)


@ERRORS
@pytest.mark.parametrize("operation", [small, large])
def test_only_the_operation_that_the_disk_fails_on_fails(
    engine: SqliteEngine, disk: FaultyDisk, error: type[apsw.Error], operation: object
) -> None:
    disk.error, disk.mark = error, MARK.encode()
    texts = [f"note {n}" for n in range(20)]
    operations = [add_note(text) for text in texts]
    operations.insert(10, operation)  # type: ignore[arg-type]
    outcomes = run_in_one_group(engine, *operations)
    failed = outcomes.pop(10)
    assert isinstance(failed, Unavailable)
    assert "nothing was changed" in failed.detail
    assert outcomes == texts
    assert read_notes(engine) == texts


@ERRORS
@pytest.mark.parametrize("operation", [small, large])
def test_a_single_operation_that_the_disk_fails_on_is_rolled_back(
    engine: SqliteEngine, disk: FaultyDisk, error: type[apsw.Error], operation: object
) -> None:
    disk.error, disk.mark = error, MARK.encode()
    with pytest.raises(Unavailable, match="nothing was changed"):
        engine.write(operation)  # type: ignore[arg-type]
    assert engine.write(add_note("after")) == "after"
    assert read_notes(engine) == ["after"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ("write", apsw.FullError, "The disk of the database is full"),
        ("write", apsw.IOError, "Reading or writing the database failed"),
        ("sync", apsw.IOError, "Reading or writing the database failed"),
    ],
)
def test_while_the_disk_fails_all_writes_fail_and_no_data_is_lost(
    engine: SqliteEngine,
    disk: FaultyDisk,
    path: Path,
    call: str,
    error: type[apsw.Error],
    message: str,
) -> None:
    engine.write(add_note("before"))
    disk.error, disk.fails_on = error, {call}
    outcomes = run_in_one_group(engine, *[add_note(f"note {n}") for n in range(5)])
    assert all(isinstance(each, Unavailable) and message in each.detail for each in outcomes)
    assert read_notes(engine) == ["before"]
    disk.error = None
    assert engine.write(add_note("after")) == "after"
    assert read_notes(engine) == ["before", "after"]
    engine.close()
    assert notes_in_file(path) == ["before", "after"]


def test_a_disk_that_fails_is_logged_once_for_all_operations(
    engine: SqliteEngine, disk: FaultyDisk, caplog: pytest.LogCaptureFixture
) -> None:
    for error in (apsw.FullError, apsw.IOError):
        disk.error = error
        run_in_one_group(engine, *[add_note(f"note {n}") for n in range(5)])
    logged = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert logged == [
        f"The database file cannot be used: {problem}; nothing was changed."
        for problem in (
            "The disk of the database is full",
            "Reading or writing the database failed",
        )
    ]


def test_only_operations_that_need_space_fail_when_the_file_cannot_grow(
    open_engine: OpenEngine,
) -> None:
    def limit(connection: apsw.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 120").fetchall()

    apsw.connection_hooks.append(limit)
    try:
        engine = open_engine()
    finally:
        apsw.connection_hooks.remove(limit)
    engine.write(create_table)
    first, failed, last = run_in_one_group(engine, add_note("first"), large, add_note("last"))
    assert (first, last) == ("first", "last")
    assert isinstance(failed, Unavailable)
    assert "full" in failed.detail
    assert read_notes(engine) == ["first", "last"]


def test_a_wal_that_cannot_be_checkpointed_keeps_all_data(
    engine: SqliteEngine, disk: FaultyDisk, path: Path
) -> None:
    disk.error, disk.file = apsw.FullError, ".db"
    long = "x" * 100_000
    for _ in range(100):
        engine.write(add_note(long))
    assert wal_bytes(path) > 8_000_000
    assert read_notes(engine) == [long] * 100
    disk.error = None
    engine.write(add_note("after"))
    engine.close()
    assert notes_in_file(path) == [*[long] * 100, "after"]
    assert wal_bytes(path) == 0


@pytest.mark.parametrize("is_bounded", [True, False])
def test_a_wal_that_cannot_be_checkpointed_does_not_block_reads_or_closing(
    disk: FaultyDisk, open_engine: OpenEngine, is_bounded: bool
) -> None:
    engine = open_engine(wal_limit_bytes=1024 * 1024, read_limit_ms=500)
    engine.write(create_table)
    disk.error, disk.file = apsw.FullError, ".db"
    for _ in range(100):
        engine.write(add_note("x" * 100_000))
    pool = ThreadPoolExecutor(2)
    reading = pool.submit(read_all, engine, is_bounded=is_bounded)
    try:
        assert len(reading.result(5)) == 100
    finally:
        disk.error = None
        pool.submit(engine.close).result(5)
        pool.shutdown()


def test_an_engine_whose_wal_cannot_be_checkpointed_can_be_closed_while_a_search_waits(
    disk: FaultyDisk, open_engine: OpenEngine
) -> None:
    engine = open_engine(wal_limit_bytes=1024 * 1024, read_limit_ms=500)
    engine.write(create_table)
    disk.error, disk.file = apsw.FullError, ".db"
    for _ in range(100):
        engine.write(add_note("x" * 100_000))
    pool = ThreadPoolExecutor(2)
    both: list[Future[Any]] = [
        pool.submit(read_all, engine, is_bounded=False),
        pool.submit(engine.close),
    ]
    try:
        assert wait(both, timeout=5).not_done == set(), "closing waits for a search that waits too"
    finally:
        disk.error = None
        wait(both, timeout=30)
        pool.shutdown()


def read_all(engine: SqliteEngine, *, is_bounded: bool) -> list[str]:
    return asyncio.run(
        engine.read_async(lambda tx: tx.fetch_all("notes", str), is_bounded=is_bounded)
    )


def test_writes_on_a_slow_disk_share_its_syncs_and_reads_do_not_wait_for_it(
    engine: SqliteEngine, disk: FaultyDisk
) -> None:
    engine.write(add_note("before"))
    disk.sync_s = 0.3
    texts = [f"note {n}" for n in range(100)]
    with ThreadPoolExecutor(1) as pool:
        began = monotonic()
        writing = pool.submit(run_in_one_group, engine, *map(add_note, texts))
        assert read_notes(engine) == ["before"]
        assert writing.result(30) == texts
        assert monotonic() - began < len(texts) * disk.sync_s / 10
    disk.sync_s = 0.0


@pytest.mark.parametrize("is_bounded", [True, False])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_read_from_a_failing_disk_raises_unavailable(
    engine: SqliteEngine,
    disk: FaultyDisk,
    is_bounded: bool,
    is_first: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if not is_first:
        read_all(engine, is_bounded=is_bounded)
    engine.write(add_note("before"))
    disk.error, disk.fails_on = apsw.IOError, {"read"}
    with pytest.raises(Unavailable):
        read_all(engine, is_bounded=is_bounded)
    assert "The database file cannot be used" in caplog.text
    disk.error = None
    assert read_all(engine, is_bounded=is_bounded) == ["before"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (apsw.FullError, "The disk of {path} is full. Free some space, then start again."),
        (apsw.IOError, "Reading or writing {path} failed"),
    ],
)
@pytest.mark.parametrize("is_new", [True, False])
def test_a_disk_that_fails_at_the_start_is_explained(
    disk: FaultyDisk,
    open_engine: OpenEngine,
    path: Path,
    error: type[apsw.Error],
    message: str,
    is_new: bool,
) -> None:
    if not is_new:
        create_unmigrated(path)
    before = path.read_bytes() if path.exists() else b""
    disk.error, disk.fails_on = error, {"write", "sync"}
    with pytest.raises(StorageError) as raised:
        open_engine()
    assert message.format(path=path) in raised.value.detail
    assert (path.read_bytes() if path.exists() else b"") == before
    disk.error = None
    engine = open_engine()
    engine.write(create_table)


def create_unmigrated(path: Path) -> None:
    """Create a database without migrations, which the next start applies."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = wal; CREATE TABLE other (x); DROP TABLE other")
    connection.close()
