"""The files of an instance: private whatever the umask, and never led astray by what is there."""

import fcntl
import json
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.cli.running import userkeep
from tests.storage.subprocesses import finish, start_subprocess
from userkeep import Userkeep
from userkeep.domain.errors import StorageError

pytestmark = pytest.mark.disk

OPEN = """
    try:
        engine = SqliteEngine(sys.argv[1], QUERIES)
        engine.close()
        print("opened")
    except UserkeepError as error:
        print(error.detail)
"""


READ = """
    with closing(apsw.Connection(sys.argv[1])) as connection:
        connection.execute("SELECT * FROM users").fetchall()
"""


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """The umask of the process."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes_below(folder: Path) -> dict[str, int]:
    return {str(each.relative_to(folder)): mode(each) for each in folder.rglob("*")}


def add_jane(path: Path) -> None:
    with Userkeep.open(path) as client:
        client.user.add(user_id="jane")


def open_elsewhere(path: Path) -> str:
    """Open a database in another process; return what it printed."""
    return finish(start_subprocess(OPEN, path))


def error_of(path: Path, **settings: Any) -> str:
    with pytest.raises(StorageError) as raised:
        Userkeep.open(path, **settings).close()
    return raised.value.detail


# Modes.


def test_everything_that_is_created_is_private(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "one"
    with Userkeep.open(folder / "m.db") as client:
        client.user.add(user_id="jane")
        client.user.get("jane")
        assert modes_below(tmp_path) == {
            "one": 0o700,
            "one/m.db": 0o600,
            "one/m.db-wal": 0o600,
            "one/m.db-shm": 0o600,
            "one/m.db.lock": 0o600,
            "one/m.db.secret": 0o600,
        }


def test_a_copy_an_export_and_a_named_secret_are_private(tmp_path: Path, umask: int) -> None:
    source, secret = tmp_path / "m.db", tmp_path / "keys" / "m.secret"
    with Userkeep.open(source, secret_file=str(secret)) as client:
        client.user.add(user_id="jane")
    urls = (f"sqlite:///{source}", f"sqlite:///{tmp_path}/copies/m.db")
    environment = {"USERKEEP_SECRET_FILE": str(secret)}
    words = ("export", "--database", source, "--output", "users.jsonl")
    for command in (("copy", *urls), words):
        assert userkeep(*command, folder=tmp_path, environment=environment).returncode == 0
    found = modes_below(tmp_path)
    assert {"copies/m.db", "keys/m.secret", "users.jsonl"} < found.keys()
    assert {found[name] for name in ("copies", "keys")} == {0o700}
    assert {each for name, each in found.items() if (tmp_path / name).is_file()} == {0o600}


@pytest.mark.parametrize("name", ["m.db", "m.db.secret"])
def test_files_that_others_can_use_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    path = tmp_path / "m.db"
    add_jane(path)
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
    (tmp_path / name).chmod(0o644)
    Userkeep.open(path).close()
    assert f"{tmp_path / name} can be used by other users (mode 0644)." in caplog.text


def test_the_doctor_reports_files_that_others_can_use(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    add_jane(path)
    path.chmod(0o640)
    result = userkeep("doctor", "--json", "--database", f"sqlite:///{path}", folder=tmp_path)
    assert result.returncode == 3
    [found] = [each for each in json.loads(result.stdout) if not each["is_well"]]
    assert found["subject"] == "permissions"
    assert found["finding"] == f"{path} can be used by other users (mode 0640)"
    assert "chmod 600" in found["advice"]


# What is no file.


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


NO_FILES = pytest.mark.parametrize("make", [make_pipe, make_folder, make_link_to_a_device])


@NO_FILES
def test_a_database_that_is_no_file_is_an_error(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "m.db"
    make(path)
    assert "not a database file" in error_of(path)
    assert "not a database file" in open_elsewhere(path)
    with pytest.raises(StorageError, match="not a database file"):
        Userkeep.open(path, read_only=True)
    for words in (("users", "list"), ("doctor",), ("export", "--output", "x.jsonl")):
        result = userkeep(*words, "--database", f"sqlite:///{path}", folder=tmp_path)
        assert "not a database file" in result.stdout + result.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["m.db"]


@NO_FILES
def test_a_secret_that_is_no_file_is_an_error(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "m.db"
    make(tmp_path / "m.db.secret")
    assert re.search("not a file|directory|larger than", error_of(path))


def test_an_endless_secret_is_an_error(tmp_path: Path) -> None:
    secret = tmp_path / "large"
    secret.write_bytes(b"x" * 100_000)
    assert "larger than 65,536 bytes" in error_of(tmp_path / "m.db", secret_file=str(secret))


# Links.


def test_a_link_to_a_database_opens_the_database(tmp_path: Path) -> None:
    add_jane(tmp_path / "m.db")
    (tmp_path / "link.db").symlink_to("m.db")
    with Userkeep.open(tmp_path / "link.db", secret_file=str(tmp_path / "m.db.secret")) as client:
        assert client.user.get("jane").user_id == "jane"
        assert "is this one" in error_of(tmp_path / "m.db")


@pytest.mark.parametrize("name", ["m.db", "m.db.secret"])
def test_a_link_to_nothing_creates_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    error_of(tmp_path / "m.db")
    assert not (tmp_path / "elsewhere").exists()


def test_a_draft_that_a_crash_left_does_not_prevent_the_start(tmp_path: Path) -> None:
    (tmp_path / f"m.db.secret.{os.getpid()}").touch()
    add_jane(tmp_path / "m.db")


# The lock.


@pytest.mark.parametrize("is_lock_removed", [False, True])
def test_a_hard_link_does_not_admit_a_second_process(tmp_path: Path, is_lock_removed: bool) -> None:
    path = tmp_path / "m.db"
    with Userkeep.open(path) as client:
        client.user.add(user_id="jane")
        other = tmp_path / "elsewhere" / "other.db"
        other.parent.mkdir()
        other.hardlink_to(path)
        if is_lock_removed:
            (tmp_path / "m.db.lock").unlink()
            assert "locked by another process" in open_elsewhere(path)
        assert "locked by another process" in open_elsewhere(other)
        assert "locked" in error_of(other)
        assert [each.name for each in other.parent.iterdir()] == ["other.db"]
        client.user.add(user_id="john")
    other.unlink()
    assert open_elsewhere(path) == "opened"


def test_a_rejected_attempt_keeps_the_locks_of_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    with Userkeep.open(path) as client, Userkeep.open(path, read_only=True):
        client.user.add(user_id="jane")
        error_of(path)
        userkeep("doctor", "--database", f"sqlite:///{path}", folder=tmp_path)
        # Another process that closes the file last, as it seems to it, removes the WAL.
        finish(start_subprocess(READ, path))
        assert path.with_name("m.db-wal").exists()
        client.user.add(user_id="john")
    with Userkeep.open(path) as client:
        assert len(client.user.list()) == 2


def link_to_a_letter(lock: Path) -> None:
    lock.symlink_to(lock.with_name("letter"))


def hard_link_to_a_letter(lock: Path) -> None:
    lock.hardlink_to(lock.with_name("letter"))


@pytest.mark.parametrize("plant", [link_to_a_letter, hard_link_to_a_letter, make_pipe, make_folder])
def test_what_is_in_the_place_of_a_lock_file_is_left_alone(
    tmp_path: Path, plant: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "letter").write_text("Dear Jane")
    plant(tmp_path / "m.db.lock")
    path = tmp_path / "m.db"
    with Userkeep.open(path) as client:
        client.user.add(user_id="jane")
        assert "locked by another process" in open_elsewhere(path)
    assert (tmp_path / "letter").read_text() == "Dear Jane"
    assert "is not a lock file of this user" in caplog.text


def test_a_lock_on_the_lock_file_locks_nobody_out(tmp_path: Path) -> None:
    lock = tmp_path / "m.db.lock"
    lock.touch()
    with lock.open("r") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        add_jane(tmp_path / "m.db")


@pytest.mark.parametrize(
    ("url", "file_mode"),
    [
        ("http://203.0.113.7:8000", 0o600),
        ("http://127.0.0.1:1@203.0.113.7", 0o600),
        ("http://127.0.0.1.example.com", 0o600),
        ("ftp://127.0.0.1", 0o600),
        ("http://127.0.0.1:1", 0o666),
        ("http://127.0.0.1:1", 0o620),
    ],
)
def test_an_address_that_others_can_have_written_is_not_called(
    tmp_path: Path, url: str, file_mode: int
) -> None:
    path, lock = tmp_path / "m.db", tmp_path / "m.db.lock"
    add_jane(path)
    lock.write_text(json.dumps({"pid": 1, "url": url}))
    lock.chmod(file_mode)
    with lock.open("r") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = userkeep("users", "list", "--database", path, folder=tmp_path)
    assert result.returncode == 0
    assert "jane" in result.stdout
    assert url not in result.stderr


# Other programs' files.


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_another_programs_file_is_not_touched(tmp_path: Path, journal_mode: str) -> None:
    path = tmp_path / "theirs.db"
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", journal_mode)
    connection.execute("CREATE TABLE letters (theirs TEXT)")
    connection.close()
    path.chmod(0o644)
    before = path.stat()
    assert "another program's database" in error_of(path)
    after = path.stat()
    assert (after.st_mtime_ns, after.st_mode) == (before.st_mtime_ns, before.st_mode)
    assert [each.name for each in tmp_path.iterdir()] == ["theirs.db"]
