"""`userkeep copy`: everything is copied and compared, and an incomplete copy is never served."""

import functools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.cli.running import environment_of, files_in, is_sentence, userkeep
from tests.documents import populate_collections
from tests.embedders import embed_all
from tests.postgres import migrated_database, postgres_server
from tests.serving import USERKEEP, serving
from tests.typed_ways import over_instance
from tests.ways import Way
from userkeep.config import Settings
from userkeep.domain.erasure import Erasure
from userkeep.domain.session import Session
from userkeep.domain.transaction import scoped
from userkeep.domain.user import User
from userkeep.domain.values.paging import PageRequest
from userkeep.embedded import EmbeddedTransport
from userkeep.instance import Instance, in_project, open_instance
from userkeep.jobs.copy.checksums import canonical_json
from userkeep.jobs.copy.tables import TABLES
from userkeep.sdk._sync.client import Client
from userkeep.services import erasures, project_deletions, user_words, users
from userkeep.storage import migrations
from userkeep.storage.migrations import Migration, load_migrations

ENGINES = ("sqlite", "postgres")
WAYS = [(source, target) for source in ENGINES for target in ENGINES]
LONG_ID = "😀" * 512
MIB = 1024 * 1024
ALL = 1_000
MESSAGES_OF_MANY = 40_000

LargeSource = Callable[[str], str]


def database(engine: str, folder: Path, name: str) -> str:
    """Return the URL of a database that does not exist yet, or is empty."""
    if engine == "postgres":
        return postgres_server().new_database()
    return f"sqlite:///{folder}/{name}.db"


def source_database(engine: str, folder: Path) -> str:
    """Return the URL of a database without data; on PostgreSQL it has the schema, to save time."""
    return migrated_database() if engine == "postgres" else database(engine, folder, "source")


@contextmanager
def opened(url: str, folder: Path) -> Iterator[tuple[Instance, Way]]:
    """Open an instance with the secret that all databases of a test share."""
    instance = open_instance(Settings(database_url=url, secret_file=str(folder / "secret")))
    try:
        yield instance, over_instance(instance)
    finally:
        instance.close()


