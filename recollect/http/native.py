"""The native door: every operation of the table, answered by one handler."""

import logging
import re
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.responses import Response

from recollect.api import wire
from recollect.api.operations import OPERATIONS, Operation
from recollect.domain.erasure import Erasure
from recollect.domain.errors import BadRequest, InvalidField, NotFound, RecollectError
from recollect.domain.ids import check_id
from recollect.domain.json_text import deeper_than, half_surrogate_at
from recollect.domain.metadata import MAX_DEPTH
from recollect.domain.scope import Scope
from recollect.domain.transaction import Transaction
from recollect.http.answers import Answer, RawHeaders, json_answer
from recollect.http.background import Background
from recollect.http.errors import MethodNotAllowed, retry_after, status_of
from recollect.http.requests import Request
from recollect.http.routing import Routes
from recollect.native import shapes
from recollect.native.calls import Call, Perform, Replayed
from recollect.native.performers import PERFORMERS
from recollect.storage.engine import Engine

logger = logging.getLogger(__name__)

_REVISION = re.compile(r'"(\d{1,18})"')
_PLACE = re.compile(r" - at `\$\.?(.*?)`$")
_NAMED = re.compile(r"(?:unknown|missing required) field `(.*)`")
_encode_problem = msgspec.json.Encoder().encode


class NativeDoor:
    """Answers `/v1/…`; problems are `application/problem+json` with a stable `code`."""

    def __init__(self, engine: Engine, background: Background, scope: Scope) -> None:
        self._engine = engine
        self._background = background
        self._scope = scope
        self._routes: Routes[_Prepared] = Routes()
        for operation in OPERATIONS:
            self._routes.add(operation.method, operation.path, _Prepared(operation))

    async def answer(self, request: Request) -> Response:
        """The answer to a request, whatever comes of it."""
        try:
            return await self._perform(request)
        except RecollectError as error:
            return self.refuse(error)
        except Exception:
            logger.exception("%s on the native door failed", request.method)
            return self.refuse(RecollectError("Something went wrong in the server; it is logged."))

    def refuse(self, error: RecollectError) -> Response:
        """An error as a problem (RFC 9457)."""
        status = status_of(error)
        problem = {
            "status": status,
            "code": error.code,
            "detail": error.detail,
            "fields": list(error.fields),
        }
        return Answer(
            _encode_problem(problem), status, b"application/problem+json", retry_after(error)
        )

    async def _perform(self, request: Request) -> Response:
        handlers, request.segments = self._routes.find(request.path)
        prepared = handlers.get(request.method)
        if prepared is None:
            return self._no_handler(handlers)
        operation = prepared.operation
        call = await prepared.call(request)
        perform = prepared.operation_for(self._scope, call)
        if operation.does == "read":
            is_short = call.query is None or call.query.is_short
            result = await self._engine.read_async(perform, is_short=is_short)
            return _success(result, operation)
        result = await self._engine.write_async(perform)
        if operation.does == "erase":
            return _erased(await self._background.erase(self._scope, result))
        return _success(result, operation)

    def _no_handler(self, handlers: "dict[str, _Prepared]") -> Response:
        if not handlers:
            return self.refuse(NotFound("There is nothing under this address; see /docs."))
        refused = self.refuse(MethodNotAllowed())
        refused.raw_headers.append((b"allow", ", ".join(sorted(handlers)).encode()))
        return refused


