"""A server that is killed at any moment loses nothing that it has answered."""

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
from tests.long.client import LOST, Client
from tests.long.counts import count, randomness
from tests.long.looking import (
    Database,
    damage,
    deadlocks,
    gaps,
    orphans,
    rows,
    running_erasures,
    wait_until_left,
)
from tests.serving import Server

pytestmark = pytest.mark.disk

KILLS = count(50)
CLIENTS = 6
SHARED = "shared session"


class Killable:
    """A server on a database of its own, always on the same port."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        self.database: Database = url if url.startswith("postgres") else folder / "userkeep.db"
        self._folder = folder
        self._url = url
        self._port = free_port()
        self._stack = stack

    def start(self) -> Server:
        """Begin to start it."""
        server = Server(self._folder, database_url=self._url, port=self._port)
        self._stack.callback(server.kill)
        return server

    def kill(self, server: Server) -> None:
        """End it, with all that it had sent to the database."""
        server.kill()
        self.wait_until_left()

    def wait_until_left(self) -> None:
        """Return when nobody is connected to the database."""
        if isinstance(self.database, str):
            wait_until_left(self.database)

    def look_for_damage(self) -> None:
        """Nothing is broken."""
        if isinstance(self.database, str):
            assert deadlocks(self.database) == 0
        else:
            assert damage(self.database) == []


@pytest.fixture(params=["sqlite file", "postgres"], ids=["sqlite", "postgres"])
def killable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Killable]:
    """A server that will be killed; it does not outlive its test."""
    with ExitStack() as stack:
        yield Killable(tmp_path, database_url(request.param, tmp_path), stack)


class Ledger:
    """What a client was told, and what it asked without being told."""

    def __init__(self, client: int) -> None:
        self.client = client
        self.made = 0
        self.users: dict[str, str] = {}  # user_id: uuid
        self.changes: dict[str, int] = {}  # user_id: the last change that was answered
        self.sessions: dict[str, str] = {}  # session_id: user_id
        self.messages: dict[str, dict[int, str]] = {}  # session_id: content by seq
        self.shared: list[str] = []  # contents, in the order of their answers
        self.deleted: set[str] = set()  # answered
        self.perhaps_deleted: set[str] = set()  # asked, and not answered

    def fresh(self, kind: str) -> str:
        """A name that was never used."""
        self.made += 1
        return f"{kind}-{self.client}-{self.made}"

    @property
    def answered(self) -> int:
        """How many things were answered."""
        appended = sum(map(len, self.messages.values())) + len(self.shared)
        return len(self.users) + appended + len(self.deleted)


class Worker:
    """A client that writes until the server goes away."""

    def __init__(self, server: Server, ledger: Ledger, random: Random) -> None:
        self._client = Client(server.port)
        self._ledger = ledger
        self._random = random

    def work(self) -> None:
        """Write until the server is lost; whatever it answers must be what was asked for."""
        actions = [self._add, self._append, self._append_shared, self._change, self._delete]
        try:
            while True:
                [action] = self._random.choices(actions, [20, 45, 15, 15, 5])
                action()
        except LOST:
            return
        finally:
            self._client.close()

    def _add(self) -> None:
        user_id = self._ledger.fresh("user")
        answer = self._client.request("POST", "/v1/users", json_={"user_id": user_id})
        assert answer.status == 201, answer
        self._ledger.users[user_id] = answer.json["uuid"]

    def _append(self) -> None:
        living = self._living()
        if not living:
            return
        user_id = self._random.choice(living[-20:])
        session_id = f"session of {user_id}"
        contents = [self._ledger.fresh("message") for _ in range(self._random.randint(1, 4))]
        body = {"user_id": user_id, "messages": [{"content": each} for each in contents]}
        answer = self._client.request("POST", "/v1/sessions/{}/messages", session_id, json_=body)
        assert answer.status == 201, answer
        told = {message["seq"]: message["content"] for message in answer.json["messages"]}
        assert list(told.values()) == contents
        self._ledger.sessions[session_id] = user_id
        self._ledger.messages.setdefault(session_id, {}).update(told)

    def _append_shared(self) -> None:
        content = self._ledger.fresh("shared")
        body = {"messages": [{"role": "user", "content": content}]}
        answer = self._client.request("POST", "/api/v1/sessions/{}/memory", SHARED, json_=body)
        assert answer.status == 200, answer
        self._ledger.shared.append(content)

    def _change(self) -> None:
        living = self._living()
        if not living:
            return
        user_id = self._random.choice(living)
        self._ledger.made += 1
        change = {"metadata": {"change": self._ledger.made}}
        answer = self._client.request("PATCH", "/v1/users/{}", user_id, json_=change)
        assert answer.status == 200, answer
        self._ledger.changes[user_id] = self._ledger.made

    def _delete(self) -> None:
        living = self._living()
        if not living:
            return
        user_id = self._random.choice(living)
        self._ledger.perhaps_deleted.add(user_id)
        answer = self._client.request("DELETE", "/v1/users/{}", user_id)
        assert answer.status in {200, 202}, answer
        self._ledger.deleted.add(user_id)

    def _living(self) -> list[str]:
        return sorted(self._ledger.users.keys() - self._ledger.perhaps_deleted)


def test_a_killed_server_loses_nothing_that_it_has_answered(
    killable: Killable, say: Callable[[str], None]
) -> None:
    random = randomness("kills")
    database = killable.database
    ledgers = [Ledger(client) for client in range(CLIENTS)]
    randoms = [randomness(f"client {client}") for client in range(CLIENTS)]
    kills_while_starting = 0
    for kill in range(KILLS):
        server = killable.start()
        if kill % 5 == 4:
            time.sleep(random.uniform(0, 0.6))
            killable.kill(server)
            kills_while_starting += 1
            server = killable.start()
        server.wait_until_ready()
        look_at_what_was_deleted(server, ledgers)
        workers = [Worker(server, *each) for each in zip(ledgers, randoms, strict=True)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            working = [pool.submit(worker.work) for worker in workers]
            time.sleep(random.uniform(0.02, 0.8))
            killable.kill(server)
            for each in working:
                each.result(30)
        look_at_what_was_answered(database, ledgers)
    server = killable.start().wait_until_ready()
    erasures_end(database)
    look_at_what_was_deleted(server, ledgers)
    look_at_what_was_answered(database, ledgers)
    assert server.stop() == 0
    killable.wait_until_left()
    look_at_what_was_answered(database, ledgers)
    look_at_the_deleted(database, ledgers)
    assert orphans(database) == {}
    killable.look_for_damage()
    say(
        f"{KILLS} kills under load and {kills_while_starting} while starting: "
        f"{sum(ledger.answered for ledger in ledgers)} answers kept, "
        f"{sum(len(ledger.deleted) for ledger in ledgers)} users deleted"
    )


def look_at_what_was_answered(database: Database, ledgers: list[Ledger]) -> None:
    """All that was answered is in the database, each once, and numbered without gaps."""
    living_rows = rows(database, "SELECT user_id, uuid FROM users WHERE state = 'active'")
    users = {user_id: str(uuid) for user_id, uuid in living_rows}
    sql = "SELECT user_id, CAST(metadata AS text) FROM users WHERE metadata IS NOT NULL"
    changes = {user_id: json.loads(text)["change"] for user_id, text in rows(database, sql)}
    messages = rows(database, "SELECT session_id, seq, content FROM messages")
    there = {(session_id, seq): content for session_id, seq, content in messages}
    shared = {content for session_id, _, content in messages if session_id == SHARED}
    for ledger in ledgers:
        living = {u: uuid for u, uuid in ledger.users.items() if u not in ledger.perhaps_deleted}
        assert living.items() <= users.items()
        for user_id in living.keys() & ledger.changes.keys():
            assert changes[user_id] >= ledger.changes[user_id]
        assert set(ledger.shared) <= shared
        for session_id, told in ledger.messages.items():
            if ledger.sessions[session_id] in living:
                assert told == {seq: there.get((session_id, seq)) for seq in told}
    twice = [text for text, number in Counter(text for *_, text in messages).items() if number > 1]
    assert twice == []
    assert gaps(database) == []
    place = {content: seq for session_id, seq, content in messages if session_id == SHARED}
    for ledger in ledgers:
        places = [place[content] for content in ledger.shared]
        assert places == sorted(places)


def look_at_what_was_deleted(server: Server, ledgers: list[Ledger]) -> None:
    """Nothing of a user whose erasure was answered can be read, from the first moment on."""
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


def erasures_end(database: Database) -> None:
    """Erasures that were begun end by themselves."""
    ends = time.monotonic() + 60
    while running_erasures(database):
        assert time.monotonic() < ends, "an erasure did not go on after the restart"
        time.sleep(0.05)


def look_at_the_deleted(database: Database, ledgers: list[Ledger]) -> None:
    """Of those who were deleted nothing is left; those who may have been are whole or gone."""
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
