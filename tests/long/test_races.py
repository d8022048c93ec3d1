"""Writers that race the erasure of their user leave no orphan, and bring nobody back.

In one process and without HTTP, for speed. On SQLite what races are the operations in the writer
lane; on PostgreSQL they run at the same time, on the connections of one server and of two. The
clock by which the deleter measures its batches is random, so that batches end anywhere.
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
from tests.long.counts import IS_FULL, count, randomness
from tests.long.looking import Database, damage, deadlocks, gaps, orphans, rows
from userkeep.api.messages import AppendMessages
from userkeep.domain.erasure import Erasure
from userkeep.domain.errors import AlreadyExists, Conflict, Gone, NotFound
from userkeep.domain.message import NewMessage
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

RACES = count(20_000)
RACES_ON_POSTGRES = RACES if IS_FULL else 400
AT_ONCE = 50

REFUSALS = (NotFound, Gone, Conflict, AlreadyExists)


class RandomClock:
    """Time passes in jumps, so that a batch of an erasure may end at any row."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self._random.uniform(0, 0.012)
        return self._now


@pytest.fixture
def random_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of erasures end at random places."""
    monkeypatch.setattr(transaction, "perf_counter", RandomClock(randomness("batches")))


class Servers(NamedTuple):
    """Those that share a fresh database; where to look into it; how many races they run."""

    each: tuple[Instance, ...]
    database: Database
    races: int

    @property
    def scope(self) -> Scope:
        """The same for all of them."""
        return self.each[0].scope

    def engine(self, random: Random) -> Engine:
        """That of any of them."""
        return random.choice(self.each).engine

    def close(self) -> None:
        """Stop them all."""
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


def said(content: str) -> list[NewMessage]:
    return [NewMessage(content=content)]


class Race:
    """A user who is deleted, while everybody else still writes of them."""

    def __init__(self, number: int, servers: Servers, random: Random, seen: Counter[str]):
        self._servers = servers
        self._random = random
        self._seen = seen
        self.user_id = f"user-{number}"
        self.owned = f"owned-{number}"
        self.ownerless = f"ownerless-{number}"
        self.unopened = f"unopened-{number}"
        self.comes_back = number % 4 == 0

    async def run(self) -> None:
        """Let everybody begin in any order, and look at what is left."""
        await self._write(users.add, new=NewUser(user_id=self.user_id))
        await self._write(sessions.add, new=NewSession(session_id=self.owned, user_id=self.user_id))
        await self._write(sessions.add, new=NewSession(session_id=self.ownerless))
        await self._append(self.owned, "before")
        writers = [
            self._append(self.owned, "as its owner", user_id=self.user_id),
            self._append(self.owned, "as Zep 0.x does"),
            self._append(self.ownerless, "and takes it over", user_id=self.user_id),
            self._append(self.unopened, "and opens it", user_id=self.user_id),
            self._append_once(self.owned),
            self._append_once(self.unopened),
            self._write(sessions.add, new=NewSession(user_id=self.user_id)),
            self._write(
                sessions.update,
                session_id=self.ownerless,
                change=SessionChange(user_id=self.user_id),
                merge=merge_patch,
            ),
            self._write(
                users.update,
                user_id=self.user_id,
                change=UserChange(first_name="Jane"),
                merge=merge_patch,
            ),
            self._delete(self._random.choice([self.owned, self.unopened]), is_user=False),
            self._delete(self.user_id),
        ]
        if self.comes_back:
            writers.append(self._come_back())
            writers.append(self._write(users.put, user_id=self.user_id, fields=UserFields()))
        else:
            writers.append(self._delete(self.user_id))
        self._random.shuffle(writers)
        await asyncio.gather(*[self._soon(each) for each in writers])
        if not self.comes_back:
            await self._nobody_comes_back()

    async def _soon(self, writer: Awaitable[Any]) -> Any:
        for _ in range(self._random.randint(0, 6)):
            await asyncio.sleep(0)
        return await writer

    async def _write(self, operation: Callable[..., Any], **arguments: Any) -> Any:
        """What an operation gives, or None where it is refused as it may be."""
        name = f"{operation.__module__.rpartition('.')[2]}.{operation.__name__}"
        try:
            result = await self._servers.engine(self._random).write_async(
                scoped(self._servers.scope, operation, **arguments)
            )
        except REFUSALS as error:
            self._seen[f"{name}: {error.code}"] += 1
            return None
        self._seen[name] += 1
        return result

    async def _append(self, session_id: str, content: str, user_id: str | None = None) -> Any:
        return await self._write(
            messages.append,
            session_id=session_id,
            new=said(f"{self.user_id}: {content}"),
            user_id=user_id,
            may_open_session=True,
        )

    async def _append_once(self, session_id: str) -> Any:
        """A native append with an idempotency key, whose row must go with the user too."""
        call = Call(
            ids={"session_id": session_id},
            body=AppendMessages(messages=said("once"), user_id=self.user_id),
            idempotency_key=f"{self.user_id} {session_id}",
            request=b"once",
        )
        return await self._write(HANDLERS["messages.append"], call=call)

    async def _come_back(self) -> None:
        """Somebody new takes the id as soon as it is free, and opens a session."""
        for _ in range(self._random.randint(1, 60)):
            if await self._write(users.add, new=NewUser(user_id=self.user_id)):
                await self._append(self.owned, "as somebody new", user_id=self.user_id)
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

    async def _nobody_comes_back(self) -> None:
        """Late appends are refused, by whichever door they come in."""
        for session_id in (self.owned, self.unopened):
            assert await self._append(session_id, "late", user_id=self.user_id) is None
        assert await self._append(f"new-{self.owned}", "late", user_id=self.user_id) is None


def test_writers_that_race_the_erasure_of_their_user_leave_no_orphan(
    servers: Servers, say: Callable[[str], None]
) -> None:
    random = randomness("races")
    seen: Counter[str] = Counter()

    async def run_all() -> None:
        numbers = iter(range(servers.races))

        async def run_some() -> None:
            for number in numbers:
                await Race(number, servers, random, seen).run()

        await asyncio.gather(*[run_some() for _ in range(AT_ONCE)])

    asyncio.run(run_all())
    servers.close()
    database = servers.database
    assert orphans(database) == {}
    assert gaps(database) == []
    assert rows(database, "SELECT uuid FROM erasures WHERE state <> 'deleted'") == []
    # Those who were not added again are gone, and so are their sessions.
    left = [user_id for (user_id,) in rows(database, "SELECT user_id FROM users")]
    assert all(int(user_id.removeprefix("user-")) % 4 == 0 for user_id in left)
    if isinstance(database, Path):
        assert damage(database) == []
    for name in ("messages.append", "erasures.advance", "messages.append: gone", "users.add"):
        assert seen[name] > servers.races / 10, seen
    refusals = sum(number for name, number in seen.items() if ": " in name)
    say(
        f"{servers.races} races: {seen.total()} operations, {seen['erasures.advance']} batches of "
        f"erasures, {refusals} refusals, {len(left)} users came back on purpose"
    )


def append_for_ever(
    servers: Servers, session_id: str, is_over: threading.Event, refused: Counter[str]
) -> None:
    """As an application's thread does, till the erasure is over and it was refused after that."""
    for n in itertools.count():
        append = scoped(
            servers.scope,
            messages.append,
            session_id=session_id,
            new=said(f"{session_id} {n}"),
            may_open_session=True,
        )
        try:
            servers.each[n % len(servers.each)].engine.write(append)
        except (Gone, NotFound) as error:
            refused[error.code] += 1
            if is_over.is_set():
                return