class _Prepared:
    """An operation with all that can be made ready before a request comes."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.perform: Perform = PERFORMERS[operation.name]
        self._decode_body = msgspec.json.Decoder(operation.body).decode if operation.body else None
        self._default_query = operation.query() if operation.query else None

    def operation_for(self, scope: Scope, call: Call) -> Callable[[Transaction], Any]:
        """What the engine is to run."""
        perform = self.perform
        return lambda tx: perform(tx, scope, call)

    async def call(self, request: Request) -> Call:
        """What the request asks for.

        Raises:
            BadRequest, InvalidField, TooLarge: naming the field.
        """
        operation = self.operation
        call = Call(ids=request.ids(), query=self._default_query)
        parameters = request.query()
        if parameters:
            call.query = read_query(parameters, operation.query)
        if operation.does == "read":
            return call
        if b"if-match" in request.headers:
            call.if_revision = read_revision(request.header(b"if-match") or "", operation)
        body = await request.body()
        if self._decode_body:
            call.body = read_body(body, self._decode_body)
        key = request.header(b"idempotency-key")
        if key is not None and operation.is_idempotent_by_key:
            call.idempotency_key = check_id(key, "Idempotency-Key")
            call.request = b"\n".join((operation.name.encode(), request.path, body))
        return call


def _success(result: Any, operation: Operation) -> Response:
    headers: RawHeaders = ()
    status = operation.status
    if isinstance(result, Replayed):
        headers = ((b"idempotent-replayed", b"true"),)
        result = result.value
    revision = getattr(result, "revision", None)
    if revision is not None:
        headers = (*headers, (b"etag", b'"%d"' % revision))
        if operation.method == "PUT" and revision == 1:
            status = 201
    return json_answer(result, status, headers)


def _erased(erasure: Erasure) -> Response:
    shape = shapes.erasure(erasure)
    if erasure.is_finished:
        return json_answer(shape)
    return json_answer(shape, 202, ((b"location", f"/v1/erasures/{shape.id}".encode()),))


def read_query(parameters: list[tuple[str, str]], kind: Any) -> Any:
    """The parameters of a query as one of the table's query types.

    Raises:
        InvalidField: naming the parameter.
    """
    values: dict[str, Any] = {}
    for name, value in parameters:
        if name.startswith("metadata.") and issubclass(kind or object, wire.DatedList):
            values.setdefault("metadata", {})[name.removeprefix("metadata.")] = value
        elif name in values or name == "metadata":
            raise InvalidField(f"{name} cannot be read; see /docs.", name)
        else:
            values[name] = value
    if kind is None:
        raise InvalidField(f"There is no parameter {parameters[0][0]} here.", parameters[0][0])
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error


def read_revision(value: str, operation: Operation) -> int:
    """The revision in an `If-Match` header.

    Raises:
        BadRequest: it is none, or the operation does not look at it.
    """
    if not operation.is_conditional:
        raise BadRequest("If-Match is not understood here.", "If-Match")
    match = _REVISION.fullmatch(value)
    if match is None:
        raise BadRequest('If-Match must be a revision in quotes, such as "3".', "If-Match")
    return int(match[1])


def read_body(body: bytes, decode: Any) -> Any:
    """A JSON body, as `decode` (of a msgspec decoder) reads it.

    Raises:
        BadRequest: it is not JSON. InvalidField: naming the field that cannot be.
    """
    if not body:
        raise BadRequest("A JSON body is needed.")
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except msgspec.DecodeError as error:
        raise _unreadable(body, error) from error
    except UnicodeDecodeError as error:
        raise BadRequest("The body is not UTF-8.") from error
    except RecursionError as error:
        field = deeper_than(body, MAX_DEPTH) or "the body"
        raise InvalidField(f"{field} is nested deeper than {MAX_DEPTH} levels.", field) from error


def _unreadable(body: bytes, error: msgspec.DecodeError) -> RecollectError:
    try:
        path = half_surrogate_at(body)
    except (ValueError, RecursionError):
        path = None
    if path is None:
        return BadRequest(f"The body is not JSON: {error}.")
    place = path or "A name"
    return InvalidField(f"{place} has half a surrogate pair in it, which is no character.", place)


def _invalid(error: msgspec.ValidationError) -> InvalidField:
    text = str(error)
    place = _PLACE.search(text)
    path = place[1] if place else ""
    sentence = _PLACE.sub("", text)
    named = _NAMED.search(sentence)
    if named:
        path = f"{path}.{named[1]}" if path else named[1]
    sentence = sentence.replace("`", "")
    if not path:
        return InvalidField(f"{sentence}.")
    return InvalidField(f"{path}: {sentence}.", path)
