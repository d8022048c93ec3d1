"""The raw calls of apsw: reads on the loop, writes by a group commit of the floor's own.

Reads are in a transaction if the product's are; writes have `synchronous=FULL`, one wake-up of the
loop a group, and the log copied back as often as by the product. What a group adds to the index is
written at its end, in the order of the index, as the product does: FTS5 takes it for a third of
what it costs in any other order. The words come ready; see `bench.floor.native`.
"""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from queue import Empty, SimpleQueue
from time import time_ns
from typing import Any

import apsw
from apsw.ext import query_info

from bench.floor.native import MEMORY_WINDOW, PROJECT, Calls, Row, Values, place
from userkeep.storage.queries import load_queries
from userkeep.storage.sqlite.checkpointer import CHECKPOINT_PAGES, CHECKPOINT_PAGES_UNDER_LOAD
from userkeep.storage.sqlite.connection import connect

Work = Callable[[apsw.Cursor], Any]


class SqliteCalls(Calls):
    """See Calls."""

    def __init__(self, database: str, *, reads_in_transaction: bool) -> None:
        super().__init__()
        text = {name: query.text for name, query in load_queries("sqlite").items()}
        self._get_user = text["get_user"]({})
        self._list_messages = text["list_messages"]({"descending": True, "limit": 1})
        self._add_user = text["add_user"]({})
        self._remove_tombstone = text["remove_tombstone"]({})
        self._reserve_seqs = text["reserve_seqs"]({})
        self._add_message = text["add_message"]({})
        self._index_message = text["index_message"]({})
        self._not_indexed: list[tuple[int, list[Values]]] = []
        self._reads_in_transaction = reads_in_transaction
        reader = connect(database, read_only=True)
        self.user_columns = _columns(reader, self._get_user)
        self.message_columns = _columns(reader, self._list_messages)
        self._reader = reader.cursor()
        self._lane = GroupCommit(connect(database), self._index)

    async def user(self, user_id: str) -> Row:
        """See Calls."""
        return self._read(self._get_user, {"project_id": PROJECT, "user_id": user_id})[0]

    async def memory(self, session_id: str) -> list[Row]:
        """See Calls."""
        values = {"project_id": PROJECT, "session_id": session_id, "limit": MEMORY_WINDOW}
        return self._read(self._list_messages, values)

    async def add_user(self, values: Values) -> Row:
        """See Calls."""
        row: Row = await self._lane.write(partial(self._insert_user, values))
        return row

    async def append(
        self, session_id: str, now_at: Any, messages: list[Values], length: int
    ) -> None:
        """See Calls."""
        await self._lane.write(partial(self._insert_messages, session_id, now_at, messages, length))

    def now_at(self) -> int:
        """See Calls."""
        return time_ns() // 1000

    def close(self) -> None:
        """Stop the writer."""
        self._lane.close()

    def _read(self, text: str, values: Values) -> list[Row]:
        if not self._reads_in_transaction:
            return self._reader.execute(text, values).fetchall()
        self._reader.execute("BEGIN")
        rows = self._reader.execute(text, values).fetchall()
        self._reader.execute("COMMIT")
        return rows

    def _insert_user(self, values: Values, cursor: apsw.Cursor) -> Row:
        rows = cursor.execute(self._add_user, values).fetchall()
        mark = {"project_id": PROJECT, "subject": "user", "id_hash": values["uuid"]}
        cursor.execute(self._remove_tombstone, mark)
        return rows[0]

    def _insert_messages(
        self,
        session_id: str,
        now_at: int,
        messages: list[Values],
        length: int,
        cursor: apsw.Cursor,
    ) -> None:
        values: dict[str, apsw.SQLiteValue] = {
            "project_id": PROJECT,
            "session_id": session_id,
            "count": len(messages),
            "length": length,
            "now_at": now_at,
        }
        rows: list[Row] = cursor.execute(self._reserve_seqs, values).fetchall()
        place(messages, *rows[0])
        cursor.executemany(self._add_message, messages)
        self._not_indexed.append((messages[0]["search_scope"], messages))

    def _index(self, cursor: apsw.Cursor) -> None:
        for _, messages in sorted(self._not_indexed, key=itemgetter(0)):
            cursor.executemany(self._index_message, messages)
        self._not_indexed.clear()


def _columns(connection: apsw.Connection, text: str) -> list[str]:
    return [column[0] for column in query_info(connection, text).description]


class GroupCommit:
    """A thread that takes what is waiting, runs it in one transaction, and wakes the loop once.

    Args:
        at_end: what each transaction does before its COMMIT.
    """

    def __init__(self, connection: apsw.Connection, at_end: Callable[[apsw.Cursor], None]) -> None:
        self._connection = connection
        self._at_end = at_end
        self._cursor = connection.cursor()
        self._queue: SimpleQueue[tuple[Work, asyncio.Future[Any]] | None] = SimpleQueue()
        self._wal_pages = 0
        connection.set_wal_hook(self._note_wal_pages)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    async def write(self, work: Work) -> Any:
        """What `work(cursor)` gives, once it is on the disk."""
        future = asyncio.get_running_loop().create_future()
        self._queue.put((work, future))
        return await future

    def close(self) -> None:
        """Let the thread end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            done = []
            self._cursor.execute("BEGIN IMMEDIATE")
            while job is not None:
                work, future = job
                done.append((future, work(self._cursor)))
                try:
                    job = self._queue.get_nowait()
                except Empty:
                    break
            self._at_end(self._cursor)
            self._cursor.execute("COMMIT")
            done[0][0].get_loop().call_soon_threadsafe(_wake, done)
            self._checkpoint()

    def _note_wal_pages(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        limit = CHECKPOINT_PAGES if self._queue.empty() else CHECKPOINT_PAGES_UNDER_LOAD
        if self._wal_pages > limit:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)


def _wake(done: list[tuple["asyncio.Future[Any]", Any]]) -> None:
    for future, result in done:
        if not future.done():
            future.set_result(result)
