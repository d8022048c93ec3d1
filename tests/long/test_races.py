"""Writers that race the erasure of their user leave no orphan, and bring nobody back.

In one process and without HTTP, for speed: what races are the operations in the writer lane. The
clock by which the eraser measures its batches is random, so that batches end anywhere.
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
from typing import Any

import pytest

from recollect.api import wire
from recollect.config import Settings
from recollect.domain.erasure import Erasure
from recollect.domain.errors import AlreadyExists, Conflict, Gone, NotFound
from recollect.domain.message import NewMessage
from recollect.domain.metadata import merge_patch
from recollect.domain.session import NewSession, SessionChange
from recollect.domain.user import NewUser, UserChange, UserFields
from recollect.main import Recollect, open_recollect
from recollect.native.calls import Call
from recollect.native.performers import PERFORMERS
from recollect.services import erasures, messages, sessions, users
from recollect.storage.sqlite import transaction
from tests.erasing import advanced
from tests.long.counts import count, randomness
from tests.long.looking import damage, gaps, orphans, rows

RACES = count(20_000)
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


@pytest.fixture
def recollect(tmp_path: Path, random_batches: None) -> Iterator[Recollect]:
    """An installation on a fresh file."""
    recollect = open_recollect(Settings(database_url=f"sqlite:///{tmp_path}/recollect.db"))
    yield recollect
    recollect.close()


def said(content: str) -> list[NewMessage]:
    return [NewMessage(content=content)]


class Race:
    """A user who is erased, while everybody else still writes of them."""

    def __init__(self, number: int, recollect: Recollect, random: Random, seen: Counter[str]):
        self._engine, self._scope = recollect.engine, recollect.scope
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
            self._erase(self._random.choice([self.owned, self.unopened]), is_user=False),
            self._erase(self.user_id),
        ]
        if self.comes_back:
            writers.append(self._come_back())
            writers.append(self._write(users.put, user_id=self.user_id, fields=UserFields()))
        else:
            writers.append(self._erase(self.user_id))
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
            result = await self._engine.write_async(
                partial(operation, scope=self._scope, **arguments)
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
            body=wire.AppendMessages(messages=said("once"), user_id=self.user_id),
            idempotency_key=f"{self.user_id} {session_id}",
            request=b"once",
        )
        return await self._write(PERFORMERS["messages.append"], call=call)

    async def _come_back(self) -> None:
        """Somebody new takes the id as soon as it is free, and opens a session."""
        for _ in range(self._random.randint(1, 60)):
            if await self._write(users.add, new=NewUser(user_id=self.user_id)):
                await self._append(self.owned, "as somebody new", user_id=self.user_id)
                new = NewSession(session_id=self.owned, user_id=self.user_id)
                await self._write(sessions.add, new=new)
                return
            await asyncio.sleep(0)

    async def _erase(self, id_: str, *, is_user: bool = True) -> None:
        begin = erasures.begin_user if is_user else erasures.begin_session
        erasure: Erasure | None = await self._write(
            begin, **{"user_id" if is_user else "session_id": id_}
        )
        while erasure is not None and not erasure.is_finished:
            held = erasure.claimed_until_at
            erasure = await self._write(erasures.advance, uuid=erasure.uuid, held_until_at=held)

    async def _nobody_comes_back(self) -> None:
        """Late appends are refused, by whichever door they come in."""
        for session_id in (self.owned, self.unopened):
            assert await self._append(session_id, "late", user_id=self.user_id) is None
        assert await self._append(f"new-{self.owned}", "late", user_id=self.user_id) is None


def test_writers_that_race_the_erasure_of_their_user_leave_no_orphan(
    recollect: Recollect, tmp_path: Path, say: Callable[[str], None]
) -> None:
    random = randomness("races")
    seen: Counter[str] = Counter()

    async def run_all() -> None:
        numbers = iter(range(RACES))

        async def run_some() -> None:
            for number in numbers:
                await Race(number, recollect, random, seen).run()

        await asyncio.gather(*[run_some() for _ in range(AT_ONCE)])

    asyncio.run(run_all())
    recollect.close()
    path = tmp_path / "recollect.db"
    assert orphans(path) == {}
    assert gaps(path) == []
    assert rows(path, "SELECT uuid FROM erasures WHERE state <> 'erased'") == []
    # Those who were not added again are gone, and so are their sessions.
    left = [user_id for (user_id,) in rows(path, "SELECT user_id FROM users")]
    assert all(int(user_id.removeprefix("user-")) % 4 == 0 for user_id in left)
    assert damage(path) == []
    for name in ("messages.append", "erasures.advance", "messages.append: gone", "users.add"):
        assert seen[name] > RACES / 10, seen
    say(
        f"{RACES} races: {sum(seen.values())} operations, {seen['erasures.advance']} batches of "
        f"erasures, {sum(n for name, n in seen.items() if ': ' in name)} refusals, "
        f"{len(left)} users came back on purpose"
    )


def test_a_late_append_without_a_user_opens_no_session_that_was_erased_with_one(
    recollect: Recollect, tmp_path: Path, say: Callable[[str], None]
) -> None:
    # An application's threads go on appending, as zep-python 1.x does, while their user is erased.
    engine, scope = recollect.engine, recollect.scope
    numbers = range(RACES // 20)
    refused = Counter[str]()

    def append_for_ever(session_id: str, is_over: threading.Event) -> None:
        for n in itertools.count():
            try:
                engine.write(
                    partial(
                        messages.append,
                        scope=scope,
                        session_id=session_id,
                        new=said(f"{session_id} {n}"),
                        may_open_session=True,
                    )
                )
            except (Gone, NotFound) as error:
                refused[error.code] += 1
                if is_over.is_set():
                    return

    for number in numbers:
        user_id, session_id = f"user-{number}", f"session-{number}"
        is_over = threading.Event()
        engine.write(partial(users.add, scope=scope, new=NewUser(user_id=user_id)))
        new = NewSession(session_id=session_id, user_id=user_id)
        engine.write(partial(sessions.add, scope=scope, new=new))
        with ThreadPoolExecutor(3) as pool:
            late = [pool.submit(append_for_ever, session_id, is_over) for _ in range(3)]
            erasure = engine.write(partial(erasures.begin_user, scope=scope, user_id=user_id))
            while not erasure.is_finished:
                erasure = advanced(engine, scope, erasure)
            is_over.set()
            for each in late:
                each.result(30)
    path = tmp_path / "recollect.db"
    assert orphans(path) == {}
    assert rows(path, "SELECT * FROM sessions") == rows(path, "SELECT * FROM messages") == []
    say(f"{len(numbers)} users erased under their writers: {sum(refused.values())} refusals")


def test_an_erasure_that_goes_on_leaves_a_namesake_alone(recollect: Recollect) -> None:
    # The erasure of a session is still under way (it waits for a full disk, say) when its user is
    # erased too, and somebody new opens a session under the same id.
    engine, scope = recollect.engine, recollect.scope
    engine.write(partial(users.add, scope=scope, new=NewUser(user_id="jane")))
    new = NewSession(session_id="chat", user_id="jane")
    engine.write(partial(sessions.add, scope=scope, new=new))
    of_session = engine.write(partial(erasures.begin_session, scope=scope, session_id="chat"))
    of_user = engine.write(partial(erasures.begin_user, scope=scope, user_id="jane"))
    while not of_user.is_finished:
        of_user = advanced(engine, scope, of_user)

    opened = engine.write(partial(sessions.add, scope=scope, new=NewSession(session_id="chat")))
    append = partial(messages.append, scope=scope, session_id="chat", may_open_session=False)
    engine.write(partial(append, new=[*said("one"), *said("two"), *said("three")]))
    while not of_session.is_finished:
        of_session = advanced(engine, scope, of_session)

    there = engine.read(partial(sessions.get, scope=scope, session_id="chat"))
    assert (there.uuid, there.message_count) == (opened.uuid, 3)
    found = engine.read(partial(messages.select, scope=scope, session_id="chat"))
    assert [message.content for message in found] == ["one", "two", "three"]
    assert of_session.message_count == 0
