"""When a server purges automatically, and what it reports while a purge is blocked.

The server is in this process and its timers are short; `tests/long` has one that really waits.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from tests.conftest import fresh_settings
from tests.ways import Way, in_process
from userkeep.config import Settings, is_postgres, sqlite_path
from userkeep.worker.timers import Timers

TIMEOUT_S = 30.0
RESPOND_S = 0.8
CHECK_S = 0.1
PURGE_LATER: dict[str, Any] = {"purge_within_minutes": 60}
PURGE_NOW: dict[str, Any] = {"purge_within_minutes": 0}
LARGE: dict[str, Any] = {"purge_large_mib": 0}
TIMERS = Timers(respond_after_s=RESPOND_S, check_purge_s=CHECK_S, retry_purge_s=CHECK_S)


@pytest.fixture(params=["sqlite file", "postgres"], ids=["sqlite", "postgres"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A fresh database."""
    return fresh_settings(request.param, tmp_path)


@pytest.fixture
def on_file(tmp_path: Path) -> Settings:
    """A fresh database in a file."""
    return fresh_settings("sqlite file", tmp_path)


def serving(
    instance: Settings, timers: Timers = TIMERS, **settings: Any
) -> AbstractContextManager[Way]:
    """A server in this process, with these settings."""
    return in_process(replace(instance, **settings), timers)


