"""The floors: the least that a server of this kind can do, to see what the product adds to it.

All run under the product's own uvicorn, uvloop and httptools, with its settings.

- `native`: a bare ASGI application that makes the same raw calls of the driver for the same
  requests: the product's own texts of its queries, on connections set as its own, on a copy of the
  same database; reads in a transaction if the product's are; writes by a group commit of its own,
  with `synchronous=FULL`, one wake-up of the loop a group, and the log copied back as often. It
  checks nothing, converts nothing, knows no errors, and sends JSON of the product's size. What the
  product does to uvicorn and to the interpreter, it has as well: else the product would be faster
  than its floor, and the share would say nothing of what the application costs.
- `constant`: answers `.` to everything, under uvicorn as it comes: what Zep was compared with.
- `echo`: no HTTP at all, fixed bytes for each packet: shows what the load generator can do.
"""

import argparse
import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from operator import itemgetter
from queue import Empty, SimpleQueue
from time import time_ns
from typing import Any, Generic, TypeVar

import apsw
import msgspec
import uvicorn
import uvloop
from apsw.ext import query_info

from recollect.http.one_write import OneWriteProtocol
from recollect.main import tune_interpreter
from recollect.storage.queries import load_queries
from recollect.storage.sqlite.connection import connect
from recollect.storage.sqlite.writer import CHECKPOINT_PAGES, CHECKPOINT_PAGES_UNDER_LOAD

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Row = tuple[Any, ...]
Work = Callable[[apsw.Cursor], Any]
S = TypeVar("S", bound=msgspec.Struct)

MEMORY_WINDOW = 12


_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

# The product writes times out; here a text of the same length stands for each.
_TIME = "2026-01-02T03:04:05.678901Z"


class User(msgspec.Struct):
    """A user as it is sent: the fields of the product's."""

    user_id: str
    uuid: str
    email: str | None
    first_name: str | None
    last_name: str | None
    metadata: Any
    revision: int
    created_at: str
    updated_at: str


class Message(msgspec.Struct):
    """A message as it is sent: the fields of the product's."""

    seq: int
    uuid: str
    role: str
    role_type: str
    content: str
    metadata: Any
    data: None
    token_count: int | None
    created_at: str


async def constant(_scope: Scope, _receive: Receive, send: Send) -> None:
    """The application that answers a constant."""
    await _answer(send, b".", 200, b"text/plain")


