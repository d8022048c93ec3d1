"""Opening a file: what is in force then, and what is said where it cannot be opened."""

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
from tests.storage.elsewhere import run_as_nobody
from tests.storage.notes import QUERIES, make, note, noted
from userkeep.config import Settings
from userkeep.domain.errors import StorageError, UserkeepError
from userkeep.domain.transaction import Transaction
from userkeep.instance import open_instance
from userkeep.storage.queries import Query
from userkeep.storage.sqlite import SqliteEngine
from userkeep.storage.sqlite.connection import connect

pytestmark = pytest.mark.disk

IN_FORCE = {
    "journal_mode": "wal",
    "synchronous": 2,
    "secure_delete": 1,
    "foreign_keys": 1,
    "trusted_schema": 0,
    "wal_autocheckpoint": 0,
}
SECRET = "a secret of the tests"


def open_and_close(path: Path) -> None:
    """Open and close all that a server opens."""
    open_instance(Settings(database_url=f"sqlite:///{path}", secret=SECRET)).close()


def refusal(path: Path) -> str:
    """The sentence with which a server would refuse to start."""
    with pytest.raises(UserkeepError) as refused:
        open_and_close(path)
    return refused.value.detail


def files_in(folder: Path) -> dict[str, bytes]:
    """All files of a folder but the lock files, which stay."""
    files = [each for each in folder.iterdir() if each.suffix != ".lock"]
    return {each.name: each.read_bytes() for each in files}


# What is in force.


def test_every_connection_of_an_engine_has_every_setting_in_force(path: Path) -> None:
    def look(tx: Transaction) -> dict[str, int | str | None]:
        return {name: tx.fetch_one(f"pragma_{name}", lambda value: value) for name in IN_FORCE}

    pragmas = {f"pragma_{name}": Query(f"PRAGMA {name}") for name in IN_FORCE}
    with closing(SqliteEngine(str(path), QUERIES | pragmas)) as engine:
        assert engine.write(look) == IN_FORCE
        assert engine.read(look) == IN_FORCE
        assert asyncio.run(engine.read_async(look, is_bounded=False)) == IN_FORCE


def test_a_database_in_memory_overwrites_what_it_deletes_too() -> None:
    with closing(connect(":memory:")) as connection:
        assert connection.pragma("secure_delete") == 1
        assert connection.pragma("foreign_keys") == 1


def test_a_setting_that_sqlite_does_not_follow_is_told(path: Path) -> None:
    # Without shared memory there is no write-ahead log, and SQLite only says so when asked again.
    usual = apsw.vfs_names()[0]
    apsw.set_default_vfs("unix-dotfile")
    try:
        with pytest.raises(StorageError, match=rf"'delete' on {path}; 'wal' is needed"):
            connect(str(path))
    finally:
        apsw.set_default_vfs(usual)


# What cannot be opened.


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
def test_a_file_that_is_no_sound_database_is_refused_and_left_as_it_is(
    path: Path, damage: Callable[[Path], None]
) -> None:
    damage(path)
    before = files_in(path.parent)
    assert refusal(path) == (
        f"{path} is not a SQLite database, or it is damaged. "
        "Use another file, or restore it from a backup; nothing was changed."
    )
    gc.collect()
    assert files_in(path.parent) == before


@pytest.mark.parametrize(
    "table", ["schema_migrations", "users", "sessions", "erasures", "instance"]
)
def test_a_damaged_page_that_the_start_needs_is_told_in_the_same_sentence(
    path: Path, table: str
) -> None:
    open_and_close(path)
    with closing(apsw.Connection(str(path))) as connection:
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        page: Any = connection.execute(sql, (table,)).get
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    before = files_in(path.parent)
    assert "is not a SQLite database, or it is damaged" in refusal(path)
    gc.collect()
    assert files_in(path.parent) == before


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
@pytest.mark.parametrize("table", ["bookmarks", "sessions"])
def test_a_database_of_another_program_is_refused_and_left_as_it_is(
    path: Path, journal_mode: str, table: str
) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("journal_mode", journal_mode)
        connection.execute(f"CREATE TABLE {table} (theirs TEXT)")
    before = files_in(path.parent)
    assert str(path) in refusal(path)
    gc.collect()
    assert files_in(path.parent) == before


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.touch()
    open_and_close(path)
    open_and_close(path)


