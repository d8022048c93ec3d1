"""A SQLite file that is opened read-only: beside a writer, at rest, and in read-only folders."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import apsw
import pytest

from tests.cli.running import files_in
from tests.storage.conftest import OpenEngine
from tests.storage.notes import QUERIES, add_note, create_table, read_notes
from tests.storage.subprocesses import run_in_subprocess, run_unprivileged
from tests.storage.test_files import is_locked
from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.transaction import Transaction
from userkeep.storage import migrations
from userkeep.storage.migrations import Migration, load_migrations
from userkeep.storage.sqlite import ReadOnlySqliteEngine

pytestmark = pytest.mark.disk

OpenReader = Callable[..., ReadOnlySqliteEngine]


@pytest.fixture
def open_reader(path: Path) -> Iterator[OpenReader]:
    """Opens the file read-only."""
    with ExitStack() as stack:

        def open_(at: Path | str = path, *, read_limit_ms: int = 10_000) -> ReadOnlySqliteEngine:
            reader = ReadOnlySqliteEngine(str(at), QUERIES, read_limit_ms=read_limit_ms)
            stack.callback(reader.close)
            return reader

        yield open_


def write_and_close(open_engine: OpenEngine, *texts: str) -> None:
    """Open a writer, add notes, and close it; the first time with the table of notes."""
    engine = open_engine()
    if not engine.read(lambda tx: tx.fetch_all("table_of_notes", str)):
        engine.write(create_table)
    for text in texts:
        engine.write(add_note(text))
    engine.close()


def notes_of(reader: ReadOnlySqliteEngine) -> list[str]:
    return reader.read(lambda tx: tx.fetch_all("notes", str))


# Beside a writer.


def test_it_reads_what_a_writer_in_the_same_process_commits(
    open_engine: OpenEngine, open_reader: OpenReader
) -> None:
    engine = open_engine()
    engine.write(create_table)
    reader = open_reader()
    assert notes_of(reader) == []
    engine.write(add_note("one"))
    assert notes_of(reader) == ["one"]
    engine.close()
    assert notes_of(reader) == ["one"]
    write_and_close(open_engine, "two")
    assert notes_of(reader) == ["one", "two"]


def test_it_reads_what_a_writer_in_another_process_commits(
    open_engine: OpenEngine, open_reader: OpenReader, path: Path
) -> None:
    write_and_close(open_engine, "one")
    reader = open_reader()
    assert notes_of(reader) == ["one"]
    run_in_subprocess(
        """
        with closing(SqliteEngine(sys.argv[1], QUERIES)) as engine:
            engine.write(add_note("two"))
        """,
        path,
    )
    assert notes_of(reader) == ["one", "two"]
    run_in_subprocess(
        """
        engine = SqliteEngine(sys.argv[1], QUERIES)
        engine.write(add_note("three"))
        sys.stdout.flush()
        os._exit(0)
        """,
        path,
    )
    assert Path(f"{path}-wal").exists()
    assert notes_of(reader) == ["one", "two", "three"]
    assert notes_of(open_reader()) == ["one", "two", "three"]


def test_closing_it_keeps_the_locks_of_a_writer_in_the_same_process(
    open_engine: OpenEngine, path: Path
) -> None:
    engine = open_engine()
    engine.write(create_table)
    assert is_locked(path)
    for _ in range(2):
        with closing(ReadOnlySqliteEngine(str(path), QUERIES)) as reader:
            assert notes_of(reader) == []
    assert is_locked(path)


def test_a_writer_can_truncate_the_wal_while_it_is_open(
    open_engine: OpenEngine, open_reader: OpenReader, path: Path
) -> None:
    engine = open_engine()
    engine.write(create_table)
    reader = open_reader()
    assert notes_of(reader) == []
    engine.close()
    assert not Path(f"{path}-wal").exists() or Path(f"{path}-wal").stat().st_size == 0


# A file that nobody has open.


def test_nothing_in_the_folder_changes(
    open_engine: OpenEngine, open_reader: OpenReader, path: Path
) -> None:
    write_and_close(open_engine, "one")
    before = files_in(path.parent)
    reader = open_reader()
    assert notes_of(reader) == ["one"]
    reader.close()
    assert files_in(path.parent) == before


def test_a_read_that_overlaps_a_write_is_repeated(
    open_engine: OpenEngine, open_reader: OpenReader
) -> None:
    write_and_close(open_engine, "one")
    reader = open_reader()
    calls = []

    def read(tx: Transaction) -> list[str]:
        calls.append(tx)
        first = tx.fetch_all("notes", str)
        if len(calls) == 1:
            write_and_close(open_engine, "two")
        return first

    assert reader.read(read) == ["one", "two"]
    assert len(calls) == 2


def test_a_read_that_fails_because_of_a_write_is_repeated(
    open_engine: OpenEngine, open_reader: OpenReader
) -> None:
    write_and_close(open_engine, "one")
    reader = open_reader()
    calls = []

    def read(tx: Transaction) -> list[str]:
        calls.append(tx)
        if len(calls) == 1:
            write_and_close(open_engine, "two")
            raise apsw.CorruptError("what a half-written page would raise")
        return tx.fetch_all("notes", str)

    assert reader.read(read) == ["one", "two"]


def test_a_file_that_changes_during_every_attempt_is_unavailable(
    open_engine: OpenEngine, open_reader: OpenReader
) -> None:
    write_and_close(open_engine)
    reader = open_reader()
    with pytest.raises(Unavailable, match="during every attempt"):
        reader.read(lambda _tx: write_and_close(open_engine, "more"))


def test_an_error_of_the_operation_is_raised_once(
    open_engine: OpenEngine, open_reader: OpenReader
) -> None:
    write_and_close(open_engine)
    reader = open_reader()
    calls = []

    def fail(tx: Transaction) -> None:
        calls.append(tx)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        reader.read(fail)
    assert len(calls) == 1


def test_a_symbolic_link_to_the_file_is_read(
    open_engine: OpenEngine, open_reader: OpenReader, path: Path, tmp_path: Path
) -> None:
    engine = open_engine()
    engine.write(create_table)
    link = tmp_path / "folder" / "link.db"
    link.parent.mkdir()
    link.symlink_to(path)
    reader = open_reader(link)
    engine.write(add_note("in the WAL of the target"))
    assert notes_of(reader) == ["in the WAL of the target"]
    engine.close()
    reader.close()
    assert [each.name for each in link.parent.iterdir()] == ["link.db"]


def test_it_runs_on_an_event_loop_and_in_reader_threads(
    open_engine: OpenEngine, open_reader: OpenReader
) -> None:
    write_and_close(open_engine, "one")
    reader = open_reader(read_limit_ms=100)

    async def read() -> None:
        assert await reader.read_async(lambda tx: tx.fetch_all("notes", str)) == ["one"]
        long = reader.read_async(lambda tx: tx.fetch_all("notes", str), is_bounded=False)
        assert await long == ["one"]
        with pytest.raises(Unavailable, match=r"longer than 0\.1 s"):
            await reader.read_async(
                lambda tx: tx.fetch_one("search_for_ever", int), is_bounded=False
            )

    asyncio.run(read())


# Rejected.


def test_writes_are_rejected(open_engine: OpenEngine, open_reader: OpenReader) -> None:
    write_and_close(open_engine)
    reader = open_reader()
    with pytest.raises(StorageError, match="opened read-only"):
        reader.write(add_note("one"))
    with pytest.raises(StorageError, match="opened read-only"):
        asyncio.run(reader.write_async(add_note("one")))
    with pytest.raises(StorageError, match="opened read-only"):
        reader.compactor({})
    with pytest.raises(Unavailable, match="read-only"):
        reader.read(lambda tx: tx.execute("add_note", text="one", now_at=tx.now))


def test_a_closed_engine_and_a_forked_process_are_rejected(
    open_engine: OpenEngine, open_reader: OpenReader
) -> None:
    write_and_close(open_engine)
    reader = open_reader()
    assert notes_of(reader) == []
    child = os.fork()
    if child == 0:
        try:
            notes_of(reader)
        except StorageError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    reader.close()
    with pytest.raises(Unavailable):
        notes_of(reader)


def test_a_missing_file_and_a_database_in_memory_are_rejected(
    open_reader: OpenReader, path: Path
) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        open_reader()
    assert list(path.parent.iterdir()) == []
    with pytest.raises(StorageError, match="in-memory"):
        open_reader(":memory:")


def test_another_programs_database_is_rejected(open_reader: OpenReader, path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE TABLE letters (text)")
    with pytest.raises(StorageError, match="is not a Userkeep database"):
        open_reader()
    path.write_text("Dear aunt,\n" * 1000)
    with pytest.raises(StorageError, match="is not a SQLite database"):
        open_reader()


def test_an_older_schema_is_rejected_with_advice_and_unchanged(
    open_engine: OpenEngine, open_reader: OpenReader, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_and_close(open_engine, "one")
    before = files_in(path.parent)
    known = load_migrations("sqlite")
    later = Migration(known[-1].number + 1, "a_later_step", "SELECT 1")
    monkeypatch.setattr(migrations, "load_migrations", lambda _dialect: [*known, later])
    with pytest.raises(StorageError, match=rf"Run `userkeep migrate --database sqlite:///{path}`"):
        open_reader()
    assert files_in(path.parent) == before


def test_a_newer_schema_is_rejected(
    open_engine: OpenEngine, open_reader: OpenReader, path: Path
) -> None:
    write_and_close(open_engine)
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (9999, 'from_the_future', 1)")
    with pytest.raises(StorageError, match="made by a newer Userkeep"):
        open_reader()


# Read-only files and folders. Root can write anywhere, so this runs in a process of another user.

READ = """
    from userkeep.storage.sqlite import ReadOnlySqliteEngine
    try:
        with closing(ReadOnlySqliteEngine(sys.argv[1], QUERIES)) as reader:
            print(read_notes(reader))
    except UserkeepError as error:
        print(error.detail)
