"""An engine that reports its transactions as spans, where they are part of a trace."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from time import time_ns
from typing import TypeVar

from opentelemetry.trace import Span, SpanKind, Tracer, get_current_span, set_span_in_context

from userkeep.domain.transaction import Operation, Transaction
from userkeep.storage.engine import Compactor, Dialect, Engine, Files, VectorIndexer
from userkeep.storage.figures import Disk, Figures

T = TypeVar("T")


class TracedEngine:
    """Runs operations as the engine does that it wraps; see `storage.engine.Engine`.

    A transaction is a span, and what it waited before it began is a span in it. Operations outside
    of any trace are not recorded.
    """

    def __init__(self, engine: Engine, tracer: Tracer) -> None:
        self._engine = engine
        self._tracer = tracer
        self._system = {"sqlite": "sqlite", "postgres": "postgresql"}[engine.dialect]

    @property
    def dialect(self) -> Dialect:
        return self._engine.dialect

    @property
    def is_shared(self) -> bool:
        return self._engine.is_shared

    def read(self, operation: Operation[T]) -> T:
        return self._engine.read(operation)

    def write(self, operation: Operation[T]) -> T:
        return self._engine.write(operation)

    async def read_async(self, operation: Operation[T], *, is_bounded: bool = True) -> T:
        if not get_current_span().is_recording():
            return await self._engine.read_async(operation, is_bounded=is_bounded)
        with self._span("read") as span:
            run = self._timed(operation, span)
            return await self._engine.read_async(run, is_bounded=is_bounded)

    async def write_async(self, operation: Operation[T], *, is_bounded: bool = True) -> T:
        if not get_current_span().is_recording():
            return await self._engine.write_async(operation, is_bounded=is_bounded)
        with self._span("write") as span:
            run = self._timed(operation, span)
            return await self._engine.write_async(run, is_bounded=is_bounded)

    def describe(self) -> str:
        return self._engine.describe()

    def figures(self) -> Figures:
        return self._engine.figures()

    def disk(self) -> Disk | None:
        return self._engine.disk()

    def files(self) -> Files:
        return self._engine.files()

    def compactor(self, tables: Mapping[str, Sequence[str]]) -> Compactor:
        return self._engine.compactor(tables)

    def vector_indexer(self) -> VectorIndexer | None:
        return self._engine.vector_indexer()

    def close(self) -> None:
        self._engine.close()

    def _span(self, does: str) -> AbstractContextManager[Span]:
        # The text of an error may have values, so it is not recorded.
        return self._tracer.start_as_current_span(
            f"database {does}",
            kind=SpanKind.CLIENT,
            attributes={"db.system.name": self._system},
            record_exception=False,
            set_status_on_exception=False,
        )

    def _timed(self, operation: Operation[T], span: Span) -> Operation[T]:
        """Return an operation that records, when it runs for the first time, what it waited."""
        queued_at, waits = time_ns(), [True]

        def run(tx: Transaction) -> T:
            if waits:
                waits.clear()
                context = set_span_in_context(span)
                queue = self._tracer.start_span("queue", context, start_time=queued_at)
                queue.end()
            return operation(tx)

        return run
