"""A verification finds rows that a deletion should have removed.

No deletion leaves any, so these tests insert them directly.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import psycopg
import pytest

from tests.conftest import fresh_settings
from tests.typed_ways import over_instance
from userkeep import Conflict, NewMessage, Userkeep, Verification
from userkeep.domain.transaction import scoped
from userkeep.domain.verification import VerificationRequest
from userkeep.instance import open_instance
from userkeep.jobs.steps import Runner
from userkeep.jobs.verify import rows as row_search
from userkeep.jobs.verify.job import VerificationJob
from userkeep.services import erasures, verifications
from userkeep.storage.ledger import NoLedger

ENGINES = ("sqlite file", "postgres")
JANE = "jane@example.com"
ANOTHER = "00000000-0000-7000-8000-00000000000a"


class Database(NamedTuple):
    """A database in which Jane was, and a function that inserts rows directly."""

    client: Userkeep
    insert: Callable[..., None]


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    settings = fresh_settings(request.param, tmp_path)
    url = settings.database_url

    def insert(statement: str, *values: Any) -> None:
        if url.startswith("sqlite"):
            with closing(apsw.Connection(url.removeprefix("sqlite:///"))) as connection:
                connection.set_busy_timeout(5000)
                connection.execute(statement.replace("%s", "?").replace("{now}", "1"), values)
        else:
            with psycopg.connect(url, autocommit=True) as connected:
                connected.execute(statement.replace("{now}", "to_timestamp(1)").encode(), values)

    with Userkeep.open(url, secret_file=settings.secret_file) as client:
        client.user.add(user_id="tom")
        client.user.add(user_id=JANE, email=JANE)
        client.message.add("s1", NewMessage(role="user", content="I live in Oslo"), user_id=JANE)
        yield Database(client, insert)


INSERT_USER = """
INSERT INTO users (
    project_id, user_id, uuid, state, revision, created_at, updated_at, do_not_embed, erasure_uuid
)
VALUES (1, %s, %s, 'deleting', 1, {now}, {now}, 0, %s)
"""
INSERT_SESSION = """
INSERT INTO sessions (
    number, project_id, session_id, uuid, user_id, user_uuid, state, revision, message_count,
    last_seq, total_length, active_at, created_at, updated_at, do_not_embed, erasure_uuid
)
VALUES (1000, 1, %s, %s, %s, %s, 'active', 1, 0, 0, 0, {now}, {now}, {now}, 0, %s)
"""
INSERT_MESSAGE = """
INSERT INTO messages (
    project_id, session_id, seq, id, role, name, content, revision, word_count, created_at
)
VALUES (1, %s, 9, %s, 'norole', '', 'left', 1, 0, {now})
"""
INSERT_KEY = """
INSERT INTO idempotency (project_id, key, request_hash, user_id, session_id, uuid, created_at)
VALUES (1, 'k', 'h', %s, %s, %s, {now})
"""


def hits(done: Verification) -> set[tuple[str, str]]:
    """Return where residue is in tables, and by what it was found."""
    return {(hit.where, hit.encoding) for hit in done.hits if hit.where.startswith("table")}


def test_a_row_of_the_user_is_found_by_uuid_id_and_erasure(database: Database) -> None:
    erasure = database.client.user.delete(JANE)
    database.insert(INSERT_USER, JANE, erasure.subject_uuid, erasure.id)
    by_uuid = {("table users.uuid", "uuid"), ("table users.erasure_uuid", "erasure")}
    done = database.client.erasure.verify(erasure.id)
    assert hits(done) == by_uuid
    done = database.client.erasure.verify(erasure.id, subject_id=JANE)
    assert hits(done) == by_uuid | {("table users.user_id", "id")}
    assert not done.id_reused


def test_a_session_of_the_user_is_found(database: Database) -> None:
    erasure = database.client.user.delete(JANE)
    database.insert(INSERT_SESSION, "s9", ANOTHER, JANE, erasure.subject_uuid, None)
    done = database.client.erasure.verify(erasure.id, subject_id=JANE)
    assert hits(done) == {("table sessions.user_uuid", "uuid"), ("table sessions.user_id", "id")}


def test_a_session_that_was_marked_and_deleted_is_found(database: Database) -> None:
    erasure = database.client.user.delete(JANE)
    database.insert(INSERT_SESSION, "s9", ANOTHER, None, None, erasure.id)
    done = database.client.erasure.verify(erasure.id)
    assert hits(done) == {("table sessions.erasure_uuid", "erasure")}


def test_messages_of_a_deleted_session_are_found(database: Database) -> None:
    erasure = database.client.session.delete("s1")
    database.insert(INSERT_SESSION, "s1", erasure.subject_uuid, None, None, None)
    database.insert(INSERT_MESSAGE, "s1", ANOTHER)
    done = database.client.erasure.verify(erasure.id, subject_id="s1")
    assert hits(done) == {
        ("table sessions.uuid", "uuid"),
        ("table sessions.session_id", "id"),
        ("table messages.session_id", "id"),
    }


def test_a_deleted_message_is_found_in_its_session(database: Database) -> None:
    [message] = database.client.message.list("s1")
    erasure = database.client.message.delete("s1", message.id)
    database.client.session.add(session_id="s2")
    database.insert(INSERT_MESSAGE, "s2", message.id)
    assert hits(database.client.erasure.verify(erasure.id)) == set()
    database.insert(INSERT_MESSAGE, "s1", message.id)
    assert hits(database.client.erasure.verify(erasure.id)) == {("table messages.id", "uuid")}


def test_idempotency_keys_of_the_user_are_found_but_not_those_of_a_reused_id(
    database: Database,
) -> None:
    erasure = database.client.user.delete(JANE)
    database.client.user.add(user_id=JANE)
    database.client.session.add(session_id="s3", user_id=JANE, idempotency_key="new")
    database.client.message.add(
        "s4", NewMessage(role="user", content="Hello"), user_id=JANE, idempotency_key="newer"
    )
    done = database.client.erasure.verify(erasure.id, subject_id=JANE)
    assert (hits(done), done.id_reused) == (set(), True)
    database.insert(INSERT_KEY, JANE, None, erasure.subject_uuid)
    done = database.client.erasure.verify(erasure.id, subject_id=JANE)
    assert hits(done) == {("table idempotency.user_id", "id"), ("table idempotency.uuid", "uuid")}


def test_large_tables_are_read_in_batches(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_search, "_MOST_ROWS", 7)
    monkeypatch.setattr(row_search, "_MOST_BYTES", 2_000)
    contents = [f"Number {number} says {'much ' * (number % 9) * 60}" for number in range(60)]
    contents[41] += " and Lindqvist papers"
    for session_id in ("a", "b", "c"):
        messages = [NewMessage(role="user", content=content) for content in contents]
        database.client.message.add(session_id, messages, user_id="tom")
    erasure = database.client.user.delete(JANE)
    done = database.client.erasure.verify(erasure.id, search_terms=["Lindqvist papers"])
    assert [hit.where for hit in done.hits] == ["table messages.content"] * 3
    [messages_looked] = [each for each in done.scanned if each.name == "table messages"]
    assert messages_looked.rows == 180


@pytest.mark.parametrize("engine", ["sqlite memory", *ENGINES])
def test_a_running_erasure_cannot_be_verified(engine: str, tmp_path: Path) -> None:
    settings = fresh_settings(engine, tmp_path)
    with closing(open_instance(settings)) as opened:
        way = over_instance(opened)
        way.request("POST", "/v1/users", json={"user_id": JANE})
        begun = opened.engine.write(scoped(opened.scope, erasures.begin_user, JANE))
        refused = way.request("POST", "/v1/erasures/{}/verify", begun.uuid, json={})
        assert (refused.status, refused.json["code"]) == (409, Conflict.code)
        assert "still running" in refused.json["detail"]


def test_a_verification_can_be_stopped(database: Database, tmp_path: Path) -> None:
    erasure = database.client.user.delete(JANE)
    opened = database.client._transport.opened  # type: ignore[attr-defined]
    begun = opened.engine.read(scoped(opened.scope, erasures.get, erasure.id))
    verification = opened.engine.write(scoped(opened.scope, verifications.add, begun))
    request = VerificationRequest(begun, None, ("Lindqvist papers",))
    job = VerificationJob(opened.scope, request, verification)
    job.stop()
    Runner(opened.engine, lambda: None, NoLedger()).run(job.steps())
    assert job.is_finished
    assert job.verification.state == "failed"
    assert "stopped" in (job.verification.problem or "")
