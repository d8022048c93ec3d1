"""Calls that run in this process: no server, no HTTP, the same answers.

Nothing happens here by itself. An erasure is carried to its end by the call that asks for it; one
that a former process left half-way, by whoever opens the database next.

What is to be done is written once, as generators that give the steps; who runs them waits for each
step in a way of its own, and sends back what came of it.
"""

import asyncio
import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import replace
from os import PathLike, fsdecode
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from anyio import to_thread

from userkeep.api.operations import OPERATIONS
from userkeep.api.parsing import read_body, read_query
from userkeep.config import SettingError, is_postgres, load_settings, sqlite_path
from userkeep.domain.erasure import Erasure
from userkeep.domain.errors import Unavailable
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Operation, Transaction, scoped
from userkeep.handlers.calls import Call as NativeCall
from userkeep.handlers.calls import ReplayedResponse
from userkeep.handlers.erasures import serialize_erasure, serialize_verification
from userkeep.handlers.table import HANDLERS
from userkeep.opening import Instance, open_instance
from userkeep.purging import Purge
from userkeep.sdk.calls import Call, read_answer
from userkeep.services import erasures, idempotency, instance, purges, tombstones
from userkeep.verifying import Verifying

_ASK_AGAIN_S = 0.1
_OF_SERVERS = {"host", "port", "insecure_no_auth", "log_level"}

_encode = msgspec.json.Encoder().encode
_DECODE_BODY = {
    operation.name: msgspec.json.Decoder(operation.body).decode
    for operation in OPERATIONS
    if operation.body is not None
}


class Step(NamedTuple):
    """A step towards an answer: something to run on the engine, perhaps after a pause."""

    kind: Literal["short read", "long read", "write", "purge", "verify"]
    operation: Operation[Any]
    pause_s: float = 0.0


Steps = Generator[Step, Any, Any]

_READS = ("short read", "long read", "purge", "verify")
"""What reads: a purge, what came of it; a verification, what is to be verified."""

_IN_THREADS = ("delete", "verify")
"""What may take long, and so is done beside an event loop."""


class EmbeddedCaller:
    """Runs calls on an open instance; any thread may use it."""

    def __init__(self, opened: Instance) -> None:
        self.opened = opened
        self._is_closed = False

    def call(self, call: Call) -> Any:
        """See Caller."""
        self.check_is_open()
        return self._run(_answering(call, self.opened.scope))

    def tidy(self) -> None:
        """Finish what a former process left half-way, and drop what has expired."""
        self._run(_tidying(self.opened))

    def check_is_open(self) -> None:
        """Refuse to use what is closed.

        Raises:
            RuntimeError: it is.
        """
        if self._is_closed:
            raise RuntimeError("This client was closed; open the database again.")

    def close(self) -> None:
        """See Caller."""
        self._is_closed = True
        self.opened.close()

    def _run(self, steps: Steps) -> Any:
        try:
            step = next(steps)
            while True:
                step = steps.send(self._take(step))
        except StopIteration as end:
            return end.value

    def _take(self, step: Step) -> Any:
        if step.pause_s:
            time.sleep(step.pause_s)
        engine = self.opened.engine
        if step.kind == "purge":
            with suppress(Unavailable):  # what is in the way is told with the erasure
                Purge(engine).run()
        run = engine.read if step.kind in _READS else engine.write
        result = run(step.operation)
        if step.kind == "verify":
            return Verifying(engine, self.opened.scope, result).run()
        return result


class AsyncEmbeddedCaller:
    """Runs calls on an open instance, for the tasks of any event loop.

    On asyncio by the engine's own awaitable forms; elsewhere (trio), calls run in threads. So do
    erasures everywhere: one that has begun goes on when whoever waited for it is cancelled.
    """

    def __init__(self, in_threads: EmbeddedCaller) -> None:
        self._in_threads = in_threads
        self.opened = in_threads.opened

    async def call(self, call: Call) -> Any:
        """See AsyncCaller."""
        self._in_threads.check_is_open()
        if call.operation.does in _IN_THREADS or not _is_on_asyncio():
            return await to_thread.run_sync(self._in_threads.call, call)
        steps = _answering(call, self.opened.scope)
        try:
            step = next(steps)
            while True:
                step = steps.send(await self._take(step))
        except StopIteration as end:
            return end.value

    async def close(self) -> None:
        """See AsyncCaller."""
        await to_thread.run_sync(self._in_threads.close)

    async def _take(self, step: Step) -> Any:
        engine = self.opened.engine
        if step.kind == "write":
            return await engine.write_async(step.operation)
        return await engine.read_async(step.operation, is_bounded=step.kind == "short read")


