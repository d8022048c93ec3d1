"""Random requests: of valid and invalid parts, and by the OpenAPI document, field by field."""

import json
from base64 import b64encode
from collections.abc import Iterable
from functools import cache
from struct import pack
from typing import Any, NamedTuple
from urllib.parse import quote, quote_from_bytes

from hypothesis import strategies as st

from bench.stalls.texts import TEXTS
from tests.fuzz.values import (
    IDS,
    IN_MESSAGE,
    NAMES,
    QUERY_NAMES,
    QUERY_VALUES,
    ROUTES,
    SEGMENTS,
    VALUES,
    WRITES,
    path_of,
)
from tests.http.clients import Request
from tests.http.schemas import resolve
from userkeep.api.operation import APIOperation
from userkeep.api.operations import OPERATIONS
from userkeep.http.openapi import openapi_document

Raw = st.SearchStrategy[bytes]
"""Makes raw JSON, or what is almost JSON."""

DOCUMENT: Any = json.loads(openapi_document())
_HUGE = [
    b'"' + b"x" * 1_100_000 + b'"',
    b"[" + b"0," * 30_000 + b"0]",
    b"[" + b"{}," * 1_001 + b"{}]",
    b'{"a":"' + b"x" * 70_000 + b'"}',
    b"{" + b'"a":1,' * 20_000 + b'"a":1}',
    b"[" * 30_000,
    *(json.dumps(make(3_000)).encode() for make in TEXTS.values()),
]

texts = st.text(st.characters(codec=None), max_size=6)
raw_values: Raw = st.one_of(
    st.sampled_from([value for value in VALUES.values() if len(value) < 20_000]),
    texts.map(json.dumps).map(str.encode),
    st.integers().map(lambda number: b"%d" % number),
    st.floats().map(json.dumps).map(str.encode),
    st.sampled_from([json.dumps(value).encode() for value in IDS.values()]),
)
hostile_values: Raw = st.one_of(raw_values, raw_values, st.sampled_from(_HUGE))
# What every reader of JSON reads, and no more: for bodies with one fault.
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def raw_objects(
    draw: st.DrawFn, names: list[bytes], inner: st.SearchStrategy[bytes] = raw_values
) -> bytes:
    """An object of raw values, which may be invalid JSON."""
    pairs = draw(st.lists(st.tuples(st.sampled_from(names), inner), max_size=4))
    return b"{" + b", ".join(b'"%s": %s' % pair for pair in pairs) + b"}"


