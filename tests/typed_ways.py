"""The ways to call Userkeep with typed methods: embedded, and with the SDK against a server.

Each request of the suite is translated into the method that an app would call, and its result or
error into the response that a server would send. A test whose request has no such method (a field
that no method has, a body that is not JSON) fails, so it is marked `wire`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from tests.deep_json import decoded
from tests.serving import serving_with
from tests.ways import Reply, Way, loop_in_thread
from userkeep import (
    AsyncPage,
    AsyncUserkeep,
    Hit,
    Message,
    NewMessage,
    Page,
    Userkeep,
    UserkeepError,
)
from userkeep.api.encoding import to_plain
from userkeep.api.operation import APIOperation
from userkeep.api.operations import OPERATIONS
from userkeep.config import Settings
from userkeep.embedded import EmbeddedTransport
from userkeep.http.errors import status_of
from userkeep.instance import Instance
from userkeep.sdk._sync.client import Client

_REVISION = re.compile(r'"(\d+)"')
_TIME = re.compile(r"\d{4}-\d\d-\d\dT.+")
_ARGUMENT_OF_HEADER = {"idempotency_key": "Idempotency-Key"}


class TypedWay:
    """Calls the methods of a client; `run` awaits the results of an async client."""

    def __init__(
        self, name: str, client: Any, run: Callable[[Any], Any] = lambda result: result
    ) -> None:
        self.name = name
        self._client = client
        self._run = run

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
        body = json if content is None else decoded(content)
        arguments = {**_arguments_of_headers(headers or {}), **_arguments_of_params(params or {})}
        call = _METHODS[operation.name]
        try:
            result = self._run(call(self._client, ids, body, arguments))
        except UserkeepError as error:
            return _error_reply(error)
        return _reply(operation, ids, result)


def _operation(method: str, path: str) -> APIOperation:
    wanted = path.split("/")
    for operation in OPERATIONS:
        parts = operation.path.split("/")
        if operation.method == method and len(parts) == len(wanted):
            pairs = zip(parts, wanted, strict=True)
            if all(given in {part, "{}"} for part, given in pairs):
                return operation
    raise AssertionError(f"there is no operation {method} {path}")


# Requests.


def _arguments_of_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for name, value in headers.items():
        if name == "Idempotency-Key":
            arguments["idempotency_key"] = value
        else:
            revision = _REVISION.fullmatch(value)
            assert (name, revision) != ("If-Match", None), (
                f"no method has an argument for {name}: {value}"
            )
            arguments["if_revision"] = int(revision[1]) if revision else None
    return arguments


def _arguments_of_params(params: Mapping[str, Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for name, value in params.items():
        if name.startswith("metadata."):
            conditions = arguments.setdefault("metadata", {})
            conditions[name.removeprefix("metadata.")] = _compared(value)
        elif name == "filter":
            arguments[name] = decoded(value.encode())
        else:
            is_time = name.startswith(("created_", "active_"))
            arguments[name] = _moment(value) if is_time else value
    return arguments


def _compared(text: str) -> Any:
    """Return the value of a condition: the text as JSON if it is valid JSON, else the text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    except RecursionError:
        return decoded(text.encode())


def _moment(value: Any) -> Any:
    """Return a time as a datetime.

    A text without an offset is unchanged, because a datetime needs a time zone; what is not a time
    too, so that it is rejected.
    """
    try:
        parsed = datetime.fromisoformat(value) if _TIME.fullmatch(value) else None
        return value if parsed is None or parsed.tzinfo is None else parsed
    except (TypeError, ValueError):
        return value


def _messages(body: Mapping[str, Any]) -> Any:
    messages = body["messages"]
    if not isinstance(messages, list | tuple):
        return messages
    return [_message(each) for each in messages]


def _message(each: Any) -> Any:
    if not isinstance(each, dict):
        return each
    if "created_at" in each:
        each = {**each, "created_at": _moment(each["created_at"])}
    return NewMessage(**each)


def _append(client: Any, ids: tuple[str, ...], body: Any, arguments: dict[str, Any]) -> Any:
    others = {name: value for name, value in body.items() if name != "messages"}
    return client.message.add(*ids, _messages(body), **others, **arguments)