def open_caller(
    database: str | PathLike[str] | None, settings: Mapping[str, Any]
) -> EmbeddedCaller:
    """A caller on a database that this process alone has open; see client.Userkeep.open.

    Raises:
        StorageError, SettingError: with a sentence that says what to do.
    """
    caller = EmbeddedCaller(_opened(database, settings))
    try:
        caller.tidy()
    except BaseException:
        caller.close()
        raise
    return caller


def open_async_caller(
    database: str | PathLike[str] | None, settings: Mapping[str, Any]
) -> AsyncEmbeddedCaller:
    """As open_caller."""
    return AsyncEmbeddedCaller(open_caller(database, settings))


def _opened(database: str | PathLike[str] | None, settings: Mapping[str, Any]) -> Instance:
    for name in settings:
        if name == "database_url":
            raise SettingError("The database is named by the first argument, not database_url.")
        if name in _OF_SERVERS:
            raise SettingError(f"{name} is a setting of servers, and there is none here.")
    named = None if database is None else fsdecode(database)
    if named == "":
        raise SettingError('The path is empty; give one, ":memory:", or a postgresql:// URL.')
    loaded = load_settings({**settings, "database_url": named})
    return open_instance(replace(loaded, database_url=_url_of(loaded.database_url)))


def _url_of(text: str) -> str:
    if is_postgres(text):
        return text
    path = sqlite_path(text) if "://" in text else text
    if path == ":memory:":
        return "sqlite:///:memory:"
    # Absolute, because connections are opened later too, when the process may be elsewhere.
    return f"sqlite:///{Path(path).expanduser().absolute()}"


def _is_on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _answering(call: Call, scope: Scope) -> Steps:
    """The answer to a call."""
    native = _native(call)
    perform = HANDLERS[call.operation.name]

    operation = scoped(scope, perform, native)
    if call.operation.does == "read":
        is_bounded = call.operation.is_bounded and (native.query is None or native.query.is_bounded)
        result = yield Step("short read" if is_bounded else "long read", operation)
        return _value(call, result)
    if call.operation.does == "verify":
        return _value(call, serialize_verification((yield Step("verify", operation))))
    result = yield Step("write", operation)
    if call.operation.does == "delete":
        return (yield from _purged(scope, (yield from _finishing(scope, result))))
    return _value(call, result)


def _finishing(scope: Scope, erasure: Erasure) -> Generator[Step, Any, Erasure]:
    """An erasure, carried to its end."""
    pause_s = 0.0
    while not erasure.is_finished:
        advance = scoped(scope, erasures.advance, erasure.uuid, erasure.lease_expires_at)
        erasure = yield Step("write", advance, pause_s)
        # Where another process is at work on it, there is nothing to do but ask again.
        pause_s = _ASK_AGAIN_S if erasure.lease_expires_at is None else 0.0
    return erasure


def _purged(scope: Scope, erasure: Erasure) -> Steps:
    """An erasure as it travels, purged if somebody has asked for it."""
    if not erasure.waits_for_purge:
        return serialize_erasure(erasure)

    def read(tx: Transaction) -> Any:
        return serialize_erasure(erasures.get(tx, erasure.uuid), purges.step(tx))

    return (yield Step("purge", scoped(scope, read)))


def _tidying(opened: Instance) -> Steps:
    """Finish what a former process left half-way, and drop what has expired."""
    project_ids = yield Step("short read", instance.project_ids)
    for project_id in project_ids:
        scope = Scope(project_id, opened.scope.rules)
        if not opened.engine.is_shared:
            yield Step("write", scoped(scope, erasures.release_leases))
            yield Step("write", purges.drop_step)
        for uuid in (yield Step("short read", scoped(scope, erasures.abandoned))):
            get = scoped(scope, erasures.get, uuid)
            yield from _finishing(scope, (yield Step("short read", get)))
        for drop in (tombstones.drop_expired, idempotency.delete_expired):
            while (yield Step("write", scoped(scope, drop))):
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
        native.idempotency_key = call.idempotency_key
        native.request = _encode((operation.name, call.ids)) + (call.body or b"")
    return native


def _value(call: Call, result: Any) -> Any:
    """What a server's client would read of a result: metadata and data are opened."""
    if isinstance(result, ReplayedResponse):
        result = result.value
    return read_answer(call, _encode(result))