def test_a_late_append_without_a_user_opens_no_session_that_was_deleted_with_one(
    servers: Servers, say: Callable[[str], None]
) -> None:
    # An application's threads go on appending, as zep-python 1.x does, while their user is deleted.
    engine, scope = servers.each[0].engine, servers.scope
    numbers = range(servers.races // 20)
    refused = Counter[str]()
    for number in numbers:
        user_id, session_id = f"user-{number}", f"session-{number}"
        is_over = threading.Event()
        engine.write(scoped(scope, users.add, new=NewUser(user_id=user_id)))
        new = NewSession(session_id=session_id, user_id=user_id)
        engine.write(scoped(scope, sessions.add, new=new))
        with ThreadPoolExecutor(3) as pool:
            appending = partial(append_for_ever, servers, session_id, is_over, refused)
            late = [pool.submit(appending) for _ in range(3)]
            erasure = engine.write(scoped(scope, erasures.begin_user, user_id=user_id))
            while not erasure.is_finished:
                erasure = advanced(engine, scope, erasure)
            is_over.set()
            for each in late:
                each.result(30)
    assert orphans(servers.database) == {}
    for table in ("sessions", "messages"):
        assert rows(servers.database, f"SELECT session_id FROM {table}") == []
    say(f"{len(numbers)} users deleted under their writers: {sum(refused.values())} refusals")


def test_those_who_write_all_the_time_do_not_keep_an_erasure_waiting(servers: Servers) -> None:
    # Many may hold a user at the same time on PostgreSQL: who wants the user alone must get a turn.
    scope = servers.scope
    has_begun = asyncio.Event()

    async def append_many(number: int) -> bool:
        """Whether the erasure began while there was still something to append."""
        engine = servers.each[number % len(servers.each)].engine
        append = scoped(
            scope,
            messages.append,
            session_id=f"chat-{number}",
            new=said("of Jane"),
            user_id="jane",
            may_open_session=True,
        )
        for _ in range(500):
            if has_begun.is_set():
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
        has_begun.set()
        return await asyncio.gather(*appending)

    assert all(asyncio.run(delete_amid_appends()))


def test_an_erasure_that_goes_on_leaves_a_namesake_alone(servers: Servers) -> None:
    # The erasure of a session is still under way (it waits for a full disk, say) when its user is
    # deleted too, and somebody new opens a session under the same id.
    engine, scope = servers.each[0].engine, servers.scope
    engine.write(scoped(scope, users.add, new=NewUser(user_id="jane")))
    new = NewSession(session_id="chat", user_id="jane")
    engine.write(scoped(scope, sessions.add, new=new))
    of_session = engine.write(scoped(scope, erasures.begin_session, session_id="chat"))
    of_user = engine.write(scoped(scope, erasures.begin_user, user_id="jane"))
    while not of_user.is_finished:
        of_user = advanced(engine, scope, of_user)

    opened = engine.write(scoped(scope, sessions.add, new=NewSession(session_id="chat")))
    said_there = [*said("one"), *said("two"), *said("three")]
    engine.write(scoped(scope, messages.append, "chat", said_there, may_open_session=False))
    while not of_session.is_finished:
        of_session = advanced(engine, scope, of_session)

    there = engine.read(scoped(scope, sessions.get, session_id="chat"))
    assert (there.uuid, there.message_count) == (opened.uuid, 3)
    found = engine.read(scoped(scope, messages.select, session_id="chat"))
    assert [message.content for message in found] == ["one", "two", "three"]
    assert of_session.message_count == 0
