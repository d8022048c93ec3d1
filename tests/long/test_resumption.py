"""A deletion can be interrupted anywhere: it resumes, and is never partly visible."""

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
from tests.long.client import CONNECTION_LOST, Client
from tests.long.conftest import Start
from tests.long.counts import IS_FULL, count, seeded_random
from tests.long.inspection import damage, orphans, rows, running_erasures
from tests.prepared import prepared
from tests.serving import Server
from userkeep.config import Settings
from userkeep.domain.erasure import Erasure
from userkeep.domain.errors import Gone, NotFound
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
LENGTH = 1_000 if IS_FULL else 300
EVERYTHING = """
    SELECT 'user', user_id FROM users UNION ALL SELECT 'session', session_id FROM sessions
    UNION ALL SELECT 'message', session_id || seq FROM messages
    UNION ALL SELECT 'request', key FROM idempotency
"""


class SlowClock:
    """A clock that advances nine milliseconds at each call, so that batches are small."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 0.009
        return self._now


@contextmanager
def opened(path: Path) -> Iterator[Instance]:
    """Open an instance and close it at the end."""
    settings = Settings(database_url=f"sqlite:///{path}", secret="a secret of the tests")
    instance = open_instance(settings)
    try:
        yield instance
    finally:
        instance.close()


def populate(instance: Instance) -> None:
    """Create jane with sessions of several lengths, and john, whose data must remain."""
    write, scope = instance.engine.write, instance.scope
    for user_id in ("jane", "john"):
        write(scoped(scope, users.add, new=NewUser(user_id=user_id)))
        for n in range(SESSIONS):
            new = NewSession(session_id=f"{user_id}-{n}", user_id=user_id)
            write(scoped(scope, sessions.add, new=new))
            length = 0 if n == 0 else MESSAGES * n // sum(range(SESSIONS))
            new_messages = prepared(*[f"{user_id} {n}: {number}" for number in range(length)])
            append = partial(messages.append, session_id=f"{user_id}-{n}", may_create=False)
            write(scoped(scope, append, new=new_messages))
        write(scoped(scope, sessions.end, session_id=f"{user_id}-1"))


def visible_data(instance: Instance) -> list[str]:
    """Return what every kind of read returns of jane; empty if all of it is hidden."""
    read, scope = instance.engine.read, instance.scope

    def of_user(tx: Transaction) -> list[str]:
        found = [f"user {user.user_id}" for user in users.page(tx, PageRequest()).items]
        for page in (
            sessions.page(tx, PageRequest(), user_id="jane"),
            sessions.page(tx, PageRequest()),
        ):
            found += [f"session {session.session_id}" for session in page.items]
        for n in range(SESSIONS):
            for operation in (sessions.get, partial(messages.page, page=PageRequest())):
                try:
                    found.append(f"{n}: {operation(tx, session_id=f'jane-{n}')}")
                except (Gone, NotFound):
                    continue
        return [each for each in found if "jane" in each]

    try:
        read(scoped(scope, users.get, user_id="jane"))
    except (Gone, NotFound):
        return read(scoped(scope, of_user))
    return ["user jane", *read(scoped(scope, of_user))]


def crash_image(path: Path, folder: Path) -> Path:
    """Copy the files as a power failure would leave them; nothing writes at this time."""
    folder.mkdir()
    for file in (path, Path(f"{path}-wal")):
        shutil.copyfile(file, folder / file.name)
    return folder / path.name


def running(instance: Instance) -> list[Erasure]:
    """Return the unfinished erasures that a server finds at its start."""
    instance.engine.write(scoped(instance.scope, erasures.release_leases))
    return instance.engine.read(scoped(instance.scope, erasures.interrupted))


def finish(instance: Instance) -> list[Erasure]:
    """Complete the unfinished erasures, as a server does at its start."""
    finished = []
    for erasure in running(instance):
        advancing = erasure
        while not advancing.is_finished:
            advancing = advanced(instance.engine, instance.scope, advancing)
        finished.append(advancing)
    return finished


def test_a_deletion_can_be_interrupted_between_any_two_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Callable[[str], None]
) -> None:
    path = tmp_path / "userkeep.db"
    with opened(path) as instance:
        populate(instance)
        of_john = [row for row in rows(path, EVERYTHING) if row[1].startswith("john")]
        monkeypatch.setattr(transaction, "perf_counter", SlowClock())
        begin = scoped(instance.scope, erasures.begin_user, user_id="jane")
        erasure = instance.engine.write(begin)
        images = [crash_image(path, tmp_path / "0")]
        while not erasure.is_finished:
            erasure = advanced(instance.engine, instance.scope, erasure)
            if erasure.is_hidden:
                assert visible_data(instance) == []
            images.append(crash_image(path, tmp_path / str(len(images))))
        assert (erasure.session_count, erasure.message_count) == (SESSIONS, MESSAGES)
    for image in images:
        with opened(image) as instance:
            again = finish(instance)
            assert visible_data(instance) == []
            assert running(instance) == []
        for each in again:
            assert (each.session_count, each.message_count) == (SESSIONS, MESSAGES)
            assert each.uuid == erasure.uuid
        assert rows(image, EVERYTHING) == of_john
        assert orphans(image) == {}
        assert damage(image) == []
        shutil.rmtree(image.parent)
    assert len(images) > 4
    report(f"{MESSAGES} messages deleted, interrupted at each of {len(images)} points")


def test_a_batch_progresses_on_the_slowest_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By this clock, one statement takes longer than a whole batch may.
    with opened(tmp_path / "userkeep.db") as instance:
        populate(instance)
        monkeypatch.setattr(transaction, "perf_counter", itertools.count(0, 0.025).__next__)
        write, scope = instance.engine.write, instance.scope
        erasure = write(scoped(scope, erasures.begin_user, user_id="jane"))
        for _ in range(MESSAGES + 100):
            erasure = advanced(instance.engine, instance.scope, erasure)
        assert erasure.is_finished
        assert visible_data(instance) == []


class Observation(NamedTuple):
    """What a reader received, and when it sent the request."""

    sent_at: float
    kind: str
    seen: int | None  # of rows; None: not found


def watch(server: Server, length: int, stop: threading.Event) -> list[Observation]:
    """Read all data of a user repeatedly until the server disappears."""
    observations: list[Observation] = []

    def read(kind: str, route: str, counted: str, *ids: str) -> None:
        sent_at = time.monotonic()
        response = client.request("GET", route, *ids)
        if response.status in {404, 410}:
            observations.append(Observation(sent_at, kind, None))
            return
        assert response.status == 200, response
        observations.append(
            Observation(sent_at, kind, len(response.json[counted]) if counted else 1)
        )

    client = Client(server.port)
    try:
        while not stop.is_set():
            read("user", "/v1/users/{}", "", "jane")
            read("sessions", "/v1/sessions?user_id=jane&limit=1000", "items")
            for n in range(SESSIONS):
                read("messages", "/v1/sessions/{}/messages?limit=1000", "items", f"jane-{n}")
                read("memory", f"/v1/sessions/{{}}/memory?last={length}", "messages", f"jane-{n}")
                read("session", "/v1/sessions/{}", "", f"jane-{n}")
    except CONNECTION_LOST:
        return observations
    finally:
        client.close()
    return observations


def check_observations(observations: list[Observation], length: int, confirmed_at: float) -> None:
    """Check that sessions are visible completely or not at all, and nothing after the DELETE."""
    for sent_at, kind, seen in observations:
        if kind in {"messages", "memory"}:
            assert seen in {None, length}
        if sent_at > confirmed_at:
            assert seen is None or (kind, seen) == ("sessions", 0)


def add_jane(server: Server, length: int) -> None:
    """Create jane with sessions of many messages each."""
    with closing(Client(server.port)) as client:
        assert client.request("POST", "/v1/users", json_={"user_id": "jane"}).status == 201
        for n in range(SESSIONS):
            new = {"session_id": f"jane-{n}", "user_id": "jane"}
            assert client.request("POST", "/v1/sessions", json_=new).status == 201
            body = {
                "messages": [
                    {"role": "user", "content": f"I live in Oslo {number}"}
                    for number in range(length)
                ]
            }
            route = "/v1/sessions/{}/messages"
            assert client.request("POST", route, f"jane-{n}", json_=body).status == 201


def delete_jane(server: Server) -> float | None:
    """Return when DELETE was confirmed, or None if it was not."""
    client = Client(server.port)
    try:
        response = client.request("DELETE", "/v1/users/{}", "jane")
        assert response.status in {200, 202}, response
        return time.monotonic()
    except CONNECTION_LOST:
        return None
    finally:
        client.close()


def test_the_deletion_of_a_killed_server_resumes_and_is_never_partly_visible(
    tmp_path: Path, start: Start, report: Callable[[str], None]
) -> None:
    random = seeded_random("kills during deletions")
    path = tmp_path / "userkeep.db"
    confirmed = interrupted = reads = 0
    usual_s = 0.3  # the duration of a deletion; updated, so that kills hit the middle of one
    for _ in range(KILLS):
        server = start().wait_until_ready()
        add_jane(server, LENGTH)
        stop = threading.Event()
        with ThreadPoolExecutor(4) as pool:
            watching = [pool.submit(watch, server, LENGTH, stop) for _ in range(2)]
            time.sleep(0.05)
            sent_at = time.monotonic()
            deleting: Future[float | None] = pool.submit(delete_jane, server)
            time.sleep(random.uniform(0, 1.2) * usual_s)
            server.kill()
            stop.set()
            confirmed_at = deleting.result(30)
            observations = [observation for each in watching for observation in each.result(30)]
        check_observations(observations, LENGTH, confirmed_at or time.monotonic())
        if confirmed_at is not None:
            confirmed += 1
            usual_s = confirmed_at - sent_at
        interrupted += running_erasures(path) > 0
        reads += len(observations)
        check_resumption(start(), path, is_confirmed=confirmed_at is not None)
        assert rows(path, EVERYTHING) == []
        assert orphans(path) == {}
        assert damage(path) == []
    report(
        f"{KILLS} kills during a deletion of {SESSIONS * LENGTH} messages: {confirmed} confirmed, "
        f"{interrupted} interrupted, {reads} reads"
    )


def check_resumption(server: Server, path: Path, *, is_confirmed: bool) -> None:
    """After a kill: a started deletion resumes automatically; another one can be started."""
    server.wait_until_ready()
    with closing(Client(server.port)) as client:
        if is_confirmed:
            assert client.request("GET", "/v1/users/{}", "jane").status in {404, 410}
            assert client.request("GET", "/v1/sessions?user_id=jane").json["items"] == []
        ends = time.monotonic() + 60
        while running_erasures(path):
            assert time.monotonic() < ends, "the deletion did not resume after the restart"
            time.sleep(0.02)
        if client.request("GET", "/v1/users/{}", "jane").status == 200:
            assert not is_confirmed
            assert rows(path, "SELECT count(*) FROM messages") == [(SESSIONS * LENGTH,)]
            assert client.request("DELETE", "/v1/users/{}", "jane").status == 200
    assert server.stop() == 0


def test_a_deletion_is_atomic_for_readers(
    tmp_path: Path, start: Start, report: Callable[[str], None]
) -> None:
    reads = 0
    server = start().wait_until_ready()
    for _ in range(WATCHED):
        add_jane(server, LENGTH)
        stop = threading.Event()
        with ThreadPoolExecutor(4) as pool:
            watching = [pool.submit(watch, server, LENGTH, stop) for _ in range(3)]
            time.sleep(0.05)
            confirmed_at = delete_jane(server)
            time.sleep(0.05)
            stop.set()
            observations = [observation for each in watching for observation in each.result(30)]
        assert confirmed_at
        check_observations(observations, LENGTH, confirmed_at)
        reads += len(observations)
    assert server.stop() == 0
    assert rows(tmp_path / "userkeep.db", EVERYTHING) == []
    report(f"{WATCHED} deletions of {SESSIONS * LENGTH} messages, {reads} reads")
