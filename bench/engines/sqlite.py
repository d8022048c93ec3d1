"""SQLite: a database is a file, made once, then kept and copied.

A kept file's name holds its size and a hash of the schema and of this recipe, so that a change of
either makes a new one; files of older recipes are removed.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import apsw

from bench.floor.native import Native
from bench.floor.replay import Noted, Replay, SqliteReplay, noting_sqlite
from bench.floor.sqlite import SqliteCalls
from bench.rows import ON_SQLITE
from bench.seed import BEGAN_AT, FOLDER, MESSAGES_OF_SESSION, Seeded, check_space, texts
from bench.words import INDEX_VERSION
from userkeep.storage.migrations import load_migrations
from userkeep.storage.sqlite.connection import connect
from userkeep.storage.sqlite.migrations import migrate

_NOT_WATCHED = re.compile(
    r"SAVEPOINT|RELEASE|ROLLBACK|BEGIN IMMEDIATE|COMMIT|PRAGMA", re.IGNORECASE
)

# What each session says, with its words: they are made in Python, once, and not by SQL.
_TEXTS = """
CREATE TEMP TABLE texts (
    seq INTEGER PRIMARY KEY, role TEXT, content TEXT, words TEXT, word_count INTEGER, length INTEGER
)
"""
_ADD_TEXT = "INSERT INTO texts VALUES (?, ?, ?, ?, ?, ?)"

# Rows get the numbers of the counter, because the tables are empty. Ids have a fixed width, so that
# their order is that of the numbers.
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
        project_id, session_id, uuid, user_id, user_uuid, user_number, metadata, state, revision,
        message_count, last_seq, total_length, ended_at, created_at, updated_at
    )
    WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < :sessions)
    SELECT 1, printf('session-%08d', n), printf('01900000-0001-7000-8000-%012x', n),
        printf('user-%08d', 1 + n % :users),
        printf('01900000-0000-7000-8000-%012x', 1 + n % :users), 1 + n % :users,
        '{"topic":"shoes"}', 'active', 1, :each, :each, (SELECT sum(length) FROM texts), NULL,
        :began_at + n * 1000, :began_at + n * 1000
    FROM counter
    """,
    """
    INSERT INTO messages (
        project_id, session_id, seq, uuid, role, role_type, token_count, created_at, metadata,
        content, data, word_count
    )
    WITH RECURSIVE counter (n) AS (
        SELECT 0 UNION ALL SELECT n + 1 FROM counter WHERE n + 1 < :sessions * :each
    )
    SELECT 1, printf('session-%08d', 1 + n / :each), seq,
        printf('01900000-0002-7000-8000-%012x', n), role, role, 75,
        :began_at + n * 1000, '{"lang":"en"}', content, NULL, word_count
    FROM counter CROSS JOIN texts ON texts.seq = 1 + n % :each
    """,
    # The order is that of the index: else it would be written in many pieces.
    """
    INSERT INTO message_words (rowid, words)
    SELECT user_number << 34 | (number - 1) * :each + seq, words
    FROM sessions CROSS JOIN texts
    WHERE project_id = 1 AND user_id IS NOT NULL
    ORDER BY user_id, number, seq
    """,
    "INSERT INTO instance (name, value) VALUES ('index', :index_version)",
)


