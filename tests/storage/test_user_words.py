"""Users by the beginnings of their words: rare and common ones, and users of earlier versions."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import apsw
import psycopg
import pytest

from tests.conftest import database_url
from tests.long.counts import IS_FULL
from tests.postgres import migrated_database, postgres_server
from userkeep import AsyncUserkeep, NewMessage, Userkeep
from userkeep.config import Settings
from userkeep.domain.search.beginnings import parse_beginnings, words_of_user
from userkeep.domain.transaction import Transaction, scoped
from userkeep.domain.user import NewUser, UserChange
from userkeep.domain.values.metadata import merge_patch
from userkeep.instance import Instance, open_instance
from userkeep.jobs.steps import Runner
from userkeep.jobs.words import keep_user_words
from userkeep.services import user_words, users
from userkeep.storage.ledger import NoLedger
from userkeep.storage.migrations import load_migrations
from userkeep.storage.queries import DIALECTS

SECRET = "secret of the tests"
USERS = 80
HELLO = NewMessage(role="user", content="Hello")
# Pages of less and of more than is read at once; in the full run also almost all in one page.
LIMITS = [1, 10, 50] if IS_FULL else [1, 10]
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


@pytest.fixture(params=["sqlite file", "postgres"], ids=DIALECTS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without users."""
    return database_url(request.param, tmp_path)


