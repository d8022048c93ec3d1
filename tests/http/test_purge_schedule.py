"""When a server purges by itself, and what it says while something is in the way."""

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

LOOKS_S = 30.0
BUSY = {"USERKEEP_PURGE_WITHIN_MINUTES": "60"}
AT_ONCE = {"USERKEEP_PURGE_WITHIN_MINUTES": "0"}
LARGE = {"USERKEEP_PURGE_LARGE_MIB": "0"}

Serve = Callable[[Mapping[str, str]], Any]


@pytest.fixture(params=["sqlite file", "postgres"], ids=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh database."""
    return database_url(request.param, tmp_path)


def ask(server: Server, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}{path}", data, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
        is_json = "json" in answer.headers["content-type"]
        return answer.status, json.loads(text) if is_json else text.decode()


def add_user(server: Server, user_id: str = "jane") -> None:
    """A user with a message."""
    body = {"user_id": user_id, "messages": [{"content": "I live in Oslo"}]}
    assert ask(server, "POST", "/v1/users", {"user_id": user_id})[0] == 201
    assert ask(server, "POST", f"/v1/sessions/of-{user_id}/messages", body)[0] == 201


def window(*, is_now: bool) -> dict[str, str]:
    """The setting of a window that holds this time of the day, or that is twelve hours away."""
    begin = datetime.now(UTC) - timedelta(hours=1 if is_now else 13)
    end = begin + timedelta(hours=2)
    return {"USERKEEP_PURGE_WINDOW": f"{begin:%H:%M}-{end:%H:%M}"}


def state_within(server: Server, uuid: str, seconds: float, state: str = "purged") -> Any:
    """The erasure when it has come to a state, or at the end of the time."""
    ends = time.monotonic() + seconds
    while True:
        erasure = ask(server, "GET", f"/v1/erasures/{uuid}")[1]
        if erasure["state"] == state or time.monotonic() > ends:
            return erasure
        time.sleep(0.1)


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Another program has the database open in a transaction that sees the present state."""
    if place.startswith("sqlite"):
        with closing(apsw.Connection(place.removeprefix("sqlite:///"))) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM users").fetchall()
            yield
            reader.execute("COMMIT")
        return
    with psycopg.connect(place) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT count(*) FROM users")
        yield


def test_what_is_due_is_purged_though_nobody_asks(place: str, tmp_path: Path) -> None:
    with serving(tmp_path, database_url=place, settings=AT_ONCE) as server:
        add_user(server)
        _, erasure = ask(server, "DELETE", "/v1/users/jane")
        assert state_within(server, erasure["id"], LOOKS_S)["state"] == "purged"


def test_an_edited_message_is_purged_too(tmp_path: Path) -> None:
    path = tmp_path / "userkeep.db"
    with serving(tmp_path, settings=AT_ONCE) as server:
        add_user(server)
        [message] = ask(server, "GET", "/v1/sessions/of-jane/messages")[1]["items"]
        uuid = message["uuid"]
        ask(server, "PATCH", f"/v1/sessions/of-jane/messages/{uuid}", {"content": "In Rome"})
        with closing(apsw.Connection(str(path))) as looker:
            assert _becomes(lambda: looker.execute("SELECT * FROM pending_purges").fetchall() == [])
        assert b"I live in Oslo" not in path.read_bytes()


def test_a_large_database_is_left_alone_outside_its_window(place: str, tmp_path: Path) -> None:
    settings = {**AT_ONCE, **LARGE, **window(is_now=False)}
    with serving(tmp_path, database_url=place, settings=settings) as server:
        add_user(server)
        _, erasure = ask(server, "DELETE", "/v1/users/jane")
        assert state_within(server, erasure["id"], 12)["state"] == "deleted"
        _, asked = ask(server, "POST", f"/v1/erasures/{erasure['id']}/purge")
        assert asked["state"] == "purged"


def test_a_large_database_is_purged_in_its_window(tmp_path: Path) -> None:
    settings = {**BUSY, **LARGE, **window(is_now=True)}
    with serving(tmp_path, settings=settings) as server:
        add_user(server)
        _, erasure = ask(server, "DELETE", "/v1/users/jane")
        assert state_within(server, erasure["id"], LOOKS_S)["state"] == "purged"


def test_a_server_purges_what_a_former_process_has_deleted(place: str, tmp_path: Path) -> None:
    with serving(tmp_path, database_url=place, settings=BUSY) as server:
        add_user(server)
        _, erasure = ask(server, "DELETE", "/v1/users/jane")
    with serving(tmp_path, database_url=place, settings=AT_ONCE) as server:
        assert state_within(server, erasure["id"], LOOKS_S)["state"] == "purged"


def test_while_a_reader_sees_the_former_state_nothing_is_purged(place: str, tmp_path: Path) -> None:
    with serving(tmp_path, database_url=place, settings=BUSY) as server:
        add_user(server)
        with reading(place):
            began = time.monotonic()
            status, erasure = ask(server, "DELETE", "/v1/users/jane?purge=now")
            assert 4 < time.monotonic() - began < 9
            assert (status, erasure["state"]) == (202, "deleted")
            again = ask(server, "GET", f"/v1/erasures/{erasure['id']}")[1]
            assert "waiting for" in again["purge"]["phase"]
            assert again["purge"]["requested_at"] is not None
            add_user(server, "john")  # nobody else waits
        assert state_within(server, erasure["id"], LOOKS_S)["state"] == "purged"


def test_the_zep_door_answers_ok_after_five_seconds_all_the_same(tmp_path: Path) -> None:
    with serving(tmp_path, settings=BUSY) as server:
        add_user(server)
        with reading(server.database_url):
            began = time.monotonic()
            assert ask(server, "DELETE", "/api/v1/user/jane?purge=now") == (200, "OK")
            assert 4 < time.monotonic() - began < 9
        [erasure] = ask(server, "GET", "/v1/erasures")[1]["items"]
        assert state_within(server, erasure["id"], LOOKS_S)["state"] == "purged"


@pytest.mark.parametrize("path", ["/api/v1/user/jane", "/api/v1/sessions/of-jane/memory"])
def test_the_zep_door_purges_at_once_where_that_is_asked_for(tmp_path: Path, path: str) -> None:
    with serving(tmp_path, settings=BUSY) as server:
        add_user(server)
        assert ask(server, "DELETE", f"{path}?purge=now") == (200, "OK")
        [erasure] = ask(server, "GET", "/v1/erasures")[1]["items"]
        assert erasure["state"] == "purged"


def test_a_server_that_stops_does_not_wait_for_its_purge(place: str, tmp_path: Path) -> None:
    with serving(tmp_path, database_url=place, settings=BUSY) as server:
        add_user(server)
        with reading(place):
            _, erasure = ask(server, "DELETE", "/v1/users/jane?purge=now")
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 9
    with serving(tmp_path, database_url=place, settings=BUSY) as server:
        assert state_within(server, erasure["id"], LOOKS_S)["state"] == "purged"


def _becomes(is_so: Callable[[], bool]) -> bool:
    ends = time.monotonic() + LOOKS_S
    while time.monotonic() < ends:
        if is_so():
            return True
        time.sleep(0.1)
    return False
