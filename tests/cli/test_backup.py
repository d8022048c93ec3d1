"""`userkeep backup` and `userkeep restore`: what is restored, and what is rejected."""

import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import apsw
import pyrage
import pytest

from tests.backups import PASSPHRASE, content_of, make_instance, members_of, write_key
from tests.cli.running import environment_of, files_in, is_sentence, userkeep
from tests.cli.terminals import Terminal
from tests.long.client import Client
from tests.serving import USERKEEP, Server, serving
from tests.storage.faulty_disk import FaultyDisk
from userkeep.jobs.backup import restore as restoring
from userkeep.storage import migrations
from userkeep.storage.migrations import Migration, load_migrations
from userkeep.storage.sqlite import migrations as sqlite_migrations
from userkeep.storage.sqlite import replacement, snapshot
from userkeep.storage.sqlite.file_lock import FileLock

CHUNK = 64 * 1024 + 16


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an instance in `data`, a key and a backup that is sealed for it."""
    folder = tmp_path_factory.mktemp("made")
    make_instance(folder)
    write_key(folder)
    assert backup(folder, "sealed", "--key-file", "backup.key").returncode == 0
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """A copy of this folder."""
    return shutil.copytree(made, tmp_path / "place")


def backup(folder: Path, *words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    database = ("--database", "sqlite:///data/userkeep.db")
    return userkeep("backup", *database, *words, folder=folder, **options)


def restore(
    folder: Path, source: str = "sealed", *words: str, to: str = "new/userkeep.db", **options: Any
) -> "subprocess.CompletedProcess[str]":
    if "--key-file" not in words and "--passphrase-file" not in words:
        words = (*words, "--key-file", "backup.key")
    return userkeep(
        "restore", source, *words, "--database", f"sqlite:///{to}", folder=folder, **options
    )


def check_rejected(result: "subprocess.CompletedProcess[str]", *reasons: str) -> None:
    assert result.returncode in {1, 2}, result
    assert is_sentence(result.stderr), result.stderr
    for reason in reasons:
        assert reason in result.stderr


# What is in a backup, and what is restored.


def test_a_backup_is_restored_with_its_secret_and_every_row(place: Path) -> None:
    result = restore(place)
    assert result.returncode == 0, result.stderr
    assert "The secret is in new/userkeep.db.secret." in result.stdout
    assert content_of(place / "new/userkeep.db") == content_of(place / "data/userkeep.db")
    secrets = {(place / folder / "userkeep.db.secret").read_text() for folder in ("new", "data")}
    assert len(secrets) == 1
    assert sorted(each.name for each in (place / "new").iterdir()) == [
        "userkeep.db",
        "userkeep.db.secret",
    ]
    listed = userkeep("users", "list", "--database", "new/userkeep.db", folder=place)
    assert "jane" in listed.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with its database in `data`."""
    folder = tmp_path_factory.mktemp("serving")
    write_key(folder)
    database_url = f"sqlite:///{folder}/data/userkeep.db"
    with serving(folder, database_url=database_url) as server:
        yield server


class Writer(threading.Thread):
    """Appends messages to its session until it is stopped, and counts those that are confirmed."""

    def __init__(self, server: Server, name: str) -> None:
        super().__init__(name=name)
        self._client = Client(server.port)
        self._is_stopping = threading.Event()
        self.confirmed = 0

    def run(self) -> None:
        with closing(self._client) as client:
            while not self._is_stopping.is_set():
                message = {"role": "user", "content": f"number {self.confirmed}"}
                body = {"user_id": "jane", "messages": [message]}
                response = client.request("POST", "/v1/sessions/{}/messages", self.name, json_=body)
                assert response.status == 201
                self.confirmed += 1

    def stop(self) -> None:
        self._is_stopping.set()
        self.join(30)


