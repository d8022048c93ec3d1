"""The deletion ledger, and its replay on a database that was restored from a backup."""

import asyncio
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import is_sentence
from tests.embedding_server import DIMENSIONS, MODEL, EmbeddingServer
from tests.restoring import NOTE, Place, contents, fill, fill_collection, fresh_place, library
from tests.serving import serving
from tests.storage import former_databases as former
from tests.storage.postgres.notes import rows
from userkeep import NewMessage, Userkeep
from userkeep.config import load_settings
from userkeep.domain.errors import Gone, NotFound, StorageError, Unavailable
from userkeep.domain.ledger import LedgerFormat
from userkeep.domain.transaction import scoped
from userkeep.http.health import Check, ReadinessChecks
from userkeep.instance import open_engine, open_instance
from userkeep.jobs.ledger import OpenLedger, find_ledger
from userkeep.jobs.steps import Runner
from userkeep.services import erasures, ledger
from userkeep.storage.engine import Engine
from userkeep.storage.ledger import LedgerFile, NoLedger
from userkeep.storage.postgres.migrations import migrate

LINE = LedgerFormat.LINE_BYTES
UUID = "0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10"


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return fresh_place(request.param, tmp_path)


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    return fresh_place("sqlite", tmp_path)


def counts(**given: int) -> dict[str, int]:
    """Return what a replay prints, with what it counts of each kind."""
    kinds = ("entries", "projects", "users", "sessions", "messages", "collections", "documents")
    return dict.fromkeys(kinds, 0) | given


def delete_much(client: Userkeep) -> None:
    client.user.delete("jane")
    client.session.delete("john 1")
    client.session.delete("unowned")
    [first, *_] = client.message.list("john 2")
    client.message.delete("john 2", first.id)
    client.message.delete_after("john 2", 3)


def test_what_was_deleted_after_a_backup_is_deleted_again(place: Place) -> None:
    with place.open() as client:
        fill(client)
    backup = place.back_up()
    with place.open() as client:
        delete_much(client)
        after = contents(client)
        erasures = len(client.erasure.list())
    assert after == {"users": ["john"], "john 2": ["john 2", "john 3"]}

    with pytest.raises(StorageError, match="older than its deletion ledger") as rejected:
        backup.open()
    assert f"later deletions ({erasures})" in str(rejected.value)

    expected = counts(entries=5, users=1, sessions=2, messages=2)
    dry = backup.replay("--dry-run")
    # A dry run also counts what goes with a user.
    assert dry == expected
    with pytest.raises(StorageError):
        backup.open()
    assert backup.replay() == expected
    with backup.open() as client:
        assert contents(client) == after
        assert len(client.erasure.list()) == erasures
    assert backup.replay() == counts()


def test_a_replay_says_how_many_and_never_who(place: Place) -> None:
    with place.open() as client:
        fill(client)
    backup = place.back_up()
    with place.open() as client:
        client.user.delete("jane")
    result = backup.run("replay-erasures")
    assert result.stdout == (
        "The database lacks 1 deletion of the ledger. Deleted 0 projects, 1 user, 0 further "
        "sessions, 0 further messages, 0 collections and 0 further documents.\n"
    )
    assert "jane" not in result.stderr


def test_a_project_that_was_deleted_after_a_backup_is_deleted_again(place: Place) -> None:
    with place.open() as client:
        client.project.add(name="acme")
    with Userkeep.open(place.url, project="acme", **place.settings) as client:
        fill(client)
    backup = place.back_up()
    with place.open() as client:
        client.project.delete("acme")
    assert backup.replay()["projects"] == 1
    with backup.open() as client:
        assert [project.name for project in client.project.list()] == ["default"]
        with pytest.raises(NotFound):
            client.project.get("acme")


def test_a_deleted_project_has_one_line_however_often_the_database_is_opened(place: Place) -> None:
    with place.open() as client:
        client.project.add(name="acme")
        client.project.delete("acme")
    before = place.lines()
    assert len(before) == 2
    for _ in range(2):
        place.open().close()
    assert place.lines() == before
    os.truncate(place.ledger, LINE)  # its entry was lost
    place.open().close()
    assert len(place.lines()) == 2


