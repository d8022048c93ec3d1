"""Scheduled backups of a server: when they are made, which are kept, and what is reported.

The server is in this process and its timers are short.
"""

import asyncio
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.backups import content_of, write_key
from tests.cli.running import files_in, userkeep
from tests.conftest import fresh_settings
from tests.http.clients import InProcessClient, serve_in_process
from userkeep.config import Settings, sqlite_path
from userkeep.worker.timers import Timers

TIMERS = Timers(check_backup_s=0.05, retry_backup_s=0.05, check_purge_s=0.05)
NAME = re.compile(r"userkeep-\d{8}T\d{6}Z\.tar\.age")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings of a server with backups of a fresh database in a file."""
    (tmp_path / "backups").mkdir()
    key = write_key(tmp_path)
    return replace(
        fresh_settings("sqlite file", tmp_path),
        backup_folder=str(tmp_path / "backups"),
        backup_key_file=str(key),
        backup_keep=3,
    )


@pytest.fixture
def folder(settings: Settings) -> Path:
    """The folder of the backups."""
    return Path(settings.backup_folder)


def add_former(folder: Path, *hours: float) -> list[str]:
    """Add files with the names of backups that are so many hours old; return the names."""
    names = []
    for each in hours:
        moment = datetime.now(UTC) - timedelta(hours=each)
        names.append(f"userkeep-{moment:%Y%m%dT%H%M%SZ}.tar.age")
        (folder / names[-1]).write_bytes(b"former")
    return names


def wait_until(client: InProcessClient, is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < ends
        client.run(asyncio.sleep(0.02))


def new_in(folder: Path) -> list[Path]:
    """Return the backups that the server has made: `add_former` adds smaller files."""
    return [path for path in sorted(folder.glob("userkeep-*")) if size_of(path) > 100]


def size_of(path: Path) -> int:
    """Return the bytes of a file; 0 for one that the server has removed since it was listed."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_a_server_backs_up_when_it_starts_and_not_again_before_it_is_due(
    settings: Settings, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with serve_in_process(settings, TIMERS) as client:
        wait_until(client, lambda: len(new_in(folder)) > 0)
        client.run(asyncio.sleep(0.3))
    [written] = folder.iterdir()
    assert NAME.fullmatch(written.name)
    assert written.stat().st_mode & 0o777 == 0o600
    [record] = [each for each in caplog.records if each.message == "backed up the database"]
    fields = record.__dict__["fields"]
    assert set(fields) == {"duration_ms", "bytes", "database_bytes", "removed"}
    assert fields["bytes"] == written.stat().st_size


def test_a_scheduled_backup_is_restored_with_the_key(settings: Settings, folder: Path) -> None:
    with serve_in_process(settings, TIMERS) as client:
        wait_until(client, lambda: len(new_in(folder)) > 0)
        client.send("POST", "/v1/users", {"user_id": "jane"})
        for each in new_in(folder):
            each.unlink()
        wait_until(client, lambda: len(new_in(folder)) > 0)
    [written] = folder.iterdir()
    words = ("--key-file", settings.backup_key_file, "--database", "sqlite:///restored.db")
    result = userkeep("restore", str(written), *words, folder=folder.parent)
    assert result.returncode == 0, result.stderr
    restored = content_of(folder.parent / "restored.db")
    assert restored == content_of(Path(sqlite_path(settings.database_url)))


def test_the_oldest_are_removed_when_a_new_one_is_complete(
    settings: Settings, folder: Path
) -> None:
    names = add_former(folder, 100, 76, 51, 26)
    (folder / "userkeep.txt").write_text("not a backup")
    with serve_in_process(settings, TIMERS) as client:
        wait_until(client, lambda: not (folder / names[1]).exists())
    kept = {path.name for path in folder.iterdir()}
    assert kept == {"userkeep.txt", names[2], names[3], *(path.name for path in new_in(folder))}
    assert len(kept) == 4


def test_a_recent_backup_of_a_former_server_is_enough(settings: Settings, folder: Path) -> None:
    add_former(folder, 23)
    before = files_in(folder)
    with serve_in_process(settings, TIMERS) as client:
        client.run(asyncio.sleep(0.3))
    assert files_in(folder) == before


def test_a_backup_of_a_wrong_clock_does_not_end_the_schedule(
    settings: Settings, folder: Path
) -> None:
    ahead = add_former(folder, -1000, -1001, -1002, -1003)
    with serve_in_process(settings, TIMERS) as client:
        wait_until(client, lambda: len(new_in(folder)) > 0)
        client.run(asyncio.sleep(0.3))
    assert len(new_in(folder)) == 1
    assert {path.name for path in folder.iterdir()} > set(ahead)