def test_a_backup_under_load_has_every_write_that_was_confirmed_before_it(server: Server) -> None:
    folder = server.log.parent
    writers = [Writer(server, f"session {number}") for number in range(4)]
    for writer in writers:
        writer.start()
    ends = time.monotonic() + 60
    while min(writer.confirmed for writer in writers) < 20:
        assert time.monotonic() < ends
        time.sleep(0.01)
    before = {writer.name: writer.confirmed for writer in writers}
    assert backup(folder, "under-load", "--key-file", "backup.key").returncode == 0
    for writer in writers:
        writer.stop()
    assert server.process.poll() is None
    assert restore(folder, "under-load").returncode == 0
    with closing(apsw.Connection(str(folder / "new/userkeep.db"))) as restored:
        rows = "SELECT session_id, count(*), max(seq) FROM messages GROUP BY session_id"
        found = {session: (count, last) for session, count, last in restored.execute(rows)}
        counts = dict(restored.execute("SELECT session_id, message_count FROM sessions"))
    for writer in writers:
        count, last = found[writer.name]
        assert before[writer.name] <= count == last == counts[writer.name]
        assert count <= writer.confirmed


def test_a_running_server_is_not_restored_over(server: Server) -> None:
    folder = server.log.parent
    assert backup(folder, "running", "--key-file", "backup.key").returncode == 0
    result = restore(folder, "running", "--force", to="data/userkeep.db")
    check_rejected(result, f"served by process {server.process.pid}")


@pytest.mark.parametrize("seal", ["key", "passphrase"])
def test_every_age_tool_opens_a_backup(made: Path, tmp_path: Path, seal: str) -> None:
    (tmp_path / "passphrase").write_text(f"{PASSPHRASE}\n")
    file = tmp_path / "passphrase" if seal == "passphrase" else made / "backup.key"
    out = tmp_path / "sealed"
    assert backup(made, str(out), f"--{seal}-file", str(file)).returncode == 0
    if seal == "key":
        key = pyrage.x25519.Identity.from_str(file.read_text().splitlines()[-1])
        archive = pyrage.decrypt(out.read_bytes(), [key])
    else:
        archive = pyrage.passphrase.decrypt(out.read_bytes(), PASSPHRASE)
    members = members_of(archive)
    assert list(members) == ["manifest.json", "secret", "userkeep.db", "SHA256SUMS"]
    secret = made / "data/userkeep.db.secret"
    assert members["secret"] == secret.read_bytes().strip()
    manifest = json.loads(members["manifest.json"])
    assert manifest["schema_version"] == load_migrations("sqlite")[-1].number
    result = restore(tmp_path, str(out), f"--{seal}-file", str(file))
    assert result.returncode == 0, result.stderr


def test_a_backup_for_a_public_key_is_opened_with_the_private_one(
    made: Path, tmp_path: Path
) -> None:
    private = pyrage.x25519.Identity.generate()
    (tmp_path / "public").write_text(f"{private.to_public()}\n")
    (tmp_path / "private").write_text(f"# created: today\n{private}\n")
    out = str(tmp_path / "sealed")
    assert backup(made, out, "--key-file", str(tmp_path / "public")).returncode == 0
    check_rejected(restore(tmp_path, out, "--key-file", "public"), "which only seals")
    assert restore(tmp_path, out, "--key-file", "private").returncode == 0


def test_a_folder_gets_a_file_that_is_named_by_its_time(place: Path) -> None:
    result = backup(place, ".", "--key-file", "backup.key", "--json")
    report = json.loads(result.stdout)
    [written] = place.glob("userkeep-*Z.tar.age")
    assert Path(report["path"]).name == written.name
    assert report["size_bytes"] == written.stat().st_size
    assert report["is_sealed"] is report["has_secret"] is True


def test_deleted_texts_are_not_in_a_backup_even_before_a_purge(place: Path) -> None:
    database = ("--database", "data/userkeep.db")
    userkeep(
        "messages", "add", "s2", "remnant of mary", "--user-id", "mary", *database, folder=place
    )
    userkeep("users", "delete", "mary", "--yes", *database, folder=place)
    assert backup(place, "plain", "--without-secret").returncode == 0
    assert b"message 1" in (place / "plain").read_bytes()
    assert b"remnant of mary" not in (place / "plain").read_bytes()


def test_running_deletions_and_tombstones_are_restored(place: Path) -> None:
    database = ("--database", "data/userkeep.db")
    userkeep("users", "delete", "jane", "--yes", *database, folder=place)
    assert backup(place, "after", "--key-file", "backup.key").returncode == 0
    assert restore(place, "after").returncode == 0
    late = ("messages", "add", "s1", "late", "--user-id", "jane", "--database", "new/userkeep.db")
    assert "was deleted" in userkeep(*late, folder=place).stderr