def test_a_message_with_an_id_of_the_app_is_deleted_again(place: Place) -> None:
    with place.open() as client:
        client.message.add(
            "s", NewMessage(id="m1", role="user", content="hi"), user_id="u", create=True
        )
    backup = place.back_up()
    with place.open() as client:
        client.message.delete("s", "m1")
    assert backup.replay()["messages"] == 1
    with backup.open() as client:
        assert contents(client)["s"] == []


def test_messages_of_one_id_are_deleted_again_in_each_session(place: Place) -> None:
    message_id = "8d3f4c1e-58c0-4f6e-9d0f-0c3c2b7f1a55"  # a copied conversation keeps its ids
    message = NewMessage(id=message_id, role="user", content="hi")
    with place.open() as client:
        for session_id in ("s1", "s2", "s3", "s4"):
            client.message.add(session_id, message, user_id="u", create=True)
        for session_id in ("s3", "s4"):
            client.message.delete(session_id, message_id)
        client.message.add("s3", message)
    backup = place.back_up()
    with place.open() as client:
        for session_id in ("s1", "s2", "s3"):
            client.message.delete(session_id, message_id)
        client.message.add("s4", message)
    with pytest.raises(StorageError, match=r"later deletions \(3\)"):
        backup.open()
    assert backup.replay()["messages"] == 3
    with backup.open() as client:
        assert contents(client) == {"users": ["u"], "s1": [], "s2": [], "s3": [], "s4": []}


def test_someone_who_was_added_again_under_the_same_id_stays(place: Place) -> None:
    with place.open() as client:
        fill(client)
        client.user.delete("jane")
        client.user.add(user_id="jane")
    backup = place.back_up()
    with place.open() as client:
        client.user.delete("john")
    assert backup.replay()["users"] == 1
    with backup.open() as client:
        assert contents(client)["users"] == ["jane"]


def test_a_backup_that_is_newer_than_a_rewind_keeps_the_messages_after_it(place: Place) -> None:
    with place.open() as client:
        fill(client)
        client.message.delete_after("john 1", 2)
        client.message.add("john 1", NewMessage(role="user", content="again"))
        expected = contents(client)
    backup = place.back_up()
    backup.replay()
    with backup.open() as client:
        assert contents(client) == expected


def test_a_replayed_rewind_is_not_replayed_on_later_messages(place: Place) -> None:
    with place.open() as client:
        fill(client)
    backup = place.back_up()
    with place.open() as client:
        client.message.delete_after("john 1", 2)
    backup.replay()
    with backup.open() as client:
        client.message.add("john 1", NewMessage(role="user", content="again"))
        expected = contents(client)
    backup.replay()
    with backup.open() as client:
        assert contents(client) == expected


def test_a_copy_of_a_replayed_database_is_as_new_as_the_same_ledger(place: Place) -> None:
    with place.open() as client:
        fill(client)
    backup = place.back_up()
    with place.open() as client:
        client.message.delete_after("john 1", 2)
        client.user.add(user_id="of no backup")
        client.user.delete("of no backup")
    backup.replay()
    with backup.open() as client:
        client.message.add("john 1", NewMessage(role="user", content="again"))
        expected = contents(client)
    copied = place._replace(url=f"sqlite:///{place.folder}/copied.db")
    assert backup.run("copy", backup.url, copied.url).returncode == 0
    with copied.open() as client:
        assert contents(client) == expected


def add_unowned(client: Userkeep, *session_ids: str) -> None:
    for session_id in session_ids:
        client.session.add(session_id=session_id)
        client.message.add(session_id, NewMessage(role="user", content=f"in {session_id}"))