raw_metadata = raw_objects([b"a", b"b", b"a.b", b"", b"system", b"\\u0000", b"\\ud800", b"\xff"])
raw_messages = raw_objects(IN_MESSAGE, raw_values | raw_metadata).map(
    lambda raw: b'{"role": "user", "content": "x", ' + raw[1:] if len(raw) > 2 else raw
)
raw_bodies: st.SearchStrategy[bytes] = st.one_of(
    raw_objects([*NAMES, b"messages"]),
    raw_metadata.map(lambda raw: b'{"user_id": "new", "session_id": "new", "metadata": %s}' % raw),
    raw_metadata.map(lambda raw: b'{"metadata": %s}' % raw),
    st.lists(raw_messages, max_size=3).map(lambda raw: b'{"messages": [%s]}' % b", ".join(raw)),
    raw_values,
    st.binary(max_size=40),
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body; one in six is damaged."""
    raw = draw(raw_bodies)
    if draw(st.integers(min_value=0, max_value=5)) > 0:
        return raw
    at = draw(st.integers(min_value=0, max_value=min(len(raw), 200)))
    cut = draw(st.integers(min_value=0, max_value=4))
    return raw[:at] + draw(st.binary(max_size=3)) + raw[at + cut :]


segments = st.one_of(
    st.sampled_from([segment for segment in SEGMENTS if len(segment) < 1_000]),
    st.binary(min_size=1, max_size=6).map(lambda raw: quote_from_bytes(raw, safe="").encode()),
)
queries = st.lists(
    st.tuples(
        st.sampled_from([name for name in QUERY_NAMES if len(name) < 100]),
        st.sampled_from([value for value in QUERY_VALUES if len(value) < 10_000]),
    ),
    max_size=3,
).map(lambda pairs: "&".join(map("=".join, pairs)).encode())


@st.composite
def targets(draw: st.DrawFn, path: str) -> bytes:
    """A path with existing or invalid ids and a query; or arbitrary bytes."""
    kind = draw(st.integers(min_value=0, max_value=19))
    if kind == 0:
        return b"/" + draw(st.binary(max_size=40))
    raw = path_of(path).encode()
    if kind < 6 and "{" in path:
        name = path.split("{")[1].partition("}")[0]
        before, after = (path_of(part).encode() for part in path.split(f"{{{name}}}"))
        raw = before + draw(segments) + after
    return raw + (b"?" + draw(queries) if kind > 12 else b"")


headers = st.dictionaries(
    st.sampled_from(["If-Match", "Idempotency-Key", "Content-Type"]),
    st.one_of(
        st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=8),
        st.sampled_from(['"1"', '"2"', "key", "other key"]),
    ),
    max_size=1,
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A valid or invalid request."""
    method, path = draw(st.sampled_from(ROUTES + 2 * WRITES))
    if draw(st.integers(min_value=0, max_value=19)) == 0:
        method = draw(st.sampled_from(["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "X"]))
    body = draw(bodies()) if method in {"POST", "PUT", "PATCH"} else None
    return Request(method, draw(targets(path)), body, draw(headers))


# Filters.

_FIELDS = ["metadata", "metadata.a", "metadata.a.b", "metadata.", "metadata..a", "a", ".", ""]
_OPERATORS = [
    "eq",
    "ne",
    "gt",
    "gte",
    "lt",
    "lte",
    "in",
    "exists",
    "contains",
    "starts_with",
    "like",
]
_conditions = st.fixed_dictionaries(
    {},
    optional={
        "field": st.sampled_from(_FIELDS) | texts,
        "op": st.sampled_from(_OPERATORS),
        "value": _JSON,
    },
)
_full_conditions = st.builds(
    lambda field, op, value: {"field": field, "op": op, "value": value},
    st.sampled_from(_FIELDS[:3]),
    st.sampled_from(_OPERATORS),
    st.sampled_from([1, "x", True, None, [], [1, "x"], 1e308, "\u0e48" * 100]),
)
filters: st.SearchStrategy[Any] = st.recursive(
    st.one_of(_full_conditions, _full_conditions, _conditions, _JSON),
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(["and", "or"]), st.lists(inner, max_size=4), max_size=2),
        st.fixed_dictionaries({"not": inner}),
        st.fixed_dictionaries({"field": st.sampled_from(_FIELDS), "any": inner}),
        st.builds(lambda each, count: {"and": [each] * count}, inner, st.sampled_from([99, 101])),
    ),
    max_leaves=12,
)

_TOKENS = [
    *("$", "@", ".a", '."a b"', ".*", ".**", "[*]", "[0]", "[last]", "[-1]", "[0 to 1]", "[9999]"),
    *("?", "(", ")", "&&", "||", "!", "==", "!=", "<>", "<", "<=", ">", ">=", "=", "+", ","),
    *("starts with", "exists", "is unknown", "like_regex", "strict", "lax", ".size()", ".type()"),
    *('"x"', "'x'", '"', "'", '"(a+)+$"', "1", "-0", "1e999", "0x1", "true", "null", "$x"),
    *("\\u0000", '"\\ud800"', "\0", "\ud800", "🙂", "\u0e48" * 50, "9" * 400, " ", "\n"),
]
_steps = st.lists(st.sampled_from([".a", ".b", "[*]", '."a b"', "[0]"]), max_size=3).map("".join)
_tests = st.recursive(
    st.one_of(
        st.builds(
            "@{} {} {}".format,
            _steps,
            st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
            st.sampled_from(["1", '"x"', "'x'", "true", "null", "1e308"]),
        ),
        _steps.map('@{} starts with "x"'.format),
        _steps.map("exists (@{})".format),
        st.sampled_from(["1", "true", "exists ($)"]),
    ),
    lambda inner: st.one_of(
        st.builds("({}) && ({})".format, inner, inner),
        st.builds("{} || {}".format, inner, inner),
        inner.map("!({})".format),
        inner.map("({}) is unknown".format),
        st.builds("exists (@.a ? ({}))".format, inner),
    ),
    max_leaves=10,
)
_valid_paths = st.builds("$[*]{} ? ({})".format, _steps, _tests)


@st.composite
def paths(draw: st.DrawFn) -> str:
    """A SQL/JSON path: a valid one, one with a token too many or too few, or only tokens."""
    kind = draw(st.integers(min_value=0, max_value=3))
    if kind == 0:
        return " ".join(draw(st.lists(st.sampled_from(_TOKENS), max_size=12)))
    path = draw(_valid_paths)
    if kind == 1:
        at = draw(st.integers(min_value=0, max_value=len(path)))
        cut = draw(st.integers(min_value=0, max_value=3))
        return path[:at] + draw(st.sampled_from(_TOKENS)) + path[at + cut :]
    return path


_zep_trees: st.SearchStrategy[Any] = st.recursive(
    st.one_of(paths(), paths(), _JSON).map(lambda path: {"jsonpath": path}),
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(["and", "or"]), st.lists(inner, max_size=4), max_size=2),
        st.lists(st.sampled_from([{}, {"and": []}, None, 1]), max_size=200).map(
            lambda nodes: {"and": nodes}
        ),
    ),
    max_leaves=8,
)

