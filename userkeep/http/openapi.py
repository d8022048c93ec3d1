"""The OpenAPI document of the native API, generated from the table of operations."""

from functools import cache
from itertools import groupby
from typing import Any, get_args

import msgspec

from userkeep.api.common import DatedList
from userkeep.api.operation import APIOperation
from userkeep.api.operations import OPERATIONS
from userkeep.domain.errors import UserkeepError
from userkeep.domain.values.filters import Op
from userkeep.version import __version__

_DESCRIPTION = """The self-hosted store of an AI app's users, sessions and messages.

Times are in UTC (RFC 3339). An id is any text of up to 512 characters, percent-encoded in a path.
Lists are paginated: pass `next` as `cursor` to get the next page. Errors are
`application/problem+json` with a stable `code`, the invalid `fields` and a sentence in `detail`."""

_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "An error.",
    "required": ["status", "code", "detail", "fields", "request_id"],
    "properties": {
        "status": {"type": "integer", "description": "The HTTP status."},
        "code": {"type": "string", "description": "Stable; programs can rely on it."},
        "detail": {
            "type": "string",
            "description": "What is wrong, in a sentence for people. It may change.",
        },
        "fields": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The invalid fields, such as messages[3].content.",
        },
        "request_id": {
            "type": "string",
            "description": "The id of the request, as in X-Request-Id and in the server's log.",
        },
    },
}

_FILTERS = {"$ref": "#/components/schemas/Filter"}

_FILTER = {
    "type": "object",
    "title": "Filter",
    "description": (
        "A filter on metadata: a condition on a field, or filters joined by and, or, not. It has "
        "exactly one of and, or, not, field; at most 100 conditions and 16 levels. A condition on "
        "a field that does not exist is false, also with ne; not inverts this."
    ),
    "properties": {
        "and": {"type": "array", "items": _FILTERS, "description": "All of these match."},
        "or": {"type": "array", "items": _FILTERS, "description": "At least one of these matches."},
        "not": {"anyOf": [_FILTERS], "description": "This does not match."},
        "field": {
            "type": "string",
            "description": (
                "metadata, or a path of keys such as metadata.address.city. A key that contains "
                'a dot is in double quotes: metadata."a.b".c. Inside any: keys of the element, '
                "or . for the element itself."
            ),
        },
        "op": {
            "enum": list(get_args(Op)),
            "description": (
                "The operator. gt, gte, lt, lte compare numbers with numbers and texts with texts. "
                "contains finds a text in a text, and an element in an array."
            ),
        },
        "value": {
            "description": (
                "The value to compare with: a text, a number, true, false or null. With in: a list "
                "of these. With exists: true (the default) or false."
            ),
        },
        "any": {
            "anyOf": [_FILTERS],
            "description": (
                "Instead of op and value: the field is an array, and this matches at least one of "
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

_IDS = {
    "user_id": "Your id of the user, percent-encoded.",
    "session_id": "The id of the session, percent-encoded.",
    "project": "The name of the project.",
    "name": "The name of the collection.",
    "document_id": "The id of the document, percent-encoded.",
}

_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key or a user token. A server without keys needs none.",
}

_METADATA_PARAMETER = {
    "name": "metadata",
    "in": "query",
    "required": False,
    "style": "form",
    "explode": True,
    "description": (
        "Conditions on metadata, one parameter each: metadata.address.city=Paris. All must be met. "
        "As an object, its keys are these names. "
        "A number, true, false or null also finds the text; in double quotes only the text. A key "
        'that contains a dot is in double quotes: metadata."a.b".c=1.'
    ),
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
    "example": {},
}


@cache
def openapi_document(root_path: str = "") -> bytes:
    """Return the document as JSON (OpenAPI 3.1), generated at the first call.

    Args:
        root_path: the prefix under which a reverse proxy serves all paths.
    """
    types = [kind for each in OPERATIONS for kind in (each.body, each.response, each.query) if kind]
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    servers = {"servers": [{"url": root_path}]} if root_path else {}
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            **servers,
            "info": {
                "title": "Userkeep",
                "version": __version__,
                "description": _DESCRIPTION,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "tags": [{"name": noun} for noun in dict.fromkeys(each.noun for each in OPERATIONS)],
            "paths": paths,
            "security": [{}, {"key": []}],
            "components": {
                "schemas": schemas | {"Filter": _FILTER, "Problem": _PROBLEM},
                "securitySchemes": {"key": _KEY},
            },
        }
    )


def _described(operation: APIOperation) -> dict[str, Any]:
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


def _responses(operation: APIOperation) -> dict[str, Any]:
    success = {"description": "Success.", "content": _json(_schema(operation.response))}
    responses: dict[str, Any] = {str(operation.status): success}
    # An import is always 200: its body says what was added.
    if operation.method == "PUT" and "{" in operation.path:
        responses["201"] = success | {"description": "Created."}
    if operation.does == "job":
        responses["202"] = success | {
            "description": "The job continues. A Location header, if any, is its resource."
        }
    for status, errors in groupby(operation.all_errors, key=lambda each: each.status):
        responses[str(status)] = _problem("\n".join(map(_sentence, errors)))
    responses["default"] = _problem("Another error.")
    return responses


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {"application/problem+json": {"schema": schema}}
    return {"description": description, "content": content}


def _sentence(error: type[UserkeepError]) -> str:
    return f"`{error.code}`: {error.default_detail()}"


def _path_parameters(operation: APIOperation) -> list[dict[str, Any]]:
    return [
        {
            "name": segment.strip("{}"),
            "in": "path",
            "required": True,
            "description": _id_description(operation, segment.strip("{}")),
            "schema": {"type": "string", "minLength": 1, "maxLength": 512},
        }
        for segment in operation.path.split("/")
        if segment.startswith("{")
    ]


def _id_description(operation: APIOperation, name: str) -> str:
    """Return what a part of the path names; `id` is that of the noun before it."""
    if name != "id":
        return _IDS[name]
    collection = operation.path.partition("/{id}")[0].rpartition("/")[2]
    return f"The id of the {collection.removesuffix('s')}."


def _query(operation: APIOperation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    _, schemas = msgspec.json.schema_components([operation.query])
    described = schemas[operation.query.__name__]
    required = described.get("required", [])
    parameters = [
        {"name": name, "in": "query", "required": name in required} | _parameter(schema)
        for name, schema in described["properties"].items()
        if name != "metadata"
    ]
    if issubclass(operation.query, DatedList):
        parameters.append(_METADATA_PARAMETER)
    return parameters


def _parameter(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter's description and schema. A parameter that is absent is not null."""
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(kinds) == 1:
        schema = kinds[0] | {key: schema[key] for key in schema.keys() & {"description"}}
    rest = {key: value for key, value in schema.items() if key != "description"}
    return {"description": schema["description"], "schema": rest}


def _headers(operation: APIOperation) -> list[dict[str, Any]]:
    headers = []
    if operation.is_conditional:
        headers.append(("If-Match", 'Update only this revision: the ETag, such as "3" in quotes.'))
    if operation.is_idempotent_by_key:
        headers.append(
            ("Idempotency-Key", "A unique value that makes it safe to retry the request.")
        )
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
