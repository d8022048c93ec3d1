"""The files of a SQLite database as bytes: all of them, the log first, and without harm."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.storage.conftest import OpenEngine
from tests.storage.notes import make, note
from userkeep.storage.engine import Files
from userkeep.storage.raw_files import RawFile
from userkeep.storage.sqlite.files import files_of

pytestmark = pytest.mark.disk

# Another process asks for the lock that SQLite has on a file that is open.
PROBE = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
    except OSError:
        print("held")
"""


OPEN_FILES = Path("/proc/self/fd")


def is_held(path: Path) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, path], capture_output=True, text=True, check=True
    )
    return done.stdout == "held\n"


def contents(file: RawFile) -> bytes:
    with file.open() as reading:
        return b"".join(reading.read(offset, 1000) for offset in range(0, reading.size, 1000))


def names(files: Files) -> list[str]:
    return [file.name for file in files.raw]


def test_the_log_comes_first_because_what_leaves_it_goes_into_the_file(
    open_engine: OpenEngine, path: Path
) -> None:
    engine = open_engine()
    engine.write(make)
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
    assert [each.name for each in files.unread] == ["file userkeep.db-shm"]
    for file in files.raw:
        assert contents(file) == path.with_name(file.name).read_bytes()


def test_to_read_the_files_takes_no_lock_away(open_engine: OpenEngine, path: Path) -> None:
    engine = open_engine()
    engine.write(make)
    engine.write(note("Hello"))
    assert is_held(path)
    for _ in range(3):
        for file in engine.files().raw:
            contents(file)
    assert is_held(path)
    engine.write(note("Goodbye"))
    assert engine.read(lambda tx: tx.fetch_all("notes", str)) == ["Hello", "Goodbye"]


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="only Linux lists what is open")
def test_files_are_not_left_open(open_engine: OpenEngine) -> None:
    engine = open_engine()
    engine.write(make)
    before = len(list(OPEN_FILES.iterdir()))
    for _ in range(50):
        for file in engine.files().raw:
            contents(file)
    assert len(list(OPEN_FILES.iterdir())) <= before + 3


def test_a_link_leads_to_the_files_where_they_are(open_engine: OpenEngine, path: Path) -> None:
    open_engine().write(make)
    link = path.parent / "elsewhere" / "linked.db"
    link.parent.mkdir()
    link.symlink_to(path)
    assert "userkeep.db-wal" in names(files_of(str(link)))


def test_a_database_in_memory_has_none(open_engine: OpenEngine) -> None:
    raw, [unread] = open_engine(":memory:").files()
    assert raw == ()
    assert unread.reason == "The database is in memory and has no files."


def test_a_file_that_is_gone_meanwhile_is_no_file(open_engine: OpenEngine, path: Path) -> None:
    copy = path.with_name("userkeep.db.copy")
    copy.write_bytes(b"a copy")
    [file] = [each for each in open_engine().files().raw if each.name == copy.name]
    copy.unlink()
    with pytest.raises(FileNotFoundError):
        contents(file)
