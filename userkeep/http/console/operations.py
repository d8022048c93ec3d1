"""Native operations, performed for a page: the same table, handlers and rules as the native API."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from userkeep.api.encoding import to_plain
from userkeep.api.operation import APIOperation
from userkeep.api.operations import OPERATIONS
from userkeep.api.parsing import body_decoder, read_body, read_query
from userkeep.domain.errors import Conflict
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Operation, Transaction
from userkeep.handlers.authorization import check_permission, in_scope, narrow
from userkeep.handlers.calls import Call, Handler, StartedJob
from userkeep.handlers.table import HANDLERS, prepare
from userkeep.http.authentication import Authenticator
from userkeep.http.compute import ComputeThreads
from userkeep.services import idempotency
from userkeep.services.idempotency import IdempotencyRecord
from userkeep.storage.engine import Engine
from userkeep.worker.worker import Worker

_BY_NAME = {operation.name: operation for operation in OPERATIONS}

_SENT_BEFORE = (
    "This form was sent before, and was carried out then. The text of a key is shown once: if you "
    "have not copied it, rotate the key."
)


class Operations:
    """Performs native operations.

    Args:
        engine: on which transactions run.
        worker: runs the jobs that operations start.
        compute: threads for bodies.
        authenticator: forgets keys and projects that an operation has changed.
    """

    def __init__(
        self,
        engine: Engine,
        worker: Worker,
        compute: ComputeThreads,
        authenticator: Authenticator,
    ) -> None:
        self._engine = engine
        self._worker = worker
        self._compute = compute
        self._authenticator = authenticator

    async def perform(self, scope: Scope, name: str, *, once: str = "", **given: Any) -> Any:
        """Perform an operation, and return its response as plain values.

        Args:
            scope: of the visitor.
            name: of the operation.
            once: identifies a form that must not be carried out twice.
            given: as for `perform_as_json`.

        Raises:
            UserkeepError: as for the native API. Conflict: the form was carried out before.
        """
        return await self._perform(scope, name, to_plain, once=once, **given)

    async def perform_as_json(
        self,
        scope: Scope,
        name: str,
        *,
        ids: Mapping[str, str],
        query: Mapping[str, str],
        body: Any,
        if_revision: int | None,
    ) -> bytes:
        """Perform an operation, and return its response as the native API sends it.

        Args:
            scope: of the visitor.
            name: of the operation.
            ids: of its path, decoded.
            query: its parameters, as texts.
            body: what its body is as JSON; None without one.
            if_revision: the revision that a conditional operation expects.

        Raises:
            UserkeepError: as for the native API.
        """
        found: bytes = await self._perform(
            scope,
            name,
            msgspec.json.encode,
            ids=ids,
            query=query,
            body=body,
            if_revision=if_revision,
        )
        return found

    async def _perform(
        self,
        scope: Scope,
        name: str,
        serialize: Callable[[Any], Any],
        *,
        once: str = "",
        **given: Any,
    ) -> Any:
        operation = _BY_NAME[name]
        check_permission(operation, scope)
        call = await self._compute.run(partial(_call, operation, scope, **given))
        if operation.does == "read":
            return await self._read(operation, call, serialize)
        handler = _performed_once(HANDLERS[name], once) if once else HANDLERS[name]
        handle = in_scope(operation, handler, call)
        result = await self._engine.write_async(handle, is_bounded=False)
        self._worker.embedding.wake()
        if operation.is_about_instance:
            self._authenticator.forget()
        if isinstance(result, StartedJob):
            job = await self._worker.run(result.job)
            result = result.resource(job)
        return serialize(result)

    async def read(self, operation: Operation[Any], *, is_bounded: bool = False) -> Any:
        """Run a read that is no operation of the API, and return its result."""
        return await self._engine.read_async(operation, is_bounded=is_bounded)

    async def _read(
        self, operation: APIOperation, call: Call, serialize: Callable[[Any], Any]
    ) -> Any:
        handle = HANDLERS[operation.name]
        respond = in_scope(operation, lambda tx, call: serialize(handle(tx, call)), call)
        if call.needs_user_words:
            self._worker.keep_user_words()
        return await self._engine.read_async(respond, is_bounded=call.is_bounded(operation))


def _performed_once(handler: Handler, form_id: str) -> Handler:
    """Return a handler that rejects a form which it has handled, such as one that is reloaded.

    The record of it is that of an Idempotency-Key, in the transaction of the operation.
    """

    def handle(tx: Transaction, call: Call) -> Any:
        in_project = tx.in_scope(call.scope)
        if idempotency.find(in_project, form_id, "") is not None:
            raise Conflict(_SENT_BEFORE)
        idempotency.add(in_project, form_id, IdempotencyRecord())
        return handler(tx, call)

    return handle


def _call(
    operation: APIOperation,
    scope: Scope,
    *,
    ids: Mapping[str, str],
    query: Mapping[str, str],
    body: Any,
    if_revision: int | None,
) -> Call:
    call = Call(scope=scope, ids=dict(ids), if_revision=if_revision)
    if operation.query is not None:
        call.query = read_query(list(query.items()), operation.query)
    if operation.body is not None:
        call.body = read_body(json.dumps(body).encode(), body_decoder(operation.body))
    return narrow(operation, prepare(operation.name, scope.rules, call))