def test_a_failed_backup_is_logged_counted_and_retried_and_removes_nothing(
    settings: Settings, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    key = Path(settings.secret_file)
    with serve_in_process(settings, TIMERS) as client:
        secret = key.read_bytes()
        wait_until(client, lambda: len(new_in(folder)) > 0)
        wait_until(client, lambda: "backed up the database" in caplog.text)
        # Without the key first: the next backup is due as soon as there is none.
        key.unlink()
        for each in new_in(folder):
            each.unlink()
        names = add_former(folder, 100, 76, 51, 26)
        wait_until(client, lambda: "backup: retry in" in caplog.text)
        assert "does not exist" in caplog.text
        assert set(names) <= {path.name for path in folder.iterdir()}
        key.write_bytes(secret)
        wait_until(client, lambda: len(new_in(folder)) > 0)


def test_a_verification_names_the_backups_that_are_older_than_the_deletion(
    settings: Settings, folder: Path
) -> None:
    names = add_former(folder, 2, 1)
    with serve_in_process(settings, TIMERS) as client:
        client.send("POST", "/v1/users", {"user_id": "jane"})
        erasure = client.send("DELETE", "/v1/users/jane").json["id"]
        [later] = add_former(folder, -0.5)
        result = client.send("POST", f"/v1/erasures/{erasure}/verify", {}).json
        while result["state"] == "running":
            result = client.send("GET", f"/v1/verifications/{result['id']}").json
    skipped = {each["name"]: each["reason"] for each in result["skipped"]}
    assert {name for name in skipped if name.startswith("backup ")} == {
        f"backup {name}" for name in (*names, later)
    }
    assert all("before the deletion" in skipped[f"backup {name}"] for name in names)
    assert "before the purge" in skipped[f"backup {later}"]


@pytest.mark.parametrize(
    "end", ["before-restore-20260101T000000.000000Z", "restoring", "snapshot-0123456789abcdef.part"]
)
def test_a_verification_searches_what_backups_and_restores_have_left(
    settings: Settings, end: str
) -> None:
    text = "I moved to Reykjavik"
    with serve_in_process(replace(settings, backup_folder=""), TIMERS) as client:
        client.send("POST", "/v1/users", {"user_id": "jane"})
        erasure = client.send("DELETE", "/v1/users/jane").json["id"]
        database = Path(sqlite_path(settings.database_url))
        left = database.with_name(f"{database.name}.{end}")
        left.write_text(f"former content: {text}")
        terms = {"search_terms": [text]}
        result = client.send("POST", f"/v1/erasures/{erasure}/verify", terms).json
    assert f"file {left.name} at 16" in {each["where"] for each in result["hits"]}


def environment_of(settings: Settings, **changed: str) -> dict[str, str]:
    names = ("database_url", "secret_file", "backup_folder", "backup_key_file")
    values = {name: str(getattr(settings, name)) for name in names} | changed
    return {f"USERKEEP_{name.upper()}": value for name, value in values.items()}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"backup_key_file": ""}, "nothing to seal backups with"),
        ({"backup_key_file": "missing"}, "cannot be read"),
        ({"backup_passphrase_file": "x"}, "are both set"),
        ({"backup_folder": "missing"}, "is not a folder"),
        ({"database_url": "postgresql://localhost/userkeep"}, "does not back up PostgreSQL"),
        ({"database_url": "sqlite:///:memory:"}, "In-memory databases are not backed up"),
    ],
)
def test_a_server_with_wrong_settings_does_not_start(
    settings: Settings, tmp_path: Path, changed: dict[str, str], sentence: str
) -> None:
    result = userkeep(
        "serve", "--port", "0", folder=tmp_path, environment=environment_of(settings, **changed)
    )
    assert result.returncode == 2, result
    assert sentence in result.stderr


def test_doctor_reports_the_newest_backup_and_what_restores_have_left(
    settings: Settings, folder: Path
) -> None:
    environment = environment_of(settings)
    userkeep("migrate", folder=folder.parent, environment=environment)
    add_former(folder, 30, 3)
    result = userkeep("doctor", folder=folder.parent, environment=environment)
    assert "(3.0 hours old)" in result.stdout
    assert result.returncode == 0
    draft = folder / ".userkeep-20260101T000000Z.tar.age.0123456789abcdef.part"
    draft.write_bytes(b"")
    os.utime(draft, (0, 0))
    aside = Path(f"{sqlite_path(settings.database_url)}.before-restore-20260101T000000.000000Z")
    aside.write_bytes(b"")
    result = userkeep("doctor", folder=folder.parent, environment=environment)
    assert f"left by backups and restores: {aside}, {draft}" in result.stdout
    for path in new_in(folder) or folder.glob("*.age"):
        path.unlink()
    add_former(folder, 60)
    result = userkeep("doctor", folder=folder.parent, environment=environment)
    assert result.returncode == 3
    assert "Backups are overdue" in result.stdout
