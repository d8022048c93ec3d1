"""`userkeep keys`: on a file, on PostgreSQL and on a server; and commands that need a key."""

import json
import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import is_sentence, userkeep
from tests.cli.terminals import Terminal
from tests.postgres import migrated_database
from tests.serving import serving
from userkeep import Userkeep
from userkeep.api.keys import Key

Run = Callable[..., "subprocess.CompletedProcess[str]"]

STATIC = "the-key-of-an-operator"
KEY = re.compile(r"uk_([0-9a-f]{16})_[0-9a-f]{64}\n")


def on(folder: Path, *place: str, **environment: str) -> Run:
    """Return a function that runs commands in a folder, with these options at their end."""

    def run(*words: object) -> "subprocess.CompletedProcess[str]":
        return userkeep(*words, *place, folder=folder, environment=environment)

    return run


@pytest.fixture(params=["file", "postgres", "server", "file of a server"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Run commands with the rights of an admin, on an instance of each kind."""
    with ExitStack() as stack:
        if request.param == "file":
            yield on(tmp_path, "--database", str(tmp_path / "new" / "memory.db"))
        elif request.param == "postgres":
            yield on(tmp_path, "--database", migrated_database())
        else:
            settings = {"USERKEEP_API_KEY": STATIC}
            server = stack.enter_context(serving(tmp_path, settings=settings))
            is_url = request.param == "server"
            place = ("--url", server.url) if is_url else ("--database", "userkeep.db")
            yield on(tmp_path, *place, **settings)


@pytest.fixture
def here(tmp_path: Path) -> Run:
    """Run commands on a file that has no keys."""
    return on(tmp_path)


@pytest.fixture
def server_url(tmp_path: Path) -> Iterator[str]:
    """A server with a key."""
    with serving(tmp_path, settings={"USERKEEP_API_KEY": STATIC}) as server:
        yield server.url


def listed(run: Run, *words: str) -> list[dict[str, Any]]:
    """Return the keys of a list as JSON."""
    result = run("keys", "list", "--json", *words)
    assert result.returncode == 0, result.stderr
    items: list[dict[str, Any]] = json.loads(result.stdout)["items"]
    return items


def id_of(result: "subprocess.CompletedProcess[str]") -> str:
    """Return the id of a key whose text alone is on stdout."""
    assert result.returncode == 0, result.stderr
    found = KEY.fullmatch(result.stdout)
    assert found, result.stdout
    return found[1]


def rejected(result: "subprocess.CompletedProcess[str]", code: int) -> str:
    """Return the error message of a command that failed, with nothing on stdout."""
    assert (result.returncode, result.stdout) == (code, "")
    assert is_sentence(result.stderr.splitlines(keepends=True)[-1])
    return result.stderr


def test_keys_are_created_listed_shown_rotated_and_revoked(run: Run) -> None:
    created = run("keys", "create", "--scope", "admin", "--name", "operator")
    id_ = id_of(created)
    secret = created.stdout.rpartition("_")[2].strip()
    assert secret not in created.stderr
    [key] = listed(run)
    assert (key["id"], key["name"], key["scope"]) == (id_, "operator", "admin")
    assert set(key) == set(Key.__struct_fields__)
    shown = run("keys", "show", id_, "--json")
    assert json.loads(shown.stdout) == key
    rotated = run("keys", "rotate", id_, "--overlap-hours", "2")
    assert id_of(rotated) == id_
    assert rotated.stdout != created.stdout
    assert "stays valid until in 1 hour (20" in rotated.stderr
    revoked = run("keys", "revoke", id_, "--yes", "--json")
    assert json.loads(revoked.stdout)["revoked_at"] is not None
    assert "is revoked" in rejected(run("keys", "rotate", id_), 1)
    assert "no key with the id" in rejected(run("keys", "show", "0" * 16), 4)


def test_only_the_first_key_says_that_servers_now_ask_for_keys(here: Run) -> None:
    assert "scope admin" in rejected(here("keys", "create"), 1)
    note = "every server of this database asks each request for a key"
    assert note in here("keys", "create", "--scope", "admin", "--json").stderr
    assert note not in here("keys", "create").stderr


def test_a_key_of_a_file_is_accepted_by_its_server(tmp_path: Path, here: Run) -> None:
    place = ("--database", "userkeep.db")
    key = here("keys", "create", "--scope", "admin", *place).stdout.strip()
    with serving(tmp_path) as server, Userkeep(server.url, api_key=key) as client:
        assert client.user.add(user_id="jane").user_id == "jane"


def test_a_key_is_created_with_all_its_fields(here: Run) -> None:
    here("users", "add", "jane")
    here("keys", "create", "--scope", "admin")
    words = ("--name", "phone", "--user-id", "jane", "--scope", "read", "--expires-at")
    created = here("keys", "create", *words, "2100-01-01", "--json")
    key = json.loads(created.stdout)
    assert created.stderr == ""
    assert KEY.fullmatch(f"{key.pop('key')}\n")
    assert key == listed(here)[1]
    assert (key["user_id"], key["scope"]) == ("jane", "read")
    assert key["expires_at"] == "2100-01-01T00:00:00.000000Z"
    assert "no user" in rejected(here("keys", "create", "--user-id", "bob"), 4)
    assert "no project" in rejected(here("keys", "create", "--project", "other"), 4)


def test_a_key_is_created_in_a_project_by_the_operator(run: Run) -> None:
    assert run("keys", "create", "--scope", "admin").returncode == 0
    assert run("projects", "create", "shop").returncode == 0
    created = run("keys", "create", "--project", "shop", "--name", "of the shop")
    id_ = id_of(created)
    assert "first key" not in created.stderr
    assert [each["id"] for each in listed(run, "--project", "shop")] == [id_]
    assert id_ not in {each["id"] for each in listed(run)}
    assert run("keys", "revoke", id_, "--yes").returncode == 4
    assert run("keys", "revoke", id_, "--project", "shop", "--yes").returncode == 0


@pytest.mark.parametrize(
    ("duration", "expected"), [("30d", timedelta(days=30)), ("12h", timedelta(hours=12))]
)
def test_a_key_ends_after_a_duration(here: Run, duration: str, expected: timedelta) -> None:
    here("keys", "create", "--scope", "admin", "--expires-in", duration)
    end = datetime.fromisoformat(listed(here)[0]["expires_at"])
    assert abs(end - datetime.now(UTC) - expected) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "words",
    [
        ("create", "--expires-in", "0d"),
        ("create", "--expires-in", "30"),
        ("create", "--expires-in", "9999999d"),
        ("create", "--expires-at", "tomorrow"),
        ("create", "--expires-at", "2100-01-01", "--expires-in", "1d"),
        ("create", "--scope", "root"),
        ("rotate", "0123456789abcdef", "--overlap-hours", "721"),
        ("revoke", "0123456789abcdef"),
    ],
    ids=" ".join,
)
def test_wrong_usage_creates_no_key(here: Run, words: tuple[str, ...]) -> None:
    here("keys", "create", "--scope", "admin")
    result = here("keys", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(listed(here)) == 1


def test_a_time_in_the_past_is_rejected(here: Run) -> None:
    words = ("keys", "create", "--scope", "admin", "--expires-at", "2020-01-01")
    assert "must be in the future" in rejected(here(*words), 1)


def test_a_key_is_written_to_a_file_that_only_its_owner_can_read(tmp_path: Path, here: Run) -> None:
    file = tmp_path / "admin.key"
    created = here("keys", "create", "--scope", "admin", "--output", "admin.key")
    id_ = listed(here)[0]["id"]
    assert re.search(rf"^key +{id_} *$", created.stdout, re.MULTILINE)
    first = file.read_text()
    assert KEY.fullmatch(first)
    assert first.strip() not in created.stdout + created.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    rotated = here("keys", "rotate", id_, "--output", "admin.key", "--json")
    assert "key" not in json.loads(rotated.stdout)
    assert KEY.fullmatch(file.read_text())
    assert file.read_text() != first


def test_no_key_is_created_if_the_file_cannot_be_written(here: Run) -> None:
    here("keys", "create", "--scope", "admin")
    for place in ("missing/app.key", "userkeep-data", "userkeep-data/userkeep.db"):
        assert place in rejected(here("keys", "create", "--output", place), 1)
    assert len(listed(here)) == 1


def test_a_printed_list_has_no_texts_of_keys(here: Run) -> None:
    here("users", "add", "jane")
    assert here("keys", "list").stdout == "No keys.\n"
    texts = [
        here("keys", "create", "--scope", "admin", "--name", "operator").stdout,
        here("keys", "create", "--user-id", "jane").stdout,
    ]
    table = here("keys", "list").stdout
    assert re.split(r" {2,}", table.splitlines()[0].strip()) == [
        "key",
        "name",
        "scope",
        "user_id",
        "state",
        "expires",
        "last used",
    ]
    assert re.search(r"operator +admin +valid +never +never", table)
    assert not any(text.rpartition("_")[2].strip() in table for text in texts)
    words = ("--order=-created", "--limit", "1")
    assert [each["user_id"] for each in listed(here, *words)] == ["jane"]


def test_a_revocation_asks_for_confirmation(tmp_path: Path, here: Run) -> None:
    id_ = id_of(here("keys", "create", "--scope", "admin", "--name", "operator"))
    with Terminal("keys", "revoke", id_, folder=tmp_path) as terminal:
        terminal.read_until("[y/N]: ")
        question = " ".join(terminal.text.split())
        assert "This is the last valid admin key." in question
        assert f"Revoke the admin key {id_} 'operator'?" in question
        terminal.type("n\r")
        assert terminal.read_to_end().code == 1
        assert "Nothing was revoked." in terminal.text
    other = id_of(here("keys", "create", "--scope", "admin"))
    with Terminal("keys", "revoke", id_, folder=tmp_path) as terminal:
        terminal.read_until("[y/N]: ")
        assert "last valid" not in terminal.text
        terminal.type("y\r")
        assert terminal.read_to_end().code == 0
    assert [each["id"] for each in listed(here) if each["revoked_at"] is None] == [other]


def test_a_command_without_a_key_says_how_to_send_one(tmp_path: Path, server_url: str) -> None:
    for words in (("users", "list"), ("keys", "create"), ("search", "shoes")):
        error = rejected(on(tmp_path, "--url", server_url)(*words), 6)
        assert "Set USERKEEP_API_KEY" in error
        assert "--api-key-file" in error
        assert "`userkeep keys create`" in error


def test_a_command_with_an_invalid_key_says_where_the_key_came_from(
    tmp_path: Path, server_url: str
) -> None:
    (tmp_path / "key").write_text("wrong-key")
    for place, environment, source in (
        (("--api-key-file", "key"), {}, "--api-key-file"),
        ((), {"USERKEEP_API_KEY": "wrong-key"}, "USERKEEP_API_KEY"),
        ((), {"USERKEEP_API_KEY_FILE": "key"}, "USERKEEP_API_KEY_FILE"),
        (("--api-key", "wrong-key"), {}, "--api-key"),
    ):
        run = on(tmp_path, "--url", server_url, *place, **environment)
        error = rejected(run("users", "list"), 6)
        assert "unknown, revoked or expired" in error
        assert error.endswith(f"The key came from {source}.\n")
        assert "wrong-key" not in error


def test_a_command_whose_key_does_not_permit_it_says_which_scope_does(
    tmp_path: Path, server_url: str
) -> None:
    admin = on(tmp_path, "--url", server_url, USERKEEP_API_KEY=STATIC)
    key = admin("keys", "create", "--scope", "read").stdout.strip()
    reader = on(tmp_path, "--url", server_url, USERKEEP_API_KEY=key)
    assert reader("users", "list").returncode == 0
    for words, scope in ((("users", "add", "jane"), "write"), (("keys", "list"), "admin")):
        error = rejected(reader(*words), 6)
        assert f"a key with the scope {scope}; yours has read." in error
        assert "The key came from USERKEEP_API_KEY." in error


def test_no_key_is_in_an_error_or_in_the_log_of_a_server(tmp_path: Path) -> None:
    settings = {"USERKEEP_API_KEY": STATIC, "USERKEEP_LOG_LEVEL": "debug"}
    with serving(tmp_path, settings=settings) as server:
        admin = on(tmp_path, "--url", server.url, USERKEEP_API_KEY=STATIC)
        created = admin("keys", "create", "--scope", "read")
        key = created.stdout.strip()
        reader = on(tmp_path, "--url", server.url, USERKEEP_API_KEY=key)
        outputs = [
            reader("users", "list"),
            reader("keys", "list"),
            admin("keys", "show", key),
            admin("keys", "show", f"{key}0"),
            admin("keys", "revoke", id_of(created), "--yes"),
            reader("users", "list"),
        ]
        seen = [each.stdout + each.stderr for each in outputs] + [server.log.read_text()]
    secret = key.rpartition("_")[2]
    assert [each.returncode for each in outputs] == [0, 6, 0, 4, 0, 6]
    assert not any(secret in text or STATIC in text for text in seen)
    assert "list of processes" in outputs[2].stderr
