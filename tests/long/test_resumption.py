"""An erasure may be interrupted anywhere: it goes on afterwards, and nobody sees half of it."""

import itertools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.deleting import advanced
from tests.long.client import LOST, Client
from tests.long.conftest import Start
from tests.long.counts import count, randomness
from tests.long.looking import damage, orphans, rows, running_erasures
from tests.serving import Server
from userkeep.config import Settings
from userkeep.domain.erasure import Erasure
from userkeep.domain.errors import Gone, NotFound
from userkeep.domain.message import NewMessage
from userkeep.domain.session import NewSession
from userkeep.domain.transaction import Transaction, scoped
from userkeep.domain.user import NewUser
from userkeep.domain.values.paging import PageRequest
from userkeep.instance import Instance, open_instance
from userkeep.services import erasures, messages, sessions, users
from userkeep.storage import transaction

MESSAGES = count(2_000)
KILLS = count(40)
WATCHED = count(30)
SESSIONS = 5
LENGTH = 1_000
EVERYTHING = """
    SELECT 'user', user_id FROM users UNION ALL SELECT 'session', session_id FROM sessions
    UNION ALL SELECT 'message', session_id || seq FROM messages
    UNION ALL SELECT 'request', key FROM idempotency
"""


class SlowClock:
    """Every look at it takes nine milliseconds, so that a batch does only a little."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 0.009
        return self._now


@contextmanager
def opened(path: Path) -> Iterator[Instance]:
    """An instance, closed at the end."""
    settings = Settings(database_url=f"sqlite:///{path}", secret="a secret of the tests")
    userkeep = open_instance(settings)
    try:
        yield userkeep
    finally:
        userkeep.close()


def populate(userkeep: Instance) -> None:
    """Jane with sessions of several lengths, and John, of whom nothing may be missing."""
    write, scope = userkeep.engine.write, userkeep.scope
    for user_id in ("jane", "john"):
        write(scoped(scope, users.add, new=NewUser(user_id=user_id)))
        for n in range(SESSIONS):
            new = NewSession(session_id=f"{user_id}-{n}", user_id=user_id)
            write(scoped(scope, sessions.add, new=new))
            length = 0 if n == 0 else MESSAGES * n // sum(range(SESSIONS))
            words = [NewMessage(content=f"{user_id} {n}: {word}") for word in range(length)]
            append = partial(messages.append, session_id=f"{user_id}-{n}", may_open_session=False)
            write(scoped(scope, append, new=words))
        write(scoped(scope, sessions.end, session_id=f"{user_id}-1"))


def what_can_be_read(userkeep: Instance) -> list[str]:
    """Of Jane: what every kind of read gives, in one list that is empty when all is hidden."""
    read, scope = userkeep.engine.read, userkeep.scope

    def of_user(tx: Transaction) -> list[str]:
        found = [f"user {user.user_id}" for user in users.page(tx, PageRequest())]
        for page in (
            sessions.page(tx, PageRequest(), user_id="jane"),
            sessions.page(tx, PageRequest()),
        ):
            found += [f"session {session.session_id}" for session in page]
        for n in range(SESSIONS):
            for look in (sessions.get, partial(messages.page, page=PageRequest())):
                try:
                    found.append(f"{n}: {look(tx, session_id=f'jane-{n}')}")
                except (Gone, NotFound):
                    continue
        return [each for each in found if "jane" in each]

    try:
        read(scoped(scope, users.get, user_id="jane"))
    except (Gone, NotFound):
        return read(scoped(scope, of_user))
    return ["user jane", *read(scoped(scope, of_user))]


def crash_image(path: Path, folder: Path) -> Path:
    """The files as a power cut would leave them now: nobody writes while they are copied."""
    folder.mkdir()
    for file in (path, Path(f"{path}-wal")):
        shutil.copyfile(file, folder / file.name)
    return folder / path.name


def running(userkeep: Instance) -> list[Erasure]:
    """The erasures that are not finished, as a server at its start finds them."""
    userkeep.engine.write(scoped(userkeep.scope, erasures.release_leases))
    return userkeep.engine.read(scoped(userkeep.scope, erasures.interrupted))


def finish(userkeep: Instance) -> list[Erasure]:
    """What a server does at its start."""
    finished = []
    for erasure in running(userkeep):
        advancing = erasure
        while not advancing.is_finished:
            advancing = advanced(userkeep.engine, userkeep.scope, advancing)
        finished.append(advancing)
    return finished


def test_an_erasure_can_be_interrupted_between_any_two_of_its_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: Callable[[str], None]
) -> None:
    path = tmp_path / "userkeep.db"
    with opened(path) as userkeep:
        populate(userkeep)
        of_john = [row for row in rows(path, EVERYTHING) if row[1].startswith("john")]
        monkeypatch.setattr(transaction, "perf_counter", SlowClock())
        begin = scoped(userkeep.scope, erasures.begin_user, user_id="jane")
        erasure = userkeep.engine.write(begin)
        images = [crash_image(path, tmp_path / "0")]
        while not erasure.is_finished:
            erasure = advanced(userkeep.engine, userkeep.scope, erasure)
            if erasure.is_hidden:
                assert what_can_be_read(userkeep) == []
            images.append(crash_image(path, tmp_path / str(len(images))))
        assert (erasure.session_count, erasure.message_count) == (SESSIONS, MESSAGES)
    for image in images:
        with opened(image) as userkeep:
            again = finish(userkeep)
            assert what_can_be_read(userkeep) == []
            assert running(userkeep) == []
        for each in again:
            assert (each.session_count, each.message_count) == (SESSIONS, MESSAGES)
            assert each.uuid == erasure.uuid
        assert rows(image, EVERYTHING) == of_john
        assert orphans(image) == {}
        assert damage(image) == []
        shutil.rmtree(image.parent)
    assert len(images) > 5
    say(f"{MESSAGES} messages deleted, interrupted at each of {len(images)} places")


def test_a_batch_gets_on_however_slow_the_machine_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One statement takes longer here than a whole batch may.
    with opened(tmp_path / "userkeep.db") as userkeep:
        populate(userkeep)
        monkeypatch.setattr(transaction, "perf_counter", itertools.count(0, 0.025).__next__)
        write, scope = userkeep.engine.write, userkeep.scope
        erasure = write(scoped(scope, erasures.begin_user, user_id="jane"))
        for _ in range(MESSAGES + 100):
            erasure = advanced(userkeep.engine, userkeep.scope, erasure)
        assert erasure.is_finished
        assert what_can_be_read(userkeep) == []


class Sight(NamedTuple):
    """What a reader saw, and when it had asked."""

    asked_at: float
    what: str
    seen: int | None  # how many; None: it is not there


def watch(server: Server, length: int, is_over: threading.Event) -> list[Sight]:
    """Look at a user from outside, over and over, until the server is lost."""
    sights: list[Sight] = []

    def look(what: str, route: str, counted: str, *ids: str) -> None:
        asked_at = time.monotonic()
        answer = client.request("GET", route, *ids)
        if answer.status in {404, 410}:
            sights.append(Sight(asked_at, what, None))
            return
        assert answer.status == 200, answer
        sights.append(Sight(asked_at, what, len(answer.json[counted]) if counted else 1))

    client = Client(server.port)
    try:
        while not is_over.is_set():
            look("user", "/v1/users/{}", "", "jane")
            look("sessions", "/v1/sessions?user_id=jane&limit=1000", "items")
            for n in range(SESSIONS):
                look("messages", "/v1/sessions/{}/messages?limit=1000", "items", f"jane-{n}")
                look("memory", f"/v1/sessions/{{}}/memory?last={length}", "messages", f"jane-{n}")
                look("session", "/v1/sessions/{}", "", f"jane-{n}")
    except LOST:
        return sights
    finally:
        client.close()
    return sights


def check_sights(sights: list[Sight], length: int, answered_at: float) -> None:
    """A session is seen whole or not at all, and nothing is seen once DELETE was answered."""
    for asked_at, what, seen in sights:
        if what in {"messages", "memory"}:
            assert seen in {None, length}
        if asked_at > answered_at:
            assert seen is None or (what, seen) == ("sessions", 0)


def add_jane(server: Server, length: int) -> None:
    """Jane, in sessions of many messages each."""
    with closing(Client(server.port)) as client:
        assert client.request("POST", "/v1/users", json_={"user_id": "jane"}).status == 201
        for n in range(SESSIONS):
            new = {"session_id": f"jane-{n}", "user_id": "jane"}
            assert client.request("POST", "/v1/sessions", json_=new).status == 201
            body = {"messages": [{"content": f"I live in Oslo {word}"} for word in range(length)]}
            route = "/v1/sessions/{}/messages"
            assert client.request("POST", route, f"jane-{n}", json_=body).status == 201


def delete_jane(server: Server) -> float | None:
    """When DELETE was answered, or None where it was not."""
    client = Client(server.port)
    try:
        answer = client.request("DELETE", "/v1/users/{}", "jane")
        assert answer.status in {200, 202}, answer
        return time.monotonic()
    except LOST:
        return None
    finally:
        client.close()


def test_an_erasure_whose_server_is_killed_goes_on_and_nobody_sees_half_of_it(
    tmp_path: Path, start: Start, say: Callable[[str], None]
) -> None:
    random = randomness("kills during erasures")
    path = tmp_path / "userkeep.db"
    answered = interrupted = looks = 0
    usual_s = 0.3  # what an erasure takes, as far as it was seen: it is killed in its midst
    for _ in range(KILLS):
        server = start().wait_until_ready()
        add_jane(server, LENGTH)
        is_over = threading.Event()
        with ThreadPoolExecutor(4) as pool:
            watching = [pool.submit(watch, server, LENGTH, is_over) for _ in range(2)]
            time.sleep(0.05)
            asked_at = time.monotonic()
            deleting: Future[float | None] = pool.submit(delete_jane, server)
            time.sleep(random.uniform(0, 1.2) * usual_s)
            server.kill()
            is_over.set()
            answered_at = deleting.result(30)
            sights = [sight for each in watching for sight in each.result(30)]
        check_sights(sights, LENGTH, answered_at or time.monotonic())
        if answered_at is not None:
            answered += 1
            usual_s = answered_at - asked_at
        interrupted += running_erasures(path) > 0
        looks += len(sights)
        take_up_again(start(), path, is_answered=answered_at is not None)
        assert rows(path, EVERYTHING) == []
        assert orphans(path) == {}
        assert damage(path) == []
    say(
        f"{KILLS} kills around an erasure of {SESSIONS * LENGTH} messages: {answered} answered, "
        f"{interrupted} interrupted, {looks} looks from outside"
    )


def take_up_again(server: Server, path: Path, *, is_answered: bool) -> None:
    """After a kill: what was begun goes on by itself; what was not can be begun now."""
    server.wait_until_ready()
    with closing(Client(server.port)) as client:
        if is_answered:
            assert client.request("GET", "/v1/users/{}", "jane").status in {404, 410}
            assert client.request("GET", "/v1/sessions?user_id=jane").json["items"] == []
        ends = time.monotonic() + 30
        while running_erasures(path):
            assert time.monotonic() < ends, "the erasure did not go on after the restart"
            time.sleep(0.02)
        if client.request("GET", "/v1/users/{}", "jane").status == 200:
            assert not is_answered
            assert rows(path, "SELECT count(*) FROM messages") == [(SESSIONS * LENGTH,)]
            assert client.request("DELETE", "/v1/users/{}", "jane").status == 200
    assert server.stop() == 0


def test_from_outside_an_erasure_is_all_at_once(
    tmp_path: Path, start: Start, say: Callable[[str], None]
) -> None:
    looks = 0
    server = start().wait_until_ready()
    for _ in range(WATCHED):
        add_jane(server, LENGTH)
        is_over = threading.Event()
        with ThreadPoolExecutor(4) as pool:
            watching = [pool.submit(watch, server, LENGTH, is_over) for _ in range(3)]
            time.sleep(0.05)
            answered_at = delete_jane(server)
            time.sleep(0.05)
            is_over.set()
            sights = [sight for each in watching for sight in each.result(30)]
        assert answered_at
        check_sights(sights, LENGTH, answered_at)
        looks += len(sights)
    assert server.stop() == 0
    assert rows(tmp_path / "userkeep.db", EVERYTHING) == []
    say(f"{WATCHED} erasures of {SESSIONS * LENGTH} messages, {looks} looks from outside")
