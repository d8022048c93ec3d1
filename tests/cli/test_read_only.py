"""Commands that only read: they work beside an app that has the file open, and change nothing."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.running import files_in, is_sentence, userkeep, userkeep_process
from tests.cli.test_data_commands import rejected
from tests.postgres import migrated_database, postgres_server
from tests.storage.test_files import is_locked
from userkeep import NewMessage, Userkeep
from userkeep.storage import migrations
from userkeep.storage.migrations import Migration, load_migrations

SETTINGS: dict[str, Any] = {"secret": "a secret of the tests"}
ENVIRONMENT = {"USERKEEP_SECRET": SETTINGS["secret"]}
READS = (
    ("users", "list"),
    ("users", "list", "--q", "ja", "--count"),
    ("users", "show", "jane"),
    ("sessions", "list"),
    ("sessions", "list", "--order=-active", "--last-message", "--count"),
    ("sessions", "show", "chat-1"),
    ("messages", "list", "chat-1"),
    ("messages", "show", "chat-1", "m-1"),
    ("memory", "show", "chat-1"),
    ("search", "shoes"),
    ("erasures", "list"),
    ("keys", "list"),
    ("export",),
)


@pytest.fixture(scope="module", params=["file", "postgres"])
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A database that an app has open; the tests only read it."""
    file = tmp_path_factory.mktemp("read-only") / "m.db"
    url = str(file) if request.param == "file" else migrated_database()
    with Userkeep.open(url, **SETTINGS) as client:
        message = NewMessage(role="user", content="Which shoes?", id="m-1")
        client.message.add("chat-1", message, user_id="jane")
        yield url


def tables(url: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        select = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        return connection.execute(select).fetchall()


@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_it_reads_beside_an_app_in_the_same_process(
    tmp_path: Path, database: str, words: tuple[str, ...]
) -> None:
    place = ("--database", database)
    result = userkeep(*words, *place, folder=tmp_path, environment=ENVIRONMENT)
    assert result.returncode == 0, result.stderr
    if words[0] not in {"erasures", "keys"}:
        assert "jane" in result.stdout or "shoes" in result.stdout
    if "://" not in database:
        assert is_locked(Path(database)), "the locks of the app are gone"


def test_it_reads_beside_an_app_in_another_process(tmp_path: Path, database: str) -> None:
    words = ("users", "list", "--json", "--database", database)
    result = userkeep_process(*words, folder=tmp_path, environment=ENVIRONMENT)
    assert (result.returncode, result.stderr) == (0, "")
    assert [each["user_id"] for each in json.loads(result.stdout)["items"]] == ["jane"]


def test_a_command_that_writes_names_the_process_of_the_app(tmp_path: Path) -> None:
    with Userkeep.open(tmp_path / "m.db", **SETTINGS) as client:
        client.user.add(user_id="jane")
        for words in (("users", "add", "tom"), ("users", "delete", "jane", "--yes")):
            place = ("--database", "m.db")
            result = userkeep(*words, *place, folder=tmp_path, environment=ENVIRONMENT)
            assert f"m.db is locked by process {os.getpid()}" in rejected(result, 1)


@pytest.mark.parametrize("words", [*READS, ("doctor",)], ids=" ".join)
def test_nothing_in_the_folder_of_an_unused_file_changes(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "data").mkdir()
    with Userkeep.open(tmp_path / "data" / "m.db") as client:
        message = NewMessage(role="user", content="Which shoes?", id="m-1")
        client.message.add("chat-1", message, user_id="jane")
    before = files_in(tmp_path / "data")
    url = f"sqlite:///{tmp_path}/data/m.db"
    assert userkeep(*words, "--database", url, folder=tmp_path).returncode == 0
    assert files_in(tmp_path / "data") == before


def test_an_older_schema_is_reported_with_advice_and_not_migrated(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = load_migrations("postgres" if "://" in database else "sqlite")
    later = Migration(known[-1].number + 1, "a_later_step", "CREATE TABLE later (number integer)")
    monkeypatch.setattr(migrations, "load_migrations", lambda _dialect: [*known, later])
    words = ("users", "list", "--database", database)
    result = userkeep(*words, folder=tmp_path, environment=ENVIRONMENT)
    sentence = rejected(result, 1)
    assert f"needs version {later.number}. Run `userkeep migrate" in sentence
    assert "://" not in database or ("later",) not in tables(database)


def test_an_outdated_index_is_reported_with_advice(tmp_path: Path) -> None:
    with Userkeep.open(tmp_path / "m.db") as client:
        client.user.add(user_id="jane")
        client._transport.opened.engine.write(  # type: ignore[attr-defined]
            lambda tx: tx.defer("drop_index_version")
        )
    place = ("--database", "m.db")
    sentence = rejected(userkeep("search", "shoes", *place, folder=tmp_path), 1)
    assert "Run `userkeep migrate` to rebuild it" in sentence
    migrate = ("migrate", "--database", "sqlite:///m.db")
    assert userkeep(*migrate, folder=tmp_path).returncode == 0
    assert userkeep("search", "shoes", *place, folder=tmp_path).returncode == 0


def test_a_missing_secret_file_is_reported_and_not_created(tmp_path: Path) -> None:
    with Userkeep.open(tmp_path / "m.db") as client:
        client.user.add(user_id="jane")
    (tmp_path / "m.db.secret").unlink()
    result = userkeep("users", "list", "--database", "m.db", folder=tmp_path)
    assert result.returncode == 1
    assert is_sentence(result.stderr)
    assert "m.db.secret does not exist" in result.stderr
    assert not (tmp_path / "m.db.secret").exists()


def test_an_empty_postgres_database_stays_empty(tmp_path: Path) -> None:
    url = postgres_server().new_database()
    for words in (("users", "list"), ("export",)):
        sentence = rejected(userkeep(*words, "--database", url, folder=tmp_path), 1)
        assert "is not a Userkeep database" in sentence
    assert tables(url) == []
