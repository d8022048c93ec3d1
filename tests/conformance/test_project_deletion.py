"""Deletion of a project: all that it has, nothing else, and no write comes too late."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest

from tests.conformance.steps import (
    ERASURES,
    GONE,
    MEMORY,
    MESSAGE,
    MESSAGES,
    NOT_FOUND,
    PROJECT,
    PROJECTS,
    SEARCH,
    SESSION,
    SESSIONS,
    USER,
    USERS,
    add_project,
    add_user,
    append_text,
    delete,
    delete_project,
    error_of,
    get_user,
    open_session,
    search,
)
from tests.conftest import ROW_SECURED, fresh_settings
from tests.documents import populate_collections
from tests.embedders import embed_all
from tests.long.inspection import damage, orphans, rows
from tests.postgres import superuser_url
from tests.typed_ways import over_instance
from tests.ways import Reply, Way, in_process
from userkeep import Userkeep
from userkeep.config import Settings, is_postgres, sqlite_path
from userkeep.domain.project import MAX_PROJECT_ID, Project
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Transaction, scoped
from userkeep.domain.user import NewUser
from userkeep.embedded import EmbeddedTransport
from userkeep.instance import Instance, in_project, open_instance
from userkeep.sdk._sync.client import Client
from userkeep.services import project_deletions, users
from userkeep.services.project_deletions import Progress
from userkeep.services.projects import write_in
from userkeep.storage import transaction
from userkeep.storage.schema import tables_of
from userkeep.worker.timers import Timers

SHOP = 2
KEPT = {"erasures", "deleted_sessions", "verifications", "pending_purges", "projects"}
KEPT |= {"document_deletions"}
"""Tables that keep rows of a deleted project: records of deletions, and what a purge needs."""


@pytest.fixture(params=["sqlite file", "postgres", ROW_SECURED])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """The settings of an instance on a fresh database."""
    return fresh_settings(request.param, tmp_path)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a batch end after a few steps, as it does on a slow machine."""
    ticks = count()
    monkeypatch.setattr(transaction, "perf_counter", lambda: next(ticks) * 0.009)


@contextmanager
def opened(settings: Settings) -> Iterator[Instance]:
    """Open the instance; nothing that was interrupted is resumed."""
    with closing(open_instance(settings)) as instance:
        yield instance


@contextmanager
def shop_opened(settings: Settings) -> Iterator[tuple[Way, Way, Instance]]:
    """Open the instance with the projects `shop` and `other`, which have the same ids."""
    with opened(settings) as instance:
        one = over_instance(instance)
        for name in ("shop", "other"):
            add_project(one, name, max_bytes_per_user=1_000_000)
            project = in_project(instance, name)
            populate(over_instance(project))
            populate_collections(project)
        populate(one)
        populate_collections(instance)
        yield one, over_instance(in_project(instance, "shop")), instance


def populate(way: Way) -> None:
    """Add users with sessions, sessions without a user, records of keys, edits and erasures."""
    for user_id in ("jane", "john", "joan"):
        add_user(way, user_id, email=f"{user_id}@example.com")
        for number in range(3):
            append_text(way, f"{user_id}-{number}", "red shoes", "a hat", user_id=user_id)
    add_user(way, "alone")
    headers = {"Idempotency-Key": "key of jim"}
    way.request("POST", USERS, json={"user_id": "jim"}, headers=headers)
    for number in range(3):
        open_session(way, f"unowned-{number}")
        append_text(way, f"unowned-{number}", "green shoes")
    edited = way.request("GET", MESSAGES, "jane-0").json["items"][0]["id"]
    change = way.request("PATCH", MESSAGE, "jane-0", edited, json={"content": "blue shoes"})
    assert change.status == 200, change
    open_session(way, "assigned")
    assert way.request("PATCH", SESSION, "assigned", json={"user_id": "joan"}).status == 200
    delete(way, USER, "joan")
    delete(way, SESSION, "unowned-2")


def database_of(settings: Settings) -> Path | str:
    """Return where a test looks at the rows; a file must be closed."""
    url = settings.database_url
    return superuser_url(url) if is_postgres(url) else Path(sqlite_path(url))


def rows_of_project(settings: Settings, project_id: int) -> dict[str, list[Any]]:
    """Return all rows of a project, by table."""
    dialect = "postgres" if is_postgres(settings.database_url) else "sqlite"
    return {
        table.name: sorted(
            rows(
                database_of(settings),
                f"SELECT * FROM {table.name} WHERE project_id = {project_id}",
            ),
            key=repr,
        )
        for table in tables_of(dialect)
        if "project_id" in table.column_names(dialect)
    }


