"""Export, import and copy without a terminal: their reports, and what remains when they stop."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from userkeep import NewMessage, Userkeep
from userkeep.cli.instance import ClientInstance
from userkeep.jobs.backup.age import PrivateKey
from userkeep.jobs.backup.job import Backup, SilentReporter
from userkeep.jobs.backup.restore import Restore, Target
from userkeep.jobs.copy import sqlite
from userkeep.jobs.copy.job import Copy
from userkeep.jobs.export import Export, all_users, find_users
from userkeep.jobs.import_ import Import
from userkeep.jobs.jsonl import Counts
from userkeep.jobs.stopping import Stoppable, Stopped

MESSAGES = 1_200


class Reports:
    """Keeps all reports, and stops the job when its first message is done."""

    def __init__(self) -> None:
        self.job: Stoppable | None = None
        self.counts: list[Counts] = []
        self.read_bytes: list[int | None] = []
        self.warnings: list[str] = []

    def progress(self, counts: Counts, read_bytes: int | None = None) -> None:
        self.counts.append(Counts(counts.users, counts.sessions, counts.messages))
        self.read_bytes.append(read_bytes)
        if self.job is not None and counts.messages:
            self.job.stop()

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Userkeep]:
    """A database with two users; the first has a long session."""
    with Userkeep.open(tmp_path / "source.db") as client:
        messages = (
            NewMessage(role="user", content=f"number {n}", id=str(UUID(int=n)))
            for n in range(MESSAGES)
        )
        client.message.add_bulk("s1", messages, user_id="ann")
        client.user.add(user_id="bob")
        yield client


def exported(client: Userkeep) -> bytes:
    file = io.BytesIO()
    Export(ClientInstance(client), file).run(all_users(ClientInstance(client)), has_rest=True)
    return file.getvalue()


def test_an_export_reports_counts_and_returns_them(client: Userkeep) -> None:
    instance, reports = ClientInstance(client), Reports()
    file = io.BytesIO()
    counts = Export(instance, file, reports).run(
        find_users(instance, ["bob", "ann", "bob"]), has_rest=False
    )
    assert counts == reports.counts[-1] == Counts(2, 1, MESSAGES)
    kinds = [next(iter(json.loads(line))) for line in file.getvalue().splitlines()]
    assert kinds[:4] == ["userkeep", "user", "user", "session"]
    assert kinds[-1] == "end"


def test_a_stopped_export_has_no_last_line(client: Userkeep) -> None:
    instance, reports = ClientInstance(client), Reports()
    file = io.BytesIO()
    job = reports.job = Export(instance, file, reports)
    with pytest.raises(Stopped):
        job.run(all_users(instance), has_rest=True)
    assert job.place == "user 'ann'"
    assert 0 < job.counts.messages < MESSAGES
    assert b'{"end"' not in file.getvalue()


def test_a_stopped_import_is_completed_by_another_one(client: Userkeep, tmp_path: Path) -> None:
    text = exported(client)
    with Userkeep.open(tmp_path / "target.db") as target:
        instance, reports = ClientInstance(target), Reports()
        job = reports.job = Import(instance, reports)
        with pytest.raises(Stopped):
            job.run(io.BytesIO(text))
        assert (job.place, job.line) == ("user 'ann'", 1 + 1 + 1 + 1_001)
        result = Import(instance).run(io.BytesIO(text))
        assert (result.added, result.present) == (
            Counts(1, 0, MESSAGES - 1_000),
            Counts(1, 1, 1_000),
        )
        assert exported(target) == text


def test_an_import_reports_what_it_has_read_and_what_it_skips(
    client: Userkeep, tmp_path: Path
) -> None:
    text = exported(client)
    with Userkeep.open(tmp_path / "target.db") as target:
        target.user.add(user_id="bob")
        reports = Reports()
        result = Import(ClientInstance(target), reports).run(io.BytesIO(text))
    assert result.differing_users == ["bob"]
    assert reports.read_bytes[-1] == len(text)
    [warning] = reports.warnings
    assert warning.startswith(
        "user 'bob' exists and differs from the file in uuid, created_at: skipped"
    )


class CopyReports:
    """Keeps all reports, and stops the job after some of them."""

    def __init__(self, stop_in: str = "") -> None:
        self.job: Stoppable | None = None
        self.stop_in = stop_in
        self.rows = self.advanced = 0
        self.tables: list[tuple[str, str]] = []

    def start(self, rows: int) -> None:
        self.rows = rows

    def start_table(self, step: str, table: str) -> None:
        self.tables.append((step, table))
        if table == self.stop_in and self.job is not None:
            self.job.stop()

    def advance(self, rows: int) -> None:
        self.advanced += rows

    def end_table(self) -> None:
        pass


def test_a_stopped_copy_is_completed_by_another_one(client: Userkeep, tmp_path: Path) -> None:
    client.close()
    source_path, target_path = str(tmp_path / "source.db"), str(tmp_path / "target.db")
    reports = CopyReports(stop_in="messages")
    with sqlite.source(source_path) as source, sqlite.target(target_path) as target:
        job = reports.job = Copy(source, target, reports)
        with pytest.raises(Stopped):
            job.run()
    assert reports.tables[-1] == ("copying", "messages")
    reports = CopyReports()
    with sqlite.source(source_path) as source, sqlite.target(target_path) as target:
        tables = Copy(source, target, reports).run()
    assert all(table.is_equal for table in tables)
    assert reports.rows == reports.advanced == 2 * sum(table.source.rows for table in tables)
    secret = (tmp_path / "source.db.secret").read_text().strip()
    with Userkeep.open(target_path, secret=secret) as copied:
        assert copied.session.get("s1").message_count == MESSAGES


class StopsAtStep:
    """Stops the job when a step has begun."""

    def __init__(self, step: str) -> None:
        self._step = step
        self.job: Stoppable | None = None

    def start(self, step: str, total_bytes: int | None) -> None:
        assert total_bytes is None or total_bytes > 0
        if step == self._step and self.job is not None:
            self.job.stop()

    def advance(self, done_bytes: int) -> None: ...


@pytest.mark.parametrize(
    "step", ["copying the database", "writing the backup", "verifying the backup"]
)
def test_a_stopped_backup_leaves_nothing(client: Userkeep, tmp_path: Path, step: str) -> None:
    before = sorted(tmp_path.iterdir())
    reporter = StopsAtStep(step)
    source, out = str(tmp_path / "source.db"), tmp_path / "out"
    job = reporter.job = Backup(source, out, PrivateKey.generate(), None, reporter)
    with pytest.raises(Stopped):
        job.run()
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("step", ["reading the backup", "checking the database", "preparing"])
def test_a_stopped_restore_changes_nothing(client: Userkeep, tmp_path: Path, step: str) -> None:
    source, out = str(tmp_path / "source.db"), tmp_path / "out"
    key, secret = PrivateKey.generate(), Path(f"{tmp_path}/source.db.secret").read_bytes().strip()
    Backup(source, out, key, secret, SilentReporter()).run()
    reporter = StopsAtStep(step)
    target = Target(str(tmp_path / "new/userkeep.db"), tmp_path / "new/secret", None, False)
    job = reporter.job = Restore(out, key, target, reporter)
    with pytest.raises(Stopped):
        job.run(lambda _draft, _secret: reporter.start("preparing", None))
    assert list((tmp_path / "new").iterdir()) == []
