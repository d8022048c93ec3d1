"""Opening a file: the settings of its connections, and the errors if it cannot be opened."""

import asyncio
import gc
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import apsw
import pytest

from tests.storage.conftest import OpenEngine
from tests.storage.notes import QUERIES, add_note, create_table, read_notes
from tests.storage.subprocesses import run_unprivileged
from userkeep.config import Settings
from userkeep.domain.errors import StorageError, UserkeepError
from userkeep.domain.transaction import Transaction
from userkeep.instance import open_instance
from userkeep.storage.queries import Query
from userkeep.storage.sqlite import SqliteEngine
from userkeep.storage.sqlite.connection import connect

pytestmark = pytest.mark.disk

SETTINGS = {
    "journal_mode": "wal",
    "synchronous": 2,
    "secure_delete": 1,
    "foreign_keys": 1,
    "trusted_schema": 0,
    "wal_autocheckpoint": 0,
}
SECRET = "a secret of the tests"


def open_and_close(path: Path) -> None:
    """Open and close an instance, as a server does."""
    open_instance(Settings(database_url=f"sqlite:///{path}", secret=SECRET)).close()


def opening_error(path: Path) -> str:
    """Return the message with which a server would fail to start."""
    with pytest.raises(UserkeepError) as raised:
        open_and_close(path)
    return raised.value.detail


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the content of all files of a folder except lock files, which stay."""
    files = [each for each in folder.iterdir() if each.suffix != ".lock"]
    return {each.name: each.read_bytes() for each in files}


# Settings.


def test_every_connection_of_an_engine_has_all_settings(path: Path) -> None:
    def read_settings(tx: Transaction) -> dict[str, int | str | None]:
        return {name: tx.fetch_one(f"pragma_{name}", lambda value: value) for name in SETTINGS}

    pragmas = {f"pragma_{name}": Query(f"PRAGMA {name}") for name in SETTINGS}
    with closing(SqliteEngine(str(path), QUERIES | pragmas)) as engine:
        assert engine.write(read_settings) == SETTINGS
        assert engine.read(read_settings) == SETTINGS
        assert asyncio.run(engine.read_async(read_settings, is_bounded=False)) == SETTINGS


def test_a_database_in_memory_overwrites_deleted_data_too() -> None:
    with closing(connect(":memory:")) as connection:
        assert connection.pragma("secure_delete") == 1
        assert connection.pragma("foreign_keys") == 1


def test_a_setting_that_sqlite_ignores_is_an_error(path: Path) -> None:
    # Without shared memory SQLite keeps another journal mode, and does not report an error.
    usual = apsw.vfs_names()[0]
    apsw.set_default_vfs("unix-dotfile")
    try:
        with pytest.raises(StorageError, match=rf"'delete' on {path}; 'wal' is needed"):
            connect(str(path))
    finally:
        apsw.set_default_vfs(usual)


# Damaged files and other programs' files.


def not_a_database(path: Path) -> None:
    path.write_bytes(b"This is a letter to my aunt, and no database at all.\n" * 200)


def truncated(path: Path) -> None:
    open_and_close(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def without_its_first_page(path: Path) -> None:
    open_and_close(path)
    with path.open("r+b") as file:
        file.write(b"\xff" * 4096)


@pytest.mark.parametrize("damage", [not_a_database, truncated, without_its_first_page])
def test_a_damaged_database_is_rejected_and_left_unchanged(
    path: Path, damage: Callable[[Path], None]
) -> None:
    damage(path)
    before = files_in(path.parent)
    assert opening_error(path) == (
        f"{path} is not a SQLite database, or it is damaged. "
        "Use another file, or restore it from a backup; nothing was changed."
    )
    gc.collect()
    assert files_in(path.parent) == before


@pytest.mark.parametrize(
    "table", ["schema_migrations", "users", "sessions", "erasures", "instance"]
)
def test_a_damaged_page_that_the_start_reads_gives_the_same_error(path: Path, table: str) -> None:
    open_and_close(path)
    with closing(apsw.Connection(str(path))) as connection:
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        page: Any = connection.execute(sql, (table,)).get
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    before = files_in(path.parent)
    assert "is not a SQLite database, or it is damaged" in opening_error(path)
    gc.collect()
    assert files_in(path.parent) == before


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
@pytest.mark.parametrize("table", ["bookmarks", "sessions"])
def test_another_programs_database_is_rejected_and_left_unchanged(
    path: Path, journal_mode: str, table: str
) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("journal_mode", journal_mode)
        connection.execute(f"CREATE TABLE {table} (theirs TEXT)")
    before = files_in(path.parent)
    assert str(path) in opening_error(path)
    gc.collect()
    assert files_in(path.parent) == before


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.touch()
    open_and_close(path)
    open_and_close(path)


def test_a_missing_folder_is_created(tmp_path: Path) -> None:
    path = tmp_path / "one" / "userkeep.db"
    open_and_close(path)
    assert path.exists()


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "folder"
    assert (
        opening_error(folder / "userkeep.db")
        == f"The folder {folder} cannot be created: Not a directory."
    )


def test_a_folder_at_the_path_of_the_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "userkeep.db"
    path.mkdir()
    assert f"{path} cannot be opened" in opening_error(path)


def test_a_rejected_file_is_unlocked_and_can_be_opened_after_it_is_repaired(
    path: Path, open_engine: OpenEngine
) -> None:
    not_a_database(path)
    with pytest.raises(StorageError):
        open_engine()
    path.unlink()
    engine = open_engine()
    engine.write(create_table)
    assert engine.write(add_note("after")) == "after"


def test_no_connection_to_a_rejected_file_stays_open(path: Path) -> None:
    not_a_database(path)
    before = len(apsw.connections())
    with pytest.raises(StorageError) as raised:
        open_and_close(path)
    assert len(apsw.connections()) == before, "even while the error is kept"
    del raised


# Locked files.


def test_a_new_file_locked_by_another_program_is_rejected_in_time(
    path: Path, short_busy_timeout: float
) -> None:
    with closing(apsw.Connection(str(path))) as other:
        other.execute("CREATE TABLE theirs (x); BEGIN EXCLUSIVE")
        began = monotonic()
        message = opening_error(path)
        assert monotonic() - began < 10 * short_busy_timeout
        other.execute("ROLLBACK")
    assert f"{path} is locked by another program" in message


def test_a_database_locked_by_another_program_is_rejected_in_time(
    path: Path, short_busy_timeout: float
) -> None:
    open_and_close(path)
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = monotonic()
        message = opening_error(path)
        assert monotonic() - began < 10 * short_busy_timeout
        other.execute("ROLLBACK")
    assert "locked" in message
    assert "nother program" in message
    open_and_close(path)


def test_a_write_waits_for_a_short_lock_of_another_program(
    path: Path, open_engine: OpenEngine
) -> None:
    engine = open_engine()
    engine.write(create_table)
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN IMMEDIATE")

        async def write() -> str:
            writing = asyncio.ensure_future(engine.write_async(add_note("in the end")))
            await asyncio.sleep(0.3)
            assert not writing.done()
            other.execute("ROLLBACK")
            return await writing

        assert asyncio.run(write()) == "in the end"
    assert read_notes(engine) == ["in the end"]


# Read-only files. Root may write anywhere, so this runs in an unprivileged process.

OPEN = """
    try:
        settings = Settings(database_url=f"sqlite:///{sys.argv[1]}", secret="a secret of the tests")
        open_instance(settings).close()
    except UserkeepError as error:
        print(error.detail)