def begun(instance: Instance, name: str = "shop") -> Project:
    """Leave a deletion that no process works on, as a server that was killed does."""
    return instance.engine.write(lambda tx: project_deletions.begin(tx, name))


def advanced(instance: Instance, progress: Progress) -> Progress:
    """Delete one more batch."""
    scope = Scope(progress.project.number, instance.scope.rules)
    return instance.engine.write(scoped(scope, project_deletions.advance, progress))


def of_deletion(project: Any) -> Any:
    """Return what a deleted project had."""
    return project["deletion"]["counts"]


COUNTS = {"users": 4, "sessions": 8, "messages": 14, "documents": 3}
"""What a populated project has."""


def add_keys(instance: Instance) -> None:
    """Add keys to each project, one of them bound to a user."""
    client = Client(EmbeddedTransport(instance))
    client.key.add(scope="admin")
    for project in ("default", "shop", "other"):
        client.key.add(project=project, name="app")
        client.key.add(project=project, user_id="jane")


def test_all_of_the_project_is_deleted_and_nothing_of_another(settings: Settings) -> None:
    with shop_opened(settings) as (_, way, instance):
        add_keys(instance)
        embed_all(instance)
        # The words of users are stored from the first search on.
        assert way.request("GET", USERS, params={"q": "jan"}).status == 200
    others = {number: rows_of_project(settings, number) for number in (1, 3)}
    # All kinds of rows are there, except what one verification would leave.
    shop = rows_of_project(settings, SHOP)
    assert {name for name, found in shop.items() if not found} == {"verifications"}
    with opened(settings) as instance:
        deleted = delete_project(over_instance(instance), "shop")
    assert of_deletion(deleted) == COUNTS
    left = rows_of_project(settings, SHOP)
    assert {name for name, found in left.items() if found} == KEPT - {"verifications"}
    # That of the edited message, and those of the documents without a user.
    assert set(left["pending_purges"]) > set(shop["pending_purges"])
    assert {number: rows_of_project(settings, number) for number in (1, 3)} == others
    assert orphans(database_of(settings)) == {}
    if isinstance(file := database_of(settings), Path):
        assert damage(file) == []


def test_each_user_and_each_session_without_one_has_an_erasure(settings: Settings) -> None:
    with shop_opened(settings) as (one, _, _instance):
        delete_project(one, "shop")
    subjects = f"SELECT subject, state FROM erasures WHERE project_id = {SHOP}"
    assert sorted(rows(database_of(settings), subjects)) == [
        *[("session", "deleted")] * 3,
        *[("user", "deleted")] * 5,
    ]


def test_searches_in_other_projects_stay_the_same(settings: Settings) -> None:
    with shop_opened(settings) as (one, _, instance):
        other = over_instance(in_project(instance, "other"))
        queries = ("red shoes", "hat", "green", None)
        before = [search(way, query, limit=100) for way in (one, other) for query in queries]
        delete_project(one, "shop")
        after = [search(way, query, limit=100) for way in (one, other) for query in queries]
        assert after == before


def send_all(way: Way) -> Iterator[Reply]:
    """Send a request of each kind and yield the responses."""
    message = {"messages": [{"role": "user", "content": "late"}]}
    for method, path, ids, body in (
        ("GET", USERS, (), None),
        ("GET", USER, ("jane",), None),
        ("GET", SESSIONS, (), None),
        ("GET", SESSION, ("unowned-0",), None),
        ("GET", MESSAGES, ("unowned-0",), None),
        ("GET", MEMORY, ("unowned-0",), None),
        ("GET", ERASURES, (), None),
        ("POST", SEARCH, (), {"query": "shoes"}),
        ("POST", USERS, (), {"user_id": "late"}),
        ("PUT", USER, ("late",), {}),
        ("PATCH", USER, ("jane",), {"email": "late@example.com"}),
        ("POST", SESSIONS, (), {"session_id": "late"}),
        ("POST", MESSAGES, ("unowned-0",), message),
        ("POST", MESSAGES, ("late",), {**message, "user_id": "late"}),
        ("DELETE", USER, ("jane",), None),
    ):
        yield way.request(method, path, *ids, json=body)


def test_nothing_can_be_read_or_written_once_the_deletion_has_begun(settings: Settings) -> None:
    with shop_opened(settings) as (one, shop, instance):
        project = begun(instance)
        assert [error_of(reply) for reply in send_all(shop)] == [GONE] * 15
        # Its name cannot be used yet, and its progress can be read.
        used = one.request("POST", PROJECTS, json={"name": "shop"})
        assert error_of(used) == (410, "gone", ["name"])
        assert error_of(one.request("PATCH", PROJECT, "shop", json={"name": "new"})) == GONE
        found = one.request("GET", PROJECT, "shop").json
        assert (found["state"], found["name"]) == ("deleting", "shop")
        assert of_deletion(found) == {"users": 0, "sessions": 0, "messages": 0, "documents": 0}
        assert delete_project(one, project.uuid)["state"] == "deleted"
        assert [error_of(reply) for reply in send_all(shop)] == [NOT_FOUND] * 15
        assert get_user(one, "jane")["user_id"] == "jane"


