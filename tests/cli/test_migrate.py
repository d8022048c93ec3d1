"""`userkeep migrate`."""

import json
from contextlib import closing
from pathlib import Path

import apsw

from tests.cli.running import files_in, is_sentence, userkeep
from tests.serving import serving
from userkeep.storage.migrations import load_migrations

KNOWN = load_migrations("sqlite")
LAST = KNOWN[-1].number


def test_a_new_database_takes_every_step_once(tmp_path: Path) -> None:
    result = userkeep("migrate", folder=tmp_path)
    steps = [f"applied {step.number:04d} {step.name}" for step in KNOWN]
    assert result.returncode == 0
    assert result.stdout.splitlines() == [*steps, f"the schema is at step {LAST}"]
    assert (tmp_path / "userkeep-data" / "userkeep.db").exists()
    again = userkeep("migrate", folder=tmp_path)
    assert (again.returncode, again.stdout) == (0, f"the schema is at step {LAST}\n")


def test_json_lists_the_applied_steps(tmp_path: Path) -> None:
    steps = [f"{step.number:04d} {step.name}" for step in KNOWN]
    for applied in (steps, []):
        result = userkeep("migrate", "--json", folder=tmp_path)
        assert json.loads(result.stdout) == {"applied": applied, "step": LAST}


def test_it_migrates_the_named_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    assert userkeep("migrate", "--database", url, folder=tmp_path).returncode == 0
    assert (tmp_path / "elsewhere.db").exists()
    assert not (tmp_path / "userkeep-data").exists()


def test_a_flag_overrides_the_environment(tmp_path: Path) -> None:
    environment = {"USERKEEP_DATABASE_URL": "sqlite:///variable.db"}
    flag = ("--database", "sqlite:///flag.db")
    userkeep("migrate", *flag, folder=tmp_path, environment=environment)
    assert (tmp_path / "flag.db").exists()
    assert not (tmp_path / "variable.db").exists()


def test_a_served_database_is_rejected_with_process_and_url(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        result = userkeep("migrate", "--database", server.database_url, folder=tmp_path)
        assert result.returncode == 1
        assert is_sentence(result.stderr)
        assert f"process {server.process.pid} at {server.url}" in result.stderr


def test_a_newer_database_is_rejected_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    userkeep("migrate", "--database", f"sqlite:///{path}", folder=tmp_path)
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (9999, 'from_the_future', 1)")
    before = files_in(tmp_path)
    result = userkeep("migrate", "--database", f"sqlite:///{path}", folder=tmp_path)
    assert result.returncode == 1
    assert is_sentence(result.stderr)
    assert "was made by a newer Userkeep" in result.stderr
    assert "Install the newer Userkeep" in result.stderr
    assert files_in(tmp_path) == before


def test_a_file_that_is_not_a_database_is_rejected_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear aunt,\n" * 1000)
    result = userkeep("migrate", "--database", f"sqlite:///{path}", folder=tmp_path)
    assert result.returncode == 1
    assert is_sentence(result.stderr)
    assert "is not a SQLite database" in result.stderr
    assert path.read_text() == "Dear aunt,\n" * 1000


def test_another_secret_is_rejected(tmp_path: Path) -> None:
    userkeep("migrate", "--secret", "the secret it was made with", folder=tmp_path)
    result = userkeep("migrate", "--secret", "another secret, quite long", folder=tmp_path)
    assert result.returncode == 1
    assert "was created with another secret" in result.stderr
    assert "quite long" not in result.stderr


def test_an_in_memory_database_can_be_migrated(tmp_path: Path) -> None:
    result = userkeep("migrate", "--database", "sqlite:///:memory:", folder=tmp_path)
    assert result.returncode == 0
    assert list(tmp_path.iterdir()) == []
