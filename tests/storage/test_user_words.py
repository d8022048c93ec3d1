"""Users by the beginnings of their words: rare and common ones, and users of earlier versions."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import apsw
import psycopg
import pytest

from tests.postgres import postgres_server
from userkeep import NewMessage, Userkeep
from userkeep.config import Settings
from userkeep.domain.search.beginnings import parse_beginnings, words_of_user
from userkeep.domain.transaction import Transaction
from userkeep.instance import Instance, open_instance
from userkeep.services import user_words
from userkeep.storage.migrations import load_migrations
from userkeep.storage.queries import DIALECTS

SECRET = "secret of the tests"
USERS = 80
QUERIES = [
    *("a", "b", "an", "ab", "ann", "a b", "an be", "b an", "be ba an", "a b c", "anna bell"),
    *("gmail", "gmail an", "com a", "xyz", "xyz a", "u 1", "u1", "anna ann"),
]
NAMES = ("Ann", "Anna", "Annabel", "Ben", "Bell", "Bao", "Abe", "Cy", "")

INSERT = """
INSERT INTO users (project_id, user_id, uuid, first_name, state, revision, created_at, updated_at)
VALUES (1, 'jane', {uuid}, 'Zoë', 'active', 1, {time}, {time});
INSERT INTO sessions (
    project_id, session_id, uuid, state, revision, message_count, last_seq, total_length,
    created_at, updated_at
) VALUES (1, 'empty', {uuid}, 'active', 1, 0, 0, 0, {time}, {time}),
    (1, 'full', {uuid}, 'active', 1, 1, 1, 1, {time}, {later}),
    (1, 'ahead', {uuid}, 'active', 1, 1, 1, 1, {time}, {time});
INSERT INTO messages (
    project_id, session_id, seq, word_count, uuid, role, role_type, created_at, content
) VALUES (1, 'full', 1, 1, {uuid}, '', 'user', {later}, 'Hello'),
    (1, 'ahead', 1, 1, {uuid}, '', 'user', {later}, 'In the future');