def _search(client: Any, _: tuple[str, ...], body: Any, arguments: dict[str, Any]) -> Any:
    fields = {
        name: _moment(value) if name.startswith("created_") else value
        for name, value in body.items()
    }
    return client.search(**fields, **arguments)


def _update_document(
    client: Any, ids: tuple[str, ...], body: Any, arguments: dict[str, Any]
) -> Any:
    fields = {
        "new_document_id" if name == "document_id" else name: value for name, value in body.items()
    }
    return client.document.update(*ids, **fields, **arguments)


_METHODS: dict[str, Callable[..., Any]] = {
    "collections.add": lambda client, _, body, arguments: client.collection.add(
        **body, **arguments
    ),
    "collections.list": lambda client, _, __, arguments: client.collection.list(**arguments),
    "collections.get": lambda client, ids, _, arguments: client.collection.get(*ids, **arguments),
    "collections.update": lambda client, ids, body, arguments: client.collection.update(
        name=ids[0], **body, **arguments
    ),
    "collections.delete": lambda client, ids, _, arguments: client.collection.delete(
        *ids, **arguments
    ),
    "documents.add": lambda client, ids, body, arguments: client.document.add(
        *ids, body["documents"], **arguments
    ),
    "documents.list": lambda client, ids, _, arguments: client.document.list(*ids, **arguments),
    "documents.get": lambda client, ids, _, arguments: client.document.get(*ids, **arguments),
    "documents.update": _update_document,
    "documents.delete": lambda client, ids, _, arguments: client.document.delete(*ids, **arguments),
    "documents.delete_many": lambda client, ids, body, arguments: client.document.delete_many(
        *ids, **body, **arguments
    ),
    "documents.search": lambda client, ids, body, arguments: client.document.search(
        *ids, **body, **arguments
    ),
    "users.add": lambda client, _, body, arguments: client.user.add(**body, **arguments),
    "users.list": lambda client, _, __, arguments: client.user.list(**arguments),
    "users.get": lambda client, ids, _, arguments: client.user.get(*ids, **arguments),
    "users.put": lambda client, ids, body, arguments: client.user.put(
        user_id=ids[0], **body, **arguments
    ),
    "users.update": lambda client, ids, body, arguments: client.user.update(
        user_id=ids[0], **body, **arguments
    ),
    "users.delete": lambda client, ids, _, arguments: client.user.delete(*ids, **arguments),
    "users.sessions": lambda client, ids, _, arguments: client.user.get_sessions(*ids, **arguments),
    "sessions.add": lambda client, _, body, arguments: client.session.add(**body, **arguments),
    "sessions.list": lambda client, _, __, arguments: client.session.list(**arguments),
    "sessions.get": lambda client, ids, _, arguments: client.session.get(*ids, **arguments),
    "sessions.update": lambda client, ids, body, arguments: client.session.update(
        session_id=ids[0], **body, **arguments
    ),
    "sessions.end": lambda client, ids, _, arguments: client.session.end(*ids, **arguments),
    "sessions.reopen": lambda client, ids, _, arguments: client.session.reopen(*ids, **arguments),
    "sessions.delete": lambda client, ids, _, arguments: client.session.delete(*ids, **arguments),
    "messages.append": _append,
    "messages.list": lambda client, ids, _, arguments: client.message.list(*ids, **arguments),
    "messages.get": lambda client, ids, _, arguments: client.message.get(*ids, **arguments),
    "messages.update": lambda client, ids, body, arguments: client.message.update(
        *ids, **body, **arguments
    ),
    "messages.delete": lambda client, ids, _, arguments: client.message.delete(*ids, **arguments),
    "messages.delete_after": lambda client, ids, _, arguments: client.message.delete_after(
        *ids, arguments.pop("after_seq", None), **arguments
    ),
    "messages.search": _search,
    "memory.get": lambda client, ids, _, arguments: client.memory.get(*ids, **arguments),
    "erasures.list": lambda client, _, __, arguments: client.erasure.list(**arguments),
    "erasures.verify": lambda client, ids, body, arguments: client.erasure.verify(
        *ids, **body, **arguments
    ),
    "verifications.get": lambda client, ids, _, arguments: client.erasure.get_verification(
        *ids, **arguments
    ),
    "erasures.get": lambda client, ids, _, arguments: client.erasure.get(*ids, **arguments),
    "erasures.purge": lambda client, ids, _, arguments: client.erasure.purge(*ids, **arguments),
    "projects.add": lambda client, _, body, arguments: client.project.add(**body, **arguments),
    "projects.list": lambda client, _, __, arguments: client.project.list(**arguments),
    "projects.get": lambda client, ids, _, arguments: client.project.get(*ids, **arguments),
    "projects.update": lambda client, ids, body, arguments: client.project.update(
        project=ids[0], **body, **arguments
    ),
    "projects.delete": lambda client, ids, _, arguments: client.project.delete(*ids, **arguments),
}