# Not sealed.


def test_a_backup_without_the_secret_says_what_that_means(place: Path) -> None:
    result = backup(place, "plain", "--without-secret")
    assert result.returncode == 0
    assert "NOT sealed" in result.stdout
    assert "everyone who has the file can read" in result.stderr
    members = members_of((place / "plain").read_bytes())
    assert list(members) == ["manifest.json", "userkeep.db", "SHA256SUMS"]
    check_rejected(restore(place, "plain"), "new/userkeep.db.secret does not exist")
    assert not (place / "new/userkeep.db").exists()
    shutil.copy(place / "data/userkeep.db.secret", place / "new/userkeep.db.secret")
    assert restore(place, "plain").returncode == 0
    assert content_of(place / "new/userkeep.db") == content_of(place / "data/userkeep.db")


NOT_INSTALLED = """
import sys
sys.modules["cryptography"] = None
from userkeep.cli import main
main(sys.argv[1:])
"""


def test_without_the_extra_only_sealing_fails_and_names_it(place: Path) -> None:
    program = [
        sys.executable,
        "-c",
        NOT_INSTALLED,
        "backup",
        "--database",
        "sqlite:///data/userkeep.db",
    ]
    for words, code in ((("a", "--key-file", "backup.key"), 1), (("b", "--without-secret"), 0)):
        result = subprocess.run(
            [*program, *words],
            cwd=place,
            env=environment_of(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == code
        assert ("pip install 'userkeep[backup]'" in result.stderr) is (code == 1)


def test_a_backup_without_a_passphrase_or_a_key_is_rejected(place: Path) -> None:
    before = files_in(place)
    check_rejected(backup(place, "out"), "--passphrase-file", "--without-secret")
    assert files_in(place) == before


@pytest.mark.parametrize("at", [20, 600, 1500, 40_000, -12_000])
def test_a_backup_that_is_not_sealed_and_was_altered_is_rejected(place: Path, at: int) -> None:
    backup(place, "plain", "--without-secret")
    content = bytearray((place / "plain").read_bytes())
    content[at] ^= 1
    (place / "plain").write_bytes(content)
    shutil.copytree(place / "data", place / "new")
    check_unchanged(place, "plain", "--force")


def check_unchanged(place: Path, source: str, *words: str) -> None:
    """Check that a restore is rejected, and changes nothing."""
    new = place / "new"
    new.mkdir(exist_ok=True)
    before = files_in(new)
    check_rejected(restore(place, source, *words), f"{source} was rejected. ")
    assert files_in(new) == before


# Altered, cut short, or sealed for another key.


def altered(content: bytes, how: str) -> bytes:
    kind, _, at = how.partition(" ")
    if kind == "cut":
        return content[: int(at)]
    if kind == "extended":
        return content + b"x"
    if kind == "swapped":  # two chunks of the payload
        begin = len(content) % CHUNK
        return content[:begin] + content[begin + CHUNK :] + content[begin : begin + CHUNK]
    changed = bytearray(content)
    changed[int(at)] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "how",
    [
        *(f"flipped {at}" for at in (30, 90, 130, 170, 190, 210, 300, 70_000, 200_000, -1, -17)),
        *(f"cut {at}" for at in (22, 100, 184, 200, 66_000, 150_000, -CHUNK, -16, -1)),
        "extended",
        "swapped",
    ],
)
def test_a_backup_that_was_altered_or_cut_short_is_rejected(place: Path, how: str) -> None:
    content = (place / "sealed").read_bytes()
    (place / "sealed").write_bytes(altered(content, how))
    shutil.copytree(place / "data", place / "new")
    check_unchanged(place, "sealed", "--force")


def test_a_backup_that_is_cut_between_two_chunks_is_rejected(place: Path) -> None:
    content = (place / "sealed").read_bytes()
    header = content.index(b"\n--- ") + 5 + 43 + 1 + 16
    (place / "sealed").write_bytes(content[: header + CHUNK])
    check_unchanged(place, "sealed")


def test_a_wrong_passphrase_or_key_is_rejected(place: Path) -> None:
    write_key(place, "other.key")
    check_rejected(restore(place, "sealed", "--key-file", "other.key"), "The key is not the one")
    (place / "passphrase").write_text("x")
    result = restore(place, "sealed", "--passphrase-file", "passphrase")
    check_rejected(result, "The passphrase is not the one")
    assert not (place / "new/userkeep.db").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0" * 400])
def test_a_file_that_is_no_backup_is_rejected(place: Path, content: bytes) -> None:
    (place / "other").write_bytes(content)
    check_unchanged(place, "other")


def test_a_folder_or_a_pipe_is_rejected_as_a_backup(place: Path) -> None:
    os.mkfifo(place / "pipe")
    check_rejected(restore(place, "data"), "data is a folder, not a backup")
    check_rejected(restore(place, "pipe"), "pipe is a named pipe, not a backup")


def test_a_header_that_would_cost_much_time_and_memory_is_rejected(place: Path) -> None:
    (place / "passphrase").write_text(PASSPHRASE)
    salt, body = "A" * 22, "A" * 43
    for stanzas, log_n in ((1, 30), (50, 20)):
        stanza = f"-> scrypt {salt} {log_n}\n{body}\n"
        header = f"age-encryption.org/v1\n{stanza * stanzas}--- {body}\n"
        (place / "costly").write_text(header)
        began = time.monotonic()
        check_rejected(restore(place, "costly", "--passphrase-file", "passphrase"), "was rejected")
        assert time.monotonic() - began < 2


def test_a_file_of_keys_without_a_key_is_rejected(place: Path) -> None:
    (place / "bad.key").write_text("AGE-SECRET-KEY-1QQQ\n")
    check_rejected(backup(place, "out", "--key-file", "bad.key"), "is not an age key file")
    check_rejected(backup(place, "out", "--key-file", "missing"), "cannot be read")


def test_a_short_passphrase_is_rejected(place: Path) -> None:
    (place / "passphrase").write_text("hunter2\n")
    result = backup(place, "out", "--passphrase-file", "passphrase")
    check_rejected(result, "at least 12 characters")


def test_a_passphrase_is_asked_for_twice_on_a_terminal(place: Path) -> None:
    words = ("backup", "asked", "--database", "sqlite:///data/userkeep.db")
    with Terminal(*words, folder=place) as terminal:
        terminal.read_until("Passphrase: ")
        terminal.type(f"{PASSPHRASE}\n")
        terminal.read_until("Repeat for confirmation: ")
        terminal.type(f"{PASSPHRASE}\n")
        terminal.read_to_end()
    assert terminal.code == 0
    assert PASSPHRASE not in terminal.text
    archive = pyrage.passphrase.decrypt((place / "asked").read_bytes(), PASSPHRASE)
    assert "secret" in members_of(archive)


# What is not overwritten.


def test_an_existing_database_is_replaced_only_with_force_and_set_aside(place: Path) -> None:
    before = content_of(place / "data/userkeep.db")
    database = ("--database", "data/userkeep.db")
    userkeep("users", "add", "bob", *database, folder=place)
    files = files_in(place / "data")
    check_rejected(restore(place, to="data/userkeep.db"), "exists, and was not overwritten")
    assert files_in(place / "data") == files
    result = restore(place, "sealed", "--force", "--json", to="data/userkeep.db")
    report = json.loads(result.stdout)
    assert report["secret_file"] is None
    [aside] = report["set_aside"]
    assert content_of(place / "data/userkeep.db") == before
    assert (place / aside).read_bytes() == files["userkeep.db"]


def test_the_log_of_a_killed_server_does_not_reach_the_restored_database(
    place: Path, tmp_path: Path
) -> None:
    database_url = f"sqlite:///{place}/data/userkeep.db"
    with serving(tmp_path, database_url=database_url) as server:
        with closing(Client(server.port)) as client:
            client.request("POST", "/v1/users", json_={"user_id": "unsaved"})
        server.kill()
    assert (place / "data/userkeep.db-wal").stat().st_size > 0
    result = restore(place, "sealed", "--force", "--json", to="data/userkeep.db")
    [aside] = json.loads(result.stdout)["set_aside"]
    assert not (place / "data/userkeep.db-wal").exists()
    users = "SELECT user_id FROM users"
    with closing(apsw.Connection(aside)) as former:
        assert former.execute(users).fetchall() == [("jane",), ("unsaved",)]
    with closing(apsw.Connection(str(place / "data/userkeep.db"))) as restored:
        assert restored.execute(users).fetchall() == [("jane",)]


def test_another_secret_is_replaced_only_with_force_and_set_aside(place: Path) -> None:
    (place / "new").mkdir()
    secret = place / "new/userkeep.db.secret"
    secret.write_text("another secret of an instance\n")
    check_rejected(restore(place), "has another secret", "--force")
    assert secret.read_text() == "another secret of an instance\n"
    result = restore(place, "sealed", "--force", "--json")
    [aside] = json.loads(result.stdout)["set_aside"]
    assert (place / aside).read_text() == "another secret of an instance\n"
    assert secret.read_bytes() == (place / "data/userkeep.db.secret").read_bytes()


def test_a_secret_that_is_set_must_be_that_of_the_backup(place: Path) -> None:
    other = {"USERKEEP_SECRET": "another secret of an instance"}
    check_rejected(restore(place, environment=other), "USERKEEP_SECRET is another secret")
    own = {"USERKEEP_SECRET": (place / "data/userkeep.db.secret").read_text().strip()}
    assert restore(place, environment=own).returncode == 0
    assert not (place / "new/userkeep.db.secret").exists()


def test_a_backup_with_the_wrong_secret_is_rejected(place: Path) -> None:
    other = {"USERKEEP_SECRET": "another secret of an instance"}
    result = backup(place, "out", "--key-file", "backup.key", environment=other)
    check_rejected(result, "was created with another secret")
    assert not (place / "out").exists()


def test_a_database_that_is_in_use_is_not_replaced(place: Path) -> None:
    lock = FileLock(str(place / "data/userkeep.db"))
    try:
        check_rejected(restore(place, "sealed", "--force", to="data/userkeep.db"), "is locked by")
    finally:
        lock.release()


def test_no_existing_file_is_overwritten_by_a_backup(place: Path) -> None:
    for name in ("sealed", "link"):
        (place / "link").unlink(missing_ok=True)
        (place / "link").symlink_to("nowhere")
        result = backup(place, name, "--key-file", "backup.key")
        check_rejected(result, f"{name} exists, and was not overwritten")
    assert not (place / "nowhere").exists()


def test_all_files_are_private_whatever_the_umask_is(place: Path) -> None:
    before = os.umask(0)
    try:
        backup(place, "out", "--key-file", "backup.key")
        restore(place, "out")
    finally:
        os.umask(before)
    for path in (place / "out", *(place / "new").iterdir()):
        assert path.stat().st_mode & 0o777 == 0o600
    assert (place / "new").stat().st_mode & 0o777 == 0o700


def test_a_link_at_the_place_of_the_draft_is_not_followed(place: Path) -> None:
    (place / "new").mkdir()
    for name in ("userkeep.db.restoring", "userkeep.db.secret.new"):
        (place / "new" / name).symlink_to(place / "victim")
    (place / "victim").write_text("untouched")
    assert restore(place).returncode == 0
    assert (place / "victim").read_text() == "untouched"


# Disks and schemas.


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    """The disk of every database that SQLite opens in the test."""
    disk = FaultyDisk()
    yield disk
    disk.error = None
    disk.unregister()


def test_a_full_disk_leaves_no_copy_of_the_database(place: Path, disk: FaultyDisk) -> None:
    before = [files_in(each) for each in (place, place / "data")]
    disk.error, disk.file = apsw.FullError, ".part"
    check_rejected(backup(place, "out", "--key-file", "backup.key"), "is full")
    assert [files_in(each) for each in (place, place / "data")] == before


def test_a_full_disk_leaves_no_half_backup(place: Path) -> None:
    before = [files_in(each) for each in (place, place / "data")]
    small = (210_000, 210_000)  # the copy fits, the backup does not
    result = subprocess.run(
        [USERKEEP, "backup", "out", "--key-file", "backup.key"],
        cwd=place,
        env=environment_of({"USERKEEP_DATABASE_URL": "sqlite:///data/userkeep.db"}),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, small),
        capture_output=True,
        text=True,
        check=False,
    )
    check_rejected(result)
    assert [files_in(each) for each in (place, place / "data")] == before


