"""`userkeep secret`: what a rotation keeps, what it gives up, and keys for backups."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pyrage
import pytest

from tests.cli.running import is_sentence, userkeep
from tests.cli.terminals import Terminal
from tests.conftest import fresh_settings
from tests.http.clients import InProcessClient, serve_in_process
from userkeep.config import Settings, is_postgres, sqlite_path
from userkeep.domain.secret import derive_key, fingerprint
from userkeep.domain.transaction import scoped
from userkeep.instance import open_instance
from userkeep.services import erasures


@pytest.fixture(params=["sqlite file", "postgres"], ids=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A fresh database."""
    return fresh_settings(request.param, tmp_path)


@pytest.fixture
def on_file(tmp_path: Path) -> Settings:
    """A fresh database in a file."""
    return fresh_settings("sqlite file", tmp_path)


def run(settings: Settings, *words: str, **changed: str) -> Any:
    environment = {
        "USERKEEP_DATABASE_URL": settings.database_url,
        "USERKEEP_SECRET_FILE": settings.secret_file,
    } | changed
    return userkeep(*words, folder=Path(settings.secret_file).parent, environment=environment)


def rows(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    if is_postgres(settings.database_url):
        with psycopg.connect(settings.database_url) as database:
            return database.execute(sql.encode()).fetchall()
    with closing(apsw.Connection(sqlite_path(settings.database_url))) as file:
        file.set_busy_timeout(60_000)
        return list(file.execute(sql))


def delete_jane(client: InProcessClient) -> str:
    """Create and delete a user with a session; return the id of the erasure."""
    client.send("POST", "/v1/users", {"user_id": "jane"})
    body = {"user_id": "jane", "messages": [{"role": "user", "content": "I live in Oslo"}]}
    client.send("POST", "/v1/sessions/s1/messages", body)
    erasure: str = client.send("DELETE", "/v1/users/jane").json["id"]
    return erasure


@pytest.mark.parametrize("flags", [(), ("--lost",)], ids=["", "lost"])
def test_a_rotated_instance_keeps_its_data_and_gives_up_what_was_hashed(
    settings: Settings, flags: tuple[str, ...]
) -> None:
    secret_file = Path(settings.secret_file)
    with serve_in_process(settings) as client:
        erasure = delete_jane(client)
        client.send("POST", "/v1/users", {"user_id": "bob"}, headers={"Idempotency-Key": "k"})
    former = secret_file.read_bytes().strip()
    hashes = rows(settings, "SELECT id_hash FROM tombstones UNION SELECT key FROM idempotency")
    assert len(hashes) >= 2
    if flags:
        secret_file.unlink()
    result = run(settings, "secret", "rotate", "--yes", *flags)
    assert result.returncode == 0, result.stderr
    assert f"The new secret is in {secret_file}." in result.stdout
    assert secret_file.stat().st_mode & 0o777 == 0o600
    new = secret_file.read_bytes().strip()
    assert new != former
    kept = derive_key(bytes.fromhex(fingerprint(former)), "ledger of erasures").hex()
    names = "'ledger_key', 'secret_fingerprint'"
    instance = f"SELECT name, value FROM instance WHERE name IN ({names}) ORDER BY name"
    assert rows(settings, instance) == [
        ("ledger_key", kept),
        ("secret_fingerprint", fingerprint(new)),
    ]
    with serve_in_process(settings) as client:
        assert client.send("GET", "/v1/users/bob").status == 200
        verify = f"/v1/erasures/{erasure}/verify"
        rejected = client.send("POST", verify, {"subject_id": "jane"})
        assert rejected.status == 422
        assert "under a former secret" in rejected.json["detail"]
        assert client.send("POST", verify, {"search_terms": ["Oslo fjord"]}).status == 200
        body = {"user_id": "jane", "messages": [{"role": "user", "content": "late"}]}
        assert client.send("POST", "/v1/sessions/s1/messages", body).status == 201


def test_the_second_rotation_keeps_the_key_of_the_ledger(settings: Settings) -> None:
    open_instance(settings).close()
    former = Path(settings.secret_file).read_bytes().strip()
    for _ in range(2):
        assert run(settings, "secret", "rotate", "--yes").returncode == 0
    kept = derive_key(bytes.fromhex(fingerprint(former)), "ledger of erasures").hex()
    assert rows(settings, "SELECT value FROM instance WHERE name = 'ledger_key'") == [(kept,)]


def test_a_deletion_that_was_running_is_completed_and_can_be_compared(settings: Settings) -> None:
    with serve_in_process(settings) as client:
        client.send("POST", "/v1/users", {"user_id": "mary"})
    with closing(open_instance(settings)) as instance:
        begin = scoped(instance.scope, erasures.begin_user, "mary")
        erasure = instance.engine.write(begin).uuid
    assert run(settings, "secret", "rotate", "--yes").returncode == 0
    result = run(settings, "erasures", "verify", erasure, "--subject-id", "mary")
    # The id is compared with the erasure first; it is too short to look for in files.
    assert (result.returncode, result.stderr) == (7, "")


def test_hashes_under_the_former_secret_are_not_in_the_file(on_file: Settings) -> None:
    with serve_in_process(on_file) as client:
        delete_jane(client)
    sql = "SELECT id_hash FROM tombstones UNION SELECT subject_hash FROM erasures"
    hashes = [text.encode() for (text,) in rows(on_file, sql)]
    database = Path(sqlite_path(on_file.database_url))
    assert all(each in database.read_bytes() for each in hashes)
    assert run(on_file, "secret", "rotate", "--yes").returncode == 0
    content = b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))
    assert not any(each in content for each in hashes)


