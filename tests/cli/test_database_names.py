"""The names of databases: paths and URLs, wherever a database is named."""

import json
import re
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.running import is_sentence, userkeep
from userkeep.client import Userkeep
from userkeep.config import SettingError, load_settings, sqlite_path

PATHS = ["memory.db", "./memory.db", "what?.db", "a#b.db", "50%20.db", "a b:c.db", "sub/é.db"]
FORMS = "use the path of a SQLite file such as userkeep.db"


@pytest.mark.parametrize("path", PATHS)
def test_a_path_names_the_same_file_for_every_command(tmp_path: Path, path: str) -> None:
    assert userkeep("migrate", "--database", path, folder=tmp_path).returncode == 0
    assert (tmp_path / path).is_file()
    by_flag = userkeep("users", "add", "jane", "--database", path, folder=tmp_path)
    assert by_flag.returncode == 0
    environment = {"USERKEEP_DATABASE_URL": path}
    shown = userkeep("users", "show", "jane", folder=tmp_path, environment=environment)
    assert shown.returncode == 0
    by_url = userkeep("users", "show", "jane", "--database", f"sqlite:///{path}", folder=tmp_path)
    assert by_url.returncode == 0
    with closing(Userkeep.open(tmp_path / path, read_only=True)) as client:
        assert client.user.get("jane").user_id == "jane"


def test_paths_name_the_source_and_the_target_of_copies_backups_and_restores(
    tmp_path: Path,
) -> None:
    def run(*words: object) -> None:
        result = userkeep(*words, folder=tmp_path)
        assert result.returncode == 0, result.stderr

    run("users", "add", "jane", "--database", "a.db")
    copied = userkeep("copy", "a.db", "b.db", folder=tmp_path)
    assert copied.returncode == 0
    assert re.search(r"users +1 row$", copied.stderr, re.MULTILINE)
    assert re.search(r"messages +0 rows$", copied.stderr, re.MULTILINE)
    assert "1 rows" not in copied.stderr
    run("backup", "backup.tar", "--without-secret", "--database", "a.db")
    run("restore", "backup.tar", "--database", "c.db", "--secret-file", "a.db.secret")
    assert (tmp_path / "c.db").is_file()
    run("doctor", "--database", "a.db")
    run("secret", "rotate", "--yes", "--database", "a.db")
    run("users", "show", "jane", "--database", "a.db")


def test_a_tilde_is_the_home_directory(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "USERKEEP_DATABASE_URL": "~/home.db"}
    assert userkeep("migrate", folder=tmp_path, environment=environment).returncode == 0
    assert (tmp_path / "home.db").is_file()


@pytest.mark.parametrize(
    "database",
    [
        "mysql://jane:hunter2@db.example/app",
        "postgres:/jane:hunter2@db.example/app",
        "sqlite://memory.db",
        "sqlite:memory.db",
        "file:memory.db?mode=ro",
        "C:\\memory.db",
        "postgresql+psycopg://db.example/app?password=hunter2",
    ],
)
def test_what_is_neither_a_path_nor_a_url_is_rejected_with_the_forms(
    tmp_path: Path, database: str
) -> None:
    for words in (
        ("users", "list", "--database", database),
        ("serve", "--database", database),
        ("migrate", "--database", database),
        ("copy", database, "target.db"),
        ("backup", "out", "--without-secret", "--database", database),
    ):
        result = userkeep(*words, folder=tmp_path)
        assert result.returncode == 2
        assert is_sentence(result.stderr)
        assert FORMS in result.stderr
        assert "hunter2" not in result.stderr
    doctor = userkeep("doctor", "--json", "--database", database, folder=tmp_path)
    findings = {each["subject"]: each["finding"] for each in json.loads(doctor.stdout)}
    assert FORMS in findings["database"]
    with pytest.raises(SettingError, match=FORMS):
        Userkeep.open(database)
    assert list(tmp_path.iterdir()) == []


def test_urls_stay_as_they_are() -> None:
    for url in ("sqlite:///~/a%20b.db", "sqlite:////var/a.db", "postgres://h/d?x=%20"):
        assert load_settings({"database_url": url}, {}).database_url == url
    loaded = load_settings({"database_url": "/var/a.db"}, {})
    assert (loaded.database_url, sqlite_path(loaded.database_url)) == (
        "sqlite:////var/a.db",
        "/var/a.db",
    )
    assert load_settings({"database_url": ":memory:"}, {}).database_url == "sqlite:///:memory:"