"""
UUID = "'0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10'"
RECORD = "CREATE TABLE schema_migrations (number {}, name {}, applied_at {})"


@pytest.fixture(params=DIALECTS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "postgres":
        return postgres_server().new_database()
    return f"sqlite:///{tmp_path}/userkeep.db"


@pytest.fixture
def client(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Userkeep]:
    """A client of a database with many users, of whose words most are common."""
    monkeypatch.setattr(user_words, "RARE", 5)
    monkeypatch.setattr(user_words, "_AT_ONCE", 7)
    random = Random(4)
    with Userkeep.open(url, secret=SECRET) as client:
        for number in range(USERS):
            first, last = random.choices(NAMES, k=2)
            client.user.add(
                user_id=f"u{number}",
                email=f"{first}.{last}@gmail.com",
                first_name=first,
                last_name=last,
            )
        yield client


def pages_of(client: Userkeep, limit: int, **filters: Any) -> list[str]:
    """Return the ids of the users of all pages."""
    page = client.user.list(limit, **filters)
    found = [user.user_id for user in page]
    while page.next is not None:
        page = client.user.list(limit, page.next, **filters)
        found += [user.user_id for user in page]
    return found


@pytest.mark.parametrize("limit", [1, 10, 50])
def test_rare_and_common_words_find_the_same_users_as_comparing_all(
    client: Userkeep, limit: int
) -> None:
    users = list(client.user.list())
    for query in QUERIES:
        beginnings = parse_beginnings(query)
        expected = [
            user.user_id
            for user in users
            for words in [words_of_user(user.user_id, user.email, user.first_name, user.last_name)]
            if all(any(word.startswith(each) for word in words) for each in beginnings)
        ]
        for order, in_order in (("created", expected), ("-created", expected[::-1])):
            assert pages_of(client, limit, q=query, order=order) == in_order, (query, order)
        assert client.user.list(limit=1, q=query, count=True).total == len(expected)


def create_first_version(url: str) -> None:
    """Create a database as the first version had it, with a user and two sessions."""
    if url.startswith("sqlite"):
        first = load_migrations("sqlite")[0]
        with closing(apsw.Connection(url.removeprefix("sqlite:///"))) as file:
            file.execute(RECORD.format("INTEGER PRIMARY KEY", "TEXT", "INTEGER"))
            file.execute(first.sql)
            file.execute("INSERT INTO schema_migrations VALUES (?, ?, 0)", first[:2])
            file.execute(INSERT.format(uuid=UUID, time=10**15, later=2 * 10**15))
        return
    first = load_migrations("postgres")[0]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(RECORD.format("integer PRIMARY KEY", "text", "timestamptz").encode())
        connection.execute(first.sql.encode())
        connection.execute("INSERT INTO schema_migrations VALUES (%s, %s, now())", first[:2])
        times = {"time": "to_timestamp(1000000000)", "later": "to_timestamp(2000000000)"}
        connection.execute(INSERT.format(uuid=UUID, **times).encode())


def test_users_and_sessions_of_the_first_version_have_words_and_activity(url: str) -> None:
    create_first_version(url)
    with Userkeep.open(url, secret=SECRET) as client:
        assert [user.user_id for user in client.user.list(q="zo jan")] == ["jane"]
        active = {each.session_id: each.active_at.timestamp() for each in client.session.list()}
        assert active == {"empty": 10**9, "full": 2 * 10**9, "ahead": 10**9}
        assert [each.session_id for each in client.session.list(order="-active")] == [
            "full",
            "ahead",
            "empty",
        ]
        client.message.add("empty", [NewMessage(role="user", content="Hello")])
        client.user.delete("jane")
        assert client.user.list(q="zo") == []


# Two servers that start, of which one serves before the other has made the words of all users.


@pytest.fixture
def starting() -> Iterator[tuple[Userkeep, Instance, str]]:
    """A client of a server that serves, with the user jane, and another server that starts."""
    url = postgres_server().new_database()
    with (
        Userkeep.open(url, secret=SECRET) as client,
        closing(open_instance(Settings(database_url=url, secret=SECRET))) as starts,
    ):
        client.user.add(user_id="jane", first_name="Zoë")
        yield client, starts, url


class Build:
    """A transaction that makes the words of all users, and ends on request."""

    def __init__(self, instance: Instance) -> None:
        self.is_made, self._may_end = threading.Event(), threading.Event()
        self._pool = ThreadPoolExecutor()
        self._building = self._pool.submit(instance.engine.write, self._build_in(instance))
        assert self.is_made.wait(10)

    def _build_in(self, instance: Instance) -> Any:
        def build(tx: Transaction) -> None:
            user_words.build(tx, instance.scope.rules, after=0)
            self.is_made.set()
            assert self._may_end.wait(10)

        return build

    def end_during(self, function: Any, *arguments: Any, **values: Any) -> None:
        """Call a function, and end the transaction while it runs."""
        call: Future[Any] = self._pool.submit(function, *arguments, **values)
        with suppress(TimeoutError):
            call.result(timeout=0.3)
        self._may_end.set()
        self._building.result(timeout=10)
        call.result(timeout=10)
        self._pool.shutdown()


def words_in(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [word for (word,) in connection.execute("SELECT word FROM user_words ORDER BY word")]


def test_no_words_are_left_of_a_user_who_is_deleted_while_they_are_made(
    starting: tuple[Userkeep, Instance, str],
) -> None:
    client, starts, url = starting
    Build(starts).end_during(client.user.delete, "jane")
    assert words_in(url) == []


def test_a_user_who_is_renamed_while_words_are_made_is_found_by_the_new_name(
    starting: tuple[Userkeep, Instance, str],
) -> None:
    client, starts, url = starting
    Build(starts).end_during(client.user.update, user_id="jane", first_name="Ann")
    assert words_in(url) == ["ann", "jane"]


def test_two_servers_can_make_the_same_words(starting: tuple[Userkeep, Instance, str]) -> None:
    _, starts, url = starting
    rules = starts.scope.rules
    Build(starts).end_during(starts.engine.write, partial(user_words.build, rules=rules, after=0))
    assert words_in(url) == ["jane", "zoe"]
