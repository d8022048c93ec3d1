"""Restarts of the database server under load lose no confirmed writes."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from json import dumps, loads
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import psycopg
import pytest

from tests.long.counts import count, seeded_random
from tests.postgres import OwnPostgresServer
from tests.serving import Server, serving

RESTARTS = count(20)
CONNECTIONS = 18
SESSIONS = 6
MODES = ("fast", "immediate")
MAX_RESPONSE_S = 5.0
MAX_RECOVERY_S = 5.0


class Response(NamedTuple):
    """A response and its duration."""

    status: int
    retry_after: str | None
    json: Any
    took_s: float


class Worker:
    """A client with one connection that continues after errors."""

    def __init__(self, server: Server, number: int, random: Random) -> None:
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._number = number
        self._random = random
        self._count = 0
        self.users: set[str] = set()
        self.messages: dict[str, dict[str, int | None]] = {}  # session_id: seq by content
        self.statuses: Counter[int] = Counter()
        self.longest_s = 0.0
        self.problems: list[object] = []

    def work(self, stop: threading.Event) -> None:
        """Read and write until `stop` is set."""
        actions = [self._add, self._add_as_zep, self._append, self._append_as_zep, self._read]
        with closing(self._connection):
            while not stop.is_set():
                [action] = self._random.choices(actions, [2, 1, 4, 2, 4])
                action()

    @property
    def confirmed(self) -> int:
        """How many writes were confirmed."""
        return len(self.users) + sum(map(len, self.messages.values()))

    def _fresh(self, kind: str) -> str:
        self._count += 1
        return f"{kind} {self._number} {self._count}"

    def _add(self) -> None:
        user_id = self._fresh("user")
        if self._send("POST", "/v1/users", {"user_id": user_id}).status == 201:
            self.users.add(user_id)

    def _add_as_zep(self) -> None:
        user_id = self._fresh("zep")
        if self._send("POST", "/api/v1/user", {"user_id": user_id}).status == 201:
            self.users.add(user_id)

    def _append(self) -> None:
        contents = [self._fresh("message") for _ in range(self._random.randint(1, 3))]
        session_id = f"session-{self._random.randrange(SESSIONS)}"
        body = {"messages": [{"role": "user", "content": each} for each in contents]}
        response = self._send("POST", f"/v1/sessions/{session_id}/messages", body)
        if response.status == 201:
            appended = {each["content"]: each["seq"] for each in response.json["messages"]}
            self.messages.setdefault(session_id, {}).update(appended)

    def _append_as_zep(self) -> None:
        content = self._fresh("zep message")
        session_id = f"session-{self._random.randrange(SESSIONS)}"
        body = {"messages": [{"role": "user", "content": content}]}
        if self._send("POST", f"/api/v1/sessions/{session_id}/memory", body).status == 200:
            self.messages.setdefault(session_id, {})[content] = None

    def _read(self) -> None:
        paths = ["/v1/sessions/session-0/memory", "/v1/sessions/session-1/messages", "/v1/users"]
        paths += ["/api/v1/sessions/session-2/memory", "/v1/users?metadata.a=1&limit=1"]
        self._send("GET", self._random.choice(paths))

    def _send(self, method: str, path: str, body: Any = None) -> Response:
        began = time.monotonic()
        text = None if body is None else dumps(body).encode()
        self._connection.request(method, path, text, {"content-type": "application/json"})
        received = self._connection.getresponse()
        content = received.read()
        took_s = time.monotonic() - began
        response = Response(received.status, received.headers.get("retry-after"), content, took_s)
        self._record(method, path, response)
        if response.status < 300 and "json" in (received.headers.get("content-type") or ""):
            return response._replace(json=loads(content))
        return response

    def _record(self, method: str, path: str, response: Response) -> None:
        self.statuses[response.status] += 1
        self.longest_s = max(self.longest_s, response.took_s)
        is_success = response.status in {200, 201}
        if not is_success and not (response.status == 503 and response.retry_after):
            self.problems.append((method, path, response))


@pytest.fixture
def database() -> Iterator[OwnPostgresServer]:
    """A separate PostgreSQL server, which keeps data even without fsync if it is killed."""
    with OwnPostgresServer() as database:
        yield database


def recovered_after(server: Server) -> float:
    """Return how long it takes until every kind of request succeeds."""
    began = time.monotonic()
    probe = Worker(server, 1_000_000 + int(began * 1000), seeded_random("probe"))
    kinds = (probe._add, probe._append, probe._append_as_zep, probe._read)
    with closing(probe._connection):
        while True:
            probe.statuses.clear()
            for kind in kinds:
                kind()
            if not probe.statuses[503]:
                return time.monotonic() - began
            assert time.monotonic() - began < 60, "the server does not recover"
            time.sleep(0.02)


def test_a_database_restarted_under_load_keeps_all_confirmed_writes(
    database: OwnPostgresServer, tmp_path: Path, report: Callable[[str], None]
) -> None:
    random = seeded_random("restarts")
    url = database.new_database()
    recoveries: list[float] = []
    stop = threading.Event()
    with serving(tmp_path, database_url=url) as server, ThreadPoolExecutor(CONNECTIONS) as pool:
        create_sessions(server)
        workers = [Worker(server, n, seeded_random(f"worker {n}")) for n in range(CONNECTIONS)]
        working = [pool.submit(worker.work, stop) for worker in workers]
        try:
            for restart in range(RESTARTS):
                time.sleep(random.uniform(0.3, 1.0))
                database.stop(MODES[restart % len(MODES)])
                time.sleep(random.uniform(0, 0.7))
                database.start()
                recoveries.append(recovered_after(server))
            time.sleep(0.3)
        finally:
            stop.set()
        for each in working:
            each.result(90)
        after = Worker(server, CONNECTIONS, random)
        with closing(after._connection):
            for _ in range(100):
                after._append()
                after._read()
        assert set(after.statuses) <= {200, 201}
        assert server.stop() == 0
    assert [each for worker in workers for each in worker.problems] == []
    check_confirmed(url, [*workers, after])
    check_numbers(url)
    statuses = sum((worker.statuses for worker in workers), Counter())
    longest_s = max(worker.longest_s for worker in workers)
    assert statuses[503] > 0
    report(
        f"{RESTARTS} restarts under {CONNECTIONS} connections: "
        f"{sum(worker.confirmed for worker in workers)} writes confirmed and kept, "
        f"{statuses[503]} requests of {statuses.total()} rejected, "
        f"longest response {longest_s:.2f} s, "
        f"recovery {sorted(recoveries)[len(recoveries) // 2]:.2f} s (median), "
        f"{max(recoveries):.2f} s (longest)"
    )
    assert longest_s < MAX_RESPONSE_S
    assert max(recoveries) < MAX_RECOVERY_S


def create_sessions(server: Server) -> None:
    creator = Worker(server, CONNECTIONS, seeded_random("creator"))
    with closing(creator._connection):
        for number in range(SESSIONS):
            session_id = {"session_id": f"session-{number}"}
            assert creator._send("POST", "/v1/sessions", session_id).status == 201


def check_confirmed(url: str, workers: list[Worker]) -> None:
    """Check that all confirmed writes are stored once, with their numbers."""
    with psycopg.connect(url) as connection:
        users = {user_id for (user_id,) in connection.execute("SELECT user_id FROM users")}
        messages = connection.execute("SELECT session_id, content, seq FROM messages").fetchall()
    stored = {(session_id, content): seq for session_id, content, seq in messages}
    assert len(stored) == len(messages), "a message was appended twice"
    for worker in workers:
        assert worker.users <= users
        for session_id, appended in worker.messages.items():
            for content, seq in appended.items():
                assert (session_id, content) in stored
                assert seq in {None, stored[session_id, content]}


def check_numbers(url: str) -> None:
    """Check that the messages of each session are numbered 1 to n and counted."""
    with psycopg.connect(url) as connection:
        sessions = connection.execute(
            "SELECT session_id, last_seq, message_count FROM sessions"
        ).fetchall()
        assert len(sessions) == SESSIONS
        for session_id, last_seq, message_count in sessions:
            numbered = connection.execute(
                "SELECT seq FROM messages WHERE session_id = %s ORDER BY seq", [session_id]
            )
            assert [seq for (seq,) in numbered] == list(range(1, last_seq + 1))
            assert message_count == last_seq
