"""The commands on PostgreSQL: their output, an unreachable server, and no password in any text."""

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from devtools.ports import free_port
from tests.cli.running import is_sentence, userkeep
from tests.postgres import postgres_server
from tests.serving import serving
from userkeep.storage.migrations import load_migrations

KNOWN = load_migrations("postgres")
LAST = KNOWN[-1].number
SUBJECTS = [
    *("versions", "settings", "access", "server"),
    *("database", "connections", "durability", "projects", "hnsw"),
]


@pytest.fixture
def url() -> str:
    """Create an empty database."""
    return postgres_server().new_database()


@pytest.fixture
def nowhere() -> str:
    """Return a URL where there is no server."""
    return f"postgresql://jane:pass-word@127.0.0.1:{free_port()}/memory"


def findings(url: str, folder: Path, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    result = userkeep("doctor", "--json", "--database", url, *arguments, folder=folder)
    return result.returncode, {each["subject"]: each for each in json.loads(result.stdout)}


def test_a_new_database_takes_every_step_once(tmp_path: Path, url: str) -> None:
    result = userkeep("migrate", "--database", url, folder=tmp_path)
    steps = [f"applied {step.number:04d} {step.name}" for step in KNOWN]
    assert result.stdout.splitlines() == [*steps, f"the schema is at step {LAST}"]
    again = userkeep("migrate", "--database", url, folder=tmp_path)
    assert (again.returncode, again.stdout) == (0, f"the schema is at step {LAST}\n")


def test_the_secret_is_created_in_the_data_folder_for_its_user_only(
    tmp_path: Path, url: str
) -> None:
    assert userkeep("migrate", "--database", url, folder=tmp_path).returncode == 0
    secret = tmp_path / "userkeep-data" / "userkeep.secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(secret.read_bytes().strip()) >= 32


def test_another_secret_is_rejected(tmp_path: Path, url: str) -> None:
    assert userkeep("migrate", "--database", url, folder=tmp_path).returncode == 0
    other = {"USERKEEP_SECRET": "another secret of 16 characters"}
    result = userkeep("migrate", "--database", url, folder=tmp_path, environment=other)
    assert result.returncode == 1
    assert "USERKEEP_SECRET is another" in result.stderr
    assert is_sentence(result.stderr)


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_an_unreachable_server_is_named_without_its_password(
    tmp_path: Path, nowhere: str, command: str
) -> None:
    result = userkeep(command, "--database", nowhere, folder=tmp_path)
    assert result.returncode == 1
    assert is_sentence(result.stderr)
    assert re.search(r"PostgreSQL at 127\.0\.0\.1:\d+/memory cannot be used", result.stderr)
    assert "pass-word" not in result.stdout + result.stderr


def test_an_invalid_url_is_rejected_with_the_reason(tmp_path: Path) -> None:
    url = "postgresql://jane:pass-word@localhost/memory?nonsense=1"
    result = userkeep("serve", "--database", url, folder=tmp_path)
    assert result.returncode == 1
    assert is_sentence(result.stderr)
    assert "nonsense" in result.stderr
    assert "pass-word" not in result.stdout + result.stderr


def test_the_database_of_another_program_is_rejected_and_unchanged(
    tmp_path: Path, url: str
) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE users (name text)")
    for command in ("serve", "migrate"):
        result = userkeep(command, "--database", url, folder=tmp_path)
        assert result.returncode == 1
        assert "another program's database" in result.stderr
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchall() == [("users",)]
    code, found = findings(url, tmp_path)
    assert code == 3
    assert "another program's database" in found["database"]["finding"]


def test_an_empty_schema_in_the_database_of_another_program_is_used(
    tmp_path: Path, url: str
) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE users (name text)")
        connection.execute("CREATE SCHEMA userkeep")
    joined = f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3Duserkeep"
    assert userkeep("migrate", "--database", joined, folder=tmp_path).returncode == 0


def test_doctor_checks_the_server_and_changes_nothing(tmp_path: Path, url: str) -> None:
    code, found = findings(url, tmp_path)
    assert list(found) == SUBJECTS
    assert "schema at step 0" in found["database"]["finding"]
    with psycopg.connect(url) as connection:
        assert (
            connection.execute("SELECT * FROM pg_tables WHERE schemaname = 'public'").fetchall()
            == []
        )
    userkeep("migrate", "--database", url, folder=tmp_path)
    code, found = findings(url, tmp_path)
    assert f"schema at step {LAST}" in found["database"]["finding"]
    # The tests' server does without fsync, which the doctor must not pass over.
    assert [name for name, each in found.items() if not each["is_well"]] == ["durability"]
    assert code == 3


def test_doctor_counts_free_connections(tmp_path: Path, url: str) -> None:
    _, found = findings(url, tmp_path, "--postgres-pool-size", "4000")
    assert not found["connections"]["is_well"]
    assert "needs 4007" in found["connections"]["finding"]


def test_doctor_reports_an_unreachable_server(tmp_path: Path, nowhere: str) -> None:
    code, found = findings(nowhere, tmp_path)
    assert code == 3
    assert "cannot be used" in found["database"]["finding"]
    assert "pass-word" not in json.dumps(found)


def test_the_banner_names_the_server_and_the_database(tmp_path: Path, url: str) -> None:
    with serving(tmp_path, database_url=url) as server:
        banner = server.log.read_text()
    assert re.search(r"database  PostgreSQL \d+\.\d+, .*userkeep_test_", banner)
