"""A server that is killed at any time loses no confirmed writes."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random

import pytest

from devtools.ports import free_port
from tests.conftest import database_url
from tests.long.client import CONNECTION_LOST, Client
from tests.long.counts import count, seeded_random
from tests.long.inspection import (
    Database,
    damage,
    deadlocks,
    gaps,
    orphans,
    rows,
    running_erasures,
    wait_until_disconnected,
)
from tests.serving import Server

pytestmark = pytest.mark.disk

KILLS = count(50)
CLIENTS = 6
SHARED = "shared session"


class Killable:
    """A server on a separate database, always on the same port."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        self.database: Database = url if url.startswith("postgres") else folder / "userkeep.db"
        self._folder = folder
        self._url = url
        self._port = free_port()
        self._stack = stack

    def start(self) -> Server:
        """Start the server without waiting until it is ready."""
        server = Server(self._folder, database_url=self._url, port=self._port)
        self._stack.callback(server.kill)
        return server

    def kill(self, server: Server) -> None:
        """Kill the server and wait until its connections are closed."""
        server.kill()
        self.wait_until_disconnected()

    def wait_until_disconnected(self) -> None:
        """Wait until no server is connected to the database."""
        if isinstance(self.database, str):
            wait_until_disconnected(self.database)

    def check_integrity(self) -> None:
        """Check the integrity of the database."""
        if isinstance(self.database, str):
            assert deadlocks(self.database) == 0
        else:
            assert damage(self.database) == []


@pytest.fixture(params=["sqlite file", "postgres"], ids=["sqlite", "postgres"])
def killable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Killable]:
    """A server to kill, which stops with its test."""
    with ExitStack() as stack:
        yield Killable(tmp_path, database_url(request.param, tmp_path), stack)


class Ledger:
    """The confirmed writes of a client, and the unconfirmed deletions."""

    def __init__(self, client: int) -> None:
        self.client = client
        self.count_ = 0
        self.users: dict[str, str] = {}  # user_id: uuid
        self.changes: dict[str, int] = {}  # user_id: the last confirmed change
        self.sessions: dict[str, str] = {}  # session_id: user_id
        self.messages: dict[str, dict[int, str]] = {}  # session_id: content by seq
        self.shared: list[str] = []  # contents, in the order of their responses
        self.deleted: set[str] = set()  # confirmed
        self.perhaps_deleted: set[str] = set()  # requested

    def fresh(self, kind: str) -> str:
        """Return a new name."""
        self.count_ += 1
        return f"{kind}-{self.client}-{self.count_}"

    @property
    def confirmed(self) -> int:
        """How many writes were confirmed."""
        appended = sum(map(len, self.messages.values())) + len(self.shared)
        return len(self.users) + appended + len(self.deleted)


class Worker:
    """A client that writes until the server disappears."""

    def __init__(self, server: Server, ledger: Ledger, random: Random) -> None:
        self._client = Client(server.port)
        self._ledger = ledger
        self._random = random

    def work(self) -> None:
        """Write until the connection is lost; check each response."""
        actions = [self._add, self._append, self._append_shared, self._change, self._delete]
        try:
            while True:
                [action] = self._random.choices(actions, [20, 45, 15, 15, 5])
                action()
        except CONNECTION_LOST:
            return
        finally:
            self._client.close()

    def _add(self) -> None:
        user_id = self._ledger.fresh("user")
        response = self._client.request("POST", "/v1/users", json_={"user_id": user_id})
        assert response.status == 201, response
        self._ledger.users[user_id] = response.json["uuid"]

    def _append(self) -> None:
        undeleted = self._undeleted()
        if not undeleted:
            return
        user_id = self._random.choice(undeleted[-20:])
        session_id = f"session of {user_id}"
        contents = [self._ledger.fresh("message") for _ in range(self._random.randint(1, 4))]
        body = {
            "user_id": user_id,
            "messages": [{"role": "user", "content": each} for each in contents],
        }
        response = self._client.request("POST", "/v1/sessions/{}/messages", session_id, json_=body)
        assert response.status == 201, response
        appended = {message["seq"]: message["content"] for message in response.json["messages"]}
        assert list(appended.values()) == contents
        self._ledger.sessions[session_id] = user_id
        self._ledger.messages.setdefault(session_id, {}).update(appended)

    def _append_shared(self) -> None:
        content = self._ledger.fresh("shared")
        body = {"messages": [{"role": "user", "content": content}]}
        response = self._client.request("POST", "/api/v1/sessions/{}/memory", SHARED, json_=body)
        assert response.status == 200, response
        self._ledger.shared.append(content)

    def _change(self) -> None:
        undeleted = self._undeleted()
        if not undeleted:
            return
        user_id = self._random.choice(undeleted)
        self._ledger.count_ += 1
        change = {"metadata": {"change": self._ledger.count_}}
        response = self._client.request("PATCH", "/v1/users/{}", user_id, json_=change)
        assert response.status == 200, response
        self._ledger.changes[user_id] = self._ledger.count_

    def _delete(self) -> None:
        undeleted = self._undeleted()
        if not undeleted:
            return
        user_id = self._random.choice(undeleted)
        self._ledger.perhaps_deleted.add(user_id)
        response = self._client.request("DELETE", "/v1/users/{}", user_id)
        assert response.status in {200, 202}, response
        self._ledger.deleted.add(user_id)

    def _undeleted(self) -> list[str]:
        return sorted(self._ledger.users.keys() - self._ledger.perhaps_deleted)


