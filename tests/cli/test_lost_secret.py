"""A database whose secret is not there: nothing takes its place, and errors say what to do."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import files_in, is_sentence, userkeep
from tests.conftest import fresh_settings
from userkeep import StorageError, Userkeep
from userkeep.config import Settings
from userkeep.instance import open_instance

LOST = "userkeep secret rotate --lost"


@pytest.fixture(params=["sqlite file", "postgres"], ids=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """An instance that was opened once."""
    settings = fresh_settings(request.param, tmp_path)
    open_instance(settings).close()
    return settings


def run(settings: Settings, *words: str, **changed: str) -> Any:
    environment = {
        "USERKEEP_DATABASE_URL": settings.database_url,
        "USERKEEP_SECRET_FILE": settings.secret_file,
        "USERKEEP_LEDGER_FILE": settings.ledger_file,
    } | changed
    return userkeep(*words, folder=Path(settings.secret_file).parent, environment=environment)


@pytest.mark.parametrize(
    "words",
    [
        ("migrate",),
        ("users", "list"),
        ("users", "add", "jane"),
        ("keys", "list"),
        ("secret", "rotate", "--yes"),
        ("replay-erasures",),
        ("serve",),
    ],
    ids=" ".join,
)
def test_no_secret_is_made_for_a_database_that_has_one(
    settings: Settings, words: tuple[str, ...]
) -> None:
    secret = Path(settings.secret_file)
    secret.unlink()
    result = run(settings, *words)
    assert result.returncode == 1
    assert is_sentence(result.stderr.splitlines()[-1] + "\n")
    assert f"{secret} does not exist" in result.stderr
    assert LOST in result.stderr
    assert not list(secret.parent.glob("*.secret*"))


@pytest.mark.parametrize("words", [("migrate",), ("users", "list")], ids=" ".join)
def test_a_wrong_secret_is_an_error_that_says_what_to_do(
    settings: Settings, words: tuple[str, ...]
) -> None:
    Path(settings.secret_file).write_text("the secret of another instance\n")
    result = run(settings, *words)
    assert result.returncode == 1
    assert "was created with another secret" in result.stderr
    assert LOST in result.stderr


def test_a_copied_file_is_not_opened_without_its_secret(tmp_path: Path) -> None:
    Userkeep.open(tmp_path / "m.db").close()
    shutil.copy(tmp_path / "m.db", tmp_path / "copy.db")
    with pytest.raises(StorageError, match=r"copy\.db\.secret does not exist"):
        Userkeep.open(tmp_path / "copy.db")
    assert not (tmp_path / "copy.db.secret").exists()
    shutil.copy(tmp_path / "m.db.secret", tmp_path / "copy.db.secret")
    Userkeep.open(tmp_path / "copy.db").close()


def test_a_lost_secret_is_replaced_as_the_error_says(settings: Settings) -> None:
    Path(settings.secret_file).unlink()
    assert run(settings, "secret", "rotate", "--lost", "--yes").returncode == 0
    assert run(settings, "users", "list").returncode == 0


def finding(settings: Settings, **changed: str) -> str:
    """Return what doctor prints about the secret."""
    result = run(settings, "doctor", **changed)
    lines = result.stdout.splitlines()
    [at] = [number for number, line in enumerate(lines) if line[5:14].strip() == "secret"]
    assert result.returncode == 3 or lines[at].startswith("ok")
    return " ".join(lines[at : at + 2])


def test_doctor_compares_the_secret_with_the_database(settings: Settings) -> None:
    secret = Path(settings.secret_file)
    right = secret.read_text().strip()
    found = finding(settings)
    assert found.startswith("ok ")
    assert f"{secret} is that of the database" in found
    found = finding(settings, USERKEEP_SECRET=right)
    assert found.startswith("ok ")
    found = finding(settings, USERKEEP_SECRET="the secret of another instance")
    assert found.startswith("WRONG ")
    assert f"Set it to the content of {secret}" in found
    secret.write_text("the secret of another instance\n")
    found = finding(settings)
    assert found.startswith("WRONG ")
    assert "does not have the secret of the database" in found
    assert LOST in found
    secret.unlink()
    before = files_in(secret.parent)
    found = finding(settings)
    assert found.startswith("WRONG ")
    assert f"{secret} does not exist" in found
    assert files_in(secret.parent) == before


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """Make a link to the file of a database, in another folder."""
    Userkeep.open(tmp_path / "data" / "m.db").close()
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "link.db"
    link.symlink_to("../data/m.db")
    return link


def test_the_secret_and_the_ledger_of_a_linked_file_are_beside_the_file(link: Path) -> None:
    with Userkeep.open(link) as client:
        client.user.add(user_id="jane")
        client.user.delete("jane")
    assert [*files_in(link.parent)] == ["link.db"]
    assert {"m.db.secret", "m.db.ledger"} <= files_in(link.parent.parent / "data").keys()
    with Userkeep.open(link, read_only=True) as client:
        assert client.user.list() is not None


def test_a_secret_that_is_only_beside_the_link_counts(link: Path) -> None:
    at_link, at_file = link.with_name("link.db.secret"), link.parent.parent / "data/m.db.secret"
    at_file.rename(at_link)
    Userkeep.open(link).close()
    assert not at_file.exists()
    assert (
        f"{at_link} is that"
        in userkeep("doctor", "--database", f"sqlite:///{link}", folder=link.parent).stdout
    )
    at_file.write_text("the secret of another instance\n")
    Userkeep.open(link).close()
    assert at_link.exists()


def test_the_first_opening_through_a_link_makes_the_secret_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "m.db").touch()
    (tmp_path / "m.db").symlink_to("data/m.db")
    Userkeep.open(tmp_path / "m.db").close()
    assert (tmp_path / "data" / "m.db.secret").exists()
    assert not (tmp_path / "m.db.secret").exists()
