"""`userkeep projects`, and `--project` of the commands that work in one."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import all_commands, is_sentence, userkeep
from tests.conftest import database_url
from tests.serving import serving

ON_ALL_PROJECTS = {
    "serve",
    "migrate",
    "doctor",
    "copy",
    "completion",
    "embed",
    "projects",
    "replay-erasures",
    "backup",
    "restore",
    "secret",
}


@pytest.fixture(params=["sqlite file", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh database."""
    return database_url(request.param, tmp_path)


def run(database: str, folder: Path, *words: object) -> "subprocess.CompletedProcess[str]":
    """Run a command on a database."""
    return userkeep(*words, "--database", database, folder=folder)


def printed(result: "subprocess.CompletedProcess[str]") -> Any:
    """Return the JSON that a command has printed."""
    assert (result.returncode, result.stderr) == (0, ""), result
    return json.loads(result.stdout)


def test_projects_are_created_listed_renamed_limited_and_deleted(
    database: str, tmp_path: Path
) -> None:
    create = ("projects", "create", "shop", "--max-bytes-per-user", 1000, "--json")
    created = printed(run(database, tmp_path, *create))
    assert (created["name"], created["max_bytes_per_user"]) == ("shop", 1000)
    renamed = printed(run(database, tmp_path, "projects", "rename", "shop", "store", "--json"))
    assert (renamed["name"], renamed["uuid"]) == ("store", created["uuid"])
    update = ("projects", "update", "store", "--remove", "max_bytes_per_user", "--json")
    updated = printed(run(database, tmp_path, *update))
    assert (updated["max_messages_per_user"], updated["max_bytes_per_user"]) == (None, None)
    listed = run(database, tmp_path, "projects", "list")
    assert listed.stdout.split()[:3] == ["name", "uuid", "state"]
    assert {"default", "store", "active"} <= set(listed.stdout.split())
    shown = run(database, tmp_path, "projects", "get", "store").stdout
    assert "no limit" in shown
    assert created["uuid"] in shown
    deleted = run(database, tmp_path, "projects", "delete", "store", "--yes").stdout
    assert "deleted" in deleted
    assert "nothing" in deleted
    listed = run(database, tmp_path, "projects", "list", "--json")
    assert [each["name"] for each in printed(listed)["items"]] == ["default"]
    receipt = printed(run(database, tmp_path, "projects", "show", created["uuid"], "--json"))
    assert (receipt["state"], receipt["name"]) == ("deleted", None)


def test_a_command_works_in_the_project_that_it_names(database: str, tmp_path: Path) -> None:
    run(database, tmp_path, "projects", "create", "shop")
    for words in (
        ("users", "add", "jane", "--email", "jane@shop.example"),
        ("messages", "add", "chat", "red shoes", "--user-id", "jane"),
    ):
        assert run(database, tmp_path, *words, "--project", "shop").returncode == 0
    run(database, tmp_path, "users", "add", "john")
    in_shop = ("--project", "shop", "--json")
    for read in (("users", "list"), ("search", "shoes"), ("messages", "list", "chat")):
        assert len(printed(run(database, tmp_path, *in_shop, *read))["items"]) == 1
    assert printed(run(database, tmp_path, "search", "shoes", "--json"))["items"] == []
    assert run(database, tmp_path, "users", "show", "jane").returncode == 4
    listed = printed(run(database, tmp_path, "users", "list", "--project", "default", "--json"))
    assert [each["user_id"] for each in listed["items"]] == ["john"]
    exported = run(database, tmp_path, "export", "--project", "shop").stdout
    assert "jane@shop.example" in exported
    assert "john" not in exported


def test_an_import_into_another_project_leaves_the_first_one_as_it_is(
    database: str, tmp_path: Path
) -> None:
    for name in ("shop", "store"):
        run(database, tmp_path, "projects", "create", name)
    run(database, tmp_path, "users", "add", "jane", "--project", "shop")
    (tmp_path / "file").write_text(run(database, tmp_path, "export", "--project", "shop").stdout)
    imported = run(database, tmp_path, "import", "file", "--project", "store")
    assert imported.returncode == 0, imported
    assert run(database, tmp_path, "users", "show", "jane", "--project", "store").returncode == 0
    assert run(database, tmp_path, "users", "show", "jane").returncode == 4


def test_an_unknown_project_is_an_error(database: str, tmp_path: Path) -> None:
    run(database, tmp_path, "projects", "create", "shop")
    for words in (("users", "list"), ("users", "add", "jane"), ("users", "delete", "jane", "-y")):
        result = run(database, tmp_path, *words, "--project", "store")
        assert (result.returncode, result.stdout) == (4, "")
        assert is_sentence(result.stderr)
        assert "There is no project 'store'." in result.stderr


def test_a_missing_database_is_not_created_for_a_project(tmp_path: Path) -> None:
    result = userkeep("users", "add", "jane", "--project", "shop", folder=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert "does not exist" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_project_of_a_server_is_that_of_the_key(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        words = ("users", "list", "--project", "shop")
        for arguments in (("--url", server.url), ("--database", tmp_path / "userkeep.db")):
            result = userkeep(*words, *arguments, folder=tmp_path)
            assert (result.returncode, result.stdout) == (2, "")
            assert "--project cannot be used with the server" in result.stderr
        created = userkeep("projects", "create", "shop", "--url", server.url, folder=tmp_path)
        assert created.returncode == 0, created
        delete = ("projects", "delete", "shop", "--yes", "--json", "--url", server.url)
        assert printed(userkeep(*delete, folder=tmp_path))["state"] == "deleted"


def test_the_project_default_can_be_neither_renamed_nor_deleted(
    database: str, tmp_path: Path
) -> None:
    run(database, tmp_path, "projects", "create", "shop")
    for words in (("rename", "default", "store"), ("delete", "default", "--yes")):
        result = run(database, tmp_path, "projects", *words)
        assert (result.returncode, result.stdout) == (1, "")
        assert "The project 'default' cannot be" in result.stderr


def test_a_deletion_asks_for_confirmation(tmp_path: Path) -> None:
    userkeep("projects", "create", "shop", folder=tmp_path)
    result = userkeep("projects", "delete", "shop", folder=tmp_path, given="y\n")
    assert (result.returncode, result.stdout) == (2, "")
    assert "Pass --yes." in result.stderr
    assert userkeep("projects", "show", "shop", folder=tmp_path).returncode == 0


def test_a_deletion_with_a_purge_ends_purged(database: str, tmp_path: Path) -> None:
    run(database, tmp_path, "projects", "create", "shop")
    for number in range(3):
        run(database, tmp_path, "users", "add", f"user-{number}", "--project", "shop")
    words = ("projects", "delete", "shop", "--yes", "--purge", "now", "--json")
    deletion = printed(run(database, tmp_path, *words))["deletion"]
    assert deletion["counts"] == {"users": 3, "sessions": 0, "messages": 0, "documents": 0}
    assert deletion["purged_at"] is not None


def test_every_command_on_data_takes_a_project() -> None:
    for words, command in all_commands():
        options = {option for param in command.params for option in param.opts}
        assert ("--project" in options) == (words[0] not in ON_ALL_PROJECTS), words
