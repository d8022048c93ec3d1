"""The ways in by typed methods: a database in this process, and the SDK against a server.

What the suite asks for as a request is said here with the methods that an app would call, and what
they give or raise is shown as the reply that a server would give. What cannot be said so (a field
that no method has, a body that is no JSON) fails the test: such tests are marked `wire`.
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
from tests.serving import serving
from tests.ways import Reply, Way, loop_in_thread
from userkeep import AsyncUserkeep, Hit, Message, NewMessage, Page, Userkeep, UserkeepError
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
    """Calls the methods of a client; `run` waits for what those of an async one give."""

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
        said = {**_said_in_headers(headers or {}), **_asked(params or {})}
        call = _METHODS[operation.name]
        try:
            result = self._run(call(self._client, ids, body, said))
        except UserkeepError as error:
            return _refused(error)
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


# What is said.


def _said_in_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name, value in headers.items():
        if name == "Idempotency-Key":
            said["idempotency_key"] = value
        else:
            revision = _REVISION.fullmatch(value)
            assert (name, revision) != ("If-Match", None), f"no method can say {name}: {value}"
            said["if_revision"] = int(revision[1]) if revision else None
    return said


def _asked(params: Mapping[str, Any]) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    for name, value in params.items():
        if name.startswith("metadata."):
            conditions = asked.setdefault("metadata", {})
            conditions[name.removeprefix("metadata.")] = _compared(value)
        elif name == "filter":
            asked[name] = decoded(value.encode())
        else:
            asked[name] = _moment(value) if name.startswith("created_") else value
    return asked


def _compared(text: str) -> Any:
    """What a condition compares with: JSON where it parses, else text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    except RecursionError:
        return decoded(text.encode())


def _moment(value: Any) -> Any:
    """A time as an app has it; what is none stays as it is, to be refused."""
    try:
        return datetime.fromisoformat(value) if _TIME.fullmatch(value) else value
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


def _append(client: Any, ids: tuple[str, ...], body: Any, said: dict[str, Any]) -> Any:
    others = {name: value for name, value in body.items() if name != "messages"}
    return client.message.add(*ids, _messages(body), **others, **said)


def _search(client: Any, _: tuple[str, ...], body: Any, said: dict[str, Any]) -> Any:
    asked = {
        name: _moment(value) if name.startswith("created_") else value
        for name, value in body.items()
    }
    return client.search(**asked, **said)


_METHODS: dict[str, Callable[..., Any]] = {
    "users.add": lambda client, _, body, said: client.user.add(**body, **said),
    "users.list": lambda client, _, __, said: client.user.list(**said),
    "users.get": lambda client, ids, _, said: client.user.get(*ids, **said),
    "users.put": lambda client, ids, body, said: client.user.put(user_id=ids[0], **body, **said),
    "users.update": lambda client, ids, body, said: client.user.update(
        user_id=ids[0], **body, **said
    ),
    "users.delete": lambda client, ids, _, said: client.user.delete(*ids, **said),
    "users.sessions": lambda client, ids, _, said: client.user.get_sessions(*ids, **said),
    "sessions.add": lambda client, _, body, said: client.session.add(**body, **said),
    "sessions.list": lambda client, _, __, said: client.session.list(**said),
    "sessions.get": lambda client, ids, _, said: client.session.get(*ids, **said),
    "sessions.update": lambda client, ids, body, said: client.session.update(
        session_id=ids[0], **body, **said
    ),
    "sessions.end": lambda client, ids, _, said: client.session.end(*ids, **said),
    "sessions.delete": lambda client, ids, _, said: client.session.delete(*ids, **said),
    "messages.append": _append,
    "messages.list": lambda client, ids, _, said: client.message.list(*ids, **said),
    "messages.get": lambda client, ids, _, said: client.message.get(*ids, **said),
    "messages.update": lambda client, ids, body, said: client.message.update(*ids, **body, **said),
    "messages.delete": lambda client, ids, _, said: client.message.delete(*ids, **said),
    "messages.search": _search,
    "memory.get": lambda client, ids, _, said: client.memory.get(*ids, **said),
    "erasures.list": lambda client, _, __, said: client.erasure.list(**said),
    "erasures.verify": lambda client, ids, body, said: client.erasure.verify(*ids, **body, **said),
    "verifications.get": lambda client, ids, _, said: client.erasure.get_verification(*ids, **said),
    "erasures.get": lambda client, ids, _, said: client.erasure.get(*ids, **said),
    "erasures.purge": lambda client, ids, _, said: client.erasure.purge(*ids, **said),
}


# What comes of it.


def _refused(error: UserkeepError) -> Reply:
    fields = [_ARGUMENT_OF_HEADER.get(field, field) for field in error.fields]
    problem = {"code": error.code, "detail": error.detail, "fields": fields}
    return Reply(status_of(error), {"status": status_of(error), **problem}, {})


def _reply(operation: APIOperation, ids: tuple[str, ...], result: Any) -> Reply:
    value = msgspec.to_builtins(_shape(operation, ids, result))
    headers = {}
    status = operation.status
    if "revision" in value:
        headers["etag"] = f'"{value["revision"]}"'
        if operation.method == "PUT" and value["revision"] == 1:
            status = 201
    return Reply(status, value, headers, json.dumps(value, ensure_ascii=False))


def _shape(operation: APIOperation, ids: tuple[str, ...], result: Any) -> Any:
    if isinstance(result, Page):
        return {"items": list(result), "next": result.next}
    if operation.name == "messages.search":
        assert all(isinstance(hit, Hit) for hit in result)
        return {"items": result}
    if isinstance(result, list):
        assert all(isinstance(message, Message) for message in result)
        return {"session_id": ids[0], "messages": result}
    return result


# The clients.


def over_instance(opened: Instance) -> TypedWay:
    """A database that is open already, in which nothing is finished that was left half-way."""
    return TypedWay("embedded", Client(EmbeddedTransport(opened)))


def _settings_of(settings: Settings) -> dict[str, Any]:
    return {"secret_file": settings.secret_file}


@contextmanager
def embedded(settings: Settings) -> Iterator[Way]:
    """A database in this process."""
    with Userkeep.open(settings.database_url, **_settings_of(settings)) as client:
        yield TypedWay("embedded", client)


@contextmanager
def embedded_async(settings: Settings) -> Iterator[Way]:
    """A database in this process, awaited on a loop in a thread of its own."""
    with loop_in_thread() as run:
        client = AsyncUserkeep.open(settings.database_url, **_settings_of(settings))
        try:
            yield TypedWay("embedded async", client, run)
        finally:
            run(client.close())


@contextmanager
def sdk(settings: Settings, folder: Path) -> Iterator[Way]:
    """The SDK against a server in a process of its own."""
    with (
        serving(folder, database_url=settings.database_url) as server,
        closing(Userkeep(server.url)) as client,
    ):
        yield TypedWay("sdk", client)


@contextmanager
def sdk_async(settings: Settings, folder: Path) -> Iterator[Way]:
    """The same, awaited on a loop in a thread of its own."""
    with (
        serving(folder, database_url=settings.database_url) as server,
        loop_in_thread() as run,
    ):
        client = AsyncUserkeep(server.url)
        try:
            yield TypedWay("sdk async", client, run)
        finally:
            run(client.close())