class Native:
    """The application that makes the same calls of the driver as the product's native door."""

    def __init__(self, database: str, *, reads_in_transaction: bool) -> None:
        text = {name: query.text for name, query in load_queries("sqlite").items()}
        self._get_user = text["get_user"]({})
        self._list_messages = text["list_messages"]({"descending": True, "limit": 1})
        self._add_user = text["add_user"]({})
        self._lift_forgotten = text["lift_forgotten"]({})
        self._reserve_seqs = text["reserve_seqs"]({})
        self._add_message = text["add_message"]({})
        self._reads_in_transaction = reads_in_transaction
        self._number = count(1)
        reader = connect(database, read_only=True)
        self._read_user = Shape(reader, self._get_user, User)
        self._read_message = Shape(reader, self._list_messages, Message)
        self._reader = reader.cursor()
        writer = connect(database)
        self._added_user = Shape(writer, self._add_user, User)
        self._lane = GroupCommit(writer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `/v1/users…` and `/v1/sessions/{id}/…`; anything else with a constant."""
        segments = scope["raw_path"].decode().split("/")
        if len(segments) < 3:
            await constant(scope, receive, send)
        elif scope["method"] == "POST":
            body = _decode((await receive())["body"])
            if segments[2] == "users":
                answer = await self._post_user(body)
            else:
                answer = await self._post_messages(segments[3], body)
            await _answer(send, _encode(answer), 201)
        elif segments[2] == "users":
            await _answer(send, _encode(self._user(segments[3])), 200)
        else:
            await _answer(send, _encode(self._memory(segments[3])), 200)

    def close(self) -> None:
        """Stop the writer."""
        self._lane.close()

    def _user(self, user_id: str) -> Any:
        values = {"project_id": 1, "user_id": user_id}
        return self._read_user(self._read(self._get_user, values)[0])

    def _memory(self, session_id: str) -> Any:
        values = {"project_id": 1, "session_id": session_id, "limit": MEMORY_WINDOW}
        rows = self._read(self._list_messages, values)
        rows.reverse()
        return {"messages": [self._read_message(row) for row in rows], "summary": None, "facts": []}

    def _read(self, text: str, values: dict[str, Any]) -> list[Row]:
        if not self._reads_in_transaction:
            return self._reader.execute(text, values).fetchall()
        self._reader.execute("BEGIN")
        rows = self._reader.execute(text, values).fetchall()
        self._reader.execute("COMMIT")
        return rows

    async def _post_user(self, body: dict[str, Any]) -> Any:
        values = {
            "project_id": 1,
            "user_id": body["user_id"],
            "uuid": self._uuid(),
            "email": body["email"],
            "email_folded": body["email"],
            "first_name": body["first_name"],
            "last_name": body["last_name"],
            "metadata": _encode(body["metadata"]).decode(),
            "now_at": time_ns() // 1000,
        }
        return self._added_user(await self._lane.write(partial(self._insert_user, values)))

    def _insert_user(self, values: dict[str, Any], cursor: apsw.Cursor) -> Row:
        rows = cursor.execute(self._add_user, values).fetchall()
        mark = {"project_id": 1, "subject": "user", "id_hash": values["uuid"]}
        cursor.execute(self._lift_forgotten, mark)
        return rows[0]

    async def _post_messages(self, session_id: str, body: dict[str, Any]) -> Any:
        now_at = time_ns() // 1000
        messages = [
            {
                "project_id": 1,
                "session_id": session_id,
                "seq": 0,
                "uuid": self._uuid(),
                "role": message["role"],
                "role_type": message["role_type"],
                "token_count": None,
                "created_at": now_at,
                "metadata": None,
                "content": message["content"],
                "data": None,
            }
            for message in body["messages"]
        ]
        await self._lane.write(partial(self._insert_messages, session_id, now_at, messages))
        return {"session_id": session_id, "messages": [_as_sent(row) for row in messages]}

    def _insert_messages(
        self, session_id: str, now_at: int, messages: list[dict[str, Any]], cursor: apsw.Cursor
    ) -> None:
        values = {
            "project_id": 1,
            "session_id": session_id,
            "count": len(messages),
            "now_at": now_at,
        }
        rows: list[Row] = cursor.execute(self._reserve_seqs, values).fetchall()
        last_seq: int = rows[0][0]
        for seq, message in enumerate(messages, last_seq - len(messages) + 1):
            message["seq"] = seq
        cursor.executemany(self._add_message, messages)

    def _uuid(self) -> str:
        return f"01990000-0000-7000-8000-{next(self._number):012x}"


class Shape(Generic[S]):
    """From a row to what is sent, wherever the query has its columns."""

    def __init__(self, connection: apsw.Connection, text: str, kind: type[S]) -> None:
        columns = [column[0] for column in query_info(connection, text).description]
        self._kind = kind
        self._select = itemgetter(
            *(
                len(columns) if field.endswith("_at") else columns.index(field)
                for field in kind.__struct_fields__
            )
        )

    def __call__(self, row: Row) -> S:
        """A row as it is sent."""
        shown: Any = self._kind(*self._select((*row, _TIME)))
        if shown.metadata is not None:
            shown.metadata = msgspec.Raw(shown.metadata)
        return shown  # type: ignore[no-any-return]


class GroupCommit:
    """A thread that takes what is waiting, runs it in one transaction, and wakes the loop once."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
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


class Echo(asyncio.Protocol):
    """Fixed bytes for each packet."""

    _BYTES = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n."

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._write = transport.write  # type: ignore[attr-defined]

    def data_received(self, _data: bytes) -> None:
        """Answer."""
        self._write(self._BYTES)


_fields = itemgetter(*Message.__struct_fields__)


def _as_sent(values: dict[str, Any]) -> Message:
    message = Message(*_fields(values))
    message.created_at = _TIME
    return message


def _wake(done: list[tuple["asyncio.Future[Any]", Any]]) -> None:
    for future, result in done:
        if not future.done():
            future.set_result(result)


async def _answer(send: Send, body: bytes, status: int, kind: bytes = b"application/json") -> None:
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", kind)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _echo(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Serve one floor until it is killed."""
    parser = argparse.ArgumentParser(description="Serve one floor.")
    parser.add_argument("name", choices=["native", "constant", "echo"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database")
    parser.add_argument("--reads-in-transaction", action="store_true")
    given = parser.parse_args()
    if given.name == "echo":
        uvloop.run(_echo(given.port))
    elif given.name == "constant":
        _serve(constant, given.port, "httptools")
    else:
        native = Native(given.database, reads_in_transaction=given.reads_in_transaction)
        tune_interpreter()
        _serve(native, given.port, OneWriteProtocol)


def _serve(application: Any, port: int, protocol: Any) -> None:
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        backlog=2048,
    )


if __name__ == "__main__":
    main()