LATER = Migration(load_migrations("sqlite")[-1].number + 1, "a_later_step", "SELECT 1")


def know_later_migration(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    known = [*load_migrations("sqlite"), LATER]
    for module in modules:
        monkeypatch.setattr(module, "load_migrations", lambda _dialect: known)


def test_a_full_disk_leaves_no_half_restored_database(place: Path) -> None:
    small = (100_000, 100_000)
    result = subprocess.run(
        [USERKEEP, "restore", "sealed", "--key-file", "backup.key"],
        cwd=place,
        env=environment_of({"USERKEEP_DATABASE_URL": "sqlite:///new/userkeep.db"}),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, small),
        capture_output=True,
        text=True,
        check=False,
    )
    check_rejected(result, "cannot be written")
    assert list((place / "new").iterdir()) == []


def test_a_backup_of_an_earlier_version_is_migrated_when_it_is_restored(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_later_migration(monkeypatch, migrations, sqlite_migrations, replacement, restoring)
    assert restore(place).returncode == 0
    with closing(apsw.Connection(str(place / "new/userkeep.db"))) as restored:
        assert sqlite_migrations.applied_migrations(restored)[LATER.number] == LATER.name


def test_a_backup_of_a_later_version_is_rejected(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        know_later_migration(later, snapshot)
        with closing(apsw.Connection(str(place / "data/userkeep.db"))) as source:
            row = (LATER.number, LATER.name)
            source.execute("INSERT INTO schema_migrations VALUES (?, ?, 1)", row)
        assert backup(place, "later", "--key-file", "backup.key").returncode == 0
    check_unchanged(place, "later")
    check_rejected(backup(place, "out", "--key-file", "backup.key"), "by a newer Userkeep")


def test_postgres_is_backed_up_with_its_own_tools(tmp_path: Path) -> None:
    url = ("--database", "postgresql://localhost/userkeep")
    for words in (("backup", "out", "--without-secret"), ("restore", "out")):
        result = userkeep(*words, *url, folder=tmp_path)
        check_rejected(result, "pg_dump", "userkeep replay-erasures")


# What was deleted after the backup.


def delete_jane(folder: Path, url: str = "sqlite:///data/userkeep.db") -> None:
    words = ("users", "delete", "jane", "--yes", "--database", url)
    assert userkeep(*words, folder=folder).returncode == 0


def test_who_was_deleted_after_the_backup_is_not_restored(place: Path) -> None:
    delete_jane(place)
    result = restore(place, "sealed", "--force", to="data/userkeep.db")
    assert result.returncode == 0, result.stderr
    assert "Deleted 0 projects, 1 user" in result.stdout
    assert "jane" not in result.stdout + result.stderr
    with serving(place, database_url=f"sqlite:///{place}/data/userkeep.db") as server:
        client = Client(server.port)
        assert client.request("GET", "/v1/users/{}", "jane").status == 404
        client.close()
    assert "jane" not in json.dumps(content_of(place / "data/userkeep.db"))
    assert b"jane" not in (place / "data/userkeep.db").read_bytes()


def test_a_restore_elsewhere_names_the_ledger_that_it_needs(place: Path) -> None:
    delete_jane(place)
    without = restore(place)
    assert without.returncode == 0
    assert "There is no deletion ledger" in without.stdout
    off = restore(place, "sealed", "--force", "--ledger-file", "off")
    assert "The deletion ledger is off, so none was read" in off.stdout
    ledger = ("--ledger-file", "data/userkeep.db.ledger")
    with_ledger = restore(place, "sealed", "--json", *ledger, to="other/userkeep.db")
    report = json.loads(with_ledger.stdout)
    assert report["deleted_again"]["users"] == 1
    listed = userkeep("users", "list", "--database", "other/userkeep.db", folder=place)
    assert "jane" not in listed.stdout


def test_the_ledger_of_another_database_rejects_a_restore(place: Path, tmp_path: Path) -> None:
    other = tmp_path / "another"
    other.mkdir()
    make_instance(other)
    delete_jane(other)
    before = files_in(other / "data")
    shutil.copy(place / "backup.key", other)
    shutil.copy(place / "sealed", other)
    result = restore(other, "sealed", "--force", to="data/userkeep.db")
    check_rejected(result, "ledger of another database")
    assert files_in(other / "data") == before