def copy(source: str, target: str, *flags: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return userkeep("copy", source, target, *flags, folder=folder)


def check_cannot_be_served(url: str, folder: Path) -> str:
    """Check that serve and migrate reject an incomplete copy; return the error message."""
    secret = ("--secret-file", folder / "secret-of-nobody")
    for command in ("serve", "migrate"):
        result = userkeep(command, "--database", url, *secret, folder=folder)
        assert result.returncode == 1
        assert is_sentence(result.stderr)
    assert not (folder / "secret-of-nobody").exists()
    return result.stderr


# The source.


def fill_awkwardly(instance: Instance, way: Way) -> None:
    """Add one of everything that a copy could lose."""
    instance.engine.write(user_words.begin)
    for number in range(30):
        way.request("POST", "/v1/users", json={"user_id": f"user {number}", "email": "Ä@é.org"})
    numbers = {"a": 1e300, "b": 5e-324, "c": 2**63 - 1, "d": -(2**63), "e": 1e2, "f": 1e16}
    numbers |= {"h": -0.0, "i": 0.1, "j": 2**53 + 1, "k": 2.0**63}
    metadata = {"z": 1, "a": {"y": [1, "1.0", None, True, {}], "ß": "1e5"}, "numbers": numbers}
    way.request("POST", "/v1/users", json={"user_id": LONG_ID, "metadata": metadata})
    way.request("POST", "/v1/users", json={"user_id": "a/b%20 ?#", "metadata": {}})
    way.request("POST", "/v1/sessions", json={"session_id": LONG_ID, "user_id": LONG_ID})
    way.request("POST", "/v1/sessions", json={"session_id": "Z", "metadata": None})
    way.request("POST", "/v1/sessions", json={"session_id": "a", "metadata": {}})
    way.request("POST", "/v1/sessions/{}/end", "a")
    append(
        way,
        LONG_ID,
        {"role": "user", "content": "é" * (MIB // 2), "data": '{ "b":1e2, "a" : "\\u00e9" }'},
    )
    append(
        way,
        LONG_ID,
        {"content": "\t\\N\n\r\\.\x01 😀", "role": "ai", "name": "Ada", "metadata": metadata},
    )
    append(way, "Z", {"content": "", "data": [], "created_at": "0001-01-01T00:00:00.000001Z"})
    append(way, "Z", {"role": "user", "content": "b", "created_at": "9999-12-31T23:59:59.999999Z"})
    once = {"Idempotency-Key": "once"}
    user = {"user_id": "made once", "metadata": {"n": 1.50}}
    assert way.request("POST", "/v1/users", json=user, headers=once).status == 201
    way.request("POST", "/v1/users", json={"user_id": "jane"})
    populate_collections(instance)
    delete_some(instance, way)


def append(way: Way, session_id: str, message: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", **message}]}
    reply = way.request("POST", "/v1/sessions/{}/messages", session_id, json=body)
    assert reply.status == 201, reply.json


def delete_some(instance: Instance, way: Way) -> None:
    """Add a finished erasure, verified, a running one, and one of a message; delete the newest."""
    for name in ("deleted", "half-way"):
        way.request("POST", "/v1/users", json={"user_id": name})
        way.request("POST", "/v1/sessions", json={"session_id": f"of {name}", "user_id": name})
    way.request("POST", "/v1/sessions", json={"session_id": "assigned"})
    way.request("PATCH", "/v1/sessions/{}", "assigned", json={"user_id": "deleted"})
    [_, message] = way.request("GET", "/v1/sessions/{}/messages", "Z").json["items"]
    way.request("DELETE", "/v1/sessions/{}/messages/{}", "Z", message["id"])
    deleted = way.request("DELETE", "/v1/users/{}", "deleted").json
    assert way.request("POST", "/v1/erasures/{}/verify", deleted["id"], json={}).status == 200
    way.request("POST", "/v1/users", json={"user_id": "newest"})
    way.request("POST", "/v1/sessions", json={"session_id": "newest"})
    begun = instance.engine.write(scoped(instance.scope, erasures.begin_user, "half-way"))
    assert not begun.is_finished
    way.request("DELETE", "/v1/users/{}", "newest")
    way.request("DELETE", "/v1/sessions/{}", "newest")


def fill_much(way: Way) -> None:
    """Add so much that a copy can be interrupted."""
    for number in range(MESSAGES_OF_MANY // 1_000):
        body = {
            "user_id": f"user {number}",
            "messages": [
                {"role": "user", "content": f"{number} {index} " + "x" * 500}
                for index in range(1_000)
            ],
        }
        session_id = f"session {number:03d}"
        assert way.request("POST", "/v1/sessions/{}/messages", session_id, json=body).status == 201


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, Path]]:
    """Fill an instance with much on first use of its engine; return its URL and folder."""

    @functools.cache
    def fill(engine: str) -> tuple[str, Path]:
        folder = tmp_path_factory.mktemp("filled")
        url = source_database(engine, folder)
        with opened(url, folder) as (_, way):
            fill_much(way)
        return url, folder

    return fill


@pytest.fixture
def large_source(tmp_path: Path, filled: Callable[[str], tuple[str, Path]]) -> LargeSource:
    """Return the URL of an instance so large that a copy of it can be interrupted."""

    def duplicate(engine: str) -> str:
        url, folder = filled(engine)
        shutil.copy(folder / "secret", tmp_path)
        if engine == "postgres":
            return postgres_server().new_database(copied_from=url)
        shutil.copy(folder / "source.db", tmp_path / "large.db")
        return database("sqlite", tmp_path, "large")

    return duplicate


def contents(instance: Instance, way: Way) -> dict[str, Any]:
    """Return all that the lists return, in small pages, with the row numbers of the database."""
    engine, scope = instance.engine, instance.scope
    everything = PageRequest(limit=ALL).values | {"project_id": scope.project_id}
    sessions = paged(way, "/v1/sessions")
    return {
        "users": paged(way, "/v1/users"),
        "sessions": sessions,
        "messages": [
            paged(way, "/v1/sessions/{}/messages", session["session_id"]) for session in sessions
        ],
        "erasures": paged(way, "/v1/erasures"),
        "numbers": engine.read(
            lambda tx: [
                [row.number for row in tx.fetch_all("list_users", User, **everything)],
                [row.number for row in tx.fetch_all("list_sessions", Session, **everything)],
                [row.number for row in tx.fetch_all("list_erasures", Erasure, **everything)],
            ]
        ),
    }


def paged(way: Way, path: str, *ids: str) -> list[Any]:
    items: list[Any] = []
    cursor: dict[str, Any] = {}
    while True:
        page = way.request("GET", path, *ids, params={"limit": 7, **cursor}).json
        items += page["items"]
        if page["next"] is None:
            return items
        cursor = {"cursor": page["next"]}


def number_of_next(instance: Instance, way: Way) -> list[int]:
    """Return the row numbers that a new user and a new session get."""
    way.request("POST", "/v1/users", json={"user_id": "next"})
    way.request("POST", "/v1/sessions", json={"session_id": "next"})
    of_project = {"project_id": instance.scope.project_id}

    def numbers(tx: Any) -> list[int]:
        user = tx.fetch_one("get_user", User, user_id="next", **of_project)
        session = tx.fetch_one("get_session", Session, session_id="next", **of_project)
        return [user.number, session.number]

    return instance.engine.read(numbers)


# Complete copies.


@pytest.mark.parametrize(("from_engine", "to_engine"), WAYS)
def test_everything_is_copied_in_the_same_order_and_numbers_continue(
    tmp_path: Path, from_engine: str, to_engine: str
) -> None:
    source = source_database(from_engine, tmp_path)
    target = database(to_engine, tmp_path, "target")
    with opened(source, tmp_path) as (instance, way):
        fill_awkwardly(instance, way)
        before = contents(instance, way)
    result = copy(source, target, folder=tmp_path)
    assert (result.returncode, "verified it" in result.stdout) == (0, True), result.stderr
    with opened(target, tmp_path) as (instance, way):
        assert contents(instance, way) == before
        next_in_target = number_of_next(instance, way)
    with opened(source, tmp_path) as (instance, way):
        assert contents(instance, way) == before
        assert number_of_next(instance, way) == next_in_target


@pytest.mark.parametrize(("from_engine", "to_engine"), WAYS)
def test_cursors_idempotency_keys_and_deletions_stay_valid(
    tmp_path: Path, from_engine: str, to_engine: str
) -> None:
    source = source_database(from_engine, tmp_path)
    target = database(to_engine, tmp_path, "target")
    with opened(source, tmp_path) as (instance, way):
        fill_awkwardly(instance, way)
        cursor = way.request("GET", "/v1/users", params={"limit": 3}).json["next"]
        next_page = way.request("GET", "/v1/users", params={"cursor": cursor}).json
    assert copy(source, target, folder=tmp_path).returncode == 0
    with opened(target, tmp_path) as (instance, way):
        assert way.request("GET", "/v1/users", params={"cursor": cursor}).json == next_page
        # A repeated request is recognised, a late append does not recreate deleted users, and an
        # erasure that was half-way is finished.
        user = {"user_id": "made once", "metadata": {"n": 1.50}}
        once = {"Idempotency-Key": "once"}
        again = way.request("POST", "/v1/users", json=user, headers=once)
        assert again.status == 201, "not 409: the result of the first request is returned"
        late = {"user_id": "deleted", "messages": [{"role": "user", "content": "late"}]}
        assert way.request("POST", "/v1/sessions/{}/messages", "new", json=late).status == 410
        assert way.request("GET", "/v1/users/{}", "half-way").status == 410
        assert way.request("DELETE", "/v1/users/{}", "half-way").json["state"] == "deleted"
        missing = instance.engine.read(scoped(instance.scope, users.page, PageRequest(limit=ALL)))
        assert "half-way" not in {user.user_id for user in missing.items}


def test_a_copy_to_postgres_and_back_has_the_same_checksums(tmp_path: Path) -> None:
    source = database("sqlite", tmp_path, "source")
    between = database("postgres", tmp_path, "")
    with opened(source, tmp_path) as (instance, way):
        fill_awkwardly(instance, way)
        client = Client(EmbeddedTransport(instance))
        client.key.add(scope="admin")
        client.project.update(project="default", max_bytes_per_user=2**40)
        message = {"role": "user", "content": "counted"}
        client.message.add("counted", message, user_id="counted")
        embed_all(instance)
    reports = [
        json.loads(copy(a, b, "--json", folder=tmp_path).stdout)
        for a, b in [(source, between), (between, database("sqlite", tmp_path, "target"))]
    ]
    there, back = (
        [(table["table"], table["source"], table["target"]) for table in report["tables"]]
        for report in reports
    )
    assert there == back
    assert [name for name, *_ in there] == [table.name for table in TABLES]
    assert not [name for name, rows, _ in there if rows["rows"] == 0]


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_all_projects_are_copied_with_the_receipts_of_deleted_ones(
    tmp_path: Path, source: str, target: str
) -> None:
    urls = source_database(source, tmp_path), database(target, tmp_path, "target")
    with opened(urls[0], tmp_path) as (instance, way):
        for name in ("shop", "gone", "interrupted"):
            project = {"name": name, "max_messages_per_user": 10, "max_bytes_per_user": 2**62}
            assert way.request("POST", "/v1/projects", json=project).status == 201
            way_in = over_instance(in_project(instance, name))
            assert way_in.request("POST", "/v1/users", json={"user_id": "jane"}).status == 201
        gone = way.request("DELETE", "/v1/projects/{}", "gone").json
        instance.engine.write(lambda tx: project_deletions.begin(tx, "interrupted"))
        before = way.request("GET", "/v1/projects").json
    assert gone["deletion"]["counts"]["users"] == 1
    assert copy(*urls, folder=tmp_path).returncode == 0
    with opened(urls[1], tmp_path) as (instance, way):
        assert way.request("GET", "/v1/projects").json == before
        assert way.request("GET", "/v1/projects/{}", gone["uuid"]).json == gone
        way_in = over_instance(in_project(instance, "shop"))
        assert way_in.request("GET", "/v1/users/{}", "jane").status == 200
        ended = way.request("DELETE", "/v1/projects/{}", "interrupted").json
        assert (ended["state"], ended["deletion"]["counts"]["users"]) == ("deleted", 1)


def test_the_report_names_the_secret_file_and_not_the_secret(
    tmp_path: Path,
) -> None:
    userkeep("migrate", "--database", "sqlite:///source.db", folder=tmp_path)
    target = database("postgres", tmp_path, "")
    result = copy("sqlite:///source.db", target, folder=tmp_path)
    assert result.returncode == 0
    assert "source.db.secret. Copy it to userkeep-data/userkeep.secret" in result.stdout
    secret = (tmp_path / "source.db.secret").read_text().strip()
    assert secret not in result.stdout + result.stderr
    other = userkeep("migrate", "--database", target, folder=tmp_path)
    assert "userkeep-data/userkeep.secret does not exist" in other.stderr
    assert not (tmp_path / "userkeep-data" / "userkeep.secret").exists()
    given = ("--secret-file", "source.db.secret")
    assert userkeep("migrate", "--database", target, *given, folder=tmp_path).returncode == 0


def test_the_report_does_not_name_a_wrong_secret(tmp_path: Path) -> None:
    userkeep("migrate", "--database", "sqlite:///source.db", folder=tmp_path)
    (tmp_path / "source.db.secret").write_text("the secret of another database\n")
    result = copy("sqlite:///source.db", "sqlite:///target.db", folder=tmp_path)
    assert result.returncode == 0
    assert "it was not found. The file source.db.secret" in result.stdout
    assert "userkeep secret rotate --lost" in result.stdout
    environment = {"USERKEEP_SECRET": "the secret of another database"}
    result = userkeep(
        "copy",
        "sqlite:///source.db",
        "sqlite:///second.db",
        folder=tmp_path,
        environment=environment,
    )
    assert "USERKEEP_SECRET is missing or has another one" in result.stdout


def test_the_report_names_the_variable_of_the_secret(tmp_path: Path) -> None:
    environment = {"USERKEEP_SECRET": "a secret that nobody may see"}
    urls = ("sqlite:///source.db", "sqlite:///target.db")
    userkeep("migrate", "--database", urls[0], folder=tmp_path, environment=environment)
    result = userkeep("copy", *urls, folder=tmp_path, environment=environment)
    assert "with the same USERKEEP_SECRET." in result.stdout
    assert "nobody may see" not in result.stdout + result.stderr


def test_without_a_terminal_each_table_has_a_line(tmp_path: Path) -> None:
    userkeep("migrate", "--database", "sqlite:///source.db", folder=tmp_path)
    result = copy("sqlite:///source.db", "sqlite:///target.db", folder=tmp_path)
    printed = [line.split()[:2] for line in result.stderr.splitlines()]
    names = [table.name for table in TABLES]
    assert printed == [[step, name] for step in ("copying", "verifying") for name in names]


def test_a_sqlite_source_is_unchanged(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    source = f"sqlite:///{folder}/source.db"
    userkeep("migrate", "--database", source, folder=tmp_path)
    before = files_in(folder)
    assert copy(source, "sqlite:///target.db", folder=tmp_path).returncode == 0
    assert files_in(folder) == before


def test_a_sqlite_source_whose_server_was_killed_is_copied_with_its_log(tmp_path: Path) -> None:
    secret = {"USERKEEP_SECRET_FILE": str(tmp_path / "secret")}
    with serving(tmp_path, settings=secret) as server:
        source = server.database_url
        body = {"messages": [{"role": "user", "content": "hello"}], "user_id": "jane"}
        run = f"""
import json, urllib.request
url = "{server.url}/v1/sessions/s/messages"
urllib.request.urlopen(urllib.request.Request(url, {json.dumps(body).encode()!r}, method="POST"))
"""
        subprocess.run([USERKEEP.with_name("python"), "-c", run], check=True)
        server.kill()
    target = database("postgres", tmp_path, "")
    assert copy(source, target, folder=tmp_path).returncode == 0
    with opened(target, tmp_path) as (_, way):
        assert way.request("GET", "/v1/users/{}", "jane").status == 200


def test_a_postgres_source_may_be_served_during_the_copy(tmp_path: Path) -> None:
    source = source_database("postgres", tmp_path)
    with serving(tmp_path, database_url=source):
        result = copy(source, "sqlite:///target.db", folder=tmp_path)
        assert result.returncode == 0


# Interrupted copies.


@contextmanager
def interrupted(source: str, target: str, folder: Path) -> Iterator[None]:
    """Kill a copy while it copies messages."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("USERKEEP_")}
    with subprocess.Popen(
        [str(USERKEEP), "copy", source, target],
        cwd=folder,
        env=inherited,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "sessions" in line:
                break
        time.sleep(0.1)
        process.kill()
        assert "messages" not in process.stderr.read(), "the copy was faster than this test"
    yield


def test_an_interrupted_copy_says_how_to_continue(
    tmp_path: Path, large_source: LargeSource
) -> None:
    source, target = large_source("sqlite"), f"sqlite:///{tmp_path}/target.db"
    with subprocess.Popen(
        [str(USERKEEP), "copy", source, target],
        cwd=tmp_path,
        env=environment_of(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        while "sessions" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    sentence = "userkeep: Interrupted. Run the same command again; it continues where it stopped."
    assert error.splitlines()[-1] == sentence
    assert copy(source, target, folder=tmp_path).returncode == 0


@pytest.mark.parametrize(("from_engine", "to_engine"), [WAYS[1], WAYS[2]])
def test_a_killed_copy_cannot_be_opened_and_the_same_command_completes_it(
    tmp_path: Path, large_source: LargeSource, from_engine: str, to_engine: str
) -> None:
    source = large_source(from_engine)
    target = database(to_engine, tmp_path, "target")
    with opened(source, tmp_path) as (_, way):
        before = paged(way, "/v1/users")
    with interrupted(source, target, tmp_path):
        assert "Run the same `userkeep copy` again" in check_cannot_be_served(target, tmp_path)
        result = userkeep("doctor", "--database", target, folder=tmp_path)
        assert "is an incomplete copy" in result.stdout
    result = copy(source, target, "--json", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["is_verified"]
    rows = {table["table"]: table["target"]["rows"] for table in report["tables"]}
    assert rows["messages"] == MESSAGES_OF_MANY
    with opened(target, tmp_path) as (_, way):
        assert paged(way, "/v1/users") == before


def change_a_user(way: Way) -> None:
    way.request("PATCH", "/v1/users/{}", "user 0", json={"first_name": "Changed"})


def reuse_the_id_of_a_user(way: Way) -> None:
    way.request("DELETE", "/v1/users/{}", "user 0")
    way.request("POST", "/v1/users", json={"user_id": "user 0"})


@pytest.mark.parametrize("to_engine", ENGINES)
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (change_a_user, "The target differs from the source: users"),
        (reuse_the_id_of_a_user, "Rows of users do not fit"),
    ],
)
def test_a_changed_source_is_reported_and_the_target_stays_unusable(
    tmp_path: Path,
    large_source: LargeSource,
    to_engine: str,
    change: Callable[[Way], None],
    sentence: str,
) -> None:
    source = large_source("sqlite")
    target = database(to_engine, tmp_path, "target")
    with interrupted(source, target, tmp_path), opened(source, tmp_path) as (_, way):
        change(way)
    result = copy(source, target, folder=tmp_path)
    assert result.returncode == 1
    printed = result.stderr.splitlines()[-1]
    assert printed.startswith("userkeep: ")
    assert sentence in printed
    assert "Empty the target" in printed
    assert "Run the same" in check_cannot_be_served(target, tmp_path)


# Rejected copies.


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Create an instance that can be copied."""
    userkeep("migrate", "--database", "sqlite:///source.db", folder=tmp_path)
    return "sqlite:///source.db"


def rejected(source: str, target: str, folder: Path, code: int = 1) -> str:
    result = copy(source, target, folder=folder)
    assert (result.returncode, result.stdout) == (code, "")
    assert is_sentence(result.stderr), result.stderr
    return result.stderr


@pytest.mark.parametrize("to_engine", ENGINES)
def test_a_target_with_data_is_rejected_and_unchanged(
    tmp_path: Path, source: str, to_engine: str
) -> None:
    target = database(to_engine, tmp_path, "target")
    with opened(target, tmp_path) as (instance, way):
        way.request("POST", "/v1/users", json={"user_id": "jane"})
        before = contents(instance, way)
    assert "is not empty" in rejected(source, target, tmp_path)
    with opened(target, tmp_path) as (instance, way):
        assert contents(instance, way) == before


@pytest.mark.parametrize("to_engine", ENGINES)
def test_an_incomplete_copy_of_another_instance_is_rejected(
    tmp_path: Path, source: str, large_source: LargeSource, to_engine: str
) -> None:
    other = large_source("sqlite")
    target = database(to_engine, tmp_path, "target")
    with interrupted(other, target, tmp_path):
        assert "incomplete copy of another instance" in rejected(source, target, tmp_path)
        assert "is itself an incomplete copy" in rejected(
            target, database("sqlite", tmp_path, "third"), tmp_path
        )


def test_a_served_sqlite_source_is_rejected_with_process_and_url(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        printed = rejected(server.database_url, "sqlite:///target.db", tmp_path)
        assert f"is served by process {server.process.pid} at {server.url}" in printed
    assert not (tmp_path / "target.db").exists()


def test_a_served_sqlite_target_is_rejected_with_process_and_url(
    tmp_path: Path, source: str
) -> None:
    with serving(tmp_path) as server:
        printed = rejected(source, server.database_url, tmp_path)
        assert f"is served by process {server.process.pid} at {server.url}" in printed


def test_a_missing_source_is_rejected_and_not_created(tmp_path: Path) -> None:
    printed = rejected("sqlite:///nowhere.db", "sqlite:///target.db", tmp_path)
    assert "Database nowhere.db does not exist" in printed
    assert list(tmp_path.iterdir()) == []


def test_a_source_of_an_older_schema_is_rejected_with_the_advice_to_migrate(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = load_migrations("sqlite")
    later = Migration(known[-1].number + 1, "a_later_step", "SELECT 1")
    monkeypatch.setattr(migrations, "load_migrations", lambda _dialect: [*known, later])
    printed = rejected(source, "sqlite:///target.db", tmp_path)
    assert "Run `userkeep migrate --database sqlite:///source.db` first" in printed


def test_an_empty_postgres_source_is_rejected(tmp_path: Path) -> None:
    url = database("postgres", tmp_path, "")
    assert "is not a Userkeep database" in rejected(url, "sqlite:///target.db", tmp_path)


@pytest.mark.parametrize("place", [0, 1])
def test_an_in_memory_database_is_rejected(tmp_path: Path, place: int) -> None:
    urls = ["sqlite:///a.db", "sqlite:///a.db"]
    urls[place] = "sqlite:///:memory:"
    assert "in-memory database cannot be copied" in rejected(urls[0], urls[1], tmp_path, code=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["sqlite:///source.db", "sqlite:///./source.db"])
def test_a_database_is_not_copied_into_itself(tmp_path: Path, source: str, target: str) -> None:
    assert "the same database" in rejected(source, target, tmp_path, code=2)


def test_the_database_of_another_program_is_rejected_as_target(tmp_path: Path, source: str) -> None:
    with closing(apsw.Connection(str(tmp_path / "target.db"))) as connection:
        connection.execute("CREATE TABLE letters (text)")
    assert "another program's database" in rejected(source, "sqlite:///target.db", tmp_path)


# The schema, and checksums.


def test_every_table_and_every_column_is_copied(tmp_path: Path) -> None:
    instance = open_instance(Settings(database_url=f"sqlite:///{tmp_path}/userkeep.db"))
    instance.close()
    with closing(apsw.Connection(f"{tmp_path}/userkeep.db")) as connection:
        there = {
            str(name): {column[1] for column in connection.execute(f"PRAGMA table_info({name})")}
            for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            if name not in {"schema_migrations", "sqlite_sequence", "pending_purges"}
            and not name.startswith("message_words")  # rebuilt when the target is opened
        }
    there["messages"].remove("number")  # see jobs.copy.tables
    assert {table.name: set(table.columns) for table in TABLES} == there


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1e2,"b":[1.0]}', '{"b": [1], "a": 100}'),
        ('{"a":1e300}', f'{{"a":1{"0" * 300}}}'),
        ('{"a":5e-324}', f'{{"a":0.{"0" * 323}5}}'),
        ('{"a":-0.0}', '{"a":0.0}'),
        ('{"a":1.2345678901234567e18}', '{"a":1234567890123456700}'),
        ('{"a":"\\u00e9"}', '{"a":"é"}'),
    ],
)
def test_equal_metadata_has_the_same_canonical_form(one: str, other: str) -> None:
    assert canonical_json(one) == canonical_json(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":9007199254740992}', '{"a":9007199254740993}'),
        ('{"a":1}', '{"a":"1"}'),
        ('{"a":1.0}', '{"a":true}'),
        ('{"a":"1e2"}', '{"a":"100"}'),
        ('{"a":5e-324}', '{"a":0}'),
        ('{"a":null}', "{}"),
    ],
)
def test_different_metadata_has_another_canonical_form(one: str, other: str) -> None:
    assert canonical_json(one) != canonical_json(other)
