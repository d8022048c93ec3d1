"""Writes during the deletion of their user leave no orphans and recreate no user.

In one process and without HTTP, for speed. On SQLite the operations race in the queue of the writer
thread; on PostgreSQL they run concurrently, on the connections of one server or of two. The clock
that limits the batches of a deletion is random, so that batches end anywhere.
"""

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from tests.conftest import fresh_settings
from tests.deleting import advanced
from tests.long.counts import IS_FULL, seeded_random
from tests.long.inspection import Database, damage, deadlocks, gaps, orphans, rows
from tests.prepared import prepared
from userkeep.api.messages import AppendMessages
from userkeep.domain.erasure import Erasure
from userkeep.domain.errors import AlreadyExists, Conflict, Gone, NotFound
from userkeep.domain.scope import Scope
from userkeep.domain.session import NewSession, SessionChange
from userkeep.domain.transaction import scoped
from userkeep.domain.user import NewUser, UserChange, UserFields
from userkeep.domain.values.metadata import merge_patch
from userkeep.handlers.calls import Call
from userkeep.handlers.table import HANDLERS
from userkeep.instance import Instance, open_instance
from userkeep.services import erasures, messages, sessions, users
from userkeep.storage import transaction
from userkeep.storage.engine import Engine

RACES = 20_000 if IS_FULL else 300
RACES_ON_POSTGRES = RACES if IS_FULL else 80
CONCURRENT_RACES = 50

REJECTIONS = (NotFound, Gone, Conflict, AlreadyExists)


class RandomClock:
    """A clock that advances randomly, so that a batch of a deletion can end at any row."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self._random.uniform(0, 0.012)
        return self._now


@pytest.fixture
def random_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of deletions end at random rows."""
    monkeypatch.setattr(transaction, "perf_counter", RandomClock(seeded_random("batches")))


class Servers(NamedTuple):
    """Instances that share a fresh database, and how many races they run."""

    each: tuple[Instance, ...]
    database: Database
    races: int

    @property
    def scope(self) -> Scope:
        """The scope of all instances."""
        return self.each[0].scope

    def engine(self, random: Random) -> Engine:
        """Return the engine of a random instance."""
        return random.choice(self.each).engine

    def close(self) -> None:
        """Close all engines."""
        for server in self.each:
            server.engine.close()


@pytest.fixture(
    params=[("sqlite file", 1), ("postgres", 1), ("postgres", 2)],
    ids=["sqlite", "postgres", "two_servers_on_postgres"],
)
def servers(
    request: pytest.FixtureRequest, tmp_path: Path, random_batches: None
) -> Iterator[Servers]:
    """Instances that share one fresh database."""
    engine, number = request.param
    settings = fresh_settings(engine, tmp_path)
    is_postgres = engine == "postgres"
    servers = Servers(
        tuple(open_instance(settings) for _ in range(number)),
        settings.database_url if is_postgres else tmp_path / "userkeep.db",
        RACES_ON_POSTGRES if is_postgres else RACES,
    )
    yield servers
    servers.close()
    if is_postgres:
        assert deadlocks(settings.database_url) == 0