def test_folders_are_made_as_needed(tmp_path: Path) -> None:
    path = tmp_path / "one" / "two" / "userkeep.db"
    open_and_close(path)
    assert path.exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "folder"
    assert (
        refusal(folder / "userkeep.db")
        == f"The folder {folder} cannot be created: Not a directory."
    )


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "userkeep.db"
    path.mkdir()
    assert f"{path} cannot be opened" in refusal(path)


def test_a_refused_file_is_let_go_of_and_can_be_opened_once_it_is_well(
    path: Path, open_engine: OpenEngine
) -> None:
    not_a_database(path)
    with pytest.raises(StorageError):
        open_engine()
    path.unlink()
    engine = open_engine()
    engine.write(make)
    assert engine.write(note("after")) == "after"


def test_a_refused_file_has_no_connection_left_open(path: Path) -> None:
    not_a_database(path)
    before = len(apsw.connections())
    with pytest.raises(StorageError) as refused:
        open_and_close(path)
    assert len(apsw.connections()) == before, "while somebody keeps the error"
    del refused


# What is locked.


def test_a_new_file_that_another_program_has_locked_is_refused_in_time(
    path: Path, impatient: float
) -> None:
    with closing(apsw.Connection(str(path))) as other:
        other.execute("CREATE TABLE theirs (x); BEGIN EXCLUSIVE")
        began = monotonic()
        sentence = refusal(path)
        assert monotonic() - began < 10 * impatient
        other.execute("ROLLBACK")
    assert f"{path} is locked by another program" in sentence


def test_a_database_that_another_program_has_locked_is_refused_in_time(
    path: Path, impatient: float
) -> None:
    open_and_close(path)
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = monotonic()
        sentence = refusal(path)
        assert monotonic() - began < 10 * impatient
        other.execute("ROLLBACK")
    assert "locked" in sentence
    assert "nother program" in sentence
    open_and_close(path)


def test_a_lock_that_ends_in_time_is_waited_for(path: Path, open_engine: OpenEngine) -> None:
    engine = open_engine()
    engine.write(make)
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN IMMEDIATE")

        async def write() -> str:
            writing = asyncio.ensure_future(engine.write_async(note("in the end")))
            await asyncio.sleep(0.3)
            assert not writing.done()
            other.execute("ROLLBACK")
            return await writing

        assert asyncio.run(write()) == "in the end"
    assert noted(engine) == ["in the end"]


# What is read-only. Root may write anywhere, so this happens in a process without its powers.

OPEN = """
    try:
        settings = Settings(database_url=f"sqlite:///{sys.argv[1]}", secret="a secret of the tests")
        open_instance(settings).close()
    except UserkeepError as error:
        print(error.detail)
"""


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that everybody may use."""
    folder = Path(tempfile.mkdtemp(prefix="userkeep-"))
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


def test_somebody_without_roots_powers_can_open_a_database(public_folder: Path) -> None:
    assert run_as_nobody(OPEN, public_folder / "userkeep.db") == ""
    assert (public_folder / "userkeep.db").exists()


def test_a_read_only_file_is_told_and_left_as_it_is(public_folder: Path) -> None:
    path = public_folder / "userkeep.db"
    run_as_nobody(OPEN, path)
    path.chmod(0o444)
    before = files_in(public_folder)
    sentence = run_as_nobody(OPEN, path)
    assert sentence == f"{path} or its folder is read-only. Make both writable for this user."
    assert files_in(public_folder) == before


def test_a_read_only_folder_is_told_and_left_as_it_is(public_folder: Path) -> None:
    path = public_folder / "userkeep.db"
    open_and_close(path)
    path.chmod(0o666)
    for beside in public_folder.glob("*.lock"):
        beside.unlink()
    public_folder.chmod(0o555)
    before = files_in(public_folder)
    sentence = run_as_nobody(OPEN, path)
    assert "writable for this user" in sentence
    assert str(public_folder) in sentence
    assert files_in(public_folder) == before


def test_a_file_of_somebody_else_is_told_and_left_as_it_is(public_folder: Path) -> None:
    path = public_folder / "userkeep.db"
    run_as_nobody(OPEN, path)
    path.chmod(0o000)
    sentence = run_as_nobody(OPEN, path)
    assert f"{path} cannot be opened" in sentence
    assert "may read and write it" in sentence


def test_a_folder_that_may_not_be_made_is_told(public_folder: Path) -> None:
    public_folder.chmod(0o555)
    folder = public_folder / "new"
    sentence = run_as_nobody(OPEN, folder / "userkeep.db")
    assert sentence == f"The folder {folder} cannot be created: Permission denied."