def test_another_secret_is_rejected_without_lost(on_file: Settings) -> None:
    open_instance(on_file).close()
    Path(on_file.secret_file).write_text("another secret of an instance\n")
    result = run(on_file, "secret", "rotate", "--yes")
    assert result.returncode == 1
    assert is_sentence(result.stderr)
    assert "--lost" in result.stderr
    assert Path(on_file.secret_file).read_text() == "another secret of an instance\n"


def test_a_secret_that_is_set_is_replaced_by_the_operator(on_file: Settings) -> None:
    former = "the former secret of an instance"
    assert run(on_file, "migrate", USERKEEP_SECRET=former).returncode == 0
    result = run(on_file, "secret", "rotate", "--yes", USERKEEP_SECRET=former)
    assert "USERKEEP_SECRET is still the former one" in result.stdout
    rejected = run(on_file, "migrate", USERKEEP_SECRET=former)
    assert rejected.returncode == 1
    assert f"has the secret in {on_file.secret_file}" in rejected.stderr
    new = Path(on_file.secret_file).read_text().strip()
    assert run(on_file, "migrate", USERKEEP_SECRET=new).returncode == 0
    assert run(on_file, "migrate").returncode == 0


def test_a_database_in_use_is_rejected(settings: Settings) -> None:
    with closing(open_instance(settings)):
        before = Path(settings.secret_file).read_bytes()
        result = run(settings, "secret", "rotate", "--yes")
        assert result.returncode == 1
        assert is_sentence(result.stderr)
    assert Path(settings.secret_file).read_bytes() == before
    if is_postgres(settings.database_url):
        assert "Stop all servers" in result.stderr


def test_a_rotation_asks_and_names_what_is_given_up(on_file: Settings) -> None:
    open_instance(on_file).close()
    before = Path(on_file.secret_file).read_bytes()
    assert run(on_file, "secret", "rotate").returncode == 2
    words = ("secret", "rotate", "--database", on_file.database_url)
    file = ("--secret-file", on_file.secret_file)
    with Terminal(*words, *file, folder=Path(on_file.secret_file).parent) as terminal:
        terminal.read_until("Rotate the secret?")
        terminal.type("n\n")
        terminal.read_to_end()
    assert "all user tokens end" in " ".join(terminal.text.split())
    assert terminal.code == 1
    assert Path(on_file.secret_file).read_bytes() == before


def test_a_backup_key_is_private_and_of_age(tmp_path: Path) -> None:
    result = userkeep("secret", "backup-key", "backup.key", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    path = tmp_path / "backup.key"
    assert path.stat().st_mode & 0o777 == 0o600
    key = pyrage.x25519.Identity.from_str(path.read_text().splitlines()[-1])
    assert str(key.to_public()) == result.stdout.strip()
    again = userkeep("secret", "backup-key", "backup.key", folder=tmp_path)
    assert again.returncode == 1
    assert "was not overwritten" in again.stderr


def test_json_names_the_file(on_file: Settings) -> None:
    open_instance(on_file).close()
    result = run(on_file, "secret", "rotate", "--yes", "--json")
    assert json.loads(result.stdout) == {"file": on_file.secret_file, "problem": None}
