"""The OpenAPI document of the native interface, made from the table of operations."""

from functools import cache
from typing import Any, get_args

import msgspec

from userkeep.api.common import DatedList
from userkeep.api.operation import Operation
from userkeep.api.operations import OPERATIONS
from userkeep.domain.values.filters import Op
from userkeep.version import __version__

_DESCRIPTION = """The self-hosted home for an AI app's users, their sessions and what comes of them.

Times are UTC in RFC 3339. Ids are any text of up to 512 characters, percent-encoded in a path.
Lists are pages: pass `next` as `cursor` to get the one after. What goes wrong is answered as
`application/problem+json` with a stable `code`, the `fields` at fault and a sentence that helps."""

_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong.",
    "required": ["status", "code", "detail", "fields"],
    "properties": {
        "status": {"type": "integer", "description": "The HTTP status."},
        "code": {"type": "string", "description": "Stable; programs may branch on it."},
        "detail": {"type": "string", "description": "A sentence for people."},
        "fields": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The fields at fault, as messages[3].content.",
        },
    },
}

_FILTERS = {"$ref": "#/components/schemas/Filter"}

_FILTER = {
    "type": "object",
    "title": "Filter",
    "description": (
        "A filter on metadata: a condition on a field, or and, or, not of filters. It has one of "
        "and, or, not, field; at most 100 conditions and 16 levels. A condition on a field that is "
        "not there is false, ne included; not turns that round."
    ),
    "properties": {
        "and": {"type": "array", "items": _FILTERS, "description": "All of them."},
        "or": {"type": "array", "items": _FILTERS, "description": "At least one of them."},
        "not": {"anyOf": [_FILTERS], "description": "The contrary of it."},
        "field": {
            "type": "string",
            "description": (
                "metadata, or metadata and keys, as metadata.address.city; below any, keys in the "
                "element, or . for the element itself."
            ),
        },
        "op": {
            "enum": list(get_args(Op)),
            "description": (
                "What is asked of the field. gt, gte, lt, lte compare numbers with numbers and "
                "texts with texts; contains finds a text in a text, and an element in an array."
            ),
        },
        "value": {
            "description": (
                "What it is compared with: a text, a number, true, false or null; with in a list "
                "of them; with exists true (the default) or false."
            ),
        },
        "any": {
            "anyOf": [_FILTERS],
            "description": (
                "In the place of op and value: the field is an array, and this holds for one of "
                "its elements."
            ),
        },
    },
    "examples": [
        {
            "and": [
                {"field": "metadata.topic", "op": "eq", "value": "shoes"},
                {"not": {"field": "metadata.size", "op": "gt", "value": 9}},
            ]
        }
    ],
}

_METADATA_PARAMETER = {
    "name": "metadata",
    "in": "query",
    "required": False,
    "style": "form",
    "explode": True,
    "description": (
        "Conditions on metadata, each a parameter of its own: metadata.address.city=Paris. "
        "The value is JSON where it parses, else text."
    ),
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}


@cache
def openapi_document() -> bytes:
    """Return the document as JSON (OpenAPI 3.1), made at the first call."""
    types = [kind for each in OPERATIONS for kind in (each.body, each.response, each.query) if kind]
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Userkeep",
                "version": __version__,
                "description": _DESCRIPTION,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "tags": [{"name": noun} for noun in dict.fromkeys(each.noun for each in OPERATIONS)],
            "paths": paths,
            "components": {"schemas": schemas | {"Filter": _FILTER, "Problem": _PROBLEM}},
        }
    )


def _described(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.noun],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": [*_path_parameters(operation), *_query(operation), *_headers(operation)],
        "responses": _responses(operation),
    }
    if operation.body:
        described["requestBody"] = {"required": True, "content": _json(_schema(operation.body))}
    return described


def _responses(operation: Operation) -> dict[str, Any]:
    well = {"description": "It went well.", "content": _json(_schema(operation.response))}
    responses: dict[str, Any] = {str(operation.status): well}
    if operation.method == "PUT":
        responses["201"] = well | {"description": "It was created."}
    if operation.does == "job":
        responses["202"] = well | {"description": "Nothing of it can be read; deletion goes on."}
    problem = {"$ref": "#/components/schemas/Problem"}
    responses["default"] = {
        "description": "It went wrong.",
        "content": {"application/problem+json": {"schema": problem}},
    }
    return responses


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": segment.strip("{}"),
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": 512},
        }
        for segment in operation.path.split("/")
        if segment.startswith("{")
    ]


def _query(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    _, schemas = msgspec.json.schema_components([operation.query])
    properties = schemas[operation.query.__name__]["properties"]
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in properties.items()
        if name != "metadata"
    ]
    if issubclass(operation.query, DatedList):
        parameters.append(_METADATA_PARAMETER)
    return parameters


def _headers(operation: Operation) -> list[dict[str, Any]]:
    headers = []
    if operation.is_conditional:
        headers.append(("If-Match", 'Change only this revision: "3" in quotes, as the ETag.'))
    if operation.is_idempotent_by_key:
        headers.append(("Idempotency-Key", "Makes it safe to send the same request again."))
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": description,
            "schema": {"type": "string"},
        }
        for name, description in headers
    ]


def _schema(kind: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components(
        [kind], ref_template="#/components/schemas/{name}"
    )
    return schema


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
