"""`userkeep doctor`: it looks at everything, says what is wrong, and changes nothing."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.cli.running import files_in, userkeep
from tests.serving import serving
from userkeep import __version__
from userkeep.storage.migrations import load_migrations

LAST = load_migrations("sqlite")[-1].number
SUBJECTS = ["versions", "settings", "door", "database", "owner", "space"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A healthy database."""
    path = tmp_path / "userkeep.db"
    assert userkeep("migrate", "--database", f"sqlite:///{path}", folder=tmp_path).returncode == 0
    return path


def findings(path: Path, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code and what was found, by subject."""
    result = userkeep(
        "doctor", "--json", "--database", f"sqlite:///{path}", *arguments, folder=Path("/")
    )
    found = json.loads(result.stdout)
    assert [each["subject"] for each in found] == SUBJECTS
    assert all(set(each) == {"subject", "is_well", "finding", "advice"} for each in found)
    return result.returncode, {each["subject"]: each for each in found}


def test_a_fresh_folder_is_well_and_stays_empty(tmp_path: Path) -> None:
    code, found = findings(tmp_path / "data" / "userkeep.db")
    assert code == 0
    assert "is not there yet" in found["database"]["finding"]
    assert all(each["is_well"] for each in found.values())
    assert list(tmp_path.iterdir()) == []


def test_a_healthy_file_is_well_and_nothing_in_its_folder_changes(path: Path) -> None:
    before = files_in(path.parent)
    code, found = findings(path)
    assert code == 0
    assert f"schema at step {LAST}" in found["database"]["finding"]
    assert found["owner"]["finding"] == "no process has the file open"
    assert "GiB free" in found["space"]["finding"]
    assert files_in(path.parent) == before


def test_it_prints_lines_for_people(path: Path) -> None:
    result = userkeep("doctor", "--database", f"sqlite:///{path}", folder=path.parent)
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["ok", subject] for subject in SUBJECTS]
    assert f"Userkeep {__version__}, Python 3." in lines[0]


def test_a_running_server_is_named_with_process_and_url_and_left_alone(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        code, found = findings(tmp_path / "userkeep.db")
        assert code == 0
        expected = f"process {server.process.pid}, serving at {server.url}"
        assert found["owner"]["finding"] == expected
        assert found["database"]["is_well"]
        assert server.process.poll() is None
        assert server.stop() == 0


def test_settings_are_named_and_their_values_are_not(path: Path) -> None:
    code, found = findings(path, "--secret", "a secret that nobody may see", "--port", "9000")
    assert code == 0
    assert "USERKEEP_SECRET" in found["settings"]["finding"]
    assert "USERKEEP_PORT" in found["settings"]["finding"]
    assert "nobody may see" not in json.dumps(found)


def test_a_newer_database_is_wrong_with_what_to_do(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (9999, 'from_the_future', 1)")
    before = files_in(path.parent)
    code, found = findings(path)
    assert code == 3
    assert not found["database"]["is_well"]
    assert "made by a newer Userkeep" in found["database"]["finding"]
    assert files_in(path.parent) == before


def test_an_older_database_is_well_and_told_to_migrate(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("DELETE FROM schema_migrations")
    code, found = findings(path)
    assert code == 0
    assert "schema at step 0" in found["database"]["finding"]
    assert "migrate brings it up to date" in found["database"]["advice"]


def test_a_file_that_is_no_database_is_wrong_and_left_as_it_is(tmp_path: Path) -> None:
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


def test_a_folder_in_the_place_of_the_file_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "userkeep.db"
    path.mkdir()
    code, found = findings(path)
    assert code == 3
    assert str(path) in found["database"]["finding"]


def test_a_door_that_would_not_open_is_wrong_and_says_why(path: Path) -> None:
    code, found = findings(path, "--host", "0.0.0.0")
    assert code == 3
    assert "serve refuses to start" in found["door"]["finding"]
    assert "--insecure-no-auth" in found["door"]["advice"]


def test_a_door_that_is_open_to_everybody_is_wrong_too(path: Path) -> None:
    code, found = findings(path, "--host", "0.0.0.0", "--insecure-no-auth")
    assert code == 3
    assert "everybody who can reach it" in found["door"]["finding"]


def test_what_is_wrong_is_marked_for_people_and_followed_by_advice(path: Path) -> None:
    result = userkeep(
        "doctor", "--database", f"sqlite:///{path}", "--host", "0.0.0.0", folder=path.parent
    )
    assert result.returncode == 3
    wrong = [line for line in result.stdout.splitlines() if line.startswith("WRONG")]
    assert len(wrong) == 1
    assert "door" in wrong[0]
    assert "Listen on 127.0.0.1" in result.stdout


def test_a_database_url_that_is_none_is_wrong(tmp_path: Path) -> None:
    result = userkeep("doctor", "--json", "--database", "mysql://host/db", folder=tmp_path)
    assert result.returncode == 3
    found = {each["subject"]: each for each in json.loads(result.stdout)}
    assert "is not a database that this version can open" in found["database"]["finding"]


def test_a_database_in_memory_is_well(tmp_path: Path) -> None:
    result = userkeep("doctor", "--json", "--database", "sqlite:///:memory:", folder=tmp_path)
    assert result.returncode == 0
    assert "gone when the server stops" in result.stdout
