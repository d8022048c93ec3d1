"""Several servers on one PostgreSQL database act as one service."""

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
from tests.long.client import CONNECTION_LOST, Client, Response
from tests.long.counts import IS_FULL, count, seeded_random
from tests.long.inspection import deadlocks, gaps, orphans, rows
from tests.serving import Server

ERASURES = 300 if IS_FULL else 8
TWINS = count(600)
WRITERS = 64
KILLS = count(10)
SHORT_SESSIONS = 300  # enough for several batches before the last session
LENGTH = 20_000 if IS_FULL else 2_000
LARGE_COUNTS = {"users": 1, "sessions": SHORT_SESSIONS + 1, "messages": LENGTH, "documents": 0}
LEASE_S, RECOVERY_INTERVAL_S = 10.0, 5.0
SLACK_S = 15.0  # for the rest of the deletion on a slow machine

USER, SESSIONS, MESSAGES = "/v1/users/{}", "/v1/users/{}/sessions", "/v1/sessions/{}/messages"

Start = Callable[..., Server]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh database, which is consistent at the end."""
    url = database_url("postgres", tmp_path)
    yield url
    assert orphans(url) == {}
    assert gaps(url) == []
    assert deadlocks(url) == 0


@pytest.fixture
def start(url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a server on the database. All share a folder with the secret."""
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


def send(
    server: Server, method: str, path: str, *ids: str, json: Any = None, key: str = ""
) -> Response:
    """Send a request on a separate connection."""
    with closing(Client(server.port)) as client:
        return client.request(method, path, *ids, json_=json, key=key)