def backup_before_assignments(place: Place) -> Place:
    """Assign sessions to users, in each way there is; return a backup from before."""
    with place.open() as client:
        client.user.add(user_id="jane")
        add_unowned(client, "unowned", "updated", "appended", "of ann")
    backup = place.back_up()
    with place.open() as client:
        client.user.add(user_id="ann")  # not in the backup
        client.session.update(session_id="updated", user_id="jane")
        client.message.add("appended", NewMessage(role="user", content="hi"), user_id="jane")
        client.session.update(session_id="of ann", user_id="ann")
        client.session.add(session_id="owned from the beginning", user_id="jane")
    return backup


def test_a_session_that_was_assigned_after_a_backup_is_deleted_again_with_its_user(
    place: Place,
) -> None:
    backup = backup_before_assignments(place)
    with place.open() as client:
        client.user.delete("jane")
        assert len(place.lines()) == 1 + 2 + 1
        client.user.delete("ann")
        expected = contents(client)
    lines = place.lines()
    for _ in range(2):
        place.open().close()  # a database that has the deletions is not older
    assert place.lines() == lines

    with pytest.raises(StorageError, match=r"later deletions \(2\)"):
        backup.open()
    assert backup.replay() == counts(entries=2, users=1, sessions=3)
    with backup.open() as client:
        assert contents(client) == expected == {"users": [], "unowned": ["in unowned"]}
    assert place.lines() == lines


def test_a_session_that_was_assigned_before_a_backup_is_deleted_with_its_user(
    sqlite_place: Place,
) -> None:
    backup_before_assignments(sqlite_place)
    backup = sqlite_place.back_up()
    with sqlite_place.open() as client:
        client.user.delete("jane")
    assert backup.replay() == counts(entries=1, users=1)
    with backup.open() as client:
        assert set(contents(client)) == {"users", "unowned", "of ann"}


def test_assigned_sessions_are_added_from_the_database_while_they_are_there(place: Place) -> None:
    backup = backup_before_assignments(place)
    settings = load_settings({"database_url": place.url, **place.settings})
    with closing(open_instance(settings)) as opened:
        # As if the process had ended between the commit of the deletion and its first entry.
        opened.engine.write(scoped(opened.scope, erasures.begin_user, "jane"))
    open_instance(settings).close()
    assert len(place.lines()) == 1 + 2 + 1
    os.truncate(place.ledger, 3 * LINE)  # and as if it had ended before the entry of the user
    with pytest.raises(StorageError, match=r"later deletions \(1\)"):
        backup.open()
    open_instance(settings).close()
    assert len(place.lines()) == 1 + 2 + 2 + 1
    with place.open() as client:  # completes the deletion
        expected = contents(client) | {"users": []}
    assert backup.replay()["sessions"] == 2
    with backup.open() as client:
        assert contents(client) == expected


