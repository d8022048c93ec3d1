"""Tables, privileges and rights that are missing: what clients and operators see."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import LiteralString

import httpx2
import pytest

from tests.postgres import as_role, postgres_server
from tests.serving import Server, serving
from tests.storage.postgres.notes import (
    database_name,
    execute,
    new_role,
    owned_database,
    rows,
    terminate,
)
from userkeep.storage.queries import DIALECTS, load_queries
from userkeep.storage.schema import tables_of

NOT_ASKED_FOR = {"pg_statistic", "message_words_config"}
"""What PostgreSQL and SQLite have of their own."""


def states(text: str) -> dict[str, str]:
    """Return the status of each check of `/readyz`."""
    return {name: check["status"] for name, check in json.loads(text)["checks"].items()}


class Running:
    """A server on a database of a role of its own."""

    def __init__(self, server: Server, url: str, role: str) -> None:
        self.log = server.log
        self.url = url
        self.role = role
        self._client = httpx2.Client(base_url=server.url, timeout=30)

    def request(self, method: str, path: str, json: object = None) -> tuple[int, str]:
        """Send a request; return the status and the body."""
        response = self._client.request(method, path, json=json)
        if response.status_code == 503:
            assert int(response.headers["retry-after"]) >= 1
        return response.status_code, response.text

    def add_user(self, name: str) -> tuple[int, str]:
        return self.request("POST", "/v1/users", {"user_id": name})

    def get_user(self, name: str) -> tuple[int, str]:
        return self.request("GET", f"/v1/users/{name}")

    def check_ready(self) -> None:
        status, text = self.request("GET", "/readyz")
        assert status == 200
        assert set(states(text).values()) == {"ok", "skipped"}

    def close(self) -> None:
        self._client.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server, which each test leaves as it found it."""
    folder: Path = tmp_path_factory.mktemp("server")
    with (
        new_role() as role,
        owned_database(role) as url,
        serving(folder, database_url=as_role(url, role)) as server,
        closing(Running(server, url, role)) as running,
    ):
        assert running.add_user("known")[0] == 201
        yield running


@contextmanager
def renamed(running: Running, table: str) -> Iterator[None]:
    """Give a table another name for a while."""
    execute(running.url, "ALTER TABLE {} RENAME TO {}", table, f"{table}_away")
    try:
        yield
    finally:
        execute(running.url, "ALTER TABLE {} RENAME TO {}", f"{table}_away", table)


@contextmanager
def revoked(running: Running, right: LiteralString, table: str) -> Iterator[None]:
    """Take a right from the role for a while."""
    execute(running.url, "REVOKE " + right + " ON {} FROM {}", table, running.role)
    try:
        yield
    finally:
        execute(running.url, "GRANT " + right + " ON {} TO {}", table, running.role)


@pytest.mark.parametrize("table", ["users", "sessions", "tombstones", "projects"])
def test_a_missing_table_makes_the_server_not_ready(running: Running, table: str) -> None:
    running.check_ready()
    with renamed(running, table):
        status, text = running.request("GET", "/readyz")
        assert status == 503
        assert f"The table {table} is missing." in text
        assert states(text)["schema"] == "failed"
    running.check_ready()


@pytest.mark.parametrize("right", ["SELECT", "INSERT", "UPDATE", "DELETE"])
def test_a_missing_right_makes_the_server_not_ready(running: Running, right: LiteralString) -> None:
    with revoked(running, right, "messages"):
        status, text = running.request("GET", "/readyz")
        assert status == 503
        assert "may not read and change the table messages." in text
        assert states(text)["rights"] == "failed"
    running.check_ready()


def test_a_missing_table_is_reported_to_clients_and_once_in_the_log(running: Running) -> None:
    with renamed(running, "users"):
        for _ in range(5):
            for status, text in (running.get_user("known"), running.add_user("new")):
                assert status == 503
                assert "A table that Userkeep needs is missing" in text
                assert "nothing was changed" in text
    assert running.get_user("known")[0] == 200
    assert running.get_user("new")[0] == 404
    log = running.log.read_text()
    assert (
        log.count('relation \\"users\\" does not exist')
        + log.count('relation "users" does not exist')
        == 1
    )
    assert "Traceback" not in log


def test_a_missing_right_is_reported_to_clients_and_once_in_the_log(running: Running) -> None:
    with revoked(running, "INSERT", "users"):
        for _ in range(5):
            status, text = running.add_user("new")
            assert status == 503
            assert "lacks a privilege" in text
            assert "permission denied for table users" in text
        assert running.get_user("known")[0] == 200
    assert running.get_user("new")[0] == 404
    log = running.log.read_text()
    assert log.count("permission denied for table users") == 1
    assert "Traceback" not in log


@contextmanager
def read_only(running: Running) -> Iterator[None]:
    """Let the database be read-only for a while, for new connections."""
    name, server = database_name(running.url), postgres_server()
    execute(server.url, "ALTER DATABASE {} SET default_transaction_read_only = on", name)
    try:
        disconnect(running)
        yield
    finally:
        execute(server.url, "ALTER DATABASE {} RESET default_transaction_read_only", name)
        disconnect(running)


def disconnect(running: Running) -> None:
    """End all connections of the server."""
    for (pid,) in rows(running.url, _CONNECTED):
        terminate(running.url, pid)


_CONNECTED = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


def test_a_database_that_has_become_read_only_makes_the_server_not_ready(
    running: Running,
) -> None:
    with read_only(running):
        status, text = running.request("GET", "/readyz")
        assert status == 503
        assert "The database is read-only." in text
        status, text = running.add_user("new")
        assert status == 503
        assert "read-only at the moment" in text
        assert running.get_user("known")[0] == 200
    running.check_ready()
    assert running.get_user("new")[0] == 404


@pytest.mark.parametrize("engine", DIALECTS)
def test_every_table_is_checked(engine: str) -> None:
    source = load_queries(engine)["readiness_problems"].source
    own = [
        table.name
        for table in tables_of(engine)
        if not table.name.startswith(("sqlite_", "message_words_"))
        and not table.name.endswith("_seq")
        and table.name not in NOT_ASKED_FOR
    ]
    assert len(own) > 5
    assert [name for name in own if f"'{name}'" not in source] == []
