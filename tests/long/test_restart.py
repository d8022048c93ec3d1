"""The database server is restarted under load: what was answered is there, the rest is refused."""

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

from tests.long.counts import count, randomness
from tests.postgres import OwnPostgresServer
from tests.serving import Server, serving

RESTARTS = count(20)
CONNECTIONS = 18
SESSIONS = 6
MODES = ("fast", "immediate")
ANSWER_S = 5.0
RECOVERY_S = 5.0


class Answer(NamedTuple):
    """What came back, and how long that took."""

    status: int
    retry_after: str | None
    json: Any
    took_s: float


class Worker:
    """A client with one connection, which goes on whatever it is answered."""

    def __init__(self, server: Server, number: int, random: Random) -> None:
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._number = number
        self._random = random
        self._made = 0
        self.users: set[str] = set()
        self.messages: dict[str, dict[str, int | None]] = {}  # session_id: seq by content
        self.statuses: Counter[int] = Counter()
        self.longest_s = 0.0
        self.problems: list[object] = []

    def work(self, is_over: threading.Event) -> None:
        """Read and write until it is over."""
        actions = [self._add, self._add_as_zep, self._append, self._append_as_zep, self._read]
        with closing(self._connection):
            while not is_over.is_set():
                [action] = self._random.choices(actions, [2, 1, 4, 2, 4])
                action()

    @property
    def answered(self) -> int:
        """How many writes were answered."""
        return len(self.users) + sum(map(len, self.messages.values()))

    def _fresh(self, kind: str) -> str:
        self._made += 1
        return f"{kind} {self._number} {self._made}"

    def _add(self) -> None:
        user_id = self._fresh("user")
        if self._ask("POST", "/v1/users", {"user_id": user_id}).status == 201:
            self.users.add(user_id)

    def _add_as_zep(self) -> None:
        user_id = self._fresh("zep")
        if self._ask("POST", "/api/v1/user", {"user_id": user_id}).status == 201:
            self.users.add(user_id)

    def _append(self) -> None:
        contents = [self._fresh("message") for _ in range(self._random.randint(1, 3))]
        session_id = f"session-{self._random.randrange(SESSIONS)}"
        body = {"messages": [{"content": each} for each in contents]}
        answer = self._ask("POST", f"/v1/sessions/{session_id}/messages", body)
        if answer.status == 201:
            told = {each["content"]: each["seq"] for each in answer.json["messages"]}
            self.messages.setdefault(session_id, {}).update(told)

    def _append_as_zep(self) -> None:
        content = self._fresh("zep message")
        session_id = f"session-{self._random.randrange(SESSIONS)}"
        body = {"messages": [{"role": "user", "content": content}]}
        if self._ask("POST", f"/api/v1/sessions/{session_id}/memory", body).status == 200:
            self.messages.setdefault(session_id, {})[content] = None

    def _read(self) -> None:
        paths = ["/v1/sessions/session-0/memory", "/v1/sessions/session-1/messages", "/v1/users"]
        paths += ["/api/v1/sessions/session-2/memory", "/v1/users?metadata.a=1&limit=1"]
        self._ask("GET", self._random.choice(paths))

    def _ask(self, method: str, path: str, body: Any = None) -> Answer:
        began = time.monotonic()
        text = None if body is None else dumps(body).encode()
        self._connection.request(method, path, text, {"content-type": "application/json"})
        response = self._connection.getresponse()
        content = response.read()
        took_s = time.monotonic() - began
        answer = Answer(response.status, response.headers.get("retry-after"), content, took_s)
        self._look_at(method, path, answer)
        if answer.status < 300 and "json" in (response.headers.get("content-type") or ""):
            return answer._replace(json=loads(content))
        return answer

    def _look_at(self, method: str, path: str, answer: Answer) -> None:
        self.statuses[answer.status] += 1
        self.longest_s = max(self.longest_s, answer.took_s)
        is_well = answer.status in {200, 201}
        if not is_well and not (answer.status == 503 and answer.retry_after):
            self.problems.append((method, path, answer))


@pytest.fixture
def database() -> Iterator[OwnPostgresServer]:
    """A PostgreSQL that may be stopped; without fsync it still keeps all where it is killed."""
    with OwnPostgresServer() as database:
        yield database


def recovered_after(server: Server) -> float:
    """How long it takes from now until every kind of request succeeds."""
    began = time.monotonic()
    probe = Worker(server, 1_000_000 + int(began * 1000), randomness("probe"))
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


def test_a_database_that_is_restarted_under_load_keeps_all_that_was_answered(
    database: OwnPostgresServer, tmp_path: Path, say: Callable[[str], None]
) -> None:
    random = randomness("restarts")
    url = database.new_database()
    recoveries: list[float] = []
    is_over = threading.Event()
    with serving(tmp_path, database_url=url) as server, ThreadPoolExecutor(CONNECTIONS) as pool:
        open_sessions(server)
        workers = [Worker(server, n, randomness(f"worker {n}")) for n in range(CONNECTIONS)]
        working = [pool.submit(worker.work, is_over) for worker in workers]
        try:
            for restart in range(RESTARTS):
                time.sleep(random.uniform(0.3, 1.0))
                database.stop(MODES[restart % len(MODES)])
                time.sleep(random.uniform(0, 0.7))
                database.start()
                recoveries.append(recovered_after(server))
            time.sleep(0.3)
        finally:
            is_over.set()
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
    look_at_what_was_answered(url, [*workers, after])
    look_for_gaps(url)
    statuses = sum((worker.statuses for worker in workers), Counter())
    longest_s = max(worker.longest_s for worker in workers)
    assert statuses[503] > 0
    say(
        f"{RESTARTS} restarts under {CONNECTIONS} connections: "
        f"{sum(worker.answered for worker in workers)} writes answered and kept, "
        f"{statuses[503]} requests of {statuses.total()} refused, "
        f"longest answer {longest_s:.2f} s, "
        f"recovery {sorted(recoveries)[len(recoveries) // 2]:.2f} s (median), "
        f"{max(recoveries):.2f} s (longest)"
    )
    assert longest_s < ANSWER_S
    assert max(recoveries) < RECOVERY_S


def open_sessions(server: Server) -> None:
    opener = Worker(server, CONNECTIONS, randomness("opener"))
    with closing(opener._connection):
        for number in range(SESSIONS):
            session_id = {"session_id": f"session-{number}"}
            assert opener._ask("POST", "/v1/sessions", session_id).status == 201


def look_at_what_was_answered(url: str, workers: list[Worker]) -> None:
    """All that was answered is there, once, under the number that was told."""
    with psycopg.connect(url) as connection:
        users = {user_id for (user_id,) in connection.execute("SELECT user_id FROM users")}
        messages = connection.execute("SELECT session_id, content, seq FROM messages").fetchall()
    there = {(session_id, content): seq for session_id, content, seq in messages}
    assert len(there) == len(messages), "a message was appended twice"
    for worker in workers:
        assert worker.users <= users
        for session_id, told in worker.messages.items():
            for content, seq in told.items():
                assert (session_id, content) in there
                assert seq in {None, there[session_id, content]}


def look_for_gaps(url: str) -> None:
    """Each session's messages are exactly 1 to n, and it knows how many they are."""
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
