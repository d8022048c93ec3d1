"""Validate values against the subset of JSON Schema that the OpenAPI document uses."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

KEYWORDS = {
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "description",
    "enum",
    "examples",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "required",
    "title",
    "type",
}
"""The keywords that `faults` checks. Extend it before adding one."""

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def resolve(document: Any, reference: str) -> Any:
    """Return the target of a `$ref` in the document."""
    assert reference.startswith("#/"), reference
    for part in reference[2:].split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


def faults(value: Any, schema: Any, document: Any, path: str = "$") -> Iterator[str]:
    """Yield how a value violates its schema."""
    assert schema.keys() <= KEYWORDS, schema.keys() - KEYWORDS
    if "$ref" in schema:
        yield from faults(value, resolve(document, schema["$ref"]), document, path)
        return
    if "type" in schema and not _is_of_type(value, schema["type"]):
        yield f"{path} is not of type {schema['type']}: {value!r}"
        return
    yield from _alternatives(value, schema, document, path)
    yield from _number_bounds(value, schema, path)
    yield from _text_bounds(value, schema, document, path)
    yield from _length_bounds(value, schema, path)
    if isinstance(value, dict):
        yield from _object(value, schema, document, path)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), document, f"{path}[{index}]")


def _is_of_type(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, TYPES[name])


def _alternatives(value: Any, schema: Any, document: Any, path: str) -> Iterator[str]:
    attempts = [list(faults(value, each, document, path)) for each in schema.get("anyOf", ())]
    if attempts and all(attempts):
        yield min(attempts, key=len)[0]
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path} is none of {schema['enum']}: {value!r}"


def _number_bounds(value: Any, schema: Any, path: str) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{path} is out of bounds: {value!r}"


def _text_bounds(value: Any, schema: Any, document: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        return
    if schema.get("format") == "date-time" and not _is_time(value):
        yield f"{path} is not a time: {value!r}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path} does not match {schema['pattern']}: {value!r}"
    if "contentSchema" in schema:
        assert schema["contentMediaType"] == "application/json"
        yield from faults(json.loads(value), schema["contentSchema"], document, path)


def _length_bounds(value: Any, schema: Any, path: str) -> Iterator[str]:
    for least, most, kind in (("minLength", "maxLength", str), ("minItems", "maxItems", list)):
        if isinstance(value, kind):
            length = len(value)
            if not schema.get(least, length) <= length <= schema.get(most, length):
                yield f"{path} has a length of {length}"


def _is_time(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _object(value: dict[str, Any], schema: Any, document: Any, path: str) -> Iterator[str]:
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path} has no {name}"
    known = schema.get("properties", {})
    others = schema.get("additionalProperties", {} if not known else None)
    for name, item in value.items():
        if name in known:
            yield from faults(item, known[name], document, f"{path}.{name}")
        elif others is False or others is None:
            # The server sends only fields that the document describes.
            yield f"{path} has {name}, which is not described"
        elif others is not True:
            yield from faults(item, others, document, f"{path}.{name}")
