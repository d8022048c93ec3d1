"""A little table of the tests' own, for an engine that knows none, and ways to look at the file."""

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

-- name: add_note
INSERT INTO notes (text, written_at) VALUES (:text, :now_at);

-- name: answer_note
-- Whether there is such a note is looked at by COMMIT.
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
-- Takes as long as it is told, and looks at the notes.
WITH RECURSIVE numbers(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < :steps)
SELECT count(*) + (SELECT count(*) FROM notes) FROM numbers;

-- name: search_for_ever
WITH RECURSIVE numbers(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers)
SELECT count(*) FROM numbers;
"""

QUERIES: dict[str, Query] = load_queries("sqlite") | {
    name: Query(text) for (_, name), text in parse_queries(_SQL).items()
}


def make(tx: Transaction) -> None:
    """The table."""
    tx.execute("make_notes")


def note(text: str) -> Operation[str]:
    """An operation that writes a note and gives its text."""

    def write(tx: Transaction) -> str:
        tx.execute("add_note", text=text, now_at=tx.now)
        return text

    return write


def noted(engine: SqliteEngine) -> list[str]:
    """All notes that a reader sees."""
    return engine.read(lambda tx: tx.fetch_all("notes", str))


def noted_in(path: Path) -> list[str]:
    """All notes in the file, as another program sees them."""
    with closing(apsw.Connection(str(path))) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY id")]


@contextmanager
def held(engine: SqliteEngine) -> Iterator[None]:
    """While this lasts the writer lane is busy, so what is asked of it meanwhile is one group."""
    is_held, is_over = threading.Event(), threading.Event()

    def hold(_tx: Transaction) -> None:
        is_held.set()
        is_over.wait(30)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(engine.write, hold)
        is_held.wait(30)
        try:
            yield
        finally:
            is_over.set()
            holding.result(30)


def together(engine: SqliteEngine, *operations: Operation[Any]) -> list[Any]:
    """Run operations in one group; what each gave, or the exception it raised."""

    async def run() -> list[Any]:
        with held(engine):
            waiting = [asyncio.ensure_future(engine.write_async(each)) for each in operations]
            await asyncio.sleep(0)
        return await asyncio.gather(*waiting, return_exceptions=True)

    return asyncio.run(run())


def commits_in_log(path: Path) -> int:
    """How many commits the write-ahead log holds: each ends in a frame that says so."""
    log = Path(f"{path}-wal").read_bytes()
    page_bytes, salts = int.from_bytes(log[8:12]), log[16:24]
    frames = [log[at : at + 24] for at in range(32, len(log), 24 + page_bytes)]
    return sum(frame[8:16] == salts and frame[4:8] != bytes(4) for frame in frames)


def log_bytes(path: Path) -> int:
    """The size of the write-ahead log; 0 where there is none."""
    log = Path(f"{path}-wal")
    return log.stat().st_size if log.exists() else 0
