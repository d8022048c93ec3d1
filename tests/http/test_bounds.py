"""Every list, text and object that a client can send has a bound, which the error names.

The fields are read from the table of operations: a new field without a bound fails here.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from msgspec import inspect

from tests.http.clients import InProcessClient
from userkeep.api.operation import APIOperation
from userkeep.api.operations import OPERATIONS
from userkeep.domain.collection import NewCollection
from userkeep.domain.message import NewMessage

# More than any bound, and together less than a body may have.
TOO_LONG = "x" * (1024 * 1024 + 1)
TOO_MANY = 10_001
TOO_LARGE = {f"key {number}": "x" * 100 for number in range(1_000)}
LOOKED_UP = {("messages.search", "user_id"), ("messages.search", "session_id")}
"""Ids that are looked up in an index: no row has one that is too long."""
MESSAGE = "0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a11"

Place = tuple[str | int, ...]


class Bounded(NamedTuple):
    """A field of a body or a parameter, and a value of its type that is too large."""

    operation: APIOperation
    place: Place
    value: Any

    def __str__(self) -> str:
        return f"{self.operation.name} {'.'.join(map(str, self.place))} {type(self.value).__name__}"


def bounded_fields(kind: Any) -> Iterator[tuple[Place, Any]]:
    """Yield the place of each list, text and object in a type, with a value that is too large."""
    for each in _alternatives(kind):
        match each:
            case inspect.StructType():
                for field in each.fields:
                    yield from _below(field.encode_name, field.type)
            case inspect.ListType():
                yield (), _items(each.item_type)
                yield from _below(0, each.item_type)
            case inspect.StrType() | inspect.AnyType():
                yield (), TOO_LONG
            case inspect.DictType():
                yield (), TOO_LARGE


def _below(name: str | int, kind: Any) -> Iterator[tuple[Place, Any]]:
    return (((name, *place), value) for place, value in bounded_fields(kind))


def _alternatives(kind: Any) -> list[Any]:
    """Return the types of a union, without what describes them."""
    if isinstance(kind, inspect.Metadata):
        return _alternatives(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [each for part in kind.types for each in _alternatives(part)]
    return [kind]


def _items(kind: Any) -> list[Any]:
    [kind] = _alternatives(kind)
    if isinstance(kind, inspect.LiteralType):
        return [kind.values[0]] * TOO_MANY
    return [
        {"role": "user", "content": "x"} if isinstance(kind, inspect.StructType) else "some text"
    ] * TOO_MANY


BODIES = [
    Bounded(operation, place, value)
    for operation in OPERATIONS
    if operation.body
    for place, value in bounded_fields(inspect.type_info(operation.body))
]


@pytest.fixture(scope="module")
def ids(client: InProcessClient) -> dict[str, str]:
    """The ids of rows that exist, by their names in paths; `id` is an erasure's."""
    ids = {"user_id": "bounded", "session_id": "bounded", "project": "bounded"}
    ids |= {"name": "bounded", "document_id": "bounded"}
    collection = {"name": "bounded", "dimensions": 8}
    assert client.send("POST", "/v1/collections", collection).status == 201
    document = {"document_id": "bounded", "embedding": [1] * 8}
    path = "/v1/collections/bounded/documents"
    assert client.send("POST", path, {"documents": [document]}).status == 201
    assert client.send("POST", "/v1/projects", {"name": "bounded"}).status == 201
    body = {"user_id": "bounded", "messages": [{"role": "user", "content": "x", "id": MESSAGE}]}
    assert client.send("POST", "/v1/sessions/bounded/messages", body).status == 201
    assert client.send("POST", "/v1/users", {"user_id": "deleted"}).status == 201
    return {**ids, "id": client.send("DELETE", "/v1/users/deleted").json["id"]}


@pytest.mark.parametrize("bounded", BODIES, ids=str)
def test_a_field_that_is_too_large_is_rejected_by_name(
    client: InProcessClient, ids: dict[str, str], bounded: Bounded
) -> None:
    operation = bounded.operation
    before = client.send("GET", "/v1/users?limit=1000").json
    body = _placed(_smallest(operation.body), bounded.place, bounded.value)
    if operation.noun == "messages":
        ids = {**ids, "id": MESSAGE}
    response = client.send(operation.method, operation.path.format(**ids), body)
    if (operation.name, *bounded.place) in LOOKED_UP:
        assert response.status == 404, response.text
        return
    assert response.status == 422, response.text
    name = str(bounded.place[0])
    assert response.json["fields"], response.text
    assert all(field.startswith(name) for field in response.json["fields"]), response.text
    assert name in response.json["detail"], response.text
    assert client.send("GET", "/v1/users?limit=1000").json == before


def _smallest(kind: Any) -> Any:
    """Return the smallest valid body of a type."""
    values: dict[str, Any] = {}
    for field in inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        if field.required:
            values[field.encode_name] = _smallest_value(field.type)
    # Not required if there is data, or if the model makes the embeddings.
    if issubclass(kind, NewMessage):
        values["content"] = "x"
    if issubclass(kind, NewCollection):
        values["dimensions"] = 8
    return values


def _smallest_value(kind: Any) -> Any:
    match _alternatives(kind)[0]:
        case inspect.ListType() as of_list:
            return [_smallest_value(of_list.item_type)]
        case inspect.StructType() as struct:
            return _smallest(struct.cls)
        case inspect.LiteralType() as literal:
            return literal.values[0]
        case _:
            return "x"


def _placed(value: Any, place: Place, new: Any) -> Any:
    """Return a value in which the one at a place is new; what leads there is in it."""
    if not place:
        return new
    if isinstance(value, dict):
        value.setdefault(place[0], [None])
    value[place[0]] = _placed(value[place[0]] if len(place) > 1 else None, place[1:], new)
    return value


def test_the_largest_of_these_bodies_is_within_the_limit_of_a_body() -> None:
    sizes = [len(json.dumps(bounded.value)) for bounded in BODIES]
    assert max(sizes) < 5 * 1024 * 1024
    assert len(sizes) > 20