@pytest.fixture(params=DIALECTS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "postgres":
        return postgres_server().new_database()
    return f"sqlite:///{tmp_path}/userkeep.db"


@pytest.fixture
def client(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Userkeep]:
    """A client of a database with many users, of whose words most are common."""
    monkeypatch.setattr(user_words, "RARE", 5)
    monkeypatch.setattr(user_words, "_AT_ONCE", 7)
    with Userkeep.open(url, secret=SECRET) as client:
        add_many(client)
        yield client


def add_many(client: Userkeep) -> None:
    random = Random(4)
    for number in range(USERS):
        first, last = random.choices(NAMES, k=2)
        client.user.add(
            user_id=f"u{number}",
            email=f"{first}.{last}@gmail.com",
            first_name=first,
            last_name=last,
        )


def words_in(url: str) -> list[tuple[str, str]]:
    """Return the stored words of all users, each after its user."""
    words = "SELECT user_id, word FROM user_words ORDER BY user_id, word"
    if url.startswith("sqlite"):
        with closing(apsw.Connection(url.removeprefix("sqlite:///"))) as file:
            file.set_busy_timeout(60_000)
            return [(str(user_id), str(word)) for user_id, word in file.execute(words)]
    with psycopg.connect(url) as connection:
        return connection.execute(words.encode()).fetchall()


def expected_words(client: Userkeep) -> list[tuple[str, str]]:
    """Return the words that all users of an instance must have."""
    return sorted(
        (user.user_id, word)
        for user in client.user.list(limit=1000)
        for word in words_of_user(user.user_id, user.email, user.first_name, user.last_name)
    )


def pages_of(client: Userkeep, limit: int, **filters: Any) -> list[str]:
    """Return the ids of the users of all pages."""
    page = client.user.list(limit, **filters)
    found = [user.user_id for user in page]
    while page.next is not None:
        page = client.user.list(limit, page.next, **filters)
        found += [user.user_id for user in page]
    return found


@pytest.mark.parametrize("limit", LIMITS)
def test_rare_and_common_words_find_the_users_who_have_them(client: Userkeep, limit: int) -> None:
    check_queries(client, limit)


@pytest.mark.parametrize("limit", LIMITS)
def test_the_same_users_are_found_where_no_words_are_kept(
    client: Userkeep, url: str, limit: int
) -> None:
    with Userkeep.open(url, read_only=True, secret=SECRET) as reader:
        check_queries(reader, limit)
    assert words_in(url) == []
    client.user.add(user_id="after", first_name="Zoë")
    assert words_in(url) == []


def check_queries(client: Userkeep, limit: int) -> None:
    every = list(client.user.list(limit=1000))
    for query in QUERIES:
        beginnings = parse_beginnings(query)
        expected = [
            user.user_id
            for user in every
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


def test_users_and_sessions_of_the_first_version_have_words_and_activity(
    empty_url: str,
) -> None:
    create_first_version(empty_url)
    with Userkeep.open(empty_url, secret=SECRET) as client:
        assert [user.user_id for user in client.user.list(q="zo jan")] == ["jane"]
        active = {each.session_id: each.active_at.timestamp() for each in client.session.list()}
        assert active == {"empty": 10**9, "full": 2 * 10**9, "ahead": 10**9}
        assert [each.session_id for each in client.session.list(order="-active")] == [
            "full",
            "ahead",
            "empty",
        ]
        client.message.add("empty", [HELLO])
        client.user.delete("jane")
        assert client.user.list(q="zo") == []


# The first search.


def test_no_words_are_kept_until_users_are_searched_by_words(url: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        client.user.add(user_id="jane", first_name="Zoë", email="zoe@example.org")
        client.user.update(user_id="jane", last_name="Doe")
        client.user.put(user_id="jim")
        client.message.add("s1", [HELLO], user_id="new")
        client.user.list(q=" - ")
        assert words_in(url) == []
        assert [user.user_id for user in client.user.list(q="zo do")] == ["jane"]
        assert words_in(url) == expected_words(client) != []
        client.user.update(user_id="jim", first_name="Ann")
        client.user.update(user_id="jim", metadata={"plan": "pro"})
        client.message.add("s2", [HELLO], user_id="newer")
        assert words_in(url) == expected_words(client)
        client.user.delete("jane")
        assert words_in(url) == expected_words(client)
    with Userkeep.open(url, secret=SECRET) as client:
        client.user.add(user_id="later")
        assert words_in(url) == expected_words(client)


def test_an_async_client_keeps_words_from_its_first_search(url: str) -> None:
    async def search_twice() -> None:
        async with AsyncUserkeep.open(url, secret=SECRET) as client:
            await client.user.add(user_id="jane", first_name="Zoë")
            for _ in range(2):
                assert [user.user_id for user in await client.user.list(q="zo")] == ["jane"]

    asyncio.run(search_twice())
    assert words_in(url) == [("jane", "jane"), ("jane", "zoe")]


def begin_words(url: str, *, batches: int) -> None:
    """Begin to keep words, and make those of some users, as a process does that is then killed."""
    with closing(open_instance(Settings(database_url=url, secret=SECRET))) as instance:
        instance.engine.write(user_words.begin)
        for _ in range(batches):
            instance.engine.write(partial(user_words.build, rules=instance.scope.rules))


@pytest.mark.parametrize("batches", [0, 2, 5])
def test_every_user_is_found_after_an_interrupted_build(
    url: str, batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_words, "_AT_ONCE", 7)
    with Userkeep.open(url, secret=SECRET) as client:
        add_many(client)
    begin_words(url, batches=batches)
    with Userkeep.open(url, secret=SECRET) as client:
        client.user.update(user_id="u3", first_name="Nonesuch")
        client.user.update(user_id=f"u{USERS - 1}", first_name="Nonesuch")
        client.user.add(user_id="later", first_name="Anna")
        with Userkeep.open(url, read_only=True, secret=SECRET) as reader:
            check_queries(reader, 50)
            assert pages_of(reader, 50, q="nones") == ["u3", f"u{USERS - 1}"]
            assert words_in(url) != expected_words(reader)
        check_queries(client, 50)
        assert words_in(url) == expected_words(client)


def test_words_that_were_made_by_other_rules_are_made_again(url: str) -> None:
    with Userkeep.open(url, secret=SECRET) as client:
        client.user.add(user_id="jane", first_name="Zoë")
        client.user.list(q="zo")
    for statement in (
        "UPDATE user_words SET word = 'ane' WHERE word = 'jane'",
        "UPDATE instance SET value = '0' WHERE name = 'user_words'",
    ):
        change(url, statement)
    with Userkeep.open(url, secret=SECRET) as client:
        assert pages_of(client, 10, q="jan") == ["jane"]
        assert pages_of(client, 10, q="ane") == []
        assert words_in(url) == expected_words(client)


def change(url: str, statement: str) -> None:
    """Change a database past the program."""
    if url.startswith("sqlite"):
        with closing(apsw.Connection(url.removeprefix("sqlite:///"))) as file:
            file.set_busy_timeout(60_000)
            file.execute(statement)
        return
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


# Two servers, of which one makes the words of all users while the other one serves.


@pytest.fixture
def starting() -> Iterator[tuple[Userkeep, Instance, str]]:
    """A client of a server that serves, with the user jane, and another one that makes words."""
    url = migrated_database()
    with (
        Userkeep.open(url, secret=SECRET) as client,
        closing(open_instance(Settings(database_url=url, secret=SECRET))) as starts,
    ):
        client.user.add(user_id="jane", first_name="Zoë")
        yield client, starts, url


def keep_words(instance: Instance) -> None:
    """Make the words of all users."""
    Runner(instance.engine, lambda: None, NoLedger()).run(keep_user_words(instance.scope.rules))


class Write:
    """A transaction of another thread that ends on request."""

    def __init__(self, instance: Instance, write: Callable[[Transaction], object]) -> None:
        self.is_written, self._may_end = threading.Event(), threading.Event()
        self._pool = ThreadPoolExecutor()

        def run(tx: Transaction) -> None:
            write(tx)
            self.is_written.set()
            assert self._may_end.wait(10)

        self._running = self._pool.submit(instance.engine.write, run)
        assert self.is_written.wait(10)

    def end(self) -> None:
        """End the transaction."""
        self._may_end.set()
        self._running.result(timeout=10)
        self._pool.shutdown()


def test_words_are_kept_only_once_each_write_that_does_not_know_it_has_ended(
    starting: tuple[Userkeep, Instance, str],
) -> None:
    client, other, url = starting
    add = scoped(other.scope, users.add, NewUser(user_id="late", first_name="Zoë"))
    change = scoped(other.scope, users.update, "jane", UserChange(last_name="Doe"), merge_patch)
    for write in (add, change):
        running = Write(other, write)
        assert pages_of(client, 10, q="zo") == ["jane"] if write is add else ["jane", "late"]
        assert words_in(url) == []
        client.user.add(user_id=f"of {uuid4()}")  # nothing waits for the search
        running.end()
    assert pages_of(client, 10, q="zo") == ["jane", "late"]
    assert pages_of(client, 10, q="doe") == ["jane"]
    assert words_in(url) == expected_words(client)


def test_words_are_kept_while_others_read(starting: tuple[Userkeep, Instance, str]) -> None:
    client, _, url = starting
    with psycopg.connect(url) as reader:
        reader.execute("SELECT FROM users, user_words, instance")
        assert pages_of(client, 10, q="zo") == ["jane"]
        assert words_in(url) == expected_words(client) != []


def test_a_server_that_has_never_searched_keeps_words_once_another_one_has(
    starting: tuple[Userkeep, Instance, str],
) -> None:
    client, other, url = starting
    keep_words(other)
    client.user.add(user_id="jim", email="jim@example.org")
    client.user.update(user_id="jane", first_name="Ann")
    assert words_in(url) == expected_words(client)


def test_writes_and_searches_at_the_same_time_leave_no_user_without_words(url: str) -> None:
    with (
        Userkeep.open(url, secret=SECRET) as client,
        ThreadPoolExecutor() as pool,
    ):

        def write(thread: int) -> None:
            for number in range(30):
                user_id = f"u{thread} {number}"
                client.user.add(user_id=user_id, first_name="Ann")
                client.user.update(user_id=user_id, last_name="Bell")
                if number % 5 == 4:
                    client.user.delete(user_id)

        writes = [pool.submit(write, thread) for thread in range(3)]
        while not all(each.done() for each in writes):
            found = client.user.list(q="ann", limit=1000)
            assert {user.first_name for user in found} <= {"Ann"}
        for each in writes:
            each.result()
        assert len(pages_of(client, 50, q="ann bel")) == 72
        assert words_in(url) == expected_words(client)


class Build:
    """A transaction that makes the words of all users, and ends on request."""

    def __init__(self, instance: Instance) -> None:
        self.is_made, self._may_end = threading.Event(), threading.Event()
        self._pool = ThreadPoolExecutor()
        instance.engine.write(user_words.begin)
        self._building = self._pool.submit(instance.engine.write, self._build_in(instance))
        assert self.is_made.wait(10)

    def _build_in(self, instance: Instance) -> Any:
        def build(tx: Transaction) -> None:
            while not user_words.build(tx, instance.scope.rules):
                pass
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
    assert words_in(url) == [("jane", "ann"), ("jane", "jane")]


def test_two_servers_can_make_the_same_words(starting: tuple[Userkeep, Instance, str]) -> None:
    client, starts, url = starting
    Build(starts).end_during(keep_words, starts)
    assert words_in(url) == expected_words(client)