def call(server: Way, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Send a request; return its status and JSON, or text."""
    reply = server.request(method, path, json=body)
    assert reply.status < 400, reply
    return reply.status, reply.text if reply.json is None else reply.json


def add_user(server: Way, user_id: str = "jane") -> None:
    """Create a user with a message."""
    body = {"user_id": user_id, "messages": [{"role": "user", "content": "I live in Oslo"}]}
    assert call(server, "POST", "/v1/users", {"user_id": user_id})[0] == 201
    assert call(server, "POST", f"/v1/sessions/of-{user_id}/messages", body)[0] == 201


def window(*, is_now: bool) -> dict[str, Any]:
    """Return the setting of a purge window that is open now, or opens in eleven hours."""
    begin = datetime.now(UTC) - timedelta(hours=1 if is_now else 13)
    end = begin + timedelta(hours=2)
    return {"purge_window": f"{begin:%H:%M}-{end:%H:%M}"}


def state_within(server: Way, uuid: str, seconds: float, state: str = "purged") -> Any:
    """Return the erasure once it is in a state, or when the time is over."""
    ends = time.monotonic() + seconds
    while True:
        erasure = call(server, "GET", f"/v1/erasures/{uuid}")[1]
        if erasure["state"] == state or time.monotonic() > ends:
            return erasure
        time.sleep(CHECK_S)


@contextmanager
def reading(instance: Settings) -> Iterator[None]:
    """Keep the current snapshot of the database open in another connection."""
    if is_postgres(instance.database_url):
        with psycopg.connect(instance.database_url) as reader:
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT count(*) FROM users")
            yield
        return
    with closing(apsw.Connection(sqlite_path(instance.database_url))) as reader:
        reader.set_busy_timeout(60_000)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM users").fetchall()
        yield
        reader.execute("COMMIT")


def test_due_data_is_purged_automatically(instance: Settings) -> None:
    with serving(instance, **PURGE_NOW) as server:
        add_user(server)
        _, erasure = call(server, "DELETE", "/v1/users/jane")
        assert state_within(server, erasure["id"], TIMEOUT_S)["state"] == "purged"


def test_an_idle_server_purges_before_the_data_is_due(instance: Settings) -> None:
    with serving(instance, TIMERS._replace(idle_s=3 * CHECK_S), **PURGE_LATER) as server:
        add_user(server)
        _, erasure = call(server, "DELETE", "/v1/users/jane")
        pause_s = 4 * CHECK_S
        while pause_s < TIMEOUT_S:
            time.sleep(pause_s)
            if state_within(server, erasure["id"], 0)["state"] == "purged":
                return
            pause_s *= 2
    raise AssertionError("it was not purged")


def test_a_server_that_gets_probes_alone_is_idle(instance: Settings) -> None:
    with serving(instance, TIMERS._replace(idle_s=3 * CHECK_S), **PURGE_LATER) as server:
        add_user(server)
        call(server, "DELETE", "/v1/users/jane")

        def is_purged() -> bool:
            call(server, "GET", "/healthz")
            call(server, "GET", "/readyz")
            metrics = server.request("GET", "/metrics").text
            return 'userkeep_job_runs_total{kind="purge"} 1.0' in metrics

        assert _becomes_true(is_purged)


def test_an_edited_message_is_purged_too(on_file: Settings) -> None:
    path = sqlite_path(on_file.database_url)
    with serving(on_file, **PURGE_NOW) as server:
        add_user(server)
        [message] = call(server, "GET", "/v1/sessions/of-jane/messages")[1]["items"]
        id_ = message["id"]
        call(server, "PATCH", f"/v1/sessions/of-jane/messages/{id_}", {"content": "In Rome"})
        with closing(apsw.Connection(path)) as reader:
            reader.set_busy_timeout(60_000)
            assert _becomes_true(
                lambda: reader.execute("SELECT * FROM pending_purges").fetchall() == []
            )
        # Opened in this process, the file would lose SQLite's locks when it is closed.
        file = subprocess.run(["cat", path], capture_output=True, check=True).stdout
        assert b"In Rome" in file
        assert b"I live in Oslo" not in file


def test_a_large_database_is_not_purged_outside_its_window(instance: Settings) -> None:
    with serving(instance, **PURGE_NOW, **LARGE, **window(is_now=False)) as server:
        add_user(server)
        _, erasure = call(server, "DELETE", "/v1/users/jane")
        assert state_within(server, erasure["id"], 15 * CHECK_S)["state"] == "deleted"
        _, asked = call(server, "POST", f"/v1/erasures/{erasure['id']}/purge")
        assert asked["state"] == "purged"


def test_a_large_database_is_purged_in_its_window(on_file: Settings) -> None:
    with serving(on_file, **PURGE_LATER, **LARGE, **window(is_now=True)) as server:
        add_user(server)
        _, erasure = call(server, "DELETE", "/v1/users/jane")
        assert state_within(server, erasure["id"], TIMEOUT_S)["state"] == "purged"


def test_a_server_purges_what_an_earlier_process_deleted(instance: Settings) -> None:
    with serving(instance, **PURGE_LATER) as server:
        add_user(server)
        _, erasure = call(server, "DELETE", "/v1/users/jane")
    with serving(instance, **PURGE_NOW) as server:
        assert state_within(server, erasure["id"], TIMEOUT_S)["state"] == "purged"


def test_a_purge_waits_for_readers_of_an_old_snapshot(instance: Settings) -> None:
    with serving(instance, **PURGE_LATER) as server:
        add_user(server)
        with reading(instance):
            began = time.monotonic()
            status, erasure = call(server, "DELETE", "/v1/users/jane?purge=now")
            assert RESPOND_S <= time.monotonic() - began < RESPOND_S + 4
            assert (status, erasure["state"]) == (202, "deleted")
            again = call(server, "GET", f"/v1/erasures/{erasure['id']}")[1]
            assert "waiting for" in again["purge"]["phase"]
            assert again["purge"]["requested_at"] is not None
            add_user(server, "john")  # other requests do not wait
        assert state_within(server, erasure["id"], TIMEOUT_S)["state"] == "purged"


def test_the_zep_api_returns_ok_in_time_although_a_purge_is_blocked(on_file: Settings) -> None:
    with serving(on_file, **PURGE_LATER) as server:
        add_user(server)
        with reading(on_file):
            began = time.monotonic()
            assert call(server, "DELETE", "/api/v1/user/jane?purge=now") == (200, "OK")
            assert RESPOND_S <= time.monotonic() - began < RESPOND_S + 4
        [erasure] = call(server, "GET", "/v1/erasures")[1]["items"]
        assert state_within(server, erasure["id"], TIMEOUT_S)["state"] == "purged"


@pytest.mark.parametrize("path", ["/api/v1/user/jane", "/api/v1/sessions/of-jane/memory"])
def test_the_zep_api_purges_immediately_on_request(on_file: Settings, path: str) -> None:
    with serving(on_file, Timers(check_purge_s=60.0), **PURGE_LATER) as server:
        add_user(server)
        assert call(server, "DELETE", f"{path}?purge=now") == (200, "OK")
        [erasure] = call(server, "GET", "/v1/erasures")[1]["items"]
        assert erasure["state"] == "purged"


def test_a_stopping_server_does_not_wait_for_its_purge(instance: Settings) -> None:
    with ExitStack() as reader:
        with serving(instance, **PURGE_LATER) as server:
            add_user(server)
            reader.enter_context(reading(instance))
            _, erasure = call(server, "DELETE", "/v1/users/jane?purge=now")
            began = time.monotonic()
        assert time.monotonic() - began < 9
    with serving(instance, **PURGE_LATER) as server:
        assert state_within(server, erasure["id"], TIMEOUT_S)["state"] == "purged"


def _becomes_true(condition: Callable[[], bool]) -> bool:
    ends = time.monotonic() + TIMEOUT_S
    while time.monotonic() < ends:
        if condition():
            return True
        time.sleep(CHECK_S)
    return False
