"""Calls that run in this process: no server, no HTTP, the same answers.

Nothing happens here by itself. An erasure is carried to its end by the call that asks for it; one
that a former process left half-way, by whoever opens the database next.

What is to be done is written once, as generators that give the steps; who runs them waits for each
step in a way of its own, and sends back what came of it.
"""

import asyncio
import time
from collections.abc import Generator, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple

import anyio
import msgspec
from anyio import to_thread

from recollect.api.operations import OPERATIONS
from recollect.config import load_settings
from recollect.domain.erasure import Erasure
from recollect.domain.ids import check_id
from recollect.domain.scope import Scope
from recollect.domain.transaction import Operation, Transaction
from recollect.native import shapes
from recollect.native.calls import Call as NativeCall
from recollect.native.calls import Replayed
from recollect.native.performers import PERFORMERS
from recollect.native.reading import read_body, read_query
from recollect.opening import Installation, open_installation
from recollect.sdk.calls import Call, decoder_of
from recollect.services import erasures, forgotten, idempotency, installation

_ASK_AGAIN_S = 0.1

_encode = msgspec.json.Encoder().encode
_DECODE_BODY = {
    operation.name: msgspec.json.Decoder(operation.body).decode
    for operation in OPERATIONS
    if operation.body is not None
}


class Step(NamedTuple):
    """A step towards an answer: something to run on the engine, or a pause."""

    kind: Literal["short read", "long read", "write", "pause"]
    operation: Operation[Any] | None = None


Steps = Generator[Step, Any, Any]

_PAUSE = Step("pause")


class EmbeddedCaller:
    """Runs calls on an open installation; any thread may use it."""

    def __init__(self, opened: Installation) -> None:
        """Take an installation, and finish what a former process left half-way in it."""
        self._engine = opened.engine
        self._scope = opened.scope
        self._run(_tidying(opened))

    def call(self, call: Call) -> Any:
        """See Caller."""
        return self._run(_answering(call, self._scope))

    def close(self) -> None:
        """See Caller."""
        self._engine.close()

    def _run(self, steps: Steps) -> Any:
        try:
            step = next(steps)
            while True:
                step = steps.send(self._take(step))
        except StopIteration as end:
            return end.value

    def _take(self, step: Step) -> Any:
        if step.operation is None:
            return time.sleep(_ASK_AGAIN_S)
        run = self._engine.write if step.kind == "write" else self._engine.read
        return run(step.operation)


class AsyncEmbeddedCaller:
    """Runs calls on an open installation, for the tasks of any event loop.

    On asyncio by the engine's own awaitable forms; elsewhere (trio), calls run in threads.
    """

    def __init__(self, opened: Installation) -> None:
        """Take an installation; see EmbeddedCaller."""
        self._engine = opened.engine
        self._scope = opened.scope
        self._in_threads = EmbeddedCaller(opened)

    async def call(self, call: Call) -> Any:
        """See AsyncCaller."""
        if asyncio._get_running_loop() is None:
            return await to_thread.run_sync(self._in_threads.call, call)
        steps = _answering(call, self._scope)
        try:
            step = next(steps)
            while True:
                step = steps.send(await self._take(step))
        except StopIteration as end:
            return end.value

    async def close(self) -> None:
        """See AsyncCaller."""
        await to_thread.run_sync(self._engine.close)

    async def _take(self, step: Step) -> Any:
        if step.operation is None:
            return await anyio.sleep(_ASK_AGAIN_S)
        if step.kind == "write":
            return await self._engine.write_async(step.operation)
        is_short = step.kind == "short read"
        return await self._engine.read_async(step.operation, is_short=is_short)


def open_embedded(database: str, settings: Mapping[str, Any]) -> Installation:
    """An installation for this process alone.

    Args:
        database: a path, `:memory:`, or a database URL.
        settings: others, by name; the environment says the rest.

    Raises:
        StorageError, SettingError: with a sentence that says what to do.
    """
    is_url = "://" in database
    database_url = database if is_url else f"sqlite:///{database}"
    return open_installation(load_settings({**settings, "database_url": database_url}))


def _answering(call: Call, scope: Scope) -> Steps:
    """The answer to a call."""
    native = _native(call)
    perform = PERFORMERS[call.operation.name]

    def operation(tx: Transaction) -> Any:
        return perform(tx, scope, native)

    if call.operation.does == "read":
        is_short = native.query is None or native.query.is_short
        result = yield Step("short read" if is_short else "long read", operation)
        return _value(call, result)
    result = yield Step("write", operation)
    if call.operation.does == "erase":
        return shapes.erasure((yield from _finishing(scope, result)))
    return _value(call, result)


def _finishing(scope: Scope, erasure: Erasure) -> Generator[Step, Any, Erasure]:
    """An erasure, carried to its end."""
    while not erasure.is_finished:
        advance = partial(
            erasures.advance,
            scope=scope,
            uuid=erasure.uuid,
            held_until_at=erasure.claimed_until_at,
        )
        erasure = yield Step("write", advance)
        if not erasure.is_finished and erasure.claimed_until_at is None:
            yield _PAUSE  # another process is at work on it
    return erasure


def _tidying(opened: Installation) -> Steps:
    """Finish what a former process left half-way, and drop what has expired."""
    project_ids = yield Step("short read", installation.project_ids)
    for project_id in project_ids:
        scope = Scope(project_id, opened.scope.rules)
        if not opened.engine.is_shared:
            yield Step("write", partial(erasures.drop_claims, scope=scope))
        for uuid in (yield Step("short read", partial(erasures.abandoned, scope=scope))):
            get = partial(erasures.get, scope=scope, uuid=uuid)
            yield from _finishing(scope, (yield Step("short read", get)))
        for drop in (forgotten.drop_expired, idempotency.drop_expired):
            while (yield Step("write", partial(drop, scope=scope))):
                pass


def _native(call: Call) -> NativeCall:
    """A call as it is performed, read as a server reads it.

    Raises:
        BadRequest, InvalidField: naming the field.
    """
    operation = call.operation
    native = NativeCall(ids=call.ids, if_revision=call.if_revision)
    if operation.query is not None:
        native.query = read_query(call.parameters, operation.query)
    if operation.body is not None:
        native.body = read_body(call.body or b"", _DECODE_BODY[operation.name])
    if call.idempotency_key is not None:
        native.idempotency_key = check_id(call.idempotency_key, "idempotency_key")
        native.request = _encode((operation.name, call.ids)) + (call.body or b"")
    return native


def _value(call: Call, result: Any) -> Any:
    """What a server's client would read of a result: metadata and data are opened."""
    if isinstance(result, Replayed):
        result = result.value
    return decoder_of(call.kind).decode(_encode(result))
