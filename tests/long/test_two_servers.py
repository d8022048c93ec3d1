"""Several `userkeep serve` on one PostgreSQL database are one service, whichever is asked."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import psycopg
import pytest

from tests.conftest import database_url
from tests.long.client import LOST, Answer, Client
from tests.long.counts import count, randomness
from tests.long.looking import deadlocks, gaps, orphans, rows
from tests.serving import Server

ERASURES = count(300)
TWINS = count(600)
WRITERS = 64
KILLS = count(10)
SHORT_SESSIONS = 300  # enough for several batches before the last session
LENGTH = 20_000
MUCH = {"users": 1, "sessions": SHORT_SESSIONS + 1, "messages": LENGTH}
CLAIMED_S, LOOK_EVERY_S = 10.0, 5.0
MACHINE_S = 15.0  # for the rest of the erasure, however slow the machine

USER, SESSIONS, MESSAGES = "/v1/users/{}", "/v1/users/{}/sessions", "/v1/sessions/{}/messages"

Start = Callable[..., Server]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A fresh database, in which nothing is left astray at the end."""
    url = database_url("postgres", tmp_path)
    yield url
    assert orphans(url) == {}
    assert gaps(url) == []
    assert deadlocks(url) == 0


@pytest.fixture
def start(url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a server on the database. They share a folder, and so the secret in it."""
    with ExitStack() as stack:

        def start_(**settings: str) -> Server:
            server = Server(tmp_path, database_url=url, settings=settings)
            stack.callback(server.kill)
            return server

        yield start_


@pytest.fixture
def both(start: Start) -> list[Server]:
    """Two servers."""
    servers = [start(), start()]
    return [server.wait_until_ready() for server in servers]


def ask(
    server: Server, method: str, path: str, *ids: str, json: Any = None, key: str = ""
) -> Answer:
    """One request on a connection of its own."""
    with closing(Client(server.port)) as client:
        return client.request(method, path, *ids, json_=json, key=key)


def together(*calls: Callable[[], Answer]) -> list[Answer]:
    """The answers to requests that are sent at the same time."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result(60) for each in [pool.submit(call) for call in calls]]


# Deleting.


class Crowd:
    """Writers of one user, through both servers."""

    def __init__(self, both: list[Server], user_id: str, seen: Counter[str]) -> None:
        self._both = both
        self._user_id = user_id
        self._seen = seen

    def write(self, number: int) -> None:
        """Write in many ways, until each of them is refused."""
        with closing(Client(self._both[number % 2].port)) as client:
            for what in itertools.cycle(range(5)):
                status = self._one(client, what, number)
                self._seen[f"{what} {status}"] += 1
                if status in {404, 410} and what == 0:
                    return

    def _one(self, client: Client, what: int, number: int) -> int:
        user_id, message = self._user_id, {"content": f"of {self._user_id}"}
        said = {"messages": [message]}
        owned = said | {"user_id": user_id}
        match what:
            case 0:
                answer = client.request("POST", MESSAGES, f"{user_id} 0", json_=owned)
            case 1:
                answer = client.request("POST", MESSAGES, f"{user_id} {number}", json_=owned)
            case 2:
                route = "/api/v1/sessions/{}/memory"
                answer = client.request("POST", route, f"{user_id} 0", json_=said)
            case 3:
                answer = client.request("POST", "/v1/sessions", json_={"user_id": user_id})
            case _:
                answer = client.request("PATCH", USER, user_id, json_={"metadata": {"n": number}})
        assert answer.status < 500, answer
        return answer.status


def delete(server: Server, both: list[Server], user_id: str) -> Answer:
    """Delete a user by one server; when it answers, neither shows anything of them."""
    answer = ask(server, "DELETE", USER, user_id)
    assert answer.status in {200, 202, 404}, answer
    for each in both:
        for route, id_ in (
            (USER, user_id),
            (SESSIONS, user_id),
            (MESSAGES, f"{user_id} 0"),
            ("/v1/sessions/{}/memory", f"{user_id} 0"),
        ):
            assert ask(each, "GET", route, id_).status in {404, 410}
        assert ask(each, "GET", f"/v1/sessions?user_id={user_id}").json["items"] == []
        assert ask(each, "GET", f"/api/v1/user/{user_id}/sessions").json == []
    return answer


def test_a_user_whom_both_are_asked_to_delete_is_deleted_once_under_the_writers_of_both(
    both: list[Server], url: str, say: Callable[[str], None]
) -> None:
    seen = Counter[str]()
    longest_s = 0.0
    same = 0
    for number in range(ERASURES):
        user_id = f"user-{number}"
        assert ask(both[0], "POST", "/v1/users", json={"user_id": user_id}).status == 201
        crowd = Crowd(both, user_id, seen)
        with ThreadPoolExecutor(6) as pool:
            writing = [pool.submit(crowd.write, writer) for writer in range(6)]
            time.sleep(0.05)
            asked_at = time.monotonic()
            erasures = together(*[partial(delete, server, both, user_id) for server in both])
            longest_s = max(longest_s, time.monotonic() - asked_at)
            for each in writing:
                each.result(60)
        # The second may have come when it was over.
        begun = [erasure.json["id"] for erasure in erasures if erasure.status != 404]
        [uuid] = set(begun)
        same += len(begun) - 1
        wait_until_deleted(both[number % 2], uuid, 30)
    for table in ("users", "sessions", "messages"):
        assert rows(url, f"SELECT project_id FROM {table}") == []
    assert rows(url, "SELECT count(*) FROM erasures") == [(ERASURES,)]
    refused = sum(n for name, n in seen.items() if name.endswith(("404", "409", "410")))
    say(
        f"{ERASURES} users deleted by two servers at once ({same} times one erasure for both), "
        f"{seen.total()} writes, {refused} refused; answered after {longest_s:.2f} s at most"
    )


def wait_until_deleted(server: Server, uuid: str, seconds: float) -> Any:
    """The erasure, once it is finished."""
    ends = time.monotonic() + seconds
    while (erasure := ask(server, "GET", "/v1/erasures/{}", uuid).json)["state"] != "deleted":
        assert time.monotonic() < ends, f"not deleted within {seconds} s: {erasure}"
        time.sleep(0.02)
    return erasure


def test_an_erasure_whose_server_is_killed_is_finished_by_the_other(
    start: Start, url: str, say: Callable[[str], None]
) -> None:
    other = start().wait_until_ready()
    longest_s = 0.0
    for number in range(KILLS):
        killed = start().wait_until_ready()
        user_id = f"user-{number}"
        add_with_much(other, user_id)
        with held_up(url, user_id) as wait_until_it_waits, ThreadPoolExecutor(1) as pool:
            deleting = pool.submit(delete_or_lose, killed, user_id)
            wait_until_it_waits()
            killed.kill()
            killed_at = time.monotonic()
            deleting.result(30)
        sql = "SELECT uuid, state FROM erasures ORDER BY number DESC LIMIT 1"
        [(uuid, state)] = rows(url, sql)
        assert state == "deleting"
        assert ask(other, "GET", MESSAGES, user_id).status == 410
        erasure = wait_until_deleted(other, str(uuid), CLAIMED_S + LOOK_EVERY_S + MACHINE_S)
        longest_s = max(longest_s, time.monotonic() - killed_at)
        assert erasure["counts"] == MUCH
        assert rows(url, "SELECT project_id FROM messages LIMIT 1") == []
    say(
        f"{KILLS} servers killed in the midst of deleting {LENGTH} messages: another had finished "
        f"after {longest_s:.1f} s at most"
    )


def test_an_erasure_that_takes_long_is_the_same_for_all_who_ask_for_it(
    both: list[Server], url: str
) -> None:
    add_with_much(both[0], "jane")
    with held_up(url, "jane"):
        answers = together(*[partial(delete, each, both, "jane") for each in both * 2])
        assert {answer.status for answer in answers} == {202}
        [uuid] = {answer.json["id"] for answer in answers}
    deleted = wait_until_deleted(both[0], uuid, 60)
    assert deleted == wait_until_deleted(both[1], uuid, 5)
    assert deleted["counts"] == MUCH
    for each in both:
        assert ask(each, "DELETE", USER, "jane").status == 404


def add_with_much(server: Server, user_id: str) -> None:
    """A user with many sessions, of which the last, named as they are, has many messages."""
    assert ask(server, "POST", "/v1/users", json={"user_id": user_id}).status == 201
    with closing(Client(server.port)) as client:
        for _ in range(SHORT_SESSIONS):
            opened = client.request("POST", "/v1/sessions", json_={"user_id": user_id})
            assert opened.status == 201
        words = {"user_id": user_id, "messages": [{"content": "I live in Oslo"}] * 1_000}
        for _ in range(LENGTH // 1_000):
            assert client.request("POST", MESSAGES, user_id, json_=words).status == 201


@contextmanager
def held_up(url: str, session_id: str) -> Iterator[Callable[[], None]]:
    """An erasure gets no further than a session's last message, which somebody else holds.

    Gives what returns once the erasure waits there.
    """
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT 1 FROM messages WHERE session_id = %s AND seq = %s FOR UPDATE",
            (session_id, LENGTH),
        )

        def wait_until_it_waits() -> None:
            ends = time.monotonic() + 30
            while rows(url, "SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
                assert time.monotonic() < ends, "the erasure never came so far"
                time.sleep(0.01)

        yield wait_until_it_waits


def delete_or_lose(server: Server, user_id: str) -> None:
    """Ask for an erasure of a server that may go away."""
    try:
        ask(server, "DELETE", USER, user_id)
    except LOST:
        return


# Writing.


def test_writers_of_disjoint_keys_through_both_lose_nothing(both: list[Server]) -> None:
    ask(both[0], "POST", "/v1/users", json={"user_id": "jane"})

    def write(number: int) -> Answer:
        metadata = {str(number): number, "all": {str(number): True}}
        return ask(both[number % 2], "PATCH", USER, "jane", json={"metadata": metadata})

    changes = together(*(partial(write, number) for number in range(WRITERS)))
    assert {change.status for change in changes} == {200}
    assert {change.json["revision"] for change in changes} == set(range(2, WRITERS + 2))
    every = {str(number): number for number in range(WRITERS)}
    for each in both:
        there = ask(each, "GET", USER, "jane").json
        assert there["metadata"] == {**every, "all": dict.fromkeys(every, True)}


class Twin(NamedTuple):
    """A request that is sent to both servers at once."""

    path: str
    ids: tuple[str, ...]
    body: Any


def twin(number: int, random: Random) -> Twin:
    """One of any kind."""
    name = f"twin-{number}"
    said = {"messages": [{"content": "Hello"}, {"content": "Hello?"}]}
    return random.choice(
        [
            Twin("/v1/users", (), {"user_id": name}),
            Twin("/v1/sessions", (), {"session_id": name}),
            Twin("/v1/sessions", (), {}),
            Twin(MESSAGES, (name,), said | {"user_id": name}),
            Twin(MESSAGES, ("shared",), said),
        ]
    )


def test_a_request_that_is_sent_to_both_with_one_key_is_performed_once(
    both: list[Server], url: str, say: Callable[[str], None]
) -> None:
    random = randomness("twins")
    ask(both[0], "POST", "/v1/sessions", json={"session_id": "shared"})
    made = Counter[str]()
    for number in range(TWINS):
        path, ids, body = twin(number, random)
        send = [partial(ask, s, "POST", path, *ids, json=body, key=f"key-{number}") for s in both]
        answers = together(*send)
        assert [answer.status for answer in answers] == [201, 201], answers
        assert answers[0].json == answers[1].json
        made[path] += 1
    [(in_shared,)] = rows(url, "SELECT last_seq FROM sessions WHERE session_id = 'shared'")
    [(messages,)] = rows(url, "SELECT count(*) FROM messages")
    assert messages == 2 * made[MESSAGES]
    assert in_shared % 2 == 0
    [(number_of_sessions,)] = rows(url, "SELECT count(*) FROM sessions")
    opened = made["/v1/sessions"] + made[MESSAGES] - in_shared // 2
    assert number_of_sessions == 1 + opened
    say(f"{TWINS} requests sent to two servers at once with one key each: each performed once")


# Reading.


def test_a_native_cursor_of_one_is_understood_by_the_other(both: list[Server]) -> None:
    user_ids = [f"user-{number}" for number in range(25)]
    for user_id in user_ids:
        ask(both[0], "POST", "/v1/users", json={"user_id": user_id})
    seen: list[str] = []
    path = "/v1/users?limit=4"
    for server in itertools.cycle(both):
        page = ask(server, "GET", path).json
        seen += [user["user_id"] for user in page["items"]]
        if page["next"] is None:
            break
        path = f"/v1/users?limit=4&cursor={page['next']}"
    assert seen == user_ids


def test_a_cursor_that_the_old_door_of_one_remembers_is_an_offset_at_the_other(
    both: list[Server],
) -> None:
    user_ids = [f"user-{number}" for number in range(25)]
    for user_id in user_ids:
        ask(both[0], "POST", "/v1/users", json={"user_id": user_id})

    def page(server: Server, cursor: int) -> list[str]:
        answer = ask(server, "GET", f"/api/v1/user?limit=10&cursor={cursor}")
        return [user["user_id"] for user in answer.json]

    assert page(both[0], 0) == user_ids[:10]
    for user_id in user_ids[:10]:
        assert ask(both[0], "DELETE", USER, user_id).status == 200
    assert page(both[1], 10) == user_ids[20:], "it leaves out as many as the cursor says"
    assert page(both[0], 10) == user_ids[10:20], "it goes on where it was"


# Starting.


def test_five_servers_that_start_at_once_on_a_fresh_database_all_come_up(start: Start) -> None:
    servers = [start() for _ in range(5)]
    for server in servers:
        server.wait_until_ready()
    added = together(
        *[
            partial(ask, server, "POST", "/v1/users", json={"user_id": str(number)})
            for number, server in enumerate(servers)
        ]
    )
    assert {answer.status for answer in added} == {201}
    for server in servers:
        assert len(ask(server, "GET", "/v1/users").json["items"]) == 5
        assert server.stop() == 0


def test_a_server_with_another_secret_is_refused_with_a_sentence(start: Start) -> None:
    start().wait_until_ready()
    other = start(USERKEEP_SECRET="another secret than the first")
    assert other.process.wait(20) != 0
    log = other.log.read_text()
    assert "This database was created with another secret" in log
    assert "Traceback" not in log
