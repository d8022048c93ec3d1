"""The scan proves something: without any one step of a purge, it finds residue.

These tests perform the steps in SQL. The first data is written in SQL, too; see unindexed.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from random import Random
from typing import NamedTuple

import apsw
import psycopg
import pytest

from tests.postgres import OwnPostgresServer
from tests.residue.databases import SECRET, Database, PostgresDatabase, SqliteDatabase
from tests.residue.files import find_residue
from tests.residue.runner import SETTINGS
from tests.residue.texts import Canaries, Texts
from tests.residue.users import ExpectedUser, UserSimulation
from userkeep import Userkeep

HISTORIES = 8
STEPS = 30


class Deleted(NamedTuple):
    """A database with a deleted user, before the purge."""

    database: Database
    canaries: Canaries


def delete(database: Database, seed: int, before: Callable[[], object] = lambda: None) -> Deleted:
    """Simulate some users, delete one of them, and simulate the others again.

    Args:
        before: called immediately before the deletion.
    """
    random = Random(seed)
    canaries = Canaries(random)
    deleted = ExpectedUser(canaries, canaries.id("userid"))
    users = [deleted, *(ExpectedUser(Texts(random), f"other {n}") for n in range(3))]
    database.write_unindexed(users, random)
    with closing(Userkeep.open(database.url, secret=SECRET)) as client:
        client.user.list(q="any")  # from now on, the words of users are stored too
        database.prepare()
        simulations = [UserSimulation(client, random, user) for user in users]
        for _ in range(STEPS):
            random.choice(simulations).step()
        simulations[0].set_owners()
        before()
        client.user.delete(deleted.user_id)
        for _ in range(STEPS // 3):
            random.choice(simulations[1:]).step()
    return Deleted(database, canaries)


def residue_of(deleted: Deleted) -> list[str]:
    """Return the residue of the deleted user."""
    return find_residue(deleted.database.folders, [deleted.canaries], deleted.database.name_of)


# SQLite.


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> list[Deleted]:
    """Some histories, each in a separate file that is closed."""
    folders = [tmp_path_factory.mktemp("history") for _ in range(HISTORIES)]
    return [delete(SqliteDatabase(folder), seed) for seed, folder in enumerate(folders)]


def merge(connection: apsw.Connection) -> None:
    """Merge the full-text index into one segment."""
    pages, changes = -64, 2
    while changes > 1:
        before = connection.total_changes()
        connection.execute(
            "INSERT INTO message_words (message_words, rank) VALUES ('merge', ?)", (pages,)
        )
        pages, changes = 64, connection.total_changes() - before


def checkpoint(connection: apsw.Connection) -> None:
    """Write the WAL into the file and truncate it."""
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


ON_SQLITE: dict[str, Callable[[apsw.Connection], object]] = {
    "merging the index": merge,
    "dropping statistics": lambda connection: connection.execute("DELETE FROM sqlite_stat4"),
    "VACUUM": lambda connection: connection.execute("VACUUM"),
    "checkpoint": checkpoint,
}


def residue_on_sqlite(deleted: Deleted, folder: Path, without: str) -> list[str]:
    """Return the residue in a copy of the file after all steps except one."""
    database = SqliteDatabase(folder)
    shutil.copyfile(deleted.database.url.removeprefix("sqlite:///"), database.path)
    with closing(apsw.Connection(str(database.path))) as connection:
        connection.pragma("secure_delete", 1)
        connection.wal_autocheckpoint(0)
        for step, take in ON_SQLITE.items():
            if step != without:
                take(connection)
        return residue_of(Deleted(database, deleted.canaries))


def test_all_steps_leave_no_residue_on_sqlite(histories: list[Deleted], tmp_path: Path) -> None:
    for number, deleted in enumerate(histories):
        assert residue_of(deleted), "there is residue before the steps"
        folder = tmp_path / f"{number}"
        folder.mkdir()
        assert residue_on_sqlite(deleted, folder, without="") == []


@pytest.mark.parametrize("step", ON_SQLITE)
def test_without_any_one_step_there_is_residue_on_sqlite(
    histories: list[Deleted], tmp_path: Path, step: str
) -> None:
    left = []
    for number, deleted in enumerate(histories):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        left += residue_on_sqlite(deleted, folder, without=step)
    assert left


@pytest.mark.parametrize("name", ["userkeep.db", "userkeep.db-wal", "etilqs_1", "server.log"])
def test_a_canary_in_any_file_of_the_folder_is_found(tmp_path: Path, name: str) -> None:
    canaries = Canaries(Random(1))
    deleted = Deleted(SqliteDatabase(tmp_path), canaries)
    assert residue_of(deleted) == []
    (tmp_path / name).write_bytes(bytes(100_000) + canaries.word("email").encode() + bytes(9))
    [line] = residue_of(deleted)
    assert name in line


# PostgreSQL.


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgresServer]:
    """A server with production settings."""
    # An autovacuum that has begun before a VACUUM FULL still sees what was deleted.
    with OwnPostgresServer(settings=SETTINGS | {"autovacuum": "off"}) as server:
        yield server


TABLES = ("messages", "sessions", "user_words", "users", "erasures", "idempotency")
REWRITTEN = [f"VACUUM (FULL) {table}" for table in TABLES]
NO_STATISTICS = [
    "DELETE FROM pg_statistic WHERE starelid >= 16384",
    "VACUUM (FULL) pg_statistic",
]
WAL_SWITCH = "SELECT pg_logical_emit_message(false, '', ''), pg_switch_wal()"
WAL_OVERWRITTEN = ["CHECKPOINT", *[WAL_SWITCH] * 20, "CHECKPOINT"]


@pytest.fixture
def database(server: OwnPostgresServer, tmp_path: Path) -> PostgresDatabase:
    """A fresh database."""
    return PostgresDatabase(server, tmp_path)


def residue_on_postgres(deleted: Deleted, *steps: list[str]) -> set[str]:
    """Return which parts of the data directory have residue after some steps."""
    with psycopg.connect(deleted.database.url, autocommit=True) as connection:
        for statement in chain(*steps):
            connection.execute(statement.encode())
    data = deleted.database.folders[-1]
    lines = find_residue([data], [deleted.canaries], lambda file: str(file.relative_to(data)))
    return {line.partition("/")[0] for line in lines}


def test_all_steps_leave_no_residue_on_postgres(database: Database) -> None:
    deleted = delete(database, 1)
    assert residue_on_postgres(deleted, ["CHECKPOINT"]) == {"base", "pg_wal"}
    assert residue_on_postgres(deleted, REWRITTEN, NO_STATISTICS, WAL_OVERWRITTEN) == set()


def test_plain_vacuum_leaves_residue_in_tables(database: Database) -> None:
    vacuumed = [f"VACUUM {table}" for table in TABLES]
    assert residue_on_postgres(delete(database, 2), vacuumed, NO_STATISTICS, WAL_OVERWRITTEN) == {
        "base"
    }


def test_vacuum_full_keeps_rows_that_a_snapshot_still_sees(database: Database) -> None:
    with ExitStack() as stack:
        deleted = delete(database, 3, before=lambda: stack.enter_context(database.snapshot()))
        steps = REWRITTEN, NO_STATISTICS, WAL_OVERWRITTEN
        # Data that is still in a page can be written to the WAL again with the page.
        assert residue_on_postgres(deleted, *steps) - {"pg_wal"} == {"base"}
    assert residue_on_postgres(deleted, *steps) == set()


def test_statistics_leave_residue(database: Database) -> None:
    # They are also written to the WAL again whenever their table is.
    assert "base" in residue_on_postgres(delete(database, 4), REWRITTEN, WAL_OVERWRITTEN)


def test_the_wal_keeps_residue_after_a_switch(database: Database) -> None:
    switched = [WAL_SWITCH, "CHECKPOINT"]
    assert residue_on_postgres(delete(database, 5), REWRITTEN, NO_STATISTICS, switched) == {
        "pg_wal"
    }


def test_a_canary_in_the_wal_is_found_until_it_is_overwritten(database: Database) -> None:
    deleted = Deleted(database, Canaries(Random("planted")))
    planted = f"SELECT pg_logical_emit_message(true, 'test', '{deleted.canaries.mark}')"
    assert residue_on_postgres(deleted, [planted]) == {"pg_wal"}
    assert residue_on_postgres(deleted, [WAL_SWITCH, "CHECKPOINT"]) == {"pg_wal"}
    assert residue_on_postgres(deleted, WAL_OVERWRITTEN) == set()
