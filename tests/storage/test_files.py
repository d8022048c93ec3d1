"""The files of a SQLite database as bytes: all of them, the WAL first, without dropping locks."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.storage.conftest import OpenEngine
from tests.storage.notes import add_note, create_table
from userkeep.storage.engine import Files
from userkeep.storage.raw_files import RawFile
from userkeep.storage.sqlite.files import files_of

pytestmark = pytest.mark.disk

# Another process requests the lock that SQLite has on an open file.
PROBE = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
    except OSError:
        print("locked")
"""


OPEN_FILES = Path("/proc/self/fd")


def is_locked(path: Path) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, path], capture_output=True, text=True, check=True
    )
    return done.stdout == "locked\n"


def contents(file: RawFile) -> bytes:
    with file.open() as reading:
        return b"".join(reading.read(offset, 1000) for offset in range(0, reading.size, 1000))


def names(files: Files) -> list[str]:
    return [file.name for file in files.raw]


def test_the_wal_comes_first_because_its_content_moves_to_the_file(
    open_engine: OpenEngine, path: Path
) -> None:
    engine = open_engine()
    engine.write(create_table)
    path.with_name("userkeep.db.copy").write_bytes(b"a copy")
    path.with_name("another.db").write_bytes(b"another")
    path.with_name("userkeep.db.folder").mkdir()
    files = engine.files()
    assert names(files) == [
        "userkeep.db-wal",
        "userkeep.db",
        "userkeep.db.copy",
        "userkeep.db.lock",
    ]
    assert [each.name for each in files.skipped] == ["file userkeep.db-shm"]
    for file in files.raw:
        assert contents(file) == path.with_name(file.name).read_bytes()


def test_reading_the_files_drops_no_lock(open_engine: OpenEngine, path: Path) -> None:
    engine = open_engine()
    engine.write(create_table)
    engine.write(add_note("Hello"))
    assert is_locked(path)
    for _ in range(3):
        for file in engine.files().raw:
            contents(file)
    assert is_locked(path)
    engine.write(add_note("Goodbye"))
    assert engine.read(lambda tx: tx.fetch_all("notes", str)) == ["Hello", "Goodbye"]


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="only Linux lists what is open")
def test_files_are_not_left_open(open_engine: OpenEngine) -> None:
    engine = open_engine()
    engine.write(create_table)
    before = len(list(OPEN_FILES.iterdir()))
    for _ in range(50):
        for file in engine.files().raw:
            contents(file)
    assert len(list(OPEN_FILES.iterdir())) <= before + 3


def test_a_symbolic_link_is_followed_to_the_files(open_engine: OpenEngine, path: Path) -> None:
    open_engine().write(create_table)
    link = path.parent / "elsewhere" / "linked.db"
    link.parent.mkdir()
    link.symlink_to(path)
    assert "userkeep.db-wal" in names(files_of(str(link)))


def test_a_database_in_memory_has_no_files(open_engine: OpenEngine) -> None:
    raw, [skipped] = open_engine(":memory:").files()
    assert raw == ()
    assert skipped.reason == "The database is in memory and has no files."


def test_a_file_deleted_before_it_is_read_raises_file_not_found(
    open_engine: OpenEngine, path: Path
) -> None:
    copy = path.with_name("userkeep.db.copy")
    copy.write_bytes(b"a copy")
    [file] = [each for each in open_engine().files().raw if each.name == copy.name]
    copy.unlink()
    with pytest.raises(FileNotFoundError):
        contents(file)
