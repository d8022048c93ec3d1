"""The native API, `/v1`: one method performs every operation of the table."""

import logging
from collections.abc import Coroutine
from typing import Any

import msgspec
from starlette.responses import Response

from userkeep.api.operation import APIOperation
from userkeep.api.operations import OPERATIONS
from userkeep.api.parsing import body_decoder, read_body, read_query, read_revision
from userkeep.domain.errors import NotFound, UserkeepError
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.ids import check_id
from userkeep.handlers.authorization import check_permission, in_scope, narrow
from userkeep.handlers.calls import INLINE_BYTES, Call, Handler, ReplayedResponse, StartedJob
from userkeep.handlers.table import HANDLERS, prepare
from userkeep.http.authentication import Authenticator
from userkeep.http.compute import ComputeThreads
from userkeep.http.errors import FAULT, NO_SUCH_PATH, MethodNotAllowed
from userkeep.http.requests import Disconnected, Request
from userkeep.http.responses import RawHeaders, empty_response, json_response, problem_response
from userkeep.http.routing import Routes, allowed_methods
from userkeep.jobs.job import Job
from userkeep.storage.engine import Engine
from userkeep.worker.worker import Worker

logger = logging.getLogger(__name__)

Run = Coroutine[Any, Any, Job]


class NativeAPI:
    """Serve `/v1/…`; errors are `application/problem+json` with a stable `code`."""

    admits_itself = False

    def __init__(
        self,
        engine: Engine,
        worker: Worker,
        compute: ComputeThreads,
        authenticator: Authenticator,
    ) -> None:
        self._authenticator = authenticator
        self._engine = engine
        self._worker = worker
        self._compute = compute
        self._routes: Routes[_Prepared] = Routes()
        for operation in OPERATIONS:
            self._routes.add(operation.method, operation.path, _Prepared(operation))

    def serves(self, path: bytes) -> bool:
        """Return whether a path is below `/v1/`."""
        return path.startswith(b"/v1/")

    def route_of(self, path: bytes) -> str:
        """Return the template of a path; empty if it is unknown."""
        return self._routes.template(path)

    async def respond(self, request: Request) -> Response:
        """Return the response to a request; every exception becomes a problem."""
        try:
            return await self._perform(request)
        except UserkeepError as error:
            return self.error_response(error, request)
        except Exception:
            logger.exception("a request to the native API failed", extra=request.log_fields())
            return self.error_response(UserkeepError(FAULT), request)

    def error_response(self, error: UserkeepError, request: Request) -> Response:
        """Return an error as a problem."""
        return problem_response(error, request.request_id)

    async def _perform(self, request: Request) -> Response:
        request.route, handlers, request.segments = self._routes.find(request.path)
        prepared = handlers.get(request.handler_method)
        if prepared is None:
            return self._no_handler(handlers, request)
        operation = prepared.operation
        check_permission(operation, request.scope)
        body = b"" if prepared.is_plain_read else await request.body()
        is_small = len(body) <= INLINE_BYTES
        if is_small:
            call = prepared.call(request, body)
        else:
            call = await self._compute.run(prepared.call, request, body)
        call = narrow(operation, call)
        if operation.does == "read":
            return await self._read(request, prepared, call)
        handle = in_scope(operation, prepared.handle, call)
        result = await self._engine.write_async(handle, is_bounded=is_small)
        self._worker.embedding.wake()
        if operation.noun == "documents":
            self._worker.embed_documents()
        if operation.is_about_instance:
            self._authenticator.forget()
        if isinstance(result, StartedJob):
            return await self._run(request, result)
        if is_small:
            return _success(result, operation)
        return await self._compute.run(_success, result, operation)

    async def _read(self, request: Request, prepared: "_Prepared", call: Call) -> Response:
        respond = in_scope(prepared.operation, prepared.respond, call)
        if call.is_bounded(prepared.operation):
            return await self._engine.read_async(respond)
        if call.needs_user_words:
            self._worker.keep_user_words()
        reading = self._engine.read_async(respond, is_bounded=False)
        return await request.while_connected(reading)

    async def _run(self, request: Request, started: StartedJob) -> Response:
        run = self._worker.run(started.job)
        if started.job.ends_with_client:
            run = _end_with_client(request, started.job, run)
        job = await run
        resource = started.resource(job)
        if job.is_finished:
            return json_response(resource)
        if started.location is None:
            return json_response(resource, 202)
        location = f"{request.root_path}{started.location}".encode()
        return json_response(resource, 202, ((b"location", location),))

    def _no_handler(self, handlers: "dict[str, _Prepared]", request: Request) -> Response:
        if not handlers:
            return self.error_response(NotFound(NO_SUCH_PATH), request)
        allow = allowed_methods(handlers)
        if request.method == "OPTIONS":
            return empty_response((allow,))
        response = self.error_response(MethodNotAllowed(), request)
        response.raw_headers.append(allow)
        return response


class _Prepared:
    """An operation with its handler and decoders, made once at the start."""

    def __init__(self, operation: APIOperation) -> None:
        self.operation = operation
        self.handle: Handler = HANDLERS[operation.name]
        self._decode_body = body_decoder(operation.body) if operation.body else None
        self._default_query = _without_parameters(operation.query)
        self.is_plain_read = operation.does == "read" and operation.body is None

    def respond(self, tx: Transaction, call: Call) -> Response:
        """Perform a read, and encode the response: a large one in the thread that reads."""
        return _success(self.handle(tx, call), self.operation)

    def call(self, request: Request, body: bytes) -> Call:
        """Return the call that a request makes, prepared.

        Raises:
            BadRequest, InvalidField, TooLarge: with the name of the field.
        """
        operation = self.operation
        call = Call(scope=request.scope, ids=request.ids(), query=self._default_query)
        parameters = request.query()
        if parameters or (operation.query and self._default_query is None):
            call.query = read_query(parameters, operation.query)
        if self.is_plain_read:
            return call
        if b"if-match" in request.headers:
            call.if_revision = read_revision(request.header(b"if-match") or "", operation)
        if self._decode_body:
            call.body = read_body(body, self._decode_body)
        key = request.header(b"idempotency-key")
        if key is not None and operation.is_idempotent_by_key:
            call.idempotency_key = check_id(key, "Idempotency-Key")
            name = operation.name.encode()
            hashed = request.scope.rules.request_hash
            query = msgspec.json.encode(parameters)
            call.request_hash = hashed(
                b"\n".join((name, request.path.removesuffix(b"/"), query, body))
            )
        return prepare(operation.name, request.scope.rules, call)


def _without_parameters(query: Any) -> Any:
    """Return the query of a request that has no parameters; None if one is required."""
    if query is None or any(field.required for field in msgspec.structs.fields(query)):
        return None
    return query()


def _success(result: Any, operation: APIOperation) -> Response:
    headers: RawHeaders = ()
    status = operation.status
    if isinstance(result, ReplayedResponse):
        headers = ((b"idempotent-replayed", b"true"),)
        result = result.value
    revision = getattr(result, "revision", None)
    if revision is not None:
        headers = (*headers, (b"etag", b'"%d"' % revision))
        if operation.method == "PUT" and revision == 1:
            status = 201
    return json_response(result, status, headers)


async def _end_with_client(request: Request, job: Job, run: Run) -> Job:
    """Run a job; stop it if its client disconnects."""
    try:
        return await request.while_connected(run)
    except Disconnected:
        job.stop()
        raise
