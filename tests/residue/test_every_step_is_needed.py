"""That nothing is found says something: what a purge does, less one step, leaves what is found.

The steps are taken here in SQL of their own, on histories that an older program has begun.
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
from tests.residue.files import residue
from tests.residue.homes import SECRET, Home, PostgresHome, SqliteHome
from tests.residue.people import Life, Person
from tests.residue.runs import SETTINGS
from tests.residue.texts import Canaries, Texts
from userkeep import Userkeep

HISTORIES = 8
STEPS = 30


class Deleted(NamedTuple):
    """A database in which somebody was deleted, and nothing is purged."""

    home: Home
    canaries: Canaries


def delete(home: Home, seed: int, before: Callable[[], object] = lambda: None) -> Deleted:
    """Let somebody live among others, then be deleted, and the others go on.

    Args:
        before: called just before they are deleted.
    """
    random = Random(seed)
    canaries = Canaries(random)
    deleted = Person(canaries, canaries.id("userid"))
    people = [deleted, *(Person(Texts(random), f"other {n}") for n in range(3))]
    home.write_older(people, random)
    with closing(Userkeep.open(home.url, secret=SECRET)) as client:
        home.prepare()
        lives = [Life(client, random, person) for person in people]
        for _ in range(STEPS):
            random.choice(lives).step()
        lives[0].finish()
        before()
        client.user.delete(deleted.user_id)
        for _ in range(STEPS // 3):
            random.choice(lives[1:]).step()
    return Deleted(home, canaries)


def found(deleted: Deleted) -> list[str]:
    """What is left of them."""
    return residue(deleted.home.folders, [deleted.canaries], deleted.home.name_of)


# SQLite.


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> list[Deleted]:
    """Some, each in a file of its own that nobody has open."""
    folders = [tmp_path_factory.mktemp("history") for _ in range(HISTORIES)]
    return [delete(SqliteHome(folder), seed) for seed, folder in enumerate(folders)]


def merge(connection: apsw.Connection) -> None:
    """The index of words, into one piece."""
    pages, changes = -64, 2
    while changes > 1:
        before = connection.total_changes()
        connection.execute(
            "INSERT INTO message_words (message_words, rank) VALUES ('merge', ?)", (pages,)
        )
        pages, changes = 64, connection.total_changes() - before


def empty_log(connection: apsw.Connection) -> None:
    """Into the file."""
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


ON_SQLITE: dict[str, Callable[[apsw.Connection], object]] = {
    "merging the index": merge,
    "dropping samples": lambda connection: connection.execute("DELETE FROM sqlite_stat4"),
    "VACUUM": lambda connection: connection.execute("VACUUM"),
    "emptying the log": empty_log,
}


def left_on_sqlite(deleted: Deleted, folder: Path, without: str) -> list[str]:
    """What is found in a copy of the file after all steps but one."""
    home = SqliteHome(folder)
    shutil.copyfile(deleted.home.url.removeprefix("sqlite:///"), home.path)
    with closing(apsw.Connection(str(home.path))) as connection:
        connection.pragma("secure_delete", 1)
        connection.wal_autocheckpoint(0)
        for step, take in ON_SQLITE.items():
            if step != without:
                take(connection)
        return found(Deleted(home, deleted.canaries))


def test_all_steps_leave_nothing_on_sqlite(histories: list[Deleted], tmp_path: Path) -> None:
    for number, deleted in enumerate(histories):
        assert found(deleted), "before them there is something"
        folder = tmp_path / f"{number}"
        folder.mkdir()
        assert left_on_sqlite(deleted, folder, without="") == []


@pytest.mark.parametrize("step", ON_SQLITE)
def test_without_one_of_them_something_is_left_on_sqlite(
    histories: list[Deleted], tmp_path: Path, step: str
) -> None:
    left = []
    for number, deleted in enumerate(histories):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        left += left_on_sqlite(deleted, folder, without=step)
    assert left


@pytest.mark.parametrize("name", ["userkeep.db", "userkeep.db-wal", "etilqs_1", "server.log"])
def test_what_is_planted_in_any_file_of_the_folder_is_found(tmp_path: Path, name: str) -> None:
    canaries = Canaries(Random(1))
    deleted = Deleted(SqliteHome(tmp_path), canaries)
    assert found(deleted) == []
    (tmp_path / name).write_bytes(bytes(100_000) + canaries.word("email").encode() + bytes(9))
    [line] = found(deleted)
    assert name in line


# PostgreSQL.


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgresServer]:
    """A server as in production."""
    with OwnPostgresServer(settings=SETTINGS) as server:
        yield server


TABLES = ("messages", "sessions", "users", "erasures", "idempotency")
WRITTEN_ANEW = [f"VACUUM (FULL) {table}" for table in TABLES]
NO_SAMPLES = [
    "DELETE FROM pg_statistic WHERE starelid >= 16384",
    "VACUUM (FULL) pg_statistic",
]
NEXT_OF_LOG = "SELECT pg_logical_emit_message(false, '', ''), pg_switch_wal()"
LOG_OVERWRITTEN = ["CHECKPOINT", *[NEXT_OF_LOG] * 20, "CHECKPOINT"]


@pytest.fixture
def home(server: OwnPostgresServer, tmp_path: Path) -> PostgresHome:
    """A fresh database."""
    return PostgresHome(server, tmp_path)


def left_on_postgres(deleted: Deleted, *steps: list[str]) -> set[str]:
    """In which parts of the data directory something is found after some steps."""
    with psycopg.connect(deleted.home.url, autocommit=True) as connection:
        for statement in chain(*steps):
            connection.execute(statement.encode())
    data = deleted.home.folders[-1]
    lines = residue([data], [deleted.canaries], lambda file: str(file.relative_to(data)))
    return {line.partition("/")[0] for line in lines}


def test_all_steps_leave_nothing_on_postgres(home: Home) -> None:
    deleted = delete(home, 1)
    assert left_on_postgres(deleted, ["CHECKPOINT"]) == {"base", "pg_wal"}
    assert left_on_postgres(deleted, WRITTEN_ANEW, NO_SAMPLES, LOG_OVERWRITTEN) == set()


def test_tables_that_are_only_vacuumed_keep_something(home: Home) -> None:
    vacuumed = [f"VACUUM {table}" for table in TABLES]
    assert left_on_postgres(delete(home, 2), vacuumed, NO_SAMPLES, LOG_OVERWRITTEN) == {"base"}


def test_what_somebody_still_sees_is_written_anew_too(home: Home) -> None:
    with ExitStack() as stack:
        deleted = delete(home, 3, before=lambda: stack.enter_context(home.snapshot()))
        steps = WRITTEN_ANEW, NO_SAMPLES, LOG_OVERWRITTEN
        # What is still in a page may be written to the log once more with the page.
        assert left_on_postgres(deleted, *steps) - {"pg_wal"} == {"base"}
    assert left_on_postgres(deleted, *steps) == set()


def test_samples_keep_something(home: Home) -> None:
    # Also in the log again, whenever their table is written to.
    assert "base" in left_on_postgres(delete(home, 4), WRITTEN_ANEW, LOG_OVERWRITTEN)


def test_the_log_keeps_something_also_when_it_has_moved_on(home: Home) -> None:
    moved_on = [NEXT_OF_LOG, "CHECKPOINT"]
    assert left_on_postgres(delete(home, 5), WRITTEN_ANEW, NO_SAMPLES, moved_on) == {"pg_wal"}


def test_what_is_planted_in_the_log_is_found_until_it_is_overwritten(home: Home) -> None:
    deleted = Deleted(home, Canaries(Random("planted")))
    planted = f"SELECT pg_logical_emit_message(true, 'of a test', '{deleted.canaries.mark}')"
    assert left_on_postgres(deleted, [planted]) == {"pg_wal"}
    assert left_on_postgres(deleted, [NEXT_OF_LOG, "CHECKPOINT"]) == {"pg_wal"}
    assert left_on_postgres(deleted, LOG_OVERWRITTEN) == set()
