"""A system clock that was years ahead for a while: nothing waits for its times afterwards."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.conftest import fresh_settings
from tests.ways import Way, in_process
from userkeep.config import Settings, sqlite_path
from userkeep.storage import clock as clocks
from userkeep.worker.timers import Timers

YEARS_NS = 10 * 365 * 86_400 * 1_000_000_000
TIMEOUT_S = 30.0
TIMERS = Timers(check_purge_s=0.1, find_abandoned_s=0.1)

YearsAhead = Callable[[], AbstractContextManager[None]]


@pytest.fixture(params=["sqlite file", "postgres"], ids=["sqlite", "postgres"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A fresh database."""
    return fresh_settings(request.param, tmp_path)


@pytest.fixture
def years_ahead(monkeypatch: pytest.MonkeyPatch) -> YearsAhead:
    """Sets the clock of writers ten years ahead for a block."""
    real = time.time_ns

    @contextmanager
    def set_ahead() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(clocks, "time_ns", lambda: real() + YEARS_NS)
            yield

    return set_ahead


def call(server: Way, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """Send a request; return its JSON."""
    reply = server.request(method, path, json=body, headers=headers)
    assert reply.status < 400, reply
    return reply.json


def add_jane(server: Way) -> None:
    """Create a user with a message."""
    body = {"user_id": "jane", "messages": [{"role": "user", "content": "I live in Oslo"}]}
    call(server, "POST", "/v1/users", {"user_id": "jane"})
    call(server, "POST", "/v1/sessions/of-jane/messages", body)


def say(server: Way, content: str) -> None:
    """Append a message to a session of the first user."""
    body = {"user_id": "first", "messages": [{"role": "user", "content": content}]}
    call(server, "POST", "/v1/sessions/s/messages", body)


def becomes_true(condition: Callable[[], bool]) -> bool:
    ends = time.monotonic() + TIMEOUT_S
    while time.monotonic() < ends:
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_data_that_was_deleted_with_a_wrong_clock_is_purged(
    instance: Settings, years_ahead: YearsAhead
) -> None:
    with years_ahead(), in_process(instance) as server:
        add_jane(server)
        erasure = call(server, "DELETE", "/v1/users/jane")
        assert erasure["state"] == "deleted"
        assert erasure["deleted_at"] > "2035"
    with in_process(instance, TIMERS) as server:
        path = f"/v1/erasures/{erasure['id']}"
        assert becomes_true(lambda: bool(call(server, "GET", path)["state"] == "purged"))


def test_order_stays_that_of_creation_and_times_are_right_again(
    instance: Settings, years_ahead: YearsAhead
) -> None:
    with years_ahead(), in_process(instance) as server:
        call(server, "POST", "/v1/users", {"user_id": "first"})
        say(server, "one")
    with in_process(instance) as server:
        call(server, "POST", "/v1/users", {"user_id": "second"})
        say(server, "two")
        users = call(server, "GET", "/v1/users")["items"]
        assert [each["user_id"] for each in users] == ["first", "second"]
        assert users[0]["created_at"] > "2035"
        created = datetime.fromisoformat(users[1]["created_at"]).timestamp()
        assert abs(created - time.time()) < 3600
        messages = call(server, "GET", "/v1/sessions/s/messages")["items"]
        assert [each["content"] for each in messages] == ["one", "two"]


def test_tombstones_of_a_wrong_clock_expire_in_time(
    instance: Settings, years_ahead: YearsAhead
) -> None:
    with years_ahead(), in_process(instance) as server:
        add_jane(server)
        call(server, "DELETE", "/v1/users/jane")
        call(server, "POST", "/v1/users", {"user_id": "john"})
    body = {"user_id": "john", "messages": [{"role": "user", "content": "late"}]}

    def append(server: Way) -> int:
        return server.request("POST", "/v1/sessions/of-jane/messages", json=body).status

    with in_process(instance) as server:
        assert append(server) == 410
    with in_process(replace(instance, tombstone_hours=0)) as server:
        assert becomes_true(lambda: append(server) == 201)


def test_idempotency_keys_of_a_wrong_clock_are_kept_and_expire_in_time(
    tmp_path: Path, years_ahead: YearsAhead
) -> None:
    instance = fresh_settings("sqlite file", tmp_path)
    key = {"Idempotency-Key": "k"}
    with years_ahead(), in_process(instance) as server:
        first = call(server, "POST", "/v1/users", {"user_id": "john"}, **key)
    with (
        in_process(instance) as server,
        closing(apsw.Connection(sqlite_path(instance.database_url))) as connection,
    ):
        connection.set_busy_timeout(60_000)

        def is_dated() -> bool:
            created_at: Any = connection.execute("SELECT created_at FROM idempotency").get
            return bool(abs(created_at / 1e6 - time.time()) < 3600)

        assert becomes_true(is_dated)
        assert call(server, "POST", "/v1/users", {"user_id": "john"}, **key) == first
