"""A small table for tests of an engine, and helpers that look at the database file."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw

from userkeep.domain.transaction import Operation, Transaction
from userkeep.storage.queries import Query, load_queries, parse_queries
from userkeep.storage.sqlite import SqliteEngine

_SQL = """
-- name: make_notes
CREATE TABLE notes (
    id INTEGER PRIMARY KEY,
    answers INTEGER REFERENCES notes (id) DEFERRABLE INITIALLY DEFERRED,
    text TEXT NOT NULL CHECK (text <> ''),
    written_at INTEGER
) STRICT;

-- name: table_of_notes
SELECT name FROM sqlite_schema WHERE name = 'notes';

-- name: add_note
INSERT INTO notes (text, written_at) VALUES (:text, :now_at);

-- name: answer_note
-- The foreign key is checked by COMMIT.
INSERT INTO notes (answers, text) VALUES (:answers, :text);

-- name: add_and_interrupt
WITH RECURSIVE many(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM many WHERE n < 1000)
INSERT INTO notes (text) SELECT :text FROM many WHERE interrupt() IS NULL;

-- name: notes
SELECT text FROM notes ORDER BY id;

-- name: times
SELECT written_at FROM notes ORDER BY id;

-- name: count_notes
SELECT count(*) FROM notes;

-- name: search
-- Takes as long as :steps says, and reads the notes.
WITH RECURSIVE numbers(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < :steps)
SELECT count(*) + (SELECT count(*) FROM notes) FROM numbers;

-- name: search_for_ever
WITH RECURSIVE numbers(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers)
SELECT count(*) FROM numbers;
"""

QUERIES: dict[str, Query] = load_queries("sqlite") | {
    name: Query(text) for (_, name), text in parse_queries(_SQL).items()
}


def create_table(tx: Transaction) -> None:
    """Create the table."""
    tx.execute("make_notes")


def add_note(text: str) -> Operation[str]:
    """Return an operation that adds a note and returns its text."""

    def write(tx: Transaction) -> str:
        tx.execute("add_note", text=text, now_at=tx.now)
        return text

    return write


def read_notes(engine: SqliteEngine) -> list[str]:
    """Return all notes that a reader sees."""
    return engine.read(lambda tx: tx.fetch_all("notes", str))


def notes_in_file(path: Path) -> list[str]:
    """Return all notes in the file, as another program sees them."""
    with closing(apsw.Connection(str(path))) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY id")]


@contextmanager
def writer_blocked(engine: SqliteEngine) -> Iterator[None]:
    """Keep the writer busy, so that the operations submitted meanwhile form one group."""
    is_blocked, is_over = threading.Event(), threading.Event()

    def block(_tx: Transaction) -> None:
        is_blocked.set()
        is_over.wait(30)

    with ThreadPoolExecutor(1) as pool:
        blocking = pool.submit(engine.write, block)
        is_blocked.wait(30)
        try:
            yield
        finally:
            is_over.set()
            blocking.result(30)


def run_in_one_group(engine: SqliteEngine, *operations: Operation[Any]) -> list[Any]:
    """Run operations in one group; return the result or the exception of each."""

    async def run() -> list[Any]:
        with writer_blocked(engine):
            waiting = [asyncio.ensure_future(engine.write_async(each)) for each in operations]
            await asyncio.sleep(0)
        return await asyncio.gather(*waiting, return_exceptions=True)

    return asyncio.run(run())


def commits_in_wal(path: Path) -> int:
    """Return the number of commits in the WAL: each ends in a frame that is marked."""
    wal = Path(f"{path}-wal").read_bytes()
    page_bytes, salts = int.from_bytes(wal[8:12]), wal[16:24]
    frames = [wal[at : at + 24] for at in range(32, len(wal), 24 + page_bytes)]
    return sum(frame[8:16] == salts and frame[4:8] != bytes(4) for frame in frames)


def wal_bytes(path: Path) -> int:
    """Return the size of the WAL; 0 if there is none."""
    wal = Path(f"{path}-wal")
    return wal.stat().st_size if wal.exists() else 0