class SqliteBench:
    """See engines.Engine."""

    floor = "sqlite"
    rates = ON_SQLITE
    results = Path(__file__).parent.with_name("RESULTS.md")
    notes: Sequence[str] = ()
    is_beside = False

    def __init__(self, folder: Path) -> None:
        """Make databases in a folder that somebody else removes."""
        self._folder = folder

    def facts(self) -> Mapping[str, str]:
        """See engines.Engine."""
        return {"SQLite": f"{apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})"}

    def empty(self, name: str) -> str:
        """See engines.Engine."""
        return _url(self._folder / f"{name}.db")

    def seeded(self, size: Seeded, name: str) -> str:
        """See engines.Engine."""
        return _url(_copied(_kept(size, copies=1), self._folder / f"{name}.db"))

    def large(self, size: Seeded) -> str:
        """See engines.Engine."""
        path = _kept(size, copies=0)
        _read_through(path)
        return _url(path)

    def filled(self, name: str, size: int, fill: Callable[[str], None]) -> str:
        """See engines.Engine: the file is kept, until there is one of another recipe."""
        recipe = name.partition("-")[0]
        for other in FOLDER.glob("filled-*"):
            if not other.name.startswith(f"filled-{recipe}-"):
                other.unlink()
        path = FOLDER / f"filled-{name}.db"
        if not path.exists():
            check_space(size)
            with tempfile.TemporaryDirectory(dir=FOLDER, prefix="filling-") as folder:
                unfinished = Path(folder) / "filled.db"
                fill(_url(unfinished))
                unfinished.rename(path)
        _read_through(path)
        return _url(path)

    def copied(self, url: str, name: str) -> str:
        """See engines.Engine."""
        path = Path(_path(url))
        check_space(path.stat().st_size)
        return _url(_copied(path, self._folder / f"{name}.db"))

    def bytes_of(self, url: str) -> int:
        """See engines.Engine."""
        return Path(_path(url)).stat().st_size

    def execute(self, url: str, statements: Sequence[str]) -> None:
        """See engines.Engine."""
        connection = connect(_path(url))
        for statement in statements:
            connection.execute(statement)
        connection.close()

    def noting(self) -> AbstractContextManager[Noted]:
        """See engines.Engine."""
        return noting_sqlite()

    def replay(self, url: str) -> Replay:
        """See engines.Engine."""
        return SqliteReplay(_path(url))

    @contextmanager
    def watched(self, _urls: Sequence[str]) -> Iterator["_Watched"]:
        """See engines.Engine."""
        watched = _Watched()
        apsw.connection_hooks.append(watched.hook)
        try:
            yield watched
        finally:
            apsw.connection_hooks.remove(watched.hook)

    def options(self, url: str, statements: Sequence[str]) -> list[str]:
        """See engines.Engine."""
        in_transaction = ["--reads-in-transaction"] if "BEGIN" in statements else []
        return ["--database", _path(url), *in_transaction]

    def native(self, url: str, statements: Sequence[str]) -> Native:
        """See engines.Engine."""
        return Native(SqliteCalls(_path(url), reads_in_transaction="BEGIN" in statements))

    def used_s(self) -> float:
        """See engines.Engine."""
        return 0.0

    def alone(self, _size: Seeded) -> list[str]:
        """See engines.Engine."""
        return []


class _Watched:
    """See engines.Watched."""

    def __init__(self) -> None:
        self._statements: list[str] = []

    def delete(self) -> None:
        self._statements.clear()

    def statements(self) -> Sequence[str]:
        return [text for text in self._statements if not _NOT_WATCHED.match(text)]

    def hook(self, connection: apsw.Connection) -> None:
        connection.exec_trace = self._note

    def _note(self, _cursor: apsw.Cursor, statement: str, _values: Any) -> bool:
        self._statements.append(statement)
        return True


def _url(path: Path) -> str:
    return f"sqlite:///{path}"


def _path(url: str) -> str:
    return url.removeprefix("sqlite:///")


def _copied(path: Path, copy: Path) -> Path:
    shutil.copyfile(path, copy)
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    return copy


def _read_through(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(1 << 22)
        while file.readinto(buffer):
            pass


def _kept(size: Seeded, copies: int) -> Path:
    """A closed database of this size, to be copied or only read; made if there is none.

    Raises:
        SystemExit: the disk has no room for it and for so many copies.
    """
    _remove_others()
    path = FOLDER / f"seed-{_recipe_hash()}-{size.users}-{size.messages}.db"
    missing = 0 if path.exists() else 1
    check_space(size.bytes * (copies + missing))
    if missing:
        began = perf_counter()
        print(f"seeding {size} …", flush=True)
        _make(path, size)
        print(f"  {perf_counter() - began:.0f} s, {path.stat().st_size >> 20:,} MiB", flush=True)
    return path


def _make(path: Path, size: Seeded) -> None:
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
            "began_at": BEGAN_AT,
            "index_version": INDEX_VERSION,
        }
        connection.execute(_TEXTS)
        connection.executemany(_ADD_TEXT, texts())
        for statement in _RECIPE:
            connection.execute(statement, values)
        connection.close()
        unfinished.rename(path)


def _recipe_hash() -> str:
    recipe = hashlib.sha256(repr((_RECIPE, texts(), INDEX_VERSION)).encode())
    for migration in load_migrations("sqlite"):
        recipe.update(migration.sql.encode())
    return recipe.hexdigest()[:12]


def _remove_others() -> None:
    for path in FOLDER.glob("seed-*"):
        if not path.name.startswith(f"seed-{_recipe_hash()}-"):
            path.unlink()