# Repeated at the top alone: a tree of repetitions would have a thousand million parts.
zep_filters = st.one_of(
    _zep_trees,
    st.builds(
        lambda each, count: {"or": [each] * count}, _zep_trees, st.sampled_from([101, 1_100])
    ),
)


@st.composite
def filtered_requests(draw: st.DrawFn) -> Request:
    """A search or a list with a filter, by either API."""
    if draw(st.booleans()):
        metadata: dict[str, Any] = {"where": draw(zep_filters)}
        if draw(st.integers(min_value=0, max_value=4)) == 0:
            metadata["start_date"] = draw(texts | st.sampled_from(["2026-01-01", 1, None]))
        body = json.dumps({"metadata": metadata}).encode()
        return Request("POST", "/api/v1/sessions/s/search", body)
    made = json.dumps(draw(filters))
    if draw(st.booleans()):
        return Request("POST", "/v1/search", b'{"filter": %s}' % made.encode())
    path = draw(st.sampled_from(["/v1/users", "/v1/sessions", "/v1/sessions/s/messages"]))
    return Request("GET", f"{path}?filter={quote(made)}")


# By the OpenAPI document.

_EMBEDDING = [1, 0.5, 0, 0, 0, 0, 0, -1]


def _valid(schema: Any) -> Raw:
    """Return what makes values of a schema, as JSON."""
    return _valid_by_text(json.dumps(schema))


