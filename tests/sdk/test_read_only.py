"""An embedded database that is opened read-only, on each engine."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.cli.running import files_in
from tests.postgres import migrated_database, postgres_server
from tests.storage.test_index import instance_of
from userkeep import AsyncUserkeep, NewMessage, SettingError, StorageError, Userkeep
from userkeep.domain.transaction import scoped
from userkeep.services import erasures
from userkeep.storage import migrations
from userkeep.storage.migrations import Migration, load_migrations

UUID = "01a204d3-fd4f-7b04-a503-2bf951c2c06d"
SECRET: dict[str, Any] = {"secret": "a secret of the tests"}


@pytest.fixture(params=["file", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each engine that has a user with a message."""
    url = migrated_database() if request.param == "postgres" else f"{tmp_path}/memory.db"
    with Userkeep.open(url, **SECRET) as client:
        client.message.add(
            "s1", NewMessage(role="user", content="I wear size 9 shoes."), user_id="jane"
        )
    return url


def open_read_only(database: str, **settings: Any) -> Userkeep:
    return Userkeep.open(database, read_only=True, **(SECRET | settings))


def test_everything_can_be_read(database: str) -> None:
    with open_read_only(database) as client:
        assert client.user.get("jane").user_id == "jane"
        assert [each.user_id for each in client.user.list()] == ["jane"]
        assert client.session.get("s1").message_count == 1
        assert client.memory.get("s1").messages[0].content == "I wear size 9 shoes."
        assert [hit.message.seq for hit in client.search("shoe")] == [1]
        assert list(client.erasure.list()) == []


def test_a_read_only_client_sees_what_a_writer_commits(database: str) -> None:
    with Userkeep.open(database, **SECRET) as writer, open_read_only(database) as reader:
        writer.user.add(user_id="tom")
        assert [each.user_id for each in reader.user.list()] == ["jane", "tom"]
        erasure = writer.user.delete("tom")
        assert reader.erasure.get(erasure.id).state == "deleted"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_async_client_can_read(database: str, backend: str) -> None:
    async def read() -> None:
        opened = AsyncUserkeep.open(database, read_only=True, **SECRET)
        async with opened as client:
            assert (await client.user.get("jane")).user_id == "jane"
            assert len(await client.user.list(metadata={"plan": "pro"})) == 0
            with pytest.raises(StorageError, match="opened read-only"):
                await client.user.add(user_id="tom")
            with pytest.raises(StorageError, match="opened read-only"):
                await client.user.delete("jane")

    anyio.run(read, backend=backend)


def test_every_write_is_rejected(database: str) -> None:
    with open_read_only(database) as client:
        for write in (
            lambda: client.user.add(user_id="tom"),
            lambda: client.user.update(user_id="jane", first_name="Jane"),
            lambda: client.user.delete("jane"),
            lambda: client.session.add(session_id="s2"),
            lambda: client.session.end("s1"),
            lambda: client.session.reopen("s1"),
            lambda: client.message.add("s1", NewMessage(role="user", content="And red.")),
            lambda: client.erasure.purge(UUID),
            lambda: client.erasure.verify(UUID, search_terms=["I wear size 9"]),
        ):
            with pytest.raises(StorageError, match="opened read-only"):
                write()
        assert client.user.get("jane").revision == 1


def test_a_file_stays_as_it_was(tmp_path: Path) -> None:
    with Userkeep.open(f"{tmp_path}/memory.db", **SECRET) as client:
        client.user.add(user_id="jane")
    before = files_in(tmp_path)
    with open_read_only(f"{tmp_path}/memory.db") as client:
        assert client.user.get("jane").user_id == "jane"
    assert files_in(tmp_path) == before


def test_an_unfinished_deletion_is_left_to_writers(database: str) -> None:
    with Userkeep.open(database, **SECRET) as client:
        instance = instance_of(client)
        instance.engine.write(scoped(instance.scope, erasures.begin_user, "jane"))
    with open_read_only(database) as client:
        assert [each.state for each in client.erasure.list()] == ["deleting"]
    with Userkeep.open(database, **SECRET) as client:
        assert [each.state for each in client.erasure.list()] == ["deleted"]


# Rejected.


def test_a_database_in_memory_and_a_missing_file_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="in-memory"):
        open_read_only(":memory:")
    with pytest.raises(StorageError, match="does not exist"):
        open_read_only(f"{tmp_path}/missing.db")
    assert list(tmp_path.iterdir()) == []


def test_another_secret_and_a_missing_secret_file_are_rejected(
    database: str, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match="created with another secret"):
        open_read_only(database, secret="another secret, quite long")
    missing = tmp_path / "missing.secret"
    with pytest.raises(StorageError, match=r"The secret file .*missing\.secret does not exist"):
        open_read_only(database, secret="", secret_file=str(missing))
    assert not missing.exists()


def test_an_index_that_is_not_current_is_rejected_with_advice(database: str) -> None:
    with pytest.raises(StorageError, match="indexed as english"):
        open_read_only(database, search_language="german")
    with Userkeep.open(database, **SECRET) as client:
        instance_of(client).engine.write(lambda tx: tx.defer("drop_index_version"))
    with pytest.raises(StorageError, match="Run `userkeep migrate` to rebuild it"):
        open_read_only(database)


def test_an_older_schema_is_rejected_and_not_migrated(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialect = "postgres" if "://" in database else "sqlite"
    known = load_migrations(dialect)
    later = Migration(known[-1].number + 1, "a_later_step", "SELECT 1")
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "load_migrations", lambda _dialect: [*known, later])
        with pytest.raises(StorageError, match=r"Run `userkeep migrate.*` first"):
            open_read_only(database)
    with open_read_only(database) as client:
        assert client.user.get("jane").user_id == "jane"


def test_an_empty_postgres_database_is_rejected_and_stays_empty() -> None:
    url = postgres_server().new_database()
    for _ in range(2):
        with pytest.raises(StorageError, match="is not a Userkeep database"):
            open_read_only(url)


def test_settings_are_checked_as_always(database: str) -> None:
    with pytest.raises(SettingError, match="applies only to `userkeep serve`"):
        open_read_only(database, port=8000)
