"""Opening a database: what is created, what is migrated, and what the banner says of it."""

from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from tests.cli.running import is_sentence, userkeep
from tests.conftest import fresh_settings
from tests.http.clients import serve_in_process
from tests.serving import serving
from userkeep import StorageError, Userkeep
from userkeep.config import Settings, is_postgres, sqlite_path
from userkeep.instance import open_instance
from userkeep.storage.migrations import load_migrations


@pytest.fixture(params=["sqlite file", "postgres"], ids=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A fresh database."""
    return fresh_settings(request.param, tmp_path)


def environment(settings: Settings) -> dict[str, str]:
    return {
        "USERKEEP_DATABASE_URL": settings.database_url,
        "USERKEEP_SECRET_FILE": settings.secret_file,
        "USERKEEP_LEDGER_FILE": settings.ledger_file,
    }


def run(settings: Settings, *words: str) -> Any:
    folder = Path(settings.secret_file).parent
    return userkeep(*words, folder=folder, environment=environment(settings))


def execute(settings: Settings, sql: str) -> None:
    if is_postgres(settings.database_url):
        with psycopg.connect(settings.database_url) as database:
            database.execute(sql.encode())
        return
    with closing(apsw.Connection(sqlite_path(settings.database_url))) as file:
        file.set_busy_timeout(60_000)
        file.execute(sql)


def test_the_banner_counts_users_and_sessions_of_an_opened_database(settings: Settings) -> None:
    with serve_in_process(settings) as client:
        client.send("POST", "/v1/users", {"user_id": "jane"})
        for session in ("a", "b"):
            client.send("POST", "/v1/sessions", {"session_id": session, "user_id": "jane"})
    folder = Path(settings.secret_file).parent
    given = environment(settings)
    with serving(folder, database_url=settings.database_url, settings=given) as server:
        assert "(opened: 1 user, 2 sessions)\n" in server.log.read_text()


@pytest.mark.parametrize(
    "variable", ["USERKEEP_DATABASE_URL", "USERKEEP_SECRET_FILE", "USERKEEP_LEDGER_FILE"]
)
def test_only_the_last_folder_of_a_path_is_created(tmp_path: Path, variable: str) -> None:
    place = tmp_path / "mistyped" / "data" / "m.db"
    prefix = "sqlite:///" if variable == "USERKEEP_DATABASE_URL" else ""
    given = {
        "USERKEEP_DATABASE_URL": f"sqlite:///{tmp_path}/own/m.db",
        variable: f"{prefix}{place}",
    }
    words = ("users", "add", "jane")
    result = userkeep(*words, folder=tmp_path, environment=given)
    assert result.returncode == 1
    assert is_sentence(result.stderr)
    assert f"The folder {tmp_path / 'mistyped'} does not exist" in result.stderr
    assert not (tmp_path / "mistyped").exists()
    (tmp_path / "mistyped").mkdir()
    result = userkeep(*words, folder=tmp_path, environment=given)
    assert result.returncode == 0, result.stderr


def test_an_embedded_database_creates_only_the_last_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="mistyped does not exist"):
        Userkeep.open(tmp_path / "mistyped" / "data" / "m.db")
    assert not (tmp_path / "mistyped").exists()
    Userkeep.open(tmp_path / "data" / "m.db").close()


def test_the_targets_of_a_copy_and_a_restore_create_only_the_last_folder(tmp_path: Path) -> None:
    Userkeep.open(tmp_path / "m.db").close()
    source = f"sqlite:///{tmp_path}/m.db"
    there = f"sqlite:///{tmp_path}/mistyped/data/m.db"
    backup = userkeep("backup", "m.tar", "--without-secret", "--database", source, folder=tmp_path)
    assert backup.returncode == 0, backup.stderr
    for words in (("copy", source, there), ("restore", "m.tar", "--database", there)):
        result = userkeep(*words, folder=tmp_path)
        assert result.returncode == 1
        assert f"The folder {tmp_path / 'mistyped'} does not exist" in result.stderr
        assert not (tmp_path / "mistyped").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("users", "add", "jane"),
        ("users", "list"),
        ("sessions", "end", "s1"),
        ("keys", "create"),
        ("secret", "rotate", "--yes"),
        ("replay-erasures",),
        ("doctor", "--deep"),
    ],
    ids=" ".join,
)
def test_a_command_does_not_migrate_and_says_what_does(
    settings: Settings, words: tuple[str, ...]
) -> None:
    open_instance(settings).close()
    dialect = "postgres" if is_postgres(settings.database_url) else "sqlite"
    last = load_migrations(dialect)[-1].number
    execute(settings, f"DELETE FROM schema_migrations WHERE number = {last}")
    result = run(settings, *words)
    if is_postgres(settings.database_url) and words[0] == "doctor":
        return  # the test server has fsync off, which ends the checks
    assert result.returncode == 1
    assert "`userkeep migrate" in result.stderr
    assert f"needs version {last}" in result.stderr
