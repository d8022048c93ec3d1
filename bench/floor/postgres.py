"""Bare psycopg: as many threads as the product has lanes, each with a synchronous connection.

Each request is a future; a thread takes it, runs its statements one after the other with
`cursor.execute`, prepared and with binary results, and wakes the loop. A read is one statement in
autocommit; a write is BEGIN, its statements (several rows by `executemany`) and COMMIT. The index
is in the messages' own rows; its words come ready, see `bench.floor.native`.
"""

import asyncio
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from queue import SimpleQueue
from typing import Any

import psycopg
from psycopg.types.json import set_json_loads
from psycopg.types.numeric import Int8BinaryLoader

from bench.floor.native import MEMORY_WINDOW, PROJECT, Calls, Row, Values, place
from userkeep.config import Settings
from userkeep.storage.postgres.server import connect
from userkeep.storage.queries import load_queries

Connection = psycopg.Connection[Row]
Cursor = psycopg.Cursor[Row]
Work = Callable[[Cursor], Any]

# As the product's connections are set; synchronous_commit is on by itself.
_SETTINGS = """
SET statement_timeout = 30000;
SET idle_in_transaction_session_timeout = 60000;
SET jit = off;
"""
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


class PostgresCalls(Calls):
    """See Calls."""

    def __init__(self, url: str) -> None:
        super().__init__()
        queries = load_queries("postgres")
        text = {name: _as_psycopg_takes_it(query.text({})) for name, query in queries.items()}
        self._get_user = text["get_user"]
        self._list_messages = _as_psycopg_takes_it(
            queries["list_messages"].text({"descending": True, "limit": 1})
        )
        self._add_user = text["add_user"]
        self._remove_tombstone = text["remove_tombstone"]
        self._reserve_seqs = text["reserve_seqs"]
        self._add_message = text["add_message"]
        nobody = {"project_id": PROJECT, "user_id": "", "session_id": "", "limit": 1}
        with _connected(url) as connection:
            self.user_columns = _columns(connection, self._get_user, nobody)
            self.message_columns = _columns(connection, self._list_messages, nobody)
        self._lanes = Lanes(url, Settings().postgres_pool_size)

    async def user(self, user_id: str) -> Row:
        """See Calls."""
        values = {"project_id": PROJECT, "user_id": user_id}
        rows: list[Row] = await self._lanes.run(partial(_read, self._get_user, values))
        return rows[0]

    async def memory(self, session_id: str) -> list[Row]:
        """See Calls."""
        values = {"project_id": PROJECT, "session_id": session_id, "limit": MEMORY_WINDOW}
        rows: list[Row] = await self._lanes.run(partial(_read, self._list_messages, values))
        return rows

    async def add_user(self, values: Values) -> Row:
        """See Calls."""
        row: Row = await self._lanes.run(partial(self._insert_user, values))
        return row

    async def append(
        self, session_id: str, now_at: Any, messages: list[Values], length: int
    ) -> None:
        """See Calls."""
        await self._lanes.run(partial(self._insert_messages, session_id, now_at, messages, length))

    def now_at(self) -> datetime:
        """See Calls."""
        return datetime.now(UTC)

    def close(self) -> None:
        """Stop the lanes."""
        self._lanes.close()

    def _insert_user(self, values: Values, cursor: Cursor) -> Row:
        cursor.execute("BEGIN", prepare=True)
        [row] = cursor.execute(self._add_user, values, prepare=True, binary=True).fetchall()
        mark = {"project_id": PROJECT, "subject": "user", "id_hash": values["uuid"]}
        cursor.execute(self._remove_tombstone, mark, prepare=True, binary=True)
        cursor.execute("COMMIT", prepare=True)
        return row

    def _insert_messages(
        self,
        session_id: str,
        now_at: datetime,
        messages: list[Values],
        length: int,
        cursor: Cursor,
    ) -> None:
        values = {
            "project_id": PROJECT,
            "session_id": session_id,
            "count": len(messages),
            "length": length,
            "now_at": now_at,
        }
        cursor.execute("BEGIN", prepare=True)
        [row] = cursor.execute(self._reserve_seqs, values, prepare=True, binary=True).fetchall()
        place(messages, *row)
        if len(messages) == 1:
            cursor.execute(self._add_message, messages[0], prepare=True, binary=True)
        else:
            cursor.executemany(self._add_message, messages)
        cursor.execute("COMMIT", prepare=True)


class Lanes:
    """Threads that take what is waiting, one at a time, each on a connection of its own."""

    def __init__(self, url: str, count: int) -> None:
        self._jobs: SimpleQueue[tuple[Work, asyncio.Future[Any]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, args=(_connected(url),), daemon=True)
            for _ in range(count)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Work) -> Any:
        """What `work(cursor)` gives."""
        future = asyncio.get_running_loop().create_future()
        self._jobs.put((work, future))
        return await future

    def close(self) -> None:
        """Let the threads end."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, connection: Connection) -> None:
        with connection, connection.cursor(binary=True) as cursor:
            while (job := self._jobs.get()) is not None:
                work, future = job
                future.get_loop().call_soon_threadsafe(_wake, future, work(cursor))


def _wake(future: "asyncio.Future[Any]", result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _connected(url: str) -> Connection:
    connection = connect(url)
    connection.execute(_SETTINGS)
    connection.prepare_threshold = 0  # executemany has no other way to prepare at once
    # Nothing is converted that nobody looks at: times stay numbers, JSON stays bytes.
    connection.adapters.register_loader("timestamptz", Int8BinaryLoader)
    set_json_loads(_as_it_is, connection)
    return connection


def _read(text: str, values: Values, cursor: Cursor) -> list[Row]:
    return cursor.execute(text, values, prepare=True, binary=True).fetchall()


def _as_psycopg_takes_it(text: str) -> str:
    return _PARAMETER.sub(r"%(\1)s", text.replace("%", "%%"))


def _as_it_is(data: str | bytes) -> str | bytes:
    return data


def _columns(connection: Connection, text: str, values: Values) -> list[str]:
    description = connection.execute(text, values).description
    assert description is not None
    return [column.name for column in description]
