"""Records what the product asks of its database for a request, by running it in this process."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, TypeVar

import httpx2
import msgspec

from bench.baseline.replay import Call, Operation, Recording, Result, Values, operation_of
from bench.harness import requests
from bench.harness.requests import Size, parts, split
from bench.harness.servers import SECRET
from userkeep.config import Settings
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Operation as ProductOperation
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.paging import Rows
from userkeep.instance import open_instance
from userkeep.server import make_application
from userkeep.storage.filters import with_filter
from userkeep.storage.postgres.filters import PostgresFilterCompiler
from userkeep.storage.queries import Query, load_queries
from userkeep.storage.sqlite.filters import SqliteFilterCompiler

T = TypeVar("T")

Record = Callable[[bytes], Recording]
"""Sends a request to the product, and returns what was recorded."""

SIZE = Size(users=60, sessions=60)
_LEAST_MESSAGES = 12


def record_operations(url: str, pairs: Mapping[str, tuple[bytes, bytes]]) -> dict[str, Operation]:
    """Record operations, each with two requests, on an empty database that is filled a little."""
    with recording(url) as record:
        _fill(record)
        return {name: operation_of(*map(record, pair)) for name, pair in pairs.items()}


def _fill(record: Record) -> None:
    """Make users and sessions of which no two are alike in any number."""
    for number in range(1, SIZE.users + 1):
        record(requests.post("/v1/users", requests.user(f"user-{number:08d}")))
    for number in range(1, SIZE.sessions + 1):
        session, user = f"session-{number:08d}", f"user-{SIZE.users + 1 - number:08d}"
        record(requests.post("/v1/sessions", {"session_id": session, "user_id": user}))
        messages = [{"role": "user", "content": "Hello."}] * (_LEAST_MESSAGES + number)
        record(requests.post(f"/v1/sessions/{session}/messages", {"messages": messages}))


@contextmanager
def recording(url: str) -> Iterator[Record]:
    """Open the product on a database in this process."""
    settings = Settings(database_url=url, secret=SECRET)
    with ExitStack() as stack:
        instance = open_instance(settings)
        stack.callback(instance.close)
        engine = RecordingEngine(instance.engine)
        instance = msgspec.structs.replace(instance, engine=engine)
        transport = httpx2.ASGITransport(app=make_application(instance, settings))
        runner = stack.enter_context(asyncio.Runner())
        client = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        stack.callback(lambda: runner.run(client.aclose()))

        def record(request: bytes) -> Recording:
            engine.recorded.clear()
            method, path, body = split(request)
            headers = {"content-type": "application/json"} if body else {}
            sent = client.request(method, path, content=body, headers=headers)
            response = runner.run(sent)
            if not response.is_success:
                raise RuntimeError(f"{method} {path}: {response.status_code} {response.text}")
            # Not the server's look for keys, every few seconds, which is about no project.
            [tx] = (each for each in engine.recorded if each.is_bound)
            answer = response.status_code, response.json()
            return Recording(parts(request), *answer, tx.calls, tx.is_write, tx.now, tx.uuids)

        yield record


class RecordingEngine:
    """An engine that records each operation that comes to its end."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._texts = _Texts(engine.dialect)
        self.recorded: list[RecordingTransaction] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def read_async(self, operation: ProductOperation[T], **options: Any) -> T:
        result: T = await self._engine.read_async(self._recorded(operation), **options)
        return result

    async def write_async(self, operation: ProductOperation[T], **options: Any) -> T:
        recorded = self._recorded(operation, is_write=True)
        result: T = await self._engine.write_async(recorded, **options)
        return result

    def _recorded(
        self, operation: ProductOperation[T], *, is_write: bool = False
    ) -> ProductOperation[T]:
        def recorded(tx: Transaction) -> T:
            recording = RecordingTransaction(tx, self._texts, is_write=is_write)
            result = operation(recording)
            self.recorded.append(recording)
            return result

        return recorded