# Responses.


def _error_reply(error: UserkeepError) -> Reply:
    fields = [_ARGUMENT_OF_HEADER.get(field, field) for field in error.fields]
    problem = {"code": error.code, "detail": error.detail, "fields": fields}
    return Reply(status_of(error), {"status": status_of(error), **problem}, {})


def _reply(operation: APIOperation, ids: tuple[str, ...], result: Any) -> Reply:
    value = to_plain(_shape(operation, ids, result))
    headers = {}
    status = operation.status
    if "revision" in value:
        headers["etag"] = f'"{value["revision"]}"'
        if operation.method == "PUT" and value["revision"] == 1:
            status = 201
    return Reply(status, value, headers, json.dumps(value, ensure_ascii=False))


def _shape(operation: APIOperation, ids: tuple[str, ...], result: Any) -> Any:
    if isinstance(result, Page | AsyncPage):
        count = {} if result.total is None else {"count": result.total}
        return {"items": result[:], "next": result.next, **count}
    if operation.name == "messages.search":
        assert all(isinstance(hit, Hit) for hit in result)
        return result.to_wire()
    if operation.name == "documents.search":
        return {"items": result}
    if operation.name == "documents.add":
        return {"documents": result}
    if isinstance(result, list):
        assert all(isinstance(message, Message) for message in result)
        return {"session_id": ids[0], "messages": result}
    return result


# The clients.


def over_instance(opened: Instance) -> TypedWay:
    """Return a client of an open instance; interrupted work is not resumed."""
    return TypedWay("embedded", Client(EmbeddedTransport(opened)))


def _settings_of(settings: Settings) -> dict[str, Any]:
    return {
        "secret_file": settings.secret_file,
        "ledger_file": settings.ledger_file,
        "postgres_row_security": settings.postgres_row_security,
    }


@contextmanager
def embedded(settings: Settings) -> Iterator[Way]:
    """Open a database in this process."""
    with Userkeep.open(settings.database_url, **_settings_of(settings)) as client:
        yield TypedWay("embedded", client)


@contextmanager
def embedded_async(settings: Settings) -> Iterator[Way]:
    """Open a database in this process, with an async client on a loop in its own thread."""
    with loop_in_thread() as run:
        client = AsyncUserkeep.open(settings.database_url, **_settings_of(settings))
        try:
            yield TypedWay("embedded async", client, run)
        finally:
            run(client.close())


@contextmanager
def sdk(settings: Settings, folder: Path) -> Iterator[Way]:
    """Run a server in a separate process, with a client of the SDK."""
    with (
        serving_with(settings, folder) as server,
        closing(Userkeep(server.url)) as client,
    ):
        yield TypedWay("sdk", client)


@contextmanager
def sdk_async(settings: Settings, folder: Path) -> Iterator[Way]:
    """Run a server in a separate process, with an async client on a loop in its own thread."""
    with (
        serving_with(settings, folder) as server,
        loop_in_thread() as run,
    ):
        client = AsyncUserkeep(server.url)
        try:
            yield TypedWay("sdk async", client, run)
        finally:
            run(client.close())
