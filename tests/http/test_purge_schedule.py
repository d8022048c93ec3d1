"""When a server purges automatically, and what it reports while a purge is blocked."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from tests.conftest import database_url
from tests.serving import Server, serving

TIMEOUT_S = 30.0
PURGE_LATER = {"USERKEEP_PURGE_WITHIN_MINUTES": "60"}
PURGE_NOW = {"USERKEEP_PURGE_WITHIN_MINUTES": "0"}
LARGE = {"USERKEEP_PURGE_LARGE_MIB": "0"}

Serve = Callable[[Mapping[str, str]], Any]


@pytest.fixture(params=["sqlite file", "postgres"], ids=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh database."""
    return database_url(request.param, tmp_path)


def call(server: Server, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Send a request; return its status and JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}{path}", data, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        text = response.read()
        is_json = "json" in response.headers["content-type"]
        return response.status, json.loads(text) if is_json else text.decode()


def add_user(server: Server, user_id: str = "jane") -> None:
    """Create a user with a message."""
    body = {"user_id": user_id, "messages": [{"content": "I live in Oslo"}]}
    assert call(server, "POST", "/v1/users", {"user_id": user_id})[0] == 201
    assert call(server, "POST", f"/v1/sessions/of-{user_id}/messages", body)[0] == 201


def window(*, is_now: bool) -> dict[str, str]:
    """Return the setting of a purge window that is open now, or opens in eleven hours."""
    begin = datetime.now(UTC) - timedelta(hours=1 if is_now else 13)
    end = begin + timedelta(hours=2)
    return {"USERKEEP_PURGE_WINDOW": f"{begin:%H:%M}-{end:%H:%M}"}


def state_within(server: Server, uuid: str, seconds: float, state: str = "purged") -> Any:
    """Return the erasure once it is in a state, or when the time is over."""
    ends = time.monotonic() + seconds
    while True:
        erasure = call(server, "GET", f"/v1/erasures/{uuid}")[1]
        if erasure["state"] == state or time.monotonic() > ends:
            return erasure
        time.sleep(0.1)


@contextmanager
def reading(url: str) -> Iterator[None]:
    """Keep the current snapshot of the database open in another connection."""
    if url.startswith("sqlite"):
        with closing(apsw.Connection(url.removeprefix("sqlite:///"))) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM users").fetchall()
            yield
            reader.execute("COMMIT")
        return
    with psycopg.connect(url) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT count(*) FROM users")
        yield


def test_due_data_is_purged_automatically(url: str, tmp_path: Path) -> None:
    with serving(tmp_path, database_url=url, settings=PURGE_NOW) as server:
        add_user(server)
        _, erasure = call(server, "DELETE", "/v1/users/jane")
        assert state_within(server, erasure["id"], TIMEOUT_S)["state"] == "purged"


def test_an_edited_message_is_purged_too(tmp_path: Path) -> None:
    path = tmp_path / "userkeep.db"
    with serving(tmp_path, settings=PURGE_NOW) as server:
        add_user(server)
        [message] = call(server, "GET", "/v1/sessions/of-jane/messages")[1]["items"]
        uuid = message["uuid"]
        call(server, "PATCH", f"/v1/sessions/of-jane/messages/{uuid}", {"content": "In Rome"})
        with closing(apsw.Connection(str(path))) as reader:
            assert _becomes_true(
                lambda: reader.execute("SELECT * FROM pending_purges").fetchall() == []
            )
        assert b"I live in Oslo" not in path.read_bytes()


def test_a_large_database_is_not_purged_outside_its_window(url: str, tmp_path: Path) -> None:
    settings = {**PURGE_NOW, **LARGE, **window(is_now=False)}
    with serving(tmp_path, database_url=url, settings=settings) as server:
        add_user(server)
        _, erasure = call(server, "DELETE", "/v1/users/jane")
        assert state_within(server, erasure["id"], 12)["state"] == "deleted"
        _, asked = call(server, "POST", f"/v1/erasures/{erasure['id']}/purge")
        assert asked["state"] == "purged"


def test_a_large_database_is_purged_in_its_window(tmp_path: Path) -> None:
    settings = {**PURGE_LATER, **LARGE, **window(is_now=True)}
    with serving(tmp_path, settings=settings) as server:
        add_user(server)
        _, erasure = call(server, "DELETE", "/v1/users/jane")
        assert state_within(server, erasure["id"], TIMEOUT_S)["state"] == "purged"


def test_a_server_purges_what_an_earlier_process_deleted(url: str, tmp_path: Path) -> None:
    with serving(tmp_path, database_url=url, settings=PURGE_LATER) as server:
        add_user(server)
        _, erasure = call(server, "DELETE", "/v1/users/jane")
    with serving(tmp_path, database_url=url, settings=PURGE_NOW) as server:
        assert state_within(server, erasure["id"], TIMEOUT_S)["state"] == "purged"


def test_a_purge_waits_for_readers_of_an_old_snapshot(url: str, tmp_path: Path) -> None:
    with serving(tmp_path, database_url=url, settings=PURGE_LATER) as server:
        add_user(server)
        with reading(url):
            began = time.monotonic()
            status, erasure = call(server, "DELETE", "/v1/users/jane?purge=now")
            assert 4 < time.monotonic() - began < 9
            assert (status, erasure["state"]) == (202, "deleted")
            again = call(server, "GET", f"/v1/erasures/{erasure['id']}")[1]
            assert "waiting for" in again["purge"]["phase"]
            assert again["purge"]["requested_at"] is not None
            add_user(server, "john")  # other requests do not wait
        assert state_within(server, erasure["id"], TIMEOUT_S)["state"] == "purged"


def test_the_zep_api_returns_ok_after_five_seconds_at_the_latest(tmp_path: Path) -> None:
    with serving(tmp_path, settings=PURGE_LATER) as server:
        add_user(server)
        with reading(server.database_url):
            began = time.monotonic()
            assert call(server, "DELETE", "/api/v1/user/jane?purge=now") == (200, "OK")
            assert 4 < time.monotonic() - began < 9
        [erasure] = call(server, "GET", "/v1/erasures")[1]["items"]
        assert state_within(server, erasure["id"], TIMEOUT_S)["state"] == "purged"


@pytest.mark.parametrize("path", ["/api/v1/user/jane", "/api/v1/sessions/of-jane/memory"])
def test_the_zep_api_purges_immediately_on_request(tmp_path: Path, path: str) -> None:
    with serving(tmp_path, settings=PURGE_LATER) as server:
        add_user(server)
        assert call(server, "DELETE", f"{path}?purge=now") == (200, "OK")
        [erasure] = call(server, "GET", "/v1/erasures")[1]["items"]
        assert erasure["state"] == "purged"


def test_a_stopping_server_does_not_wait_for_its_purge(url: str, tmp_path: Path) -> None:
    with serving(tmp_path, database_url=url, settings=PURGE_LATER) as server:
        add_user(server)
        with reading(url):
            _, erasure = call(server, "DELETE", "/v1/users/jane?purge=now")
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 9
    with serving(tmp_path, database_url=url, settings=PURGE_LATER) as server:
        assert state_within(server, erasure["id"], TIMEOUT_S)["state"] == "purged"


def _becomes_true(condition: Callable[[], bool]) -> bool:
    ends = time.monotonic() + TIMEOUT_S
    while time.monotonic() < ends:
        if condition():
            return True
        time.sleep(0.1)
    return False