def send_all(*calls: Callable[[], Response]) -> list[Response]:
    """Send requests concurrently; return their responses."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result(60) for each in [pool.submit(call) for call in calls]]


# Deletion.


class Writers:
    """Writers for one user, with both servers."""

    def __init__(self, both: list[Server], user_id: str, seen: Counter[str]) -> None:
        self._both = both
        self._user_id = user_id
        self._seen = seen

    def write(self, number: int) -> None:
        """Write in five ways until the user is deleted."""
        with closing(Client(self._both[number % 2].port)) as client:
            for kind in itertools.cycle(range(5)):
                status = self._one(client, kind, number)
                self._seen[f"{kind} {status}"] += 1
                if status in {404, 410} and kind == 0:
                    return

    def _one(self, client: Client, kind: int, number: int) -> int:
        user_id, message = self._user_id, {"role": "user", "content": f"of {self._user_id}"}
        messages = {"messages": [message]}
        owned = messages | {"user_id": user_id}
        match kind:
            case 0:
                response = client.request("POST", MESSAGES, f"{user_id} 0", json_=owned)
            case 1:
                response = client.request("POST", MESSAGES, f"{user_id} {number}", json_=owned)
            case 2:
                route = "/api/v1/sessions/{}/memory"
                response = client.request("POST", route, f"{user_id} 0", json_=messages)
            case 3:
                response = client.request("POST", "/v1/sessions", json_={"user_id": user_id})
            case _:
                response = client.request("PATCH", USER, user_id, json_={"metadata": {"n": number}})
        assert response.status < 500, response
        return response.status


def delete(server: Server, both: list[Server], user_id: str) -> Response:
    """Delete a user with one server; after the response, neither server returns their data."""
    response = send(server, "DELETE", USER, user_id)
    assert response.status in {200, 202, 404}, response
    for each in both:
        for route, id_ in (
            (USER, user_id),
            (SESSIONS, user_id),
            (MESSAGES, f"{user_id} 0"),
            ("/v1/sessions/{}/memory", f"{user_id} 0"),
        ):
            assert send(each, "GET", route, id_).status in {404, 410}
        assert send(each, "GET", f"/v1/sessions?user_id={user_id}").json["items"] == []
        assert send(each, "GET", f"/api/v1/user/{user_id}/sessions").json == []
    return response


def test_two_servers_delete_a_user_once_during_writes(
    both: list[Server], url: str, report: Callable[[str], None]
) -> None:
    seen = Counter[str]()
    longest_s = 0.0
    same = 0
    for number in range(ERASURES):
        user_id = f"user-{number}"
        assert send(both[0], "POST", "/v1/users", json={"user_id": user_id}).status == 201
        writers = Writers(both, user_id, seen)
        with ThreadPoolExecutor(6) as pool:
            writing = [pool.submit(writers.write, writer) for writer in range(6)]
            time.sleep(0.05)
            began_at = time.monotonic()
            erasures = send_all(*[partial(delete, server, both, user_id) for server in both])
            longest_s = max(longest_s, time.monotonic() - began_at)
            for each in writing:
                each.result(60)
        # The second request may have arrived after the deletion.
        begun = [erasure.json["id"] for erasure in erasures if erasure.status != 404]
        [uuid] = set(begun)
        same += len(begun) - 1
        wait_until_deleted(both[number % 2], uuid, 30)
    for table in ("users", "sessions", "messages"):
        assert rows(url, f"SELECT project_id FROM {table}") == []
    assert rows(url, "SELECT count(*) FROM erasures") == [(ERASURES,)]
    rejected = sum(n for name, n in seen.items() if name.endswith(("404", "409", "410")))
    report(
        f"{ERASURES} users deleted by two servers ({same} times one erasure for both), "
        f"{seen.total()} writes, {rejected} rejected; response after {longest_s:.2f} s at most"
    )


def wait_until_deleted(server: Server, uuid: str, seconds: float) -> Any:
    """Return the erasure once it is deleted."""
    ends = time.monotonic() + seconds
    while (erasure := send(server, "GET", "/v1/erasures/{}", uuid).json)["state"] != "deleted":
        assert time.monotonic() < ends, f"not deleted within {seconds} s: {erasure}"
        time.sleep(0.02)
    return erasure


def test_another_server_completes_the_deletion_of_a_killed_one(
    start: Start, url: str, report: Callable[[str], None]
) -> None:
    other = start().wait_until_ready()
    longest_s = 0.0
    for number in range(KILLS):
        killed = start().wait_until_ready()
        user_id = f"user-{number}"
        add_large_user(other, user_id)
        with deletion_blocked(url, user_id) as wait_until_blocked, ThreadPoolExecutor(1) as pool:
            deleting = pool.submit(try_delete, killed, user_id)
            wait_until_blocked()
            killed.kill()
            killed_at = time.monotonic()
            deleting.result(30)
        sql = "SELECT uuid, state FROM erasures ORDER BY number DESC LIMIT 1"
        [(uuid, state)] = rows(url, sql)
        assert state == "deleting"
        assert send(other, "GET", MESSAGES, user_id).status == 410
        erasure = wait_until_deleted(other, str(uuid), LEASE_S + RECOVERY_INTERVAL_S + SLACK_S)
        longest_s = max(longest_s, time.monotonic() - killed_at)
        assert erasure["counts"] == LARGE_COUNTS
        assert rows(url, "SELECT project_id FROM messages LIMIT 1") == []
    report(
        f"{KILLS} servers killed while deleting {LENGTH} messages: another had completed it "
        f"after {longest_s:.1f} s at most"
    )


def test_concurrent_requests_for_one_deletion_get_the_same_erasure(
    both: list[Server], url: str
) -> None:
    add_large_user(both[0], "jane")
    with deletion_blocked(url, "jane"):
        responses = send_all(*[partial(delete, each, both, "jane") for each in both * 2])
        assert {response.status for response in responses} == {202}
        [uuid] = {response.json["id"] for response in responses}
    deleted = wait_until_deleted(both[0], uuid, 60)
    assert deleted == wait_until_deleted(both[1], uuid, 5)
    assert deleted["counts"] == LARGE_COUNTS
    for each in both:
        assert send(each, "DELETE", USER, "jane").status == 404


def add_large_user(server: Server, user_id: str) -> None:
    """Create a user with many sessions; the last has the user's id and many messages."""
    assert send(server, "POST", "/v1/users", json={"user_id": user_id}).status == 201
    with closing(Client(server.port)) as client:
        for _ in range(SHORT_SESSIONS):
            created = client.request("POST", "/v1/sessions", json_={"user_id": user_id})
            assert created.status == 201
        messages = {
            "user_id": user_id,
            "messages": [{"role": "user", "content": "I live in Oslo"}] * 1_000,
        }
        for _ in range(LENGTH // 1_000):
            assert client.request("POST", MESSAGES, user_id, json_=messages).status == 201


@contextmanager
def deletion_blocked(url: str, session_id: str) -> Iterator[Callable[[], None]]:
    """Lock the last message of a session, so that the deletion waits for it.

    Yields a function that returns once the deletion waits.
    """
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT 1 FROM messages WHERE session_id = %s AND seq = %s FOR UPDATE",
            (session_id, LENGTH),
        )

        def wait_until_blocked() -> None:
            ends = time.monotonic() + 60
            while rows(url, "SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
                assert time.monotonic() < ends, "the deletion did not reach the locked message"
                time.sleep(0.01)

        yield wait_until_blocked


def try_delete(server: Server, user_id: str) -> None:
    """Delete a user with a server that may disappear."""
    try:
        send(server, "DELETE", USER, user_id)
    except CONNECTION_LOST:
        return


# Writes.


def test_concurrent_metadata_updates_of_two_servers_are_all_merged(both: list[Server]) -> None:
    send(both[0], "POST", "/v1/users", json={"user_id": "jane"})

    def write(number: int) -> Response:
        metadata = {str(number): number, "all": {str(number): True}}
        return send(both[number % 2], "PATCH", USER, "jane", json={"metadata": metadata})

    changes = send_all(*(partial(write, number) for number in range(WRITERS)))
    assert {change.status for change in changes} == {200}
    assert {change.json["revision"] for change in changes} == set(range(2, WRITERS + 2))
    every = {str(number): number for number in range(WRITERS)}
    for each in both:
        user = send(each, "GET", USER, "jane").json
        assert user["metadata"] == {**every, "all": dict.fromkeys(every, True)}


class Twin(NamedTuple):
    """A request that is sent to both servers concurrently."""

    path: str
    ids: tuple[str, ...]
    body: Any


def random_twin(number: int, random: Random) -> Twin:
    """Return a request of a random kind."""
    name = f"twin-{number}"
    messages = {
        "messages": [{"role": "user", "content": "Hello"}, {"role": "user", "content": "Hello?"}]
    }
    return random.choice(
        [
            Twin("/v1/users", (), {"user_id": name}),
            Twin("/v1/sessions", (), {"session_id": name}),
            Twin("/v1/sessions", (), {}),
            Twin(MESSAGES, (name,), messages | {"user_id": name}),
            Twin(MESSAGES, ("shared",), messages),
        ]
    )


def test_one_idempotency_key_on_two_servers_performs_a_request_once(
    both: list[Server], url: str, report: Callable[[str], None]
) -> None:
    random = seeded_random("twins")
    send(both[0], "POST", "/v1/sessions", json={"session_id": "shared"})
    performed = Counter[str]()
    for number in range(TWINS):
        path, ids, body = random_twin(number, random)
        send_twin = partial(send, json=body, key=f"key-{number}")
        responses = send_all(*[partial(send_twin, server, "POST", path, *ids) for server in both])
        assert [response.status for response in responses] == [201, 201], responses
        assert responses[0].json == responses[1].json
        performed[path] += 1
    [(in_shared,)] = rows(url, "SELECT last_seq FROM sessions WHERE session_id = 'shared'")
    [(messages,)] = rows(url, "SELECT count(*) FROM messages")
    assert messages == 2 * performed[MESSAGES]
    assert in_shared % 2 == 0
    [(number_of_sessions,)] = rows(url, "SELECT count(*) FROM sessions")
    created = performed["/v1/sessions"] + performed[MESSAGES] - in_shared // 2
    assert number_of_sessions == 1 + created
    report(f"{TWINS} requests sent to two servers with one key each: each performed once")


# Reads.


def test_a_native_cursor_works_on_another_server(both: list[Server]) -> None:
    user_ids = [f"user-{number}" for number in range(25)]
    for user_id in user_ids:
        send(both[0], "POST", "/v1/users", json={"user_id": user_id})
    seen: list[str] = []
    path = "/v1/users?limit=4"
    for server in itertools.cycle(both):
        page = send(server, "GET", path).json
        seen += [user["user_id"] for user in page["items"]]
        if page["next"] is None:
            break
        path = f"/v1/users?limit=4&cursor={page['next']}"
    assert seen == user_ids


def test_a_zep_cursor_is_an_offset_on_another_server(
    both: list[Server],
) -> None:
    user_ids = [f"user-{number}" for number in range(25)]
    for user_id in user_ids:
        send(both[0], "POST", "/v1/users", json={"user_id": user_id})

    def page(server: Server, cursor: int) -> list[str]:
        response = send(server, "GET", f"/api/v1/user?limit=10&cursor={cursor}")
        return [user["user_id"] for user in response.json]

    assert page(both[0], 0) == user_ids[:10]
    for user_id in user_ids[:10]:
        assert send(both[0], "DELETE", USER, user_id).status == 200
    assert page(both[1], 10) == user_ids[20:], "the cursor is an offset"
    assert page(both[0], 10) == user_ids[10:20], "it continues after the last row"


# Start.


def test_five_servers_can_start_concurrently_on_a_fresh_database(start: Start) -> None:
    servers = [start() for _ in range(5)]
    for server in servers:
        server.wait_until_ready()
    added = send_all(
        *[
            partial(send, server, "POST", "/v1/users", json={"user_id": str(number)})
            for number, server in enumerate(servers)
        ]
    )
    assert {response.status for response in added} == {201}
    for server in servers:
        assert len(send(server, "GET", "/v1/users").json["items"]) == 5
        assert server.stop() == 0


def test_a_server_with_another_secret_stops_with_a_clear_error(start: Start) -> None:
    start().wait_until_ready()
    other = start(USERKEEP_SECRET="another secret than the first")
    assert other.process.wait(20) != 0
    log = other.log.read_text()
    assert "USERKEEP_SECRET is another" in log
    assert "Traceback" not in log