@pytest.mark.usefixtures("small_batches")
def test_a_deletion_continues_after_each_batch_in_another_process(settings: Settings) -> None:
    with shop_opened(settings) as (_, _, instance):
        progress = Progress(begun(instance))
    counted, batches = [0], count(1)
    while not progress.project.is_finished:
        with opened(settings) as instance:
            instance.engine.write(project_deletions.release_leases)
            [found] = instance.engine.read(project_deletions.interrupted)
            for _ in range(next(batches) % 2 + 1):
                progress = advanced(instance, Progress(found))
                found = progress.project
            if not found.is_finished:
                release_erasures(instance)
        counted.append(progress.project.message_count)
    assert counted == sorted(counted)
    project = progress.project
    assert (project.user_count, project.session_count, project.message_count) == (4, 8, 14)
    assert rows_of_project(settings, SHOP)["sessions"] == []


def release_erasures(instance: Instance) -> None:
    """Release the leases of erasures, as a server does for a process that has ended."""
    scope = Scope(SHOP, instance.scope.rules)
    instance.engine.write(scoped(scope, lambda tx: tx.execute("release_leases")))


@pytest.mark.usefixtures("small_batches")
def test_another_process_waits_for_the_lease_of_the_first(settings: Settings) -> None:
    with shop_opened(settings) as (_, _, instance):
        first = advanced(instance, Progress(begun(instance)))
        assert first.project.state == "deleting"
        second = advanced(instance, Progress(begun(instance)))
        assert (second.is_waiting, second.project.lease_expires_at) == (True, None)
        assert second.project.message_count == first.project.message_count
        assert instance.engine.read(project_deletions.interrupted) == []
        while not first.project.is_finished:
            first = advanced(instance, first)
        assert first.project.message_count == 14


def add_many_messages(way: Way, session_id: str) -> None:
    """Add a session without a user that takes many batches to delete."""
    open_session(way, session_id)
    for _ in range(4):
        append_text(way, session_id, *["a message"] * 500)


def test_an_interrupted_deletion_is_completed_when_the_database_is_opened(
    settings: Settings,
) -> None:
    with shop_opened(settings) as (_, _, instance):
        uuid = begun(instance).uuid
    with Userkeep.open(settings.database_url, secret_file=settings.secret_file) as client:
        assert client.project.get(uuid).state == "deleted"


def test_a_server_resumes_a_deletion_at_its_start_and_shows_its_progress(
    settings: Settings,
) -> None:
    with shop_opened(settings) as (_, _, instance):
        uuid = begun(instance).uuid
        add_many_messages(over_instance(in_project(instance, "other")), "long")
    # The second one is deleted by a request that does not wait for the end.
    with in_process(settings, Timers(respond_after_s=0.0, find_abandoned_s=0.05)) as way:
        reply = way.request("DELETE", PROJECT, "other")
        assert (reply.status, reply.json["state"]) == (202, "deleting")
        assert reply.headers["location"] == f"/v1/projects/{reply.json['uuid']}"
        for each in (uuid, reply.json["uuid"]):
            wait_until(way, each, "deleted")
        found = way.request("GET", PROJECT, reply.json["uuid"]).json
        counts = of_deletion(found)
        # Without that of the collection whose deletion the server may have completed before.
        assert counts.pop("documents") in {2, 3}
        assert counts == {"users": 4, "sessions": 9, "messages": 2_014}


def wait_until(way: Way, project: str, state: str) -> None:
    """Wait until a project has a state."""
    ends = monotonic() + 60
    while way.request("GET", PROJECT, project).json["state"] != state:
        assert monotonic() < ends, f"it never is {state}"
        sleep(0.02)