class Race:
    """The deletion of a user, and writes for the same user."""

    def __init__(self, number: int, servers: Servers, random: Random, seen: Counter[str]):
        self._servers = servers
        self._random = random
        self._seen = seen
        self.user_id = f"user-{number}"
        self.owned = f"owned-{number}"
        self.unowned = f"unowned-{number}"
        self.uncreated = f"uncreated-{number}"
        self.is_recreated = number % 4 == 0

    async def run(self) -> None:
        """Run all operations in random order; check that the user is not recreated."""
        await self._write(users.add, new=NewUser(user_id=self.user_id))
        await self._write(sessions.add, new=NewSession(session_id=self.owned, user_id=self.user_id))
        await self._write(sessions.add, new=NewSession(session_id=self.unowned))
        await self._append(self.owned, "before")
        writers = [
            self._append(self.owned, "with its owner", user_id=self.user_id),
            self._append(self.owned, "like Zep"),
            self._append(self.unowned, "and sets the owner", user_id=self.user_id),
            self._append(self.uncreated, "and creates it", user_id=self.user_id),
            self._append_once(self.owned),
            self._append_once(self.uncreated),
            self._write(sessions.add, new=NewSession(user_id=self.user_id)),
            self._write(
                sessions.update,
                session_id=self.unowned,
                change=SessionChange(user_id=self.user_id),
                merge=merge_patch,
            ),
            self._write(
                users.update,
                user_id=self.user_id,
                change=UserChange(first_name="Jane"),
                merge=merge_patch,
            ),
            self._delete(self._random.choice([self.owned, self.uncreated]), is_user=False),
            self._delete(self.user_id),
        ]
        if self.is_recreated:
            writers.append(self._recreate())
            writers.append(self._write(users.put, user_id=self.user_id, fields=UserFields()))
        else:
            writers.append(self._delete(self.user_id))
        self._random.shuffle(writers)
        await asyncio.gather(*[self._start_soon(each) for each in writers])
        if not self.is_recreated:
            await self._check_not_recreated()

    async def _start_soon(self, writer: Awaitable[Any]) -> Any:
        for _ in range(self._random.randint(0, 6)):
            await asyncio.sleep(0)
        return await writer

    async def _write(self, operation: Callable[..., Any], name: str = "", **arguments: Any) -> Any:
        """Perform an operation; return None if it is rejected with an expected error."""
        name = name or f"{operation.__module__.rpartition('.')[2]}.{operation.__name__}"
        try:
            result = await self._servers.engine(self._random).write_async(
                scoped(self._servers.scope, operation, **arguments)
            )
        except REJECTIONS as error:
            self._seen[f"{name}: {error.code}"] += 1
            return None
        self._seen[name] += 1
        return result

    async def _append(self, session_id: str, content: str, user_id: str | None = None) -> Any:
        return await self._write(
            messages.append,
            session_id=session_id,
            new=prepared(f"{self.user_id}: {content}"),
            user_id=user_id,
            may_create=True,
        )

    async def _append_once(self, session_id: str) -> Any:
        """Append with an idempotency key, whose record must be deleted with the user, too."""
        call = Call(
            scope=self._servers.scope,
            ids={"session_id": session_id},
            body=AppendMessages(messages=[], user_id=self.user_id),
            prepared=prepared("once"),
            idempotency_key=f"{self.user_id} {session_id}",
            request_hash="once",
        )
        return await self._write(HANDLERS["messages.append"], "messages.append", call=call)

    async def _recreate(self) -> None:
        """Create a new user as soon as the id is free, and a session."""
        for _ in range(self._random.randint(1, 60)):
            if await self._write(users.add, new=NewUser(user_id=self.user_id)):
                await self._append(self.owned, "as a new user", user_id=self.user_id)
                new = NewSession(session_id=self.owned, user_id=self.user_id)
                await self._write(sessions.add, new=new)
                return
            await asyncio.sleep(0)

    async def _delete(self, id_: str, *, is_user: bool = True) -> None:
        begin = erasures.begin_user if is_user else erasures.begin_session
        erasure: Erasure | None = await self._write(
            begin, **{"user_id" if is_user else "session_id": id_}
        )
        while erasure is not None and not erasure.is_finished:
            held = erasure.lease_expires_at
            erasure = await self._write(erasures.advance, uuid=erasure.uuid, held_until_at=held)

    async def _check_not_recreated(self) -> None:
        """Check that late appends are rejected."""
        for session_id in (self.owned, self.uncreated):
            assert await self._append(session_id, "late", user_id=self.user_id) is None
        assert await self._append(f"new-{self.owned}", "late", user_id=self.user_id) is None


def test_writes_during_the_deletion_of_their_user_leave_no_orphans(
    servers: Servers, report: Callable[[str], None]
) -> None:
    random = seeded_random("races")
    seen: Counter[str] = Counter()

    async def run_all() -> None:
        numbers = iter(range(servers.races))

        async def run_some() -> None:
            for number in numbers:
                await Race(number, servers, random, seen).run()

        await asyncio.gather(*[run_some() for _ in range(CONCURRENT_RACES)])

    asyncio.run(run_all())
    servers.close()
    database = servers.database
    assert orphans(database) == {}
    assert gaps(database) == []
    assert rows(database, "SELECT uuid FROM erasures WHERE state <> 'deleted'") == []
    # Users that were not created again are gone with their sessions.
    left = [user_id for (user_id,) in rows(database, "SELECT user_id FROM users")]
    assert all(int(user_id.removeprefix("user-")) % 4 == 0 for user_id in left)
    if isinstance(database, Path):
        assert damage(database) == []
    for name in ("messages.append", "erasures.advance", "messages.append: gone", "users.add"):
        assert seen[name] > servers.races / 10, seen
    rejections = sum(number for name, number in seen.items() if ": " in name)
    report(
        f"{servers.races} races: {seen.total()} operations, {seen['erasures.advance']} batches of "
        f"erasures, {rejections} rejections, {len(left)} users created again on purpose"
    )


