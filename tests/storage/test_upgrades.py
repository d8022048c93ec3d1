"""A database of each earlier schema opens, is migrated, and has the same rows.

`make upgrade-test` runs this module. A SQLite file is copied before its migration.
"""

import json
import os
import shutil
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from tests.cli.running import userkeep
from tests.storage import former_databases as former
from tests.storage.former_databases import SECRET, Row, current_rows_of
from tests.storage.test_migrations import with_migrations
from userkeep import StorageError, Userkeep
from userkeep.config import load_settings
from userkeep.instance import make_rules, open_engine
from userkeep.services import email_folding
from userkeep.storage.migrations import load_migrations

KNOWN = load_migrations("sqlite")
NEWEST = KNOWN[-1].number
SCHEMAS = pytest.mark.parametrize("schema", [each.number for each in KNOWN])
COMPUTED = {"word_count", "total_length"}
"""Columns that the program computes again with the search index."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "userkeep.db"


def copy_beside(path: Path, schema: int) -> Path:
    return path.with_name(f"{path.name}.schema-{schema}")


def copies(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.glob(f"{path.name}.schema-*"))


def open_database(database: Path | str) -> Userkeep:
    return Userkeep.open(database, secret=SECRET)


def check_with_client(client: Userkeep, schema: int) -> None:
    """Check what a client of the newest version reads in a database of an earlier schema."""
    users = client.user.list()
    assert [each.user_id for each in users] == ["user-1", "user-2", "user-3"]
    assert users[1].email == "Jane.2@example.com"
    assert users[2].metadata == {"plan": "pro", "n": [3, None]}
    assert [each.session_id for each in client.session.list(user_id="user-1")] == ["shoes"]
    for session in ("shoes", "no owner"):
        messages = client.message.list(session)
        assert [each.content for each in messages] == [f"red shoes {n} 名前" for n in (1, 2, 3)]
        assert [each.role for each in messages] == ["user", "assistant", "assistant"]
        assert messages[0].name == "Jane"
        assert messages[2].data == {"a": 1}
    hits = client.search("shoes", user_id="user-1", context=False)
    assert {hit.message.seq for hit in hits} == {1, 2, 3}
    assert [each.state for each in client.erasure.list()] == ["purged"]
    if schema >= former.KEYS:
        assert [each.name for each in client.key.list()] == ["web"]
    if schema >= former.PROJECTS:
        assert [each.name for each in client.project.list()] == ["default", "shop"]


def check_sqlite_rows(path: Path, schema: int) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        for row in current_rows_of(schema):
            condition, values = is_there(row, "?", "{} IS {}")
            found = connection.execute(condition, list(map(former.sqlite_value, values)))
            assert found.get == 1, row


def check_postgres_rows(url: str, schema: int) -> None:
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        for row in current_rows_of(schema):
            condition, values = is_there(row, "%s", "{} IS NOT DISTINCT FROM {}")
            values = [former.postgres_value(each) for each in values]
            [(count,)] = connection.execute(condition.encode(), values)
            assert count == 1, row


def is_there(row: Row, place: str, equals: str) -> tuple[str, list[Any]]:
    """Return a query that counts the rows with all values of a row, and its parameters."""
    compared = {name: value for name, value in row.values.items() if name not in COMPUTED}
    conditions = " AND ".join(equals.format(name, place) for name in compared)
    return f"SELECT count(*) FROM {row.table} WHERE {conditions}", list(compared.values())


# Every earlier schema.


@SCHEMAS
def test_a_file_of_an_earlier_schema_is_migrated_and_has_the_same_rows(
    path: Path, schema: int
) -> None:
    former.sqlite_database(path, schema)
    before = path.read_bytes()
    with open_database(path) as client:
        check_with_client(client, schema)
        client.user.add(user_id="new")
    check_sqlite_rows(path, schema)
    if schema == NEWEST:
        assert copies(path) == []
        return
    copy = copy_beside(path, schema)
    assert copies(path) == [copy.name]
    assert copy.read_bytes() == before
    assert copy.stat().st_mode & 0o777 == 0o600


@SCHEMAS
def test_a_postgresql_database_of_an_earlier_schema_has_the_same_rows(schema: int) -> None:
    url = former.postgres_database(schema)
    with open_database(url) as client:
        check_with_client(client, schema)
        client.user.add(user_id="new")
    check_postgres_rows(url, schema)


def test_a_copy_can_be_put_back_in_place_of_the_database(path: Path) -> None:
    former.sqlite_database(path, 1)
    open_database(path).close()
    copy_beside(path, 1).rename(path)
    with open_database(path) as client:
        check_with_client(client, 1)
    assert copies(path) == ["userkeep.db.schema-1"]


def test_who_was_deleted_after_the_copy_is_deleted_again_when_it_is_put_back(path: Path) -> None:
    former.sqlite_database(path, 1)
    with open_database(path) as client:
        client.user.delete("user-1")
    copy_beside(path, 1).rename(path)
    with pytest.raises(StorageError, match="userkeep replay-erasures"):
        open_database(path)
    words = ("replay-erasures", "--database", f"sqlite:///{path}")
    replayed = userkeep(*words, folder=path.parent, environment={"USERKEEP_SECRET": SECRET})
    assert replayed.returncode == 0
    with open_database(path) as client:
        assert [each.user_id for each in client.user.list()] == ["user-2", "user-3"]
    assert copies(path) == []


# Addresses that were folded by other rules.


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_users_of_an_earlier_version_are_found_by_email_in_each_form(
    engine: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(email_folding, "_AT_ONCE", 1)
    statement = "UPDATE users SET email = 'İpek@x', email_folded = 'i̇pek@x' WHERE number > 2"
    if engine == "sqlite":
        url = f"sqlite:///{former.sqlite_database(path, NEWEST)}"
        with closing(apsw.Connection(str(path))) as connection:
            connection.execute(statement)
    else:
        url = former.postgres_database(NEWEST)
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            connection.execute(statement)
    settings = load_settings({"database_url": url, "secret": SECRET})
    rules = make_rules(settings, SECRET.encode())
    with closing(open_engine(settings)) as opened:
        # As if a process had ended after the first batch.
        assert not opened.write(partial(email_folding.advance, rules=rules))
    for project, user_id in (("default", "user-3"), ("shop", "user-4")):
        with Userkeep.open(url, secret=SECRET, project=project) as client:
            assert [each.user_id for each in client.user.list(email="IPEK@x")] == [user_id]


# When there is a copy, and when there is none.


def test_a_new_database_is_not_copied(path: Path) -> None:
    with open_database(path):
        pass
    assert copies(path) == []


def test_a_migration_is_logged_with_its_copy(
    path: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    former.sqlite_database(path, 1)
    with open_database(path):
        pass
    [warning] = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert str(copy_beside(path, 1)) in warning
    assert "The copy has personal data" in warning


def test_a_failed_migration_leaves_the_file_as_it_was_and_names_the_copy(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former.sqlite_database(path, 4)
    before = path.read_bytes()
    with_migrations(monkeypatch, "CREATE TABLE one (x TEXT)", "SELECT nonsense")
    for _ in range(2):  # the second attempt replaces the copy of the first
        with pytest.raises(StorageError, match="nonsense") as error:
            open_database(path)
        assert "The migration was rolled back" in error.value.detail
        assert f"{copy_beside(path, 4)} is a copy" in error.value.detail
        assert path.read_bytes() == before == copy_beside(path, 4).read_bytes()
    monkeypatch.undo()
    with open_database(path) as client:
        check_with_client(client, 4)


def test_without_room_for_a_copy_nothing_is_changed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former.sqlite_database(path, 3)
    before = path.read_bytes()
    needed = 2 * len(before) + 16 * 1024 * 1024
    usage = shutil.disk_usage(path.parent)
    for free, is_enough in ((needed - 1, False), (needed, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        if is_enough:
            open_database(path).close()
            break
        with pytest.raises(StorageError, match="Nothing was changed") as error:
            open_database(path)
        assert f"needs {needed >> 20} MiB" in error.value.detail
        assert path.read_bytes() == before
        assert copies(path) == []


@pytest.mark.usefixtures("short_busy_timeout")
def test_a_file_that_another_program_reads_is_not_migrated(path: Path) -> None:
    former.sqlite_database(path, 3)
    with (
        closing(apsw.Connection(str(path))) as writer,
        closing(apsw.Connection(str(path))) as other,
    ):
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM users").fetchall()
        writer.execute("CREATE TABLE notes (x)")
        with pytest.raises(StorageError, match="locked by another program"):
            open_database(path)
        assert copies(path) == []


def test_a_copy_that_cannot_be_written_is_an_error_before_anything_changes(path: Path) -> None:
    former.sqlite_database(path, 3)
    copy_beside(path, 3).mkdir()
    before = path.read_bytes()
    with pytest.raises(StorageError, match=r"could not be made: .*Nothing was changed"):
        open_database(path)
    assert path.read_bytes() == before
    assert copies(path) == ["userkeep.db.schema-3"]


# Its end.


def test_a_purge_deletes_the_copy_and_a_verification_before_it_finds_the_user_there(
    path: Path,
) -> None:
    former.sqlite_database(path, 5)
    with open_database(path) as client:
        erasure = client.user.delete("user-1")
        terms = ["Jane.1@example.com"]
        found = client.erasure.verify(erasure.id, search_terms=terms)
        assert any("userkeep.db.schema-5" in each.where for each in found.hits)
        assert client.erasure.purge(erasure.id).state == "purged"
        assert copies(path) == []
        assert client.erasure.verify(erasure.id, search_terms=terms).hits == []


def test_a_copy_that_cannot_be_deleted_delays_the_purge(path: Path) -> None:
    copy_beside(path, 1).mkdir()
    with open_database(path) as client:
        client.user.add(user_id="joe")
        erasure = client.user.delete("joe")
        purged = client.erasure.purge(erasure.id)
        assert purged.state == "deleted"
        assert purged.purge is not None
        assert "userkeep.db.schema-1, from before an upgrade" in str(purged.purge.problem)
        copy_beside(path, 1).rmdir()
        assert client.erasure.purge(erasure.id).state == "purged"


def test_copies_are_deleted_at_a_start_when_they_are_old_or_unfinished(path: Path) -> None:
    former.sqlite_database(path, NEWEST - 1)
    open_database(path).close()
    copy = copy_beside(path, NEWEST - 1)
    copy_beside(path, 1).with_suffix(".schema-1.part").touch()
    beside = path.with_name("userkeep.db.schema-notes")
    beside.touch()
    for days, is_there_ in ((6.9, True), (7.1, False)):
        changed_at = time.time() - days * 86_400
        os.utime(copy, (changed_at, changed_at))
        open_database(path).close()
        assert copy.exists() == is_there_
    assert copies(path) == [beside.name]


def test_the_doctor_names_the_copy_and_who_can_read_it(path: Path) -> None:
    former.sqlite_database(path, 1)
    open_database(path).close()
    database = ("--database", f"sqlite:///{path}")
    secret = {"USERKEEP_SECRET": SECRET}
    words = ("doctor", *database)
    found = json.loads(userkeep(*words, "--json", folder=path.parent, environment=secret).stdout)
    [copy] = [each for each in found if each["subject"] == "copy"]
    assert str(copy_beside(path, 1)) in copy["finding"]
    assert "The next purge deletes it" in copy["advice"]
    copy_beside(path, 1).chmod(0o644)
    result = userkeep(*words, folder=path.parent, environment=secret)
    assert f"{copy_beside(path, 1)} can be used by other users" in result.stdout


def test_the_command_reports_the_copy(path: Path) -> None:
    former.sqlite_database(path, 1)
    words = ("migrate", "--database", f"sqlite:///{path}")
    result = userkeep(*words, folder=path.parent, environment={"USERKEEP_SECRET": SECRET})
    assert result.returncode == 0
    assert f"the schema is at step {NEWEST}" in result.stdout
    assert copies(path) == ["userkeep.db.schema-1"]