def test_a_killed_server_loses_no_confirmed_writes(
    killable: Killable, report: Callable[[str], None]
) -> None:
    random = seeded_random("kills")
    database = killable.database
    ledgers = [Ledger(client) for client in range(CLIENTS)]
    randoms = [seeded_random(f"client {client}") for client in range(CLIENTS)]
    kills_while_starting = 0
    for kill in range(KILLS):
        server = killable.start()
        if kill % 5 == 4:
            time.sleep(random.uniform(0, 0.6))
            killable.kill(server)
            kills_while_starting += 1
            server = killable.start()
        server.wait_until_ready()
        check_not_readable(server, ledgers)
        workers = [Worker(server, *each) for each in zip(ledgers, randoms, strict=True)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            working = [pool.submit(worker.work) for worker in workers]
            time.sleep(random.uniform(0.02, 0.8))
            killable.kill(server)
            for each in working:
                each.result(30)
        check_confirmed(database, ledgers)
    server = killable.start().wait_until_ready()
    wait_for_deletions(database)
    check_not_readable(server, ledgers)
    check_confirmed(database, ledgers)
    assert server.stop() == 0
    killable.wait_until_disconnected()
    check_confirmed(database, ledgers)
    check_deleted(database, ledgers)
    assert orphans(database) == {}
    killable.check_integrity()
    report(
        f"{KILLS} kills under load and {kills_while_starting} while starting: "
        f"{sum(ledger.confirmed for ledger in ledgers)} confirmed writes kept, "
        f"{sum(len(ledger.deleted) for ledger in ledgers)} users deleted"
    )


def check_confirmed(database: Database, ledgers: list[Ledger]) -> None:
    """Check that all confirmed writes are stored once and numbered without gaps."""
    active_rows = rows(database, "SELECT user_id, uuid FROM users WHERE state = 'active'")
    users = {user_id: str(uuid) for user_id, uuid in active_rows}
    sql = "SELECT user_id, CAST(metadata AS text) FROM users WHERE metadata IS NOT NULL"
    changes = {user_id: json.loads(text)["change"] for user_id, text in rows(database, sql)}
    messages = rows(database, "SELECT session_id, seq, content FROM messages")
    stored_contents = {(session_id, seq): content for session_id, seq, content in messages}
    shared = {content for session_id, _, content in messages if session_id == SHARED}
    for ledger in ledgers:
        undeleted = {u: uuid for u, uuid in ledger.users.items() if u not in ledger.perhaps_deleted}
        assert undeleted.items() <= users.items()
        for user_id in undeleted.keys() & ledger.changes.keys():
            assert changes[user_id] >= ledger.changes[user_id]
        assert set(ledger.shared) <= shared
        for session_id, appended in ledger.messages.items():
            if ledger.sessions[session_id] in undeleted:
                assert appended == {seq: stored_contents.get((session_id, seq)) for seq in appended}
    duplicates = [
        text for text, number in Counter(text for *_, text in messages).items() if number > 1
    ]
    assert duplicates == []
    assert gaps(database) == []
    seqs = {content: seq for session_id, seq, content in messages if session_id == SHARED}
    for ledger in ledgers:
        stored = [seqs[content] for content in ledger.shared]
        assert stored == sorted(stored)


def check_not_readable(server: Server, ledgers: list[Ledger]) -> None:
    """Check that no data of users with a confirmed deletion is returned."""
    with closing(Client(server.port)) as client:
        for ledger in ledgers:
            for user_id in sorted(ledger.deleted)[-10:]:
                session_id = f"session of {user_id}"
                for route, id_ in (
                    ("/v1/users/{}", user_id),
                    ("/v1/users/{}/sessions", user_id),
                    ("/v1/sessions/{}", session_id),
                    ("/v1/sessions/{}/messages", session_id),
                    ("/v1/sessions/{}/memory", session_id),
                ):
                    assert client.request("GET", route, id_).status in {404, 410}
                listed = client.request("GET", f"/v1/sessions?user_id={user_id}")
                assert listed.json["items"] == []


def wait_for_deletions(database: Database) -> None:
    """Wait until unfinished deletions complete automatically."""
    ends = time.monotonic() + 60
    while running_erasures(database):
        assert time.monotonic() < ends, "a deletion did not resume after the restart"
        time.sleep(0.05)


def check_deleted(database: Database, ledgers: list[Ledger]) -> None:
    """Check that deleted users are gone, and perhaps deleted ones are complete or gone."""
    users = {user_id for (user_id,) in rows(database, "SELECT user_id FROM users")}
    sessions = {session_id for (session_id,) in rows(database, "SELECT session_id FROM sessions")}
    counts = Counter(row[0] for row in rows(database, "SELECT session_id FROM messages"))
    for ledger in ledgers:
        for user_id in ledger.deleted:
            assert user_id not in users
            assert f"session of {user_id}" not in sessions
        for user_id in ledger.perhaps_deleted - ledger.deleted:
            session_id = f"session of {user_id}"
            if user_id in users:
                assert counts[session_id] >= len(ledger.messages.get(session_id, {}))
            else:
                assert session_id not in sessions
