"""A deletion whose far end fails at any statement keeps what its response says.

After every response nothing of the user can be read in any way, unless the response says that
nothing was changed: then all of it can be. A deletion that has begun ends by itself as soon as the
failure is over, without a restart and without a second request.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

import apsw
import pytest

from tests.conftest import fresh_settings
from tests.http.clients import InProcessClient, Response, serve_in_process
from tests.long.counts import IS_FULL, seeded_random
from tests.long.failing import CutConnection, FailingSqlite, FarEnd, FullPostgres
from userkeep.config import Settings
from userkeep.domain.errors import Unavailable
from userkeep.domain.transaction import Transaction
from userkeep.worker.timers import Timers

TIMERS = Timers(respond_after_s=0.05, find_abandoned_s=0.2)
SESSIONS = 3
STEP = 1 if IS_FULL else 29
CANARY = "qx81vty"

Delete = Callable[[InProcessClient, str], Response]


def populate(client: InProcessClient, user_id: str) -> None:
    """Create a user with sessions, of which one has many messages, by requests with keys."""
    key = {"Idempotency-Key": f"key of {user_id}"}
    user = {"user_id": user_id, "first_name": CANARY, "email": f"{user_id}@example.com"}
    assert client.send("POST", "/v1/users", user, headers=key).status == 201
    for number in range(SESSIONS):
        messages = [
            {"role": "user", "content": f"{CANARY} {user_id} {n}"} for n in range(25 * number + 1)
        ]
        path = f"/v1/sessions/{quote(f'{user_id}-{number}')}/messages"
        append = {"user_id": user_id, "messages": messages}
        assert client.send("POST", path, append).status == 201


def readable(client: InProcessClient, user_id: str) -> dict[str, bool]:
    """Return for each way to read whether it returns something of a user."""
    session = f"{user_id}-1"
    search = {"query": CANARY, "limit": 5}
    email = quote(f"{user_id}@example.com")
    requests: dict[str, tuple[str, str, Any]] = {
        "user": ("GET", f"/v1/users/{user_id}", None),
        "users": ("GET", f"/v1/users?email={email}", None),
        "sessions of the user": ("GET", f"/v1/users/{user_id}/sessions", None),
        "sessions": ("GET", f"/v1/sessions?user_id={user_id}", None),
        "session": ("GET", f"/v1/sessions/{session}", None),
        "messages": ("GET", f"/v1/sessions/{session}/messages", None),
        "memory": ("GET", f"/v1/sessions/{session}/memory", None),
        "search of the user": ("POST", "/v1/search", {**search, "user_id": user_id}),
        "search of a session": ("POST", "/v1/search", {**search, "session_id": session}),
        "search": ("POST", "/v1/search", {"query": user_id, "limit": 5}),
        "newest": ("POST", "/v1/search", {"limit": 5}),
        "Zep: user": ("GET", f"/api/v1/user/{user_id}", None),
        "Zep: sessions": ("GET", f"/api/v1/user/{user_id}/sessions", None),
        "Zep: session": ("GET", f"/api/v1/sessions/{session}", None),
        "Zep: memory": ("GET", f"/api/v1/sessions/{session}/memory", None),
        "Zep: messages": ("GET", f"/api/v1/sessions/{session}/messages", None),
        "Zep: search": ("POST", f"/api/v1/sessions/{session}/search", {"text": CANARY}),
    }
    found = {}
    for name, (method, path, body) in requests.items():
        response = answered(client, method, path, body)
        # An error may name the id that was asked for.
        found[name] = response.status == 200 and user_id.encode() in response.body
    return found


def answered(client: InProcessClient, method: str, path: str, body: Any = None) -> Response:
    """Repeat a request until it is answered: a pool finds its broken connections one by one."""
    ends = monotonic() + 60
    while (response := client.send(method, path, body)).status == 503 and monotonic() < ends:
        client.run(asyncio.sleep(0.02))
    return response


def can_append(client: InProcessClient, user_id: str) -> bool:
    body = {"messages": [{"role": "user", "content": "late"}]}
    path = f"/v1/sessions/{user_id}-1/messages"
    return answered(client, "POST", path, body).status == 201


def delete_natively(client: InProcessClient, user_id: str) -> Response:
    return client.send("DELETE", f"/v1/users/{user_id}")


def delete_by_zep(client: InProcessClient, user_id: str) -> Response:
    return client.send("DELETE", f"/api/v1/user/{user_id}")


def check(
    client: InProcessClient, user_id: str, response: Response, *, is_writable: bool = True
) -> bool:
    """Check that a response is true, in everything that can be read; return whether it deletes."""
    visible = readable(client, user_id)
    assert len(set(visible.values())) == 1, (response, visible)
    is_visible = visible["user"]
    if is_writable:
        assert can_append(client, user_id) == is_visible, response
    if response.status in {200, 202}:
        assert not is_visible, response
    else:
        assert response.status == 503, response
        if "nothing was changed" in response.text:
            assert is_visible, response
    return not is_visible


def wait_until_deleted(client: InProcessClient, user_id: str) -> None:
    ends = monotonic() + 60
    while client.send("GET", f"/v1/users/{user_id}").status != 404:
        assert monotonic() < ends, "the deletion does not end by itself"
        client.run(asyncio.sleep(0.02))
    erasures = client.send("GET", "/v1/erasures?order=-created&limit=1").json["items"]
    assert (erasures[0]["state"], erasures[0]["counts"]["sessions"]) == ("deleted", SESSIONS)
    again = {"Idempotency-Key": f"key of {user_id}"}
    body = {"user_id": user_id, "first_name": CANARY, "email": f"{user_id}@example.com"}
    assert client.send("POST", "/v1/users", body, headers=again).status == 410


def fail_everywhere(
    client: InProcessClient, far_end: FarEnd, delete: Delete, *, lasts: bool, reads_fail: bool
) -> int:
    """Delete a user for each statement, which fails; return how many statements there were."""
    at = seeded_random("failure").randrange(STEP)
    deleted = 0
    while True:
        user_id = f"{CANARY}-{at}"
        populate(client, user_id)
        far_end.fail(at, lasts=lasts)
        response = delete(client, user_id)
        if not reads_fail:
            check(client, user_id, response, is_writable=not lasts)
        has_failed = far_end.heal()
        answered(client, "GET", "/v1/users")
        if check(client, user_id, response):
            wait_until_deleted(client, user_id)
            deleted += 1
        if not has_failed:
            assert deleted > 0
            return at
        at += STEP


BOTH_APIS = pytest.mark.parametrize("delete", [delete_natively, delete_by_zep])
LASTING = pytest.mark.parametrize("lasts", [False, True], ids=["once", "lasting"])


@pytest.mark.parametrize("error", [apsw.FullError, apsw.IOError, apsw.NoMemError, MemoryError])
@BOTH_APIS
@LASTING
def test_a_deletion_on_sqlite_is_true_whichever_statement_fails(
    tmp_path: Path,
    error: type[Exception],
    delete: Delete,
    lasts: bool,
    report: Callable[[str], None],
) -> None:
    with (
        closing(FailingSqlite(error)) as far_end,
        serve_in_process(fresh_settings("sqlite file", tmp_path), TIMERS) as client,
    ):
        points = fail_everywhere(client, far_end, delete, lasts=lasts, reads_fail=False)
    assert points > 15
    report(f"a deletion with {points} statements, at each {STEP}. of which SQLite fails")


@BOTH_APIS
@LASTING
@pytest.mark.parametrize("at_commit", [False, True], ids=["statements", "commits"])
def test_a_deletion_on_a_full_postgres_server_is_true_whichever_statement_fails(
    tmp_path: Path, delete: Delete, lasts: bool, at_commit: bool, report: Callable[[str], None]
) -> None:
    settings = fresh_settings("postgres", tmp_path)
    with (
        closing(FullPostgres(settings.database_url, at_commit=at_commit)) as far_end,
        serve_in_process(settings, TIMERS) as client,
    ):
        points = fail_everywhere(client, far_end, delete, lasts=lasts, reads_fail=False)
    assert points > 10
    report(f"a deletion with {points} changes, at each {STEP}. of which PostgreSQL fails")


@BOTH_APIS
@LASTING
def test_a_deletion_on_postgres_is_true_whenever_the_connection_breaks(
    tmp_path: Path, delete: Delete, lasts: bool, report: Callable[[str], None]
) -> None:
    settings = fresh_settings("postgres", tmp_path)
    with closing(CutConnection(settings.database_url)) as far_end:
        through = Settings(database_url=far_end.url, secret_file=settings.secret_file)
        with serve_in_process(through, TIMERS) as client:
            points = fail_everywhere(client, far_end, delete, lasts=lasts, reads_fail=lasts)
    assert points > 5
    report(f"a deletion with {points} messages to PostgreSQL, at each {STEP}. of which it is cut")


class FullQueue:
    """Operations of others that keep the writer busy and its queue full, until it is closed."""

    def __init__(self) -> None:
        self.client: InProcessClient | None = None
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._fill) for _ in range(16)]
        apsw.connection_hooks.append(self._hook)

    def fill(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()
        sleep(0.05)

    def fill_at_mark(self) -> None:
        """Begin right before the commit that marks a user."""
        self._is_awaited = True

    def close(self) -> None:
        """Let the operations end."""
        apsw.connection_hooks.remove(self._hook)
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    _is_awaited = _is_marked = False

    def _hook(self, connection: apsw.Connection) -> None:
        connection.exec_trace = self._trace

    def _trace(self, _cursor: apsw.Cursor, sql: str, _values: Any) -> bool:
        if self._is_awaited and sql.startswith("UPDATE users SET state = 'deleting'"):
            self._is_marked = True
        elif self._is_marked and sql == "COMMIT":
            self._is_awaited = self._is_marked = False
            self.fill()
        return True

    def _fill(self) -> None:
        assert self.client
        while not self._is_over.is_set():
            try:
                self.client.instance.engine.write(self._wait)
            except Unavailable:
                sleep(0.001)

    def _wait(self, _tx: Transaction) -> None:
        self._is_over.wait()


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[FullQueue]:
    """The short queue of a server with a user; a test can fill it."""
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/userkeep.db",
        secret_file=str(tmp_path / "userkeep.secret"),
        queue_limit=8,
    )
    queue = FullQueue()
    with serve_in_process(settings, TIMERS) as queue.client:
        populate(queue.client, CANARY)
        yield queue


@BOTH_APIS
def test_a_deletion_that_the_full_queue_rejects_changes_nothing(
    queue: FullQueue, delete: Delete
) -> None:
    assert queue.client
    with closing(queue):
        queue.fill()
        response = delete(queue.client, CANARY)
        assert response.status == 503
        assert all(readable(queue.client, CANARY).values())
    assert not check(queue.client, CANARY, response)


@BOTH_APIS
def test_a_deletion_whose_batches_the_full_queue_rejects_is_accepted(
    queue: FullQueue, delete: Delete
) -> None:
    assert queue.client
    with closing(queue):
        queue.fill_at_mark()
        response = delete(queue.client, CANARY)
        assert response.status == (202 if delete is delete_natively else 200)
        assert not any(readable(queue.client, CANARY).values())
    wait_until_deleted(queue.client, CANARY)