def test_no_write_comes_too_late(settings: Settings) -> None:
    with shop_opened(settings) as (one, shop, _):
        numbers = count()
        stopped_by: list[Reply] = []

        def write_one(number: int) -> list[Reply]:
            late = {"messages": [{"role": "user", "content": "late"}], "user_id": f"u{number}"}
            user, session = {"user_id": f"user {number}"}, {"session_id": f"session {number}"}
            return [
                shop.request("POST", USERS, json=user),
                shop.request("POST", SESSIONS, json=session),
                shop.request("POST", MESSAGES, f"s{number}", json=late),
            ]

        def write() -> None:
            rejected: list[Reply] = []
            while not rejected:
                rejected = [each for each in write_one(next(numbers)) if each.status != 201]
            stopped_by.extend(rejected)

        writers = [threading.Thread(target=write) for _ in range(4)]
        for writer in writers:
            writer.start()
        while next(numbers) < 20:
            sleep(0.005)
        deleted = delete_project(one, "shop")
        for writer in writers:
            writer.join()
        assert len(stopped_by) >= 4
        assert all(error_of(reply) in (GONE, NOT_FOUND) for reply in stopped_by)
    counts = of_deletion(deleted)
    assert counts["users"] > COUNTS["users"]
    left = rows_of_project(settings, SHOP)
    assert {name for name, found in left.items() if found} == KEPT - {"verifications"}


@pytest.mark.parametrize("settings", ["postgres"], indirect=True)
def test_a_deletion_waits_for_a_write_in_flight_on_postgres(settings: Settings) -> None:
    has_written, can_commit = threading.Event(), threading.Event()

    def add_slowly(tx: Transaction) -> None:
        users.add(tx, NewUser(user_id="in flight"))
        has_written.set()
        assert can_commit.wait(30)

    with (
        shop_opened(settings) as (one, shop, instance),
        ThreadPoolExecutor(max_workers=2) as threads,
    ):
        scope = Scope(SHOP, instance.scope.rules)
        written = threads.submit(instance.engine.write, write_in(scope, add_slowly))
        assert has_written.wait(30)
        deleted = threads.submit(delete_project, one, "shop")
        wait_until(one, "shop", "deleting")
        assert error_of(shop.request("GET", USER, "jane")) == GONE
        add_user(one, "in another project")
        sleep(0.2)
        assert of_deletion(one.request("GET", PROJECT, "shop").json)["users"] == 0
        can_commit.set()
        written.result()
        assert of_deletion(deleted.result()) == {**COUNTS, "users": 5}
    assert rows_of_project(settings, SHOP)["users"] == []


def test_a_purge_can_be_requested_with_the_deletion(settings: Settings) -> None:
    with shop_opened(settings) as (one, _, _instance):
        deleted = one.request("DELETE", PROJECT, "shop", params={"purge": "now"}).json
        receipt = deleted["deletion"]
        assert receipt["purged_at"] > receipt["deleted_at"]
        assert receipt["purge"]["skipped_steps"] == []
        assert receipt["purge"]["requested_at"] is None
        assert one.request("GET", PROJECT, deleted["uuid"]).json == deleted
    left = rows_of_project(settings, SHOP)
    purged = KEPT - {"verifications", "pending_purges"}
    assert {name for name, found in left.items() if found} == purged
    states = f"SELECT count(*) FROM erasures WHERE project_id = {SHOP} AND purged_at IS NULL"
    assert rows(database_of(settings), states) == [(0,)]


def test_a_purge_can_be_requested_later(settings: Settings) -> None:
    with shop_opened(settings) as (one, _, _instance):
        uuid = delete_project(one, "shop")["uuid"]
        assert one.request("GET", PROJECT, uuid).json["deletion"]["purged_at"] is None
        purged = one.request("DELETE", PROJECT, uuid, params={"purge": "now"}).json
        assert purged["deletion"]["purged_at"] is not None


def test_a_purge_for_another_project_covers_a_deleted_one(settings: Settings) -> None:
    with shop_opened(settings) as (one, _, _instance):
        uuid = delete_project(one, "shop")["uuid"]
        one.request("DELETE", USER, "jane", params={"purge": "now"})
        assert one.request("GET", PROJECT, uuid).json["deletion"]["purged_at"] is not None


def test_numbers_of_projects_are_used_once(settings: Settings) -> None:
    with opened(settings) as instance:
        one = over_instance(instance)
        add_project(one, "shop")
        delete_project(one, "shop")
        add_project(one, "shop")
    numbers = "SELECT project_id FROM projects ORDER BY project_id"
    assert rows(database_of(settings), numbers) == [(1,), (2,), (3,)]
    change_number(settings, 3, MAX_PROJECT_ID)
    with opened(settings) as instance:
        rejected = over_instance(instance).request("POST", PROJECTS, json={"name": "one-more"})
    assert error_of(rejected) == (409, "conflict", [])
    assert "32,767" in rejected.json["detail"]


def change_number(settings: Settings, old: int, new: int) -> None:
    """Change the number of an empty project, past the program."""
    sql = f"UPDATE projects SET project_id = {new} WHERE project_id = {old}"
    if is_postgres(settings.database_url):
        with psycopg.connect(settings.database_url) as connection:
            connection.execute(sql.encode())
    else:
        rows(database_of(settings), sql)