@cache
def _valid_by_text(text: str) -> Raw:
    schema = json.loads(text)
    if schema.get("$ref", "").endswith("/Filter"):
        return _full_conditions.map(json.dumps).map(str.encode)
    if "$ref" in schema:
        return _valid(resolve(DOCUMENT, schema["$ref"]))
    if "anyOf" in schema:
        return st.one_of(*map(_valid, schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"]).map(json.dumps).map(str.encode)
    return _VALID_TYPES.get(schema.get("type"), lambda _: _JSON.map(json.dumps).map(str.encode))(
        schema
    )


def _valid_text(schema: Any) -> Raw:
    if schema.get("format") == "date-time":
        return st.sampled_from([b'"2026-11-22T11:22:02Z"', b'"2026-11-22T11:22:02.5-08:00"'])
    if schema.get("format") == "uuid":
        return st.uuids(version=4).map(lambda uuid: b'"%s"' % str(uuid).encode())
    if schema.get("contentEncoding") == "base64":  # an embedding of 8 dimensions
        return st.just(json.dumps(b64encode(pack("<8f", *_EMBEDDING)).decode()).encode())
    # A search term has six bytes or more.
    words = st.sampled_from(["a user", "What do you have in blue?", "user " * 100, "été 👍"])
    return words.map(json.dumps).map(str.encode)


def _valid_number(schema: Any) -> Raw:
    least, most = schema.get("minimum", 0), schema.get("maximum", 1_000)
    return st.integers(min_value=least, max_value=most).map(lambda number: b"%d" % number)


def _valid_list(schema: Any) -> Raw:
    if schema.get("items") == {"type": "number"}:
        return st.just(json.dumps(_EMBEDDING).encode())
    least = schema.get("minItems", 0)
    return st.lists(_valid(schema.get("items", {})), min_size=least, max_size=least + 2).map(
        lambda items: b"[" + b",".join(items) + b"]"
    )


def _valid_object(schema: Any) -> Raw:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not properties:
        names = st.sampled_from(["user", "tool"])  # the keys of some objects are roles
        inner = _valid(schema.get("additionalProperties") or {})
        return st.dictionaries(names, inner, max_size=2).map(_joined)
    values = {name: _valid(each) for name, each in properties.items()}
    if "id" in properties:  # a message: the document does not say which ids are valid
        values["id"] = st.uuids().map(lambda uuid: b'"%s"' % str(uuid).encode())
    if "content" in properties:  # nor that it can be empty only if there is data
        values["content"] = st.sampled_from([b'"x"', b'"Hello"'])
        required = [*required, *({"content"} - {*required})]
    return st.fixed_dictionaries(
        {name: values.pop(name) for name in required}, optional=values
    ).map(_joined)


def _object(pairs: Iterable[tuple[str, bytes]]) -> bytes:
    return b"{" + b",".join(b'"%s":%s' % (name.encode(), each) for name, each in pairs) + b"}"


def _joined(fields: dict[str, bytes]) -> bytes:
    return (
        b"{" + b",".join(b'"%s":%s' % (name.encode(), each) for name, each in fields.items()) + b"}"
    )


_VALID_TYPES = {
    "null": lambda _: st.just(b"null"),
    "boolean": lambda _: st.sampled_from([b"true", b"false"]),
    "string": _valid_text,
    "integer": _valid_number,
    "number": _valid_number,
    "array": _valid_list,
    "object": _valid_object,
}


class Documented(NamedTuple):
    """A request for an operation, with at most one field whose value may be invalid.

    Attributes:
        without: the same with null in this field, or None.
    """

    operation: APIOperation
    request: Request
    field: str | None = None
    without: Request | None = None


def fields_of(operation: APIOperation) -> dict[str, Any]:
    """Return the schemas of the fields of a body, all references resolved."""
    described = DOCUMENT["paths"][operation.path][operation.method.lower()]
    if "requestBody" not in described:
        return {}
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    properties: dict[str, Any] = resolve(DOCUMENT, schema["$ref"])["properties"]
    return properties


def _required_of(operation: APIOperation) -> list[str]:
    described = DOCUMENT["paths"][operation.path][operation.method.lower()]
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    required: list[str] = resolve(DOCUMENT, schema["$ref"]).get("required", [])
    return required


@st.composite
def documented_requests(draw: st.DrawFn) -> Documented:
    """A valid request of an operation, or one whose one field or parameter is hostile."""
    operation = draw(st.sampled_from(OPERATIONS))
    target, field, without = path_of(operation.path), None, None
    described = DOCUMENT["paths"][operation.path][operation.method.lower()]
    parameters = [each for each in described["parameters"] if each["in"] == "query"]
    if len(parameters) > 0 and draw(st.booleans()):
        parameter = draw(st.sampled_from(parameters))
        field = parameter["name"]
        value = draw(st.sampled_from([value for value in QUERY_VALUES if len(value) < 10_000]))
        target += f"?{field}={value}"
    for required in parameters:
        if required["required"] and required["name"] != field:
            target += f"{'&' if '?' in target else '?'}{required['name']}=1"
    fields = fields_of(operation)
    if not fields:
        return Documented(operation, Request(operation.method, target), field)
    body = draw(_bodies_with(fields, _required_of(operation)))
    if field is None and draw(st.integers(min_value=0, max_value=3)):
        field = draw(st.sampled_from([*fields, "unknown"]))
        without = Request(operation.method, target, _joined({**body, field: b"null"}))
        body[field] = draw(hostile_values)
    request = Request(operation.method, target, _joined(body))
    return Documented(operation, request, field, without)


@st.composite
def _bodies_with(draw: st.DrawFn, fields: dict[str, Any], required: list[str]) -> dict[str, bytes]:
    left_out = draw(st.sets(st.sampled_from(list(fields)))) - {*required}
    wanted = [name for name in fields if name not in left_out]
    return {name: draw(_valid(fields[name])) for name in wanted}


@st.composite
def damaged_requests(draw: st.DrawFn) -> Request:
    """A documented request with more faults: fields twice, missing, unknown, in other words."""
    operation = draw(st.sampled_from([each for each in OPERATIONS if each.body]))
    fields = fields_of(operation)
    pairs = draw(
        st.lists(
            st.tuples(
                st.sampled_from([*fields, *fields, "unknown", ""]),
                st.one_of(hostile_values, *map(_valid, fields.values())),
            ),
            max_size=6,
        )
    )
    return Request(operation.method, draw(targets(operation.path)), _object(pairs), draw(headers))