def append_until_rejected(
    servers: Servers, session_id: str, stop: threading.Event, rejected: Counter[str]
) -> None:
    """Append like a thread of an application, until it is rejected after the deletion."""
    for n in itertools.count():
        append = scoped(
            servers.scope,
            messages.append,
            session_id=session_id,
            new=prepared(f"{session_id} {n}"),
            may_create=True,
        )
        try:
            servers.each[n % len(servers.each)].engine.write(append)
        except (Gone, NotFound) as error:
            rejected[error.code] += 1
            if stop.is_set():
                return


def test_late_appends_without_a_user_recreate_no_session_of_a_deleted_one(
    servers: Servers, report: Callable[[str], None]
) -> None:
    # Threads of an application append, as with zep-python 1.x, while their user is deleted.
    engine, scope = servers.each[0].engine, servers.scope
    numbers = range(servers.races // 20)
    rejected = Counter[str]()
    for number in numbers:
        user_id, session_id = f"user-{number}", f"session-{number}"
        stop = threading.Event()
        engine.write(scoped(scope, users.add, new=NewUser(user_id=user_id)))
        new = NewSession(session_id=session_id, user_id=user_id)
        engine.write(scoped(scope, sessions.add, new=new))
        with ThreadPoolExecutor(3) as pool:
            appending = partial(append_until_rejected, servers, session_id, stop, rejected)
            late = [pool.submit(appending) for _ in range(3)]
            erasure = engine.write(scoped(scope, erasures.begin_user, user_id=user_id))
            while not erasure.is_finished:
                erasure = advanced(engine, scope, erasure)
            stop.set()
            for each in late:
                each.result(30)
    assert orphans(servers.database) == {}
    for table in ("sessions", "messages"):
        assert rows(servers.database, f"SELECT session_id FROM {table}") == []
    report(f"{len(numbers)} users deleted under their writers: {sum(rejected.values())} rejections")


def test_constant_writes_do_not_starve_a_deletion(servers: Servers) -> None:
    # On PostgreSQL, shared locks of a user must not starve the exclusive lock of the deletion.
    scope = servers.scope
    has_started = asyncio.Event()

    async def append_many(number: int) -> bool:
        """Return whether the deletion started before the last append."""
        engine = servers.each[number % len(servers.each)].engine
        append = scoped(
            scope,
            messages.append,
            session_id=f"chat-{number}",
            new=prepared("for jane"),
            user_id="jane",
            may_create=True,
        )
        for _ in range(500):
            if has_started.is_set():
                return True
            try:
                await engine.write_async(append)
            except (Gone, NotFound):
                return True
        return False

    async def delete_amid_appends() -> list[bool]:
        engine = servers.each[0].engine
        await engine.write_async(scoped(scope, users.add, new=NewUser(user_id="jane")))
        appending = [asyncio.create_task(append_many(number)) for number in range(24)]
        await asyncio.sleep(0.2)
        await engine.write_async(scoped(scope, erasures.begin_user, user_id="jane"))
        has_started.set()
        return await asyncio.gather(*appending)

    assert all(asyncio.run(delete_amid_appends()))


def test_an_unfinished_deletion_keeps_a_session_with_a_reused_id(servers: Servers) -> None:
    # The deletion of a session is unfinished (because the disk is full, say) when its user is
    # deleted, and a new session is created with the same id.
    engine, scope = servers.each[0].engine, servers.scope
    engine.write(scoped(scope, users.add, new=NewUser(user_id="jane")))
    new = NewSession(session_id="chat", user_id="jane")
    engine.write(scoped(scope, sessions.add, new=new))
    of_session = engine.write(scoped(scope, erasures.begin_session, session_id="chat"))
    of_user = engine.write(scoped(scope, erasures.begin_user, user_id="jane"))
    while not of_user.is_finished:
        of_user = advanced(engine, scope, of_user)

    created = engine.write(scoped(scope, sessions.add, new=NewSession(session_id="chat")))
    contents = prepared("one", "two", "three")
    engine.write(scoped(scope, messages.append, "chat", contents, may_create=False))
    while not of_session.is_finished:
        of_session = advanced(engine, scope, of_session)

    session = engine.read(scoped(scope, sessions.get, session_id="chat"))
    assert (session.uuid, session.message_count) == (created.uuid, 3)
    found = engine.read(scoped(scope, messages.select, session_id="chat"))
    assert [message.content for message in found.items] == ["one", "two", "three"]
    assert of_session.message_count == 0