def test_many_assigned_sessions_are_recorded_page_by_page(
    sqlite_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PAGE", 2)
    with sqlite_place.open() as client:
        client.user.add(user_id="jane")
        add_unowned(client, *(f"s{number}" for number in range(4)))
    backup = sqlite_place.back_up()
    with sqlite_place.open() as client:
        for number in range(4):
            client.session.update(session_id=f"s{number}", user_id="jane")
        client.user.delete("jane")
    for _ in range(2):
        assert len(sqlite_place.lines()) == 1 + 4 + 1
        sqlite_place.ledger.unlink()  # is made again from the database
        sqlite_place.open().close()
    assert backup.replay()["sessions"] == 4


def test_a_ledger_that_is_made_again_has_the_assigned_sessions_of_deleted_users(
    place: Place,
) -> None:
    backup = backup_before_assignments(place)
    with place.open() as client:
        client.user.delete("jane")
        client.user.delete("ann")
        expected = contents(client)
    place.ledger.unlink()
    for _ in range(2):
        place.open().close()
        assert len(place.lines()) == 1 + 3 + 2
    assert backup.replay()["sessions"] == 3
    with backup.open() as client:
        assert contents(client) == expected == {"users": [], "unowned": ["in unowned"]}


def test_a_server_that_continues_a_deletion_records_the_sessions_that_are_deleted_already(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasures, "BATCH_MS", 0.0)
    backup = backup_before_assignments(place)
    settings = {"database_url": place.url, **place.settings}
    with closing(open_instance(load_settings(settings | {"ledger_file": "off"}))) as opened:
        erasure = opened.engine.write(scoped(opened.scope, erasures.begin_user, "jane"))
        while erasure.session_count < 2:
            erasure = opened.engine.write(scoped(opened.scope, erasures.advance, erasure.uuid))
            opened.engine.write(scoped(opened.scope, erasures.release_leases))
    assert not erasure.is_finished
    open_instance(load_settings(settings)).close()
    assert len(place.lines()) == 1 + 2 + 1
    with place.open() as client:  # records and completes the deletion
        expected = contents(client) | {"users": []}
    assert len(place.lines()) == 1 + 2 * (2 + 1)
    assert backup.replay()["sessions"] == 2
    with backup.open() as client:
        assert contents(client) == expected


def delete_documents(client: Userkeep) -> None:
    client.document.delete("kept", "a")
    client.document.delete_many("kept", ["b", "c", "absent"])
    client.collection.delete("gone")
    client.user.delete("jane")
    # Those that are added again under the same names are others.
    fill_collection(client, "gone", "a")
    client.document.add("kept", {**NOTE, "document_id": "a"})


def test_documents_and_collections_that_were_deleted_after_a_backup_are_deleted_again(
    place: Place,
) -> None:
    with place.open() as client:
        client.user.add(user_id="jane")
        fill_collection(client, "kept", "a", "b", "c", "d")
        fill_collection(client, "gone", "a", "b")
        fill_collection(client, "empty")
        client.document.add("kept", {**NOTE, "document_id": "of jane", "user_id": "jane"})
    backup = place.back_up()
    with place.open() as client:
        delete_documents(client)
    with pytest.raises(StorageError, match=r"later deletions \(5\)"):
        backup.open()
    expected = counts(entries=5, users=1, collections=1, documents=3)
    assert backup.replay("--dry-run") == expected
    assert backup.replay() == expected
    with backup.open() as client:
        assert library(client) == {"kept": ["d"], "empty": []}
        assert client.collection.get("kept").document_count == 1
    assert backup.replay() == counts()
    lines = place.lines()
    for _ in range(2):
        place.open().close()  # a database that has the deletions is not older
    assert place.lines() == lines


def test_documents_that_a_backup_has_again_stay(sqlite_place: Place) -> None:
    with sqlite_place.open() as client:
        fill_collection(client, "kept", "a", "b", "c", "d")
        fill_collection(client, "gone", "a")
        client.user.add(user_id="jane")
        delete_documents(client)
        expected = library(client)
    backup = sqlite_place.back_up()
    with sqlite_place.open() as client:
        client.document.delete("kept", "d")
    assert backup.replay() == counts(entries=1, documents=1)
    with backup.open() as client:
        assert library(client) == expected | {"kept": ["a"]}


def test_a_ledger_that_is_made_again_has_documents_and_collections(place: Place) -> None:
    with place.open() as client:
        fill_collection(client, "kept", "a", "b", "c")
        fill_collection(client, "gone", "a")
        client.user.add(user_id="jane")
    backup = place.back_up()
    with place.open() as client:
        delete_documents(client)
        assert len(place.lines()) == 1 + 5
        expected = library(client)
    # As if the process had ended between the commits of the last deletions and their entries.
    os.truncate(place.ledger, 4 * LINE)
    place.open().close()
    assert len(place.lines()) == 1 + 5
    place.ledger.unlink()
    for _ in range(2):
        place.open().close()
        assert len(place.lines()) == 1 + 5
    assert backup.replay() == counts(entries=5, users=1, collections=1, documents=3)
    with place.open() as client:
        assert library(client) == expected


def test_a_line_about_something_that_this_version_does_not_know_is_rejected(
    sqlite_place: Place,
) -> None:
    with sqlite_place.open() as client:
        fill(client)
        client.session.delete("john 1")
    ledger = find_ledger_of(sqlite_place)
    ledger.add([next(ledger.read())._replace(subject="fact")])
    with pytest.raises(StorageError, match="Use the version of Userkeep that wrote it"):
        sqlite_place.open()


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_deletion_of_a_collection_that_began_before_an_upgrade_is_recorded(
    tmp_path: Path, engine: str
) -> None:
    begun = f"(1, 7, '{UUID}', {{}})"
    insert = "INSERT INTO collection_deletions (project_id, collection, uuid, started_at) VALUES "
    if engine == "postgres":
        url = former.postgres_database(former.DOCUMENTS)
        rows(url, insert + begun.format("'2026-01-02'"))
        migrate(url)
    else:
        path = former.sqlite_database(tmp_path / "former.db", former.DOCUMENTS)
        url = f"sqlite:///{path}"
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(insert + begun.format(1_767_312_000_000_000))
    ledger = tmp_path / "userkeep.ledger"
    settings: dict[str, Any] = {"secret": former.SECRET, "ledger_file": str(ledger)}
    with Userkeep.open(url, **settings) as client:
        assert list(client.collection.list()) == []
    lines = ledger.read_text()
    assert " coll " in lines
    Userkeep.open(url, **settings).close()  # the database has what the ledger has
    assert ledger.read_text() == lines


def test_after_a_replay_others_have_their_embeddings_and_the_deleted_have_none(
    place: Place, embedding_server: EmbeddingServer
) -> None:
    model: dict[str, Any] = {"embeddings_url": embedding_server.url, "embeddings_model": MODEL}
    texts = {"jane": "the price of shoes", "john": "a journey by ship"}
    with Userkeep.open(place.url, **place.settings, **model) as client:
        client.collection.add(name="notes", embedded_by="model", dimensions=DIMENSIONS)
        for user_id, text in texts.items():
            client.message.add(f"of {user_id}", {"role": "user", "content": text}, user_id=user_id)
            client.document.add("notes", {"content": text, "user_id": user_id})
        client.document.add("notes", {"content": "boots", "document_id": "deleted"})
        client.embed()
    backup = place.back_up()
    with place.open() as client:
        client.user.delete("jane")
        client.document.delete("notes", "deleted")
    assert embedded_rows(backup) == (2, 3, 3)
    assert backup.replay() == counts(entries=2, users=1, documents=1)
    assert embedded_rows(backup) == (1, 1, 1)
    sent = len(embedding_server.texts)
    with Userkeep.open(backup.url, **backup.settings, **model) as client:
        assert client.embed() == 0
        found = client.search("footwear", mode="meaning")
        assert [hit.message.content for hit in found] == ["a journey by ship"]
        found_documents = client.document.search("notes", "footwear")
        assert [hit.document.content for hit in found_documents] == ["a journey by ship"]
    assert set(embedding_server.texts[sent:]) == {"footwear"}


def embedded_rows(place: Place) -> tuple[int, int, int]:
    """Return how many embeddings messages and documents have, and how many rounded ones."""
    query = (
        "SELECT (SELECT count(*) FROM embeddings), (SELECT count(embedding) FROM documents), "
        "(SELECT count(*) FROM document_vectors)"
    )
    if place.engine == "postgres":
        [found] = rows(place.url, query)
    else:
        with closing(sqlite3.connect(place.url.removeprefix("sqlite:///"))) as database:
            found = database.execute(query).fetchone()
    messages, documents, rounded = found
    return messages, documents, rounded


def find_ledger_of(place: Place) -> LedgerFile:
    with closing(open_engine(load_settings({"database_url": place.url}))) as engine:
        return find_ledger(engine, place.ledger)


def test_a_server_does_not_serve_a_database_that_is_older_than_its_ledger(place: Place) -> None:
    with place.open() as client:
        fill(client)
    backup = place.back_up()
    with place.open() as client:
        client.user.delete("jane")
    for command in (("serve", "--port", 0), ("users", "list")):
        result = backup.run(*command)
        assert (result.returncode, result.stdout) == (1, ""), command
        assert is_sentence(result.stderr)
        assert "userkeep replay-erasures" in result.stderr
    with pytest.raises(StorageError, match="older"):
        Userkeep.open(backup.url, read_only=True, **backup.settings)


def test_a_server_records_each_deletion_before_it_responds(place: Place) -> None:
    with place.open() as client:
        fill(client)
        fill_collection(client, "notes", "a", "b", "c")
    with (
        serving(place.folder, database_url=place.url, settings=place.environment) as server,
        Userkeep(server.url) as client,
    ):
        for number, delete in enumerate(deletions(client), start=1):
            delete()
            assert len(place.lines()) == number + 1


def deletions(client: Userkeep) -> Iterator[Callable[[], object]]:
    yield lambda: client.session.delete("jane 1")
    yield lambda: client.message.delete_after("john 1", 2)
    yield lambda: client.message.delete("john 2", client.message.list("john 2")[0].id)
    yield lambda: client.document.delete("notes", "a")
    yield lambda: client.document.delete_many("notes", ["b", "absent"])
    yield lambda: client.collection.delete("notes")
    yield lambda: client.user.delete("jane")


def test_no_mark_hides_that_a_backup_took_the_place_of_a_database_in_use(place: Place) -> None:
    with place.open() as client:
        fill(client)
    backup = place.back_up()
    opened = open_instance(load_settings({"database_url": place.url, **place.settings}))
    opened.close()
    with place.open() as client:
        client.user.delete("jane")
    # As if the server with this ledger had lost its connection, and found the restored database.
    with closing(open_engine(load_settings({"database_url": backup.url}))) as engine:
        for _ in range(2):
            with pytest.raises(StorageError, match="older than its deletion ledger"):
                Runner(engine, lambda: None, NoLedger()).run(opened.ledger.keep_mark())
        assert checked(engine, opened.ledger).status == "failed"
    with pytest.raises(StorageError, match="older than its deletion ledger"):
        backup.open()
    backup.replay()
    with closing(open_engine(load_settings({"database_url": backup.url}))) as engine:
        Runner(engine, lambda: None, NoLedger()).run(opened.ledger.keep_mark())
        assert checked(engine, opened.ledger).status == "ok"


def checked(engine: Engine, ledger: OpenLedger) -> Check:
    """Return what /readyz has about the ledger."""
    readiness = asyncio.run(ReadinessChecks(engine, ledger, 0).run())
    assert readiness.status == readiness.checks["ledger"].status
    return readiness.checks["ledger"]


def test_the_ledger_has_no_ids_and_only_its_owner_can_read_it(place: Place) -> None:
    mask = os.umask(0)
    try:
        with place.open() as client:
            fill(client)
            uuids = [user.uuid for user in client.user.list()]
            delete_much(client)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(place.ledger.stat().st_mode) == 0o600
    text = place.ledger.read_text()
    for each in ("jane", "john", "unowned", *uuids):
        assert each not in text
    assert {len(line) for line in place.lines()} == {LINE}


def test_nothing_is_written_while_nothing_is_deleted(place: Place) -> None:
    with place.open() as client:
        fill(client)
    assert not place.ledger.exists()


def test_entries_that_the_ledger_lacks_are_added_from_the_database(place: Place) -> None:
    with place.open() as client:
        fill(client)
    backup = place.back_up()
    with place.open() as client:
        client.session.delete("john 1")
        whole = place.ledger.stat().st_size
        client.user.delete("jane")
        client.message.delete("john 2", client.message.list("john 2")[0].id)
    # As if the process had ended between the commit of two deletions and their entries.
    os.truncate(place.ledger, whole)
    place.open().close()
    assert len(place.lines()) == 4
    assert backup.replay() == counts(entries=3, users=1, sessions=1, messages=1)


def test_a_line_that_was_not_written_to_its_end_is_replaced(place: Place) -> None:
    with place.open() as client:
        fill(client)
        client.session.delete("john 1")
    with place.ledger.open("ab") as file:
        file.write(place.lines()[-1][:40])
    with place.open() as client:
        client.session.delete("john 2")
    assert [len(line) for line in place.lines()] == [LINE] * 3
    place.open().close()


@pytest.mark.parametrize("written", [0, 9, 60])
def test_a_first_line_that_was_not_written_to_its_end_is_written_again(
    sqlite_place: Place, written: int
) -> None:
    with sqlite_place.open() as client:
        fill(client)
        client.session.delete("john 1")
    os.truncate(sqlite_place.ledger, written)  # the disk was full
    with sqlite_place.open() as client:
        client.session.delete("john 2")
    assert [len(line) for line in sqlite_place.lines()] == [LINE] * 3
    sqlite_place.open().close()


def test_a_short_file_that_is_no_ledger_is_rejected_and_kept(sqlite_place: Place) -> None:
    sqlite_place.ledger.parent.mkdir()
    sqlite_place.ledger.write_text("notes")
    with pytest.raises(StorageError, match="is not a deletion ledger"):
        sqlite_place.open()
    assert sqlite_place.ledger.read_text() == "notes"


def test_a_lost_ledger_is_reported_and_made_again(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with place.open() as client:
        fill(client)
        client.session.delete("john 1")
        client.user.delete("jane")
    place.open().close()  # the database now knows how long the ledger is
    place.ledger.unlink()
    caplog.clear()
    place.open().close()
    assert "is gone; it had 2 entries" in caplog.text
    assert len(place.lines()) == 3
    caplog.clear()
    place.open().close()
    assert caplog.text == ""


def test_a_truncated_ledger_is_reported_and_completed(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with place.open() as client:
        fill(client)
        client.session.delete("john 1")
        client.user.delete("jane")
    place.open().close()
    os.truncate(place.ledger, 2 * LINE)
    caplog.clear()
    place.open().close()
    assert "has lost 1 line at its end" in caplog.text
    assert len(place.lines()) == 3


def test_a_ledger_that_is_truncated_while_it_is_in_use_is_completed(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with place.open() as client:
        fill(client)
        client.user.delete("jane")
        client.user.delete("john")
    whole = place.lines()
    with closing(
        open_instance(load_settings({"database_url": place.url, **place.settings}))
    ) as opened:
        os.truncate(place.ledger, LINE)
        Runner(opened.engine, lambda: None, NoLedger()).run(opened.ledger.keep_mark())
    assert place.lines() == whole
    assert "has lost 2 lines at its end" in caplog.text


def test_entries_that_another_server_did_not_write_are_added_before_the_next_mark(
    tmp_path: Path,
) -> None:
    place = fresh_place("postgres", tmp_path)
    settings = place.settings | {"ledger_file": "off"}
    with place.open() as client:
        fill(client)
        client.session.delete("unowned")
    with (
        closing(
            open_instance(load_settings({"database_url": place.url, **place.settings}))
        ) as mine,
        place.open() as client,
    ):
        # As if a server that shares the ledger had ended between its commit and its entry.
        with Userkeep.open(place.url, **settings) as other:
            other.message.delete("john 2", other.message.list("john 2")[0].id)
        for session_id in ("john 1", "john 2"):
            client.session.delete(session_id)
            Runner(mine.engine, lambda: None, NoLedger()).run(mine.ledger.keep_mark())
        assert len(place.lines()) == 5


def test_a_ledger_that_was_changed_is_rejected(place: Place) -> None:
    with place.open() as client:
        fill(client)
    backup = place.back_up()
    with place.open() as client:
        client.session.delete("john 1")
        client.session.delete("john 2")
        client.user.delete("jane")
    header, *entries = place.lines()
    for changed in (
        [header, entries[1], entries[0], entries[2]],
        [header, *entries[1:]],
        [header, entries[0].replace(b"session", b"message"), *entries[1:]],
        [header.replace(b"ledger 1", b"ledger 2"), *entries],
    ):
        place.ledger.write_bytes(b"".join(changed))
        result = backup.run("replay-erasures")
        assert result.returncode == 1
        assert is_sentence(result.stderr)
        assert str(place.ledger) in result.stderr


def test_the_ledger_of_another_database_is_rejected(sqlite_place: Place, tmp_path: Path) -> None:
    with sqlite_place.open() as client:
        fill(client)
        client.user.delete("jane")
    other = sqlite_place._replace(url=f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(StorageError, match="ledger of another database"):
        other.open()


def test_two_new_databases_do_not_write_in_one_ledger(sqlite_place: Place, tmp_path: Path) -> None:
    other = sqlite_place._replace(url=f"sqlite:///{tmp_path}/other.db")
    with sqlite_place.open() as client, other.open() as second:
        for each in (client, second):
            each.user.add(user_id="jane")
        client.user.delete("jane")
        lines = sqlite_place.lines()
        with pytest.raises(Unavailable):
            second.user.delete("jane")
        assert sqlite_place.lines() == lines
    sqlite_place.open().close()
    with pytest.raises(StorageError, match="of another database"):
        other.open()


def test_a_deletion_that_cannot_be_recorded_waits_and_says_so(
    sqlite_place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with sqlite_place.open() as client:
        fill(client)
        client.session.delete("john 1")
        sqlite_place.ledger.rename(sqlite_place.folder / "moved")
        with pytest.raises(Unavailable, match="deletion ledger"):
            client.user.delete("jane")
        with pytest.raises(Gone):
            client.user.get("jane")
        (sqlite_place.folder / "moved").rename(sqlite_place.ledger)
        with pytest.raises(NotFound):  # each call continues what waits
            client.user.delete("jane")
    assert len(sqlite_place.lines()) == 3


def test_several_ledgers_are_replayed_together(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "other" / "userkeep.ledger"
    other: dict[str, Any] = {**place.settings, "ledger_file": str(path)}
    with place.open() as client:
        fill(client)
    backup = place.back_up()
    with place.open() as client:
        client.user.delete("jane")
    before = tmp_path / "before"
    shutil.copy(place.ledger, before)
    with Userkeep.open(place.url, **other) as client:
        client.user.delete("john")
    assert backup.replay(before, path)["users"] == 2
    with backup.open() as client:
        assert contents(client)["users"] == []


def test_a_replay_without_a_ledger_says_what_to_name(sqlite_place: Place) -> None:
    sqlite_place.open().close()
    result = sqlite_place.run("replay-erasures")
    assert (result.returncode, result.stdout) == (2, "")
    assert is_sentence(result.stderr)
    result = sqlite_place.run("replay-erasures", "--ledger-file", "off")
    assert result.returncode == 2
    assert "USERKEEP_LEDGER_FILE is off" in result.stderr


def test_a_copy_of_a_database_has_a_ledger_of_its_own(sqlite_place: Place, tmp_path: Path) -> None:
    with sqlite_place.open() as client:
        fill(client)
        client.user.delete("jane")
    target = f"sqlite:///{tmp_path}/target.db"
    assert sqlite_place.run("copy", sqlite_place.url, target).returncode == 0
    ledger = tmp_path / "target.ledger"
    settings = {**sqlite_place.settings, "ledger_file": str(ledger)}
    Userkeep.open(target, **settings).close()
    assert len(ledger.read_bytes()) == 2 * LINE


def test_a_replay_leaves_no_bytes_of_the_deleted_in_the_file(sqlite_place: Place) -> None:
    with sqlite_place.open() as client:
        client.message.add(
            "s", NewMessage(role="user", content="Xylophone-4711"), user_id="jane", create=True
        )
    backup = sqlite_place.back_up()
    with sqlite_place.open() as client:
        client.user.delete("jane")
    path = sqlite_place.folder / "backup.db"
    assert b"Xylophone-4711" in path.read_bytes()
    backup.replay()
    assert b"Xylophone-4711" not in path.read_bytes()
    assert not path.with_name("backup.db-wal").exists() or b"Xylophone-4711" not in (
        path.with_name("backup.db-wal").read_bytes()
    )