"""


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user can read."""
    folder = Path(tempfile.mkdtemp(prefix="userkeep-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_read_only_file_in_a_read_only_folder_is_read(
    public_folder: Path, open_engine: OpenEngine
) -> None:
    path = public_folder / "userkeep.db"
    engine = open_engine(path)
    engine.write(create_table)
    engine.write(add_note("one"))
    engine.close()
    path.chmod(0o444)
    public_folder.chmod(0o555)
    before = files_in(public_folder)
    assert run_unprivileged(READ, path) == "['one']"
    assert files_in(public_folder) == before


def test_a_read_only_file_is_read_while_its_owner_writes_it(
    public_folder: Path, open_engine: OpenEngine
) -> None:
    path = public_folder / "userkeep.db"
    engine = open_engine(path)
    engine.write(create_table)
    engine.write(add_note("in the WAL"))
    for each in public_folder.glob("userkeep.db*"):
        each.chmod(0o444)
    assert run_unprivileged(READ, path) == "['in the WAL']"
    assert read_notes(engine) == ["in the WAL"]


def test_a_wal_without_its_writer_in_a_read_only_folder_is_explained(
    public_folder: Path, open_engine: OpenEngine
) -> None:
    path = public_folder / "userkeep.db"
    engine = open_engine(path)
    engine.write(create_table)
    for name in ("copy.db", "copy.db-wal"):
        shutil.copy(public_folder / name.replace("copy", "userkeep"), public_folder / name)
        (public_folder / name).chmod(0o444)
    sentence = run_unprivileged(READ, public_folder / "copy.db")
    assert "was not closed cleanly" in sentence
    assert "Make the folder writable" in sentence


def test_a_file_that_may_not_be_read_is_explained(
    public_folder: Path, open_engine: OpenEngine
) -> None:
    path = public_folder / "userkeep.db"
    open_engine(path).close()
    path.chmod(0o600)
    assert "may read" in run_unprivileged(READ, path)
