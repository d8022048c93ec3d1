"""`userkeep doctor`: it checks everything, reports what is wrong, and changes nothing."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.cli.running import files_in, userkeep
from tests.serving import serving
from userkeep import Userkeep, __version__
from userkeep.storage.migrations import load_migrations

LAST = load_migrations("sqlite")[-1].number
SUBJECTS = ["versions", "settings", "access", "database", "lock", "space", "secret"]
OF_LEDGER = "ledger"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Create a healthy database."""
    path = tmp_path / "userkeep.db"
    assert userkeep("migrate", "--database", f"sqlite:///{path}", folder=tmp_path).returncode == 0
    return path


def findings(path: Path, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code, and the findings by subject."""
    result = userkeep(
        "doctor", "--json", "--database", f"sqlite:///{path}", *arguments, folder=Path("/")
    )
    found = json.loads(result.stdout)
    subjects = [each["subject"] for each in found if each["subject"] != OF_LEDGER]
    assert subjects == [each for each in SUBJECTS if each in {*subjects, *SUBJECTS[:-1]}]
    assert all(set(each) == {"subject", "is_well", "finding", "advice"} for each in found)
    return result.returncode, {each["subject"]: each for each in found}


def test_an_empty_folder_is_fine_and_stays_empty(tmp_path: Path) -> None:
    code, found = findings(tmp_path / "data" / "userkeep.db")
    assert code == 0
    assert "does not exist yet" in found["database"]["finding"]
    assert all(each["is_well"] for each in found.values())
    assert list(tmp_path.iterdir()) == []


def test_a_healthy_file_is_fine_and_nothing_in_its_folder_changes(path: Path) -> None:
    before = files_in(path.parent)
    code, found = findings(path)
    assert code == 0
    assert f"schema at step {LAST}" in found["database"]["finding"]
    assert found["lock"]["finding"] == "no process has the database open for writing"
    assert "GiB free" in found["space"]["finding"]
    assert files_in(path.parent) == before


def test_it_prints_a_line_for_each_finding(path: Path) -> None:
    result = userkeep("doctor", "--database", f"sqlite:///{path}", folder=path.parent)
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["ok", subject] for subject in SUBJECTS]
    assert f"Userkeep {__version__}, Python 3." in lines[0]


def test_a_running_server_is_named_with_process_and_url_and_continues(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        code, found = findings(tmp_path / "userkeep.db")
        assert code == 0
        expected = f"held by process {server.process.pid}, the server at {server.url}"
        assert found["lock"]["finding"] == expected
        assert found["database"]["is_well"]
        assert server.process.poll() is None
        assert server.stop() == 0


def test_settings_are_named_without_their_values(path: Path) -> None:
    new = path.with_name("new.db")
    code, found = findings(new, "--secret", "a secret that is not shown", "--port", "9000")
    assert code == 0
    assert "USERKEEP_SECRET" in found["settings"]["finding"]
    assert "USERKEEP_PORT" in found["settings"]["finding"]
    assert "is not shown" not in json.dumps(found)


def test_a_file_that_is_missing_under_a_server_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "userkeep.db"
    with serving(tmp_path) as server:
        path.rename(tmp_path / "moved.db")
        code, found = findings(path)
        (tmp_path / "moved.db").rename(path)
    assert code == 3
    expected = f"{path} was moved or deleted, and process {server.process.pid} has it open"
    assert found["database"]["finding"] == expected


def test_a_lost_secret_is_wrong_and_none_is_made(path: Path) -> None:
    path.with_name("userkeep.db.secret").unlink()
    code, found = findings(path)
    assert code == 3
    assert not found["secret"]["is_well"]
    assert "userkeep.db.secret" not in files_in(path.parent)


def test_a_database_that_is_older_than_its_ledger_is_wrong(path: Path) -> None:
    backup = path.read_bytes()
    with Userkeep.open(path) as client:
        client.user.add(user_id="jane")
        client.user.delete("jane")
    assert findings(path)[0] == 0
    path.write_bytes(backup)
    code, found = findings(path)
    assert code == 3
    assert "userkeep replay-erasures" in found[OF_LEDGER]["finding"]


def test_a_newer_database_is_wrong_with_advice(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (9999, 'from_the_future', 1)")
    before = files_in(path.parent)
    code, found = findings(path)
    assert code == 3
    assert not found["database"]["is_well"]
    assert "made by a newer Userkeep" in found["database"]["finding"]
    assert files_in(path.parent) == before


def test_an_older_database_is_fine_with_the_advice_to_migrate(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("DELETE FROM schema_migrations")
    code, found = findings(path)
    assert code == 0
    assert "schema at step 0" in found["database"]["finding"]
    assert "`userkeep migrate` migrates it" in found["database"]["advice"]


def test_a_file_that_is_not_a_database_is_wrong_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear aunt,\n" * 1000)
    before = files_in(tmp_path)
    code, found = findings(path)
    assert code == 3
    assert "is not a SQLite database" in found["database"]["finding"]
    assert files_in(tmp_path) == before


def test_a_damaged_file_is_wrong(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    code, found = findings(path)
    assert code == 3
    assert "damaged" in found["database"]["finding"]


def test_a_folder_instead_of_the_file_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "userkeep.db"
    path.mkdir()
    code, found = findings(path)
    assert code == 3
    assert str(path) in found["database"]["finding"]


def test_an_address_that_serve_rejects_is_wrong_with_the_reason(path: Path) -> None:
    code, found = findings(path, "--host", "0.0.0.0")
    assert code == 3
    assert "`userkeep serve` does not start" in found["access"]["finding"]
    assert "--insecure-no-auth" in found["access"]["advice"]


def test_an_address_that_other_machines_reach_is_fine_with_a_key(path: Path) -> None:
    with Userkeep.open(path) as client:
        client.key.add(scope="admin")
    code, found = findings(path, "--host", "0.0.0.0")
    assert (code, found["access"]["finding"]) == (0, "0.0.0.0: requests need an API key")


def test_an_address_that_is_open_to_everyone_is_wrong(path: Path) -> None:
    code, found = findings(path, "--host", "0.0.0.0", "--insecure-no-auth")
    assert code == 3
    assert "everyone who can reach this address" in found["access"]["finding"]


def test_a_problem_is_marked_and_followed_by_advice(path: Path) -> None:
    result = userkeep(
        "doctor", "--database", f"sqlite:///{path}", "--host", "0.0.0.0", folder=path.parent
    )
    assert result.returncode == 3
    wrong = [line for line in result.stdout.splitlines() if line.startswith("WRONG")]
    assert len(wrong) == 1
    assert "access" in wrong[0]
    assert "listen on 127.0.0.1" in result.stdout


def test_an_invalid_database_url_is_wrong(tmp_path: Path) -> None:
    result = userkeep("doctor", "--json", "--database", "mysql://host/db", folder=tmp_path)
    assert result.returncode == 3
    found = {each["subject"]: each for each in json.loads(result.stdout)}
    assert "is not a database that this version can open" in found["database"]["finding"]


def test_an_in_memory_database_is_fine(tmp_path: Path) -> None:
    result = userkeep("doctor", "--json", "--database", "sqlite:///:memory:", folder=tmp_path)
    assert result.returncode == 0
    assert "lost when the server stops" in result.stdout


def test_sessions_without_a_user_are_counted(path: Path) -> None:
    with Userkeep.open(path) as client:
        for number in range(3):
            client.session.add(session_id=f"s{number}")
    result = userkeep("doctor", "--database", f"sqlite:///{path}", folder=path.parent)
    assert result.returncode == 0
    assert "3 without a user" in result.stdout