"""


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user may write to."""
    folder = Path(tempfile.mkdtemp(prefix="userkeep-"))
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


def test_an_unprivileged_user_can_open_a_database(public_folder: Path) -> None:
    assert run_unprivileged(OPEN, public_folder / "userkeep.db") == ""
    assert (public_folder / "userkeep.db").exists()


def test_another_users_lock_file_locks_nobody_out(public_folder: Path) -> None:
    (public_folder / "userkeep.db.lock").touch(mode=0o600)
    assert run_unprivileged(OPEN, public_folder / "userkeep.db") == ""


def test_a_read_only_file_is_an_error_and_left_unchanged(public_folder: Path) -> None:
    path = public_folder / "userkeep.db"
    run_unprivileged(OPEN, path)
    path.chmod(0o444)
    before = files_in(public_folder)
    message = run_unprivileged(OPEN, path)
    assert message == f"{path} or its folder is read-only. Make both writable for this user."
    assert files_in(public_folder) == before


def test_a_read_only_folder_is_an_error_and_left_unchanged(public_folder: Path) -> None:
    path = public_folder / "userkeep.db"
    open_and_close(path)
    path.chmod(0o666)
    for beside in public_folder.glob("*.lock"):
        beside.unlink()
    public_folder.chmod(0o555)
    before = files_in(public_folder)
    message = run_unprivileged(OPEN, path)
    assert "writable for this user" in message
    assert str(public_folder) in message
    assert files_in(public_folder) == before


_CHECK = """
from userkeep.storage.sqlite.checks import check_database
print([each.finding for each in check_database(sys.argv[1]) if not each.is_well])
"""


def test_a_check_finds_what_cannot_be_written(public_folder: Path) -> None:
    path = public_folder / "userkeep.db"
    run_unprivileged(OPEN, path)
    assert run_unprivileged(_CHECK, path) == "[]"
    path.chmod(0o444)
    assert f"this user cannot write to {path}" in run_unprivileged(_CHECK, path)
    path.chmod(0o666)
    public_folder.chmod(0o555)
    assert f"this user cannot write to {public_folder}" in run_unprivileged(_CHECK, path)


def test_an_unreadable_file_is_an_error_and_left_unchanged(public_folder: Path) -> None:
    path = public_folder / "userkeep.db"
    run_unprivileged(OPEN, path)
    path.chmod(0o000)
    message = run_unprivileged(OPEN, path)
    assert f"{path} cannot be opened" in message
    assert "may read and write it" in message


def test_a_folder_that_must_not_be_created_is_an_error(public_folder: Path) -> None:
    public_folder.chmod(0o555)
    folder = public_folder / "new"
    message = run_unprivileged(OPEN, folder / "userkeep.db")
    assert message == f"The folder {folder} cannot be created: Permission denied."
