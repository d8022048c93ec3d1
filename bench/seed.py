"""Databases to measure on: made once by the product's own migrations, then kept and copied.

Rows are made inside SQLite from a counter, in one statement a table, in the order of the indexes:
a million users take seconds. A kept file's name holds its size and a hash of the schema and of
this recipe, so that a change of either makes a new one; files of older recipes are removed.
"""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import apsw

from recollect.storage.migrations import load_migrations
from recollect.storage.sqlite.connection import connect
from recollect.storage.sqlite.migrations import migrate

FOLDER = Path(tempfile.gettempdir()) / "recollect-bench"
MESSAGES_OF_SESSION = 50

_BYTES_OF_USER = 500
_BYTES_OF_MESSAGE = 700
_SPARE_BYTES = 2 << 30

_BEGAN_AT = 1_735_689_600_000_000

_WORDS = (
    "She said that the blue running shoes from last spring were the best she ever had, and asked "
    "whether they still come in size nine, or whether there is something like them for longer "
    "distances on wet ground. He answered that he would look, and that she might like the new ones "
    "with the wider sole, which many people buy who run in the woods when it has rained. "
)

# Ids have a fixed width, so that their order is that of the row numbers.
_RECIPE = (
    """
    INSERT INTO users (
        project_id, user_id, uuid, email, email_folded, first_name, last_name, metadata, state,
        revision, created_at, updated_at
    )
    WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < :users)
    SELECT 1, printf('user-%08d', n), printf('01900000-0000-7000-8000-%012x', n),
        printf('user-%08d@example.org', n), printf('user-%08d@example.org', n),
        printf('First%d', n % 1000), printf('Last%d', n % 7919),
        printf('{"plan":"pro","visits":%d,"city":"Paris","tags":["a","b"]}', n % 100),
        'active', 1, :began_at + n * 1000, :began_at + n * 1000
    FROM counter
    """,
    """
    INSERT INTO sessions (
        project_id, session_id, uuid, user_id, user_uuid, metadata, state, revision,
        message_count, last_seq, ended_at, created_at, updated_at
    )
    WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < :sessions)
    SELECT 1, printf('session-%08d', n), printf('01900000-0001-7000-8000-%012x', n),
        printf('user-%08d', 1 + n % :users),
        printf('01900000-0000-7000-8000-%012x', 1 + n % :users),
        '{"topic":"shoes"}', 'active', 1, :each, :each, NULL,
        :began_at + n * 1000, :began_at + n * 1000
    FROM counter
    """,
    """
    INSERT INTO messages (
        project_id, session_id, seq, uuid, role, role_type, token_count, created_at, metadata,
        content, data
    )
    WITH RECURSIVE counter (n) AS (
        SELECT 0 UNION ALL SELECT n + 1 FROM counter WHERE n + 1 < :sessions * :each
    )
    SELECT 1, printf('session-%08d', 1 + n / :each), 1 + n % :each,
        printf('01900000-0002-7000-8000-%012x', n),
        iif(n % 2, 'assistant', 'user'), iif(n % 2, 'assistant', 'user'), 75,
        :began_at + n * 1000, '{"lang":"en"}', substr(:words, 1 + n % 50, 300), NULL
    FROM counter
    """,
)


@dataclass(frozen=True)
class Seeded:
    """How much a database holds: users, and sessions of 50 messages of 300 characters."""

    users: int
    sessions: int

    @property
    def messages(self) -> int:
        """All messages."""
        return self.sessions * MESSAGES_OF_SESSION

    @property
    def bytes(self) -> int:
        """About how large the file is."""
        return self.users * _BYTES_OF_USER + self.messages * _BYTES_OF_MESSAGE


def kept_database(size: Seeded, copies: int) -> Path:
    """A closed database of this size, to be copied or only read; made if there is none.

    Raises:
        SystemExit: the disk has no room for it and for so many copies.
    """
    FOLDER.mkdir(exist_ok=True)
    _remove_others()
    path = FOLDER / f"seed-{_recipe_hash()}-{size.users}-{size.messages}.db"
    missing = 0 if path.exists() else 1
    _check_space(size.bytes * (copies + missing))
    if missing:
        began = perf_counter()
        print(f"seeding {size.users:,} users and {size.messages:,} messages …", flush=True)
        make(path, size)
        print(f"  {perf_counter() - began:.0f} s, {path.stat().st_size >> 20:,} MiB", flush=True)
    return path


def warm(path: Path) -> None:
    """Read a file from end to end, so that it is in memory where there is room for it."""
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(1 << 22)
        while file.readinto(buffer):
            pass


def copied(path: Path, folder: Path, name: str) -> Path:
    """A copy of a closed database, already on the disk."""
    copy = folder / f"{name}.db"
    shutil.copyfile(path, copy)
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    return copy


def make(path: Path, size: Seeded) -> None:
    """A closed database of this size, made in the folder where it is to be."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="seeding-") as folder:
        unfinished = Path(folder) / "seed.db"
        connection = connect(str(unfinished))
        migrate(connection, str(unfinished))
        # Nobody has this file yet: it need not survive a crash before it is renamed.
        connection.pragma("journal_mode", "off")
        connection.pragma("synchronous", 0)
        connection.pragma("cache_size", -500_000)
        values: dict[str, apsw.SQLiteValue] = {
            "users": size.users,
            "sessions": size.sessions,
            "each": MESSAGES_OF_SESSION,
            "began_at": _BEGAN_AT,
            "words": _WORDS,
        }
        for statement in _RECIPE:
            connection.execute(statement, values)
        connection.close()
        unfinished.rename(path)


def _recipe_hash() -> str:
    recipe = hashlib.sha256(repr((_RECIPE, _WORDS, MESSAGES_OF_SESSION)).encode())
    for migration in load_migrations("sqlite"):
        recipe.update(migration.sql.encode())
    return recipe.hexdigest()[:12]


def _remove_others() -> None:
    for path in FOLDER.glob("seed-*"):
        if not path.name.startswith(f"seed-{_recipe_hash()}-"):
            path.unlink()


def _check_space(needed: int) -> None:
    free = shutil.disk_usage(FOLDER).free
    if free < needed + _SPARE_BYTES:
        raise SystemExit(
            f"{FOLDER} has {free >> 20:,} MiB free, and {(needed + _SPARE_BYTES) >> 20:,} are "
            "needed. Name another folder in TMPDIR, or fewer --users."
        )
