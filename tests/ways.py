"""The ways into Recollect, each behind the same `request`, so that one suite tests them all.

- `services`: native operations as functions of a transaction, without HTTP.
- `in process`: the ASGI application, without a socket.
- `socket`: `recollect serve` in a process of its own.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import httpx2
import msgspec

from recollect.api.operations import OPERATIONS, Operation
from recollect.config import Settings
from recollect.domain.errors import RecollectError
from recollect.domain.ids import check_id
from recollect.http.errors import status_of
from recollect.main import make_application
from recollect.native import shapes
from recollect.native.calls import Call, Replayed
from recollect.native.performers import PERFORMERS
from recollect.native.reading import read_body, read_query, read_revision
from recollect.opening import Installation, open_installation
from tests.erasing import advanced
from tests.serving import serving


class Reply(NamedTuple):
    """What came back: a status, the JSON (or None), headers by lower-case name, the raw text."""

    status: int
    json: Any
    headers: Mapping[str, str]
    text: str = ""


class Way(Protocol):
    """A way in, open to any number of threads.

    Ids in `path` are given as values and encoded by the way.
    """

    name: str

    def request(
        self,
        method: str,
        path: str,
        *ids: str,
        json: Any = None,
        content: bytes | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request: `request("GET", "/v1/users/{}", "jane")`.

        `content` is a body as it is, in place of `json`.
        """
        ...


class ServicesWay:
    """Performs native operations on an engine, as a caller in the same process does."""

    name = "services"

    def __init__(self, recollect: Installation) -> None:
        self._recollect = recollect

    def request(
        self,
        method: str,
        path: str,
        *ids: str,
        json: Any = None,
        content: bytes | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        operation = _operation(method, path)
        try:
            body = content if content is not None else _encoded(json)
            call = _call(operation, ids, body, params, headers or {})
            return _reply(operation, self._perform(operation, call))
        except RecollectError as error:
            problem = {"code": error.code, "detail": error.detail, "fields": list(error.fields)}
            return Reply(status_of(error), {"status": status_of(error), **problem}, {})

    def _perform(self, operation: Operation, call: Call) -> Any:
        engine, scope = self._recollect.engine, self._recollect.scope
        perform = PERFORMERS[operation.name]
        if operation.does == "read":
            return engine.read(lambda tx: perform(tx, scope, call))
        result = engine.write(lambda tx: perform(tx, scope, call))
        while operation.does == "erase" and not result.is_finished:
            result = advanced(engine, scope, result)
        return shapes.erasure(result) if operation.does == "erase" else result


def _operation(method: str, path: str) -> Operation:
    wanted = path.split("/")
    for operation in OPERATIONS:
        parts = operation.path.split("/")
        if operation.method == method and len(parts) == len(wanted):
            pairs = zip(parts, wanted, strict=True)
            if all(given in {part, "{}"} for part, given in pairs):
                return operation
    raise AssertionError(f"there is no operation {method} {path}")


def _encoded(value: Any) -> bytes:
    return b"" if value is None else json.dumps(value).encode()


def _call(
    operation: Operation,
    ids: tuple[str, ...],
    body: bytes,
    params: Mapping[str, Any] | None,
    headers: Mapping[str, str],
) -> Call:
    # What is sent is read by the functions of the HTTP door: so far nobody else reads JSON.
    names = [part.strip("{}") for part in operation.path.split("/") if part.startswith("{")]
    call = Call(ids=dict(zip(names, ids, strict=True)))
    if operation.query:
        call.query = operation.query()
    if params:
        call.query = read_query([(k, str(v)) for k, v in params.items()], operation.query)
    if operation.body:
        call.body = read_body(body, msgspec.json.Decoder(operation.body).decode)
    if "If-Match" in headers:
        call.if_revision = read_revision(headers["If-Match"], operation)
    if "Idempotency-Key" in headers:
        call.idempotency_key = check_id(headers["Idempotency-Key"], "Idempotency-Key")
        call.request = f"{operation.name} {ids}".encode() + body
    return call


def _reply(operation: Operation, result: Any) -> Reply:
    headers = {}
    if isinstance(result, Replayed):
        headers["idempotent-replayed"] = "true"
        result = result.value
    text = msgspec.json.encode(result).decode()
    value = json.loads(text)
    status = operation.status
    if "revision" in value:
        headers["etag"] = f'"{value["revision"]}"'
        if operation.method == "PUT" and value["revision"] == 1:
            status = 201
    return Reply(status, value, headers, text)


class HttpWay:
    """Sends HTTP requests, through whatever `send` sends them through."""

    def __init__(self, name: str, send: Callable[..., httpx2.Response]) -> None:
        self.name = name
        self._send = send

    def request(
        self,
        method: str,
        path: str,
        *ids: str,
        json: Any = None,
        content: bytes | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        url = path.format(*(quote(id_, safe="") for id_ in ids))
        body = {"json": json} if content is None else {"content": content}
        response = self._send(method, url, **body, params=params, headers=headers)
        is_json = "json" in response.headers.get("content-type", "")
        value = response.json() if is_json else None
        return Reply(response.status_code, value, response.headers, response.text)


@contextmanager
def by_services(settings: Settings) -> Iterator[Way]:
    """Without HTTP."""
    recollect = open_installation(settings)
    try:
        yield ServicesWay(recollect)
    finally:
        recollect.close()


@contextmanager
def in_process(settings: Settings) -> Iterator[Way]:
    """The ASGI application on a loop in a thread of its own, with its start and its end."""
    recollect = open_installation(settings)
    application = make_application(recollect, settings)
    with loop_in_thread() as run:
        transport = httpx2.ASGITransport(app=application, raise_app_exceptions=True)
        client = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        lifespan = application.lifespan_context(application)
        run(lifespan.__aenter__())
        try:
            yield HttpWay("in process", lambda *args, **kw: run(client.request(*args, **kw)))
        finally:
            run(client.aclose())
            run(lifespan.__aexit__(None, None, None))
            recollect.close()


@contextmanager
def loop_in_thread() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Runs coroutines on one loop, whichever thread asks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="in process")
    thread.start()
    try:
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def over_socket(settings: Settings, folder: Path) -> Iterator[Way]:
    """A server in a process of its own."""
    with (
        serving(folder, database_url=settings.database_url) as server,
        httpx2.Client(base_url=server.url) as client,
    ):
        yield HttpWay("socket", client.request)