class _Texts:
    """The product's own texts of its queries."""

    def __init__(self, dialect: str) -> None:
        self._queries: Mapping[str, Query] = load_queries(dialect)
        self._compiler = PostgresFilterCompiler if dialect == "postgres" else SqliteFilterCompiler

    def of(self, query: str, values: Values) -> tuple[str, Values]:
        text = self._queries[query].text(values)
        if values.get("filter") is None:
            return text, values
        return with_filter(text, values, self._compiler())


class RecordingTransaction:
    """A transaction that notes all that is asked of it."""

    def __init__(self, tx: Any, texts: _Texts, *, is_write: bool) -> None:
        self._tx = tx
        self._texts = texts
        self._project: Values = {}
        self.is_write = is_write
        self.now = tx.now
        self.calls: list[tuple[Call, Result]] = []
        self.uuids: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def bind(self, scope: Scope) -> None:
        self._tx.bind(scope)
        self._project = {"project_id": scope.project_id}

    @property
    def is_bound(self) -> bool:
        """Whether it is about a project."""
        return bool(self._project)

    @property
    def search_index(self) -> Any:
        """The engine's index, whose statements are recorded, too."""
        return type(self._tx.search_index)(self)

    def new_uuid(self) -> str:
        self.uuids.append(self._tx.new_uuid())
        return self.uuids[-1]

    def fetch_one(self, query: str, kind: Callable[..., T], /, **values: Any) -> T | None:
        rows: list[tuple[Any, ...]] = []
        self._note(query, [values], "rows", rows)
        row: T | None = self._tx.fetch_one(query, _noting(rows, kind), **values)
        return row

    def fetch_all(self, query: str, kind: Callable[..., T], /, **values: Any) -> list[T]:
        rows: list[tuple[Any, ...]] = []
        self._note(query, [values], "rows", rows)
        made: list[T] = self._tx.fetch_all(query, _noting(rows, kind), **values)
        return made

    def fetch_page(self, query: str, kind: Callable[..., Any], /, **values: Any) -> Rows[Any]:
        rows: list[tuple[Any, ...]] = []
        self._note(query, [values], "rows", rows)
        page: Rows[Any] = self._tx.fetch_page(query, _noting(rows, kind), **values)
        return page

    def execute(self, query: str, /, **values: Any) -> int:
        changes: int = self._tx.execute(query, **values)
        self._note(query, [values], "changes", changes)
        return changes

    def execute_many(self, query: str, rows: Iterable[Mapping[str, Any]], /) -> int:
        rows = list(rows)
        changes: int = self._tx.execute_many(query, rows)
        self._note(query, rows, "changes", changes)
        return changes

    def defer(self, query: str, /, **values: Any) -> None:
        self._note(query, [values])
        self._tx.defer(query, **values)

    def defer_many(self, query: str, rows: Iterable[Mapping[str, Any]], /) -> None:
        rows = list(rows)
        self._note(query, rows)
        self._tx.defer_many(query, rows)

    def defer_to_commit(
        self, query: str, rows: Iterable[Mapping[str, Any]], /, *, sort_key: int
    ) -> None:
        rows = list(rows)
        self._note(query, rows, sort_key=sort_key)
        self._tx.defer_to_commit(query, rows, sort_key=sort_key)

    def _note(
        self,
        query: str,
        rows: Iterable[Mapping[str, Any]],
        wants: Literal["rows", "changes", "nothing"] = "nothing",
        result: Result = None,
        sort_key: int | None = None,
    ) -> None:
        asked = [self._texts.of(query, {**row, **self._project}) for row in rows]
        if asked and asked[0][0]:  # else there is nothing to do on this engine
            values = [each for _, each in asked]
            self.calls.append((Call(asked[0][0], values, wants, sort_key), result))


def _noting(rows: list[tuple[Any, ...]], kind: Callable[..., T]) -> Callable[..., T]:
    def noting(*columns: Any) -> T:
        rows.append(columns)
        return kind(*columns)

    return noting
