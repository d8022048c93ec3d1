"""The lock of a database file: one process has it, until it closes the file or ends."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.storage.conftest import OpenEngine
from tests.storage.notes import add_note, create_table, read_notes
from tests.storage.subprocesses import run_in_subprocess, start_subprocess
from userkeep.domain.errors import StorageError
from userkeep.storage.sqlite.file_lock import LockHolder, lock_path, read_lock_holder

pytestmark = pytest.mark.disk

URL = "http://127.0.0.1:8123"

OPEN_AND_WAIT = """
    engine = SqliteEngine(sys.argv[1], QUERIES, url=sys.argv[2] or None)
    print("open", flush=True)
    sys.stdin.read()
    engine.close()
"""


@contextmanager
def locked_by_another_process(path: Path, url: str = URL) -> "Iterator[subprocess.Popen[str]]":
    """Another process has the file open."""
    process = start_subprocess(OPEN_AND_WAIT, path, url)
    try:
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        yield process
    finally:
        process.communicate(timeout=30)


def test_the_error_names_the_process_that_serves_the_file_and_its_url(
    path: Path, open_engine: OpenEngine
) -> None:
    with locked_by_another_process(path) as other:
        with pytest.raises(StorageError) as raised:
            open_engine()
        assert raised.value.detail == (
            f"{path} is served by process {other.pid} at {URL}; use that, or stop it."
        )
        assert read_lock_holder(str(path)) == LockHolder(other.pid, URL)
    open_engine()


def test_the_error_names_a_process_that_does_not_serve_without_a_url(
    path: Path, open_engine: OpenEngine
) -> None:
    with locked_by_another_process(path, url="") as other:
        with pytest.raises(StorageError) as raised:
            open_engine()
        assert raised.value.detail == (
            f"{path} is locked by process {other.pid}; stop that process, or wait for it."
        )


def test_the_same_process_cannot_open_a_file_twice(path: Path, open_engine: OpenEngine) -> None:
    engine = open_engine(url=URL)
    with pytest.raises(StorageError, match=f"served by process {os.getpid()} at {URL}"):
        open_engine()
    engine.write(create_table)
    assert engine.write(add_note("still open")) == "still open"
    assert read_lock_holder(str(path)) == LockHolder(os.getpid(), URL)


def test_closing_unlocks_the_file(path: Path, open_engine: OpenEngine) -> None:
    engine = open_engine()
    assert read_lock_holder(str(path)) == LockHolder(os.getpid(), None)
    engine.close()
    assert read_lock_holder(str(path)) is None
    with locked_by_another_process(path):
        pass
    open_engine()


def test_a_killed_process_unlocks_the_file(path: Path, open_engine: OpenEngine) -> None:
    with locked_by_another_process(path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait(30)
        assert lock_path(str(path)).read_text()  # the process could not empty it
        assert read_lock_holder(str(path)) is None
        open_engine().write(create_table)
        assert read_lock_holder(str(path)) == LockHolder(os.getpid(), None)


def test_reading_the_lock_holder_prevents_nobody_from_locking(
    path: Path, open_engine: OpenEngine
) -> None:
    open_engine().close()
    is_over = threading.Event()

    def read() -> None:
        while not is_over.wait(0.005):
            read_lock_holder(str(path))

    reading = threading.Thread(target=read)
    reading.start()
    try:
        for _ in range(20):
            open_engine().close()
    finally:
        is_over.set()
        reading.join()


def test_a_file_that_was_never_opened_has_no_lock_holder_and_no_lock_file(path: Path) -> None:
    assert read_lock_holder(str(path)) is None
    assert not lock_path(str(path)).exists()


@pytest.mark.parametrize("way", ["symlink", "symlinked folder", "dots", "relative"])
def test_a_file_has_one_lock_whatever_path_is_used(
    path: Path, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    open_engine(path)
    match way:
        case "symlink":
            other = path.with_name("other.db")
            other.symlink_to(path)
        case "symlinked folder":
            folder = path.parent / "folder"
            folder.symlink_to(path.parent)
            other = folder / path.name
        case "dots":
            (path.parent / "folder").mkdir()
            other = path.parent / "folder" / ".." / path.name
        case _:
            monkeypatch.chdir(path.parent)
            other = Path(path.name)
    with pytest.raises(StorageError, match=f"locked by process {os.getpid()}, which is this one"):
        open_engine(other)


def test_databases_in_memory_have_no_lock(open_engine: OpenEngine) -> None:
    for engine in (open_engine(":memory:"), open_engine(":memory:")):
        engine.write(create_table)
        assert read_notes(engine) == []


# A process that forks.

IN_A_CHILD = """
    engine = SqliteEngine(sys.argv[1], QUERIES, url="http://127.0.0.1:8123")
    engine.write(create_table)
    engine.write(add_note("before"))
    read_notes(engine)
    child = os.fork()
    if child == 0:
        try:
            {in_child}
        finally:
            sys.stdout.flush()
            os._exit(0)
    os.waitpid(child, 0)
    engine.write(add_note("after"))
    print(read_notes(engine))
    holder = read_lock_holder(sys.argv[1])
    print(holder is not None and (holder.pid, holder.url) == (os.getpid(), "http://127.0.0.1:8123"))
    engine.close()
    print(sorted(each.name for each in Path(sys.argv[1]).parent.iterdir()))
"""


def forked(path: Path, in_child: str) -> list[str]:
    """Return what a process printed whose child ran this code after a fork."""
    indented = in_child.strip().replace("\n", "\n" + " " * 12)
    return run_in_subprocess(IN_A_CHILD.replace("{in_child}", indented), path).splitlines()


PARENT_IS_UNHARMED = [
    "['before', 'after']",
    "True",
    "['userkeep.db', 'userkeep.db.lock']",
]


def test_a_forked_process_must_open_the_database_again(path: Path) -> None:
    in_child = """
for attempt in (lambda: engine.write(add_note("child")), lambda: read_notes(engine)):
    try:
        attempt()
    except UserkeepError as error:
        print(error.detail)
"""
    sentence = (
        "This database was opened before the process forked, and a connection does not "
        "survive a fork. Open it again in the new process."
    )
    assert forked(path, in_child) == [sentence, sentence, *PARENT_IS_UNHARMED]


def test_a_forked_process_is_told_that_its_parent_has_locked_the_file(path: Path) -> None:
    in_child = """
try:
    SqliteEngine(sys.argv[1], QUERIES)
except UserkeepError as error:
    print(error.detail == f"{sys.argv[1]} is served by process {os.getppid()} at "
        "http://127.0.0.1:8123; use that, or stop it.")
"""
    assert forked(path, in_child) == ["True", *PARENT_IS_UNHARMED]


def test_a_forked_process_that_only_exits_does_no_harm(path: Path) -> None:
    assert forked(path, "pass") == PARENT_IS_UNHARMED


def test_a_forked_process_that_closes_the_engine_does_no_harm(path: Path) -> None:
    in_child = """
try:
    engine.close()
except UserkeepError:
    pass
"""
    assert forked(path, in_child) == PARENT_IS_UNHARMED
