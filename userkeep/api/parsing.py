"""Parsing of requests: query parameters, bodies and revisions, into the types of the operations.

HTTP and embedded calls are parsed here alike, so that both get the same errors.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec
from msgspec.inspect import (
    BoolType,
    DictType,
    IntType,
    ListType,
    LiteralType,
    Metadata,
    StructType,
    Type,
    UnionType,
)

from userkeep.api.common import DatedList
from userkeep.api.operation import APIOperation
from userkeep.domain.errors import BadRequest, InvalidField, TooLarge, UserkeepError
from userkeep.domain.values.json_text import (
    MAX_VALUES,
    TOO_MANY_VALUES,
    find_half_surrogate,
    find_too_deep,
    has_more_values,
)
from userkeep.domain.values.metadata import MAX_DEPTH
from userkeep.domain.values.text import has_mark, other_encoding
from userkeep.domain.values.times import decode_time

_REVISION = re.compile(r'"(\d{1,18})"')
_PLACE = re.compile(r" - at (`key` in )?`\$\.?(.*?)(\[\.\.\.\])?`$")
_STEP = re.compile(r"\[\d+\]|[^.\[]+")
_NO_CHOICE = "Invalid enum value "
_MAX_SHOWN = 100
_WHOLE = re.compile(r"-?[0-9]{1,19}")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_NAMED = re.compile(r"(unknown|missing required) field `(.*)`")
_NAMED_WORDS = {"unknown": "not a known {}", "missing required": "missing"}
_EXPECTED = re.compile(r"Expected `([^`]*)`(?:, got `(.*)`|( of length)?(?: ([<>]=?))? (\S+))")
_WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}
_GIVEN = {**_WORDS, "int": "a number", "float": "a number with a fraction"}


def read_query(parameters: list[tuple[str, str]], kind: Any) -> Any:
    """Return query parameters as the query type of an operation.

    Raises:
        InvalidField: naming the parameter.
    """
    values: dict[str, Any] = {}
    for name, value in parameters:
        if name.startswith("metadata.") and issubclass(kind or object, DatedList):
            conditions = values.setdefault("metadata", {})
            conditions.setdefault(name.removeprefix("metadata."), []).append(value)
        elif name in values or name == "metadata":
            raise InvalidField(f"{name} is given twice, or is not a parameter.", name)
        else:
            values[name] = _query_value(value, name, _scalars_of(kind).get(name))
    if kind is None:
        raise InvalidField(f"This operation has no parameter {parameters[0][0]}.", parameters[0][0])
    try:
        return msgspec.convert(values, kind, dec_hook=decode_time)
    except msgspec.ValidationError as error:
        raise _invalid(error, kind, "parameter") from error


@cache
def _scalars_of(kind: Any) -> dict[str, Any]:
    """Return the type of each parameter of a query that is not a text, by its name."""
    if kind is None:
        return {}
    info: Any = msgspec.inspect.type_info(kind)
    types = {field.encode_name: list(_alternatives([field.type])) for field in info.fields}
    return {
        name: found
        for name, alternatives in types.items()
        for found in alternatives
        if isinstance(found, IntType | BoolType)
    }


def _query_value(text: str, name: str, kind: Any) -> Any:
    """Return the value of a parameter. msgspec would take 1e1 for a number, and null for none."""
    if isinstance(kind, IntType):
        if not _WHOLE.fullmatch(text):
            raise InvalidField(f"{name} must be a whole number; got {_shown(text)}.", name)
        return int(text)
    if isinstance(kind, BoolType):
        if text.lower() not in _BOOLEANS:
            raise InvalidField(f"{name} must be true or false; got {_shown(text)}.", name)
        return _BOOLEANS[text.lower()]
    return text


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")


def read_revision(value: str, operation: APIOperation) -> int:
    """Return the revision in an `If-Match` header.

    Raises:
        BadRequest: it is not a revision, or the operation does not support it.
    """
    if not operation.is_conditional:
        raise BadRequest("This operation does not support If-Match.", "If-Match")
    match = _REVISION.fullmatch(value)
    if match is None:
        raise BadRequest('If-Match must be a revision in quotes, such as "3".', "If-Match")
    return int(match[1])


def body_decoder(kind: Any) -> Callable[[bytes], Any]:
    """Return what decodes a JSON body of a type, for `read_body`."""
    return msgspec.json.Decoder(kind, dec_hook=decode_time).decode


def read_body(body: bytes, decode: Any) -> Any:
    """Return a JSON body, decoded by `decode` of a msgspec decoder.

    Raises:
        BadRequest: it is not JSON. TooLarge: it has too many values.
        InvalidField: naming the invalid field.
    """
    if not body:
        raise BadRequest("A JSON body is required.")
    if has_more_values(body, MAX_VALUES):
        raise TooLarge(TOO_MANY_VALUES)
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        decoder = getattr(decode, "__self__", None)
        raise _invalid(error, getattr(decoder, "type", None), "field") from error
    except msgspec.DecodeError as error:
        raise _unreadable(body, error) from error
    except UnicodeDecodeError as error:
        raise BadRequest(describe_mark(body) or "The body is not UTF-8.") from error
    except RecursionError as error:
        field = find_too_deep(body, MAX_DEPTH) or "the body"
        raise InvalidField(f"{field} is nested deeper than {MAX_DEPTH} levels.", field) from error


def describe_mark(body: bytes) -> str | None:
    """Return the sentence about the byte order mark before a body, which JSON cannot have."""
    other = other_encoding(body)
    if other is not None:
        return f"The body is {other}. Send JSON as UTF-8."
    if has_mark(body):
        return "The body begins with a byte order mark (U+FEFF). Send JSON without one."
    return None


def _unreadable(body: bytes, error: msgspec.DecodeError) -> UserkeepError:
    marked = describe_mark(body)
    if marked is not None:
        return BadRequest(marked)
    try:
        path = find_half_surrogate(body)
    except (ValueError, RecursionError):
        path = None
    if path is None:
        return BadRequest(f"The body is not JSON: {error}.")
    place = path or "A name"
    return InvalidField(f"{place} contains half a surrogate pair, which is not a character.", place)


def _invalid(error: msgspec.ValidationError, kind: Any, noun: str) -> InvalidField:
    """Return an error of msgspec in the words of JSON, with the path of the field.

    Args:
        error: as msgspec raises it.
        kind: the type that was expected.
        noun: `field` or `parameter`.
    """
    text = str(error)
    place = _PLACE.search(text)
    path = place[2] if place else ""
    sentence = _PLACE.sub("", text)
    named = _NAMED.search(sentence)
    if named:
        path = f"{path}.{named[2]}" if path else named[2]
        if not path:
            return InvalidField(f"A {noun} with an empty name is not known.")
        return InvalidField(f"{path} is {_NAMED_WORDS[named[1]].format(noun)}.", path)
    of_inner = {"key": "a name in ", "value": "a value in "}.get(_part_of(place), "")
    choices = _choices(kind, path, place) if path else []
    if choices:
        given = _given(sentence)
        return InvalidField(
            f"{of_inner}{path} must be one of {', '.join(choices)}; got {given}.", path
        )
    said = _in_words(sentence)
    if not path:
        return InvalidField(f"The body {said}.")
    return InvalidField(f"{of_inner}{path} {said}.", path)


def _part_of(place: re.Match[str] | None) -> str:
    """Return whether an error is about a `key` or a `value` of an object, or about neither."""
    if place is None or not (place[1] or place[3]):
        return ""
    return "key" if place[1] else "value"


def _given(sentence: str) -> str:
    """Return the value that a sentence about a choice has, or its type."""
    if sentence.startswith(_NO_CHOICE):
        given = sentence.removeprefix(_NO_CHOICE)
        return given if len(given) <= _MAX_SHOWN else f"{given[:_MAX_SHOWN]}…"
    found = _EXPECTED.fullmatch(sentence)
    return _GIVEN.get(found[2], found[2]) if found and found[2] else "another value"


def _in_words(sentence: str) -> str:
    """Return what a value must be, without its name; msgspec has the names of Python."""
    found = _EXPECTED.fullmatch(sentence)
    if found is None:
        return sentence if sentence.startswith("must be ") else f"is invalid: {sentence}"
    expected, given, length, comparison, limit = found.groups()
    if given is not None:
        return f"must be {_words_of(expected)}, not {_GIVEN.get(given, given)}"
    bound = {">=": "at least ", "<=": "at most ", ">": "more than ", "<": "less than "}
    number = f"{bound.get(comparison or '', '')}{(limit or '').removesuffix('.0')}"
    if length is None:
        return f"must be {number}"
    unit = "characters" if "str" in expected else "items"
    return f"must have {number} {unit if number.rpartition(' ')[2] != '1' else unit[:-1]}"


def _words_of(types: str) -> str:
    names = [_WORDS.get(each, each) for each in types.split(" | ")]
    return " or ".join(names)


def _choices(kind: Any, path: str, place: re.Match[str] | None) -> list[str]:
    """Return the texts that a field of a type may have; none if any text is possible."""
    types = [msgspec.inspect.type_info(kind)]
    for step in _STEP.findall(path):
        types = [part for each in _alternatives(types) for part in _parts(each, step)]
    if _part_of(place) == "key":
        types = [each.key_type for each in _alternatives(types) if isinstance(each, DictType)]
    literals = [each for each in _alternatives(types) if isinstance(each, LiteralType)]
    return [str(value) for each in literals for value in each.values]


def _alternatives(types: list[Type]) -> Iterator[Type]:
    for each in types:
        if isinstance(each, Metadata):
            yield from _alternatives([each.type])
        elif isinstance(each, UnionType):
            yield from _alternatives(list(each.types))
        else:
            yield each


def _parts(type_: Type, step: str) -> list[Type]:
    if isinstance(type_, ListType) and step.startswith("["):
        return [type_.item_type]
    if isinstance(type_, StructType):
        return [field.type for field in type_.fields if field.encode_name == step]
    return []
