"""Parsing of requests: query parameters, bodies and revisions, into the types of the operations.

HTTP and embedded calls are parsed here alike, so that both get the same errors.
"""

import re
from typing import Any

import msgspec

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

_REVISION = re.compile(r'"(\d{1,18})"')
_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?(.*?)(?:\[\.\.\.\])?`$")
_NAMED = re.compile(r"(?:unknown|missing required) field `(.*)`")


def read_query(parameters: list[tuple[str, str]], kind: Any) -> Any:
    """Return query parameters as the query type of an operation.

    Raises:
        InvalidField: naming the parameter.
    """
    values: dict[str, Any] = {}
    for name, value in parameters:
        if name.startswith("metadata.") and issubclass(kind or object, DatedList):
            values.setdefault("metadata", {})[name.removeprefix("metadata.")] = value
        elif name in values or name == "metadata":
            raise InvalidField(f"{name} is given twice, or is not a parameter.", name)
        else:
            values[name] = value
    if kind is None:
        raise InvalidField(f"This operation has no parameter {parameters[0][0]}.", parameters[0][0])
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error


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
        raise _invalid(error) from error
    except msgspec.DecodeError as error:
        raise _unreadable(body, error) from error
    except UnicodeDecodeError as error:
        raise BadRequest("The body is not UTF-8.") from error
    except RecursionError as error:
        field = find_too_deep(body, MAX_DEPTH) or "the body"
        raise InvalidField(f"{field} is nested deeper than {MAX_DEPTH} levels.", field) from error


def _unreadable(body: bytes, error: msgspec.DecodeError) -> UserkeepError:
    try:
        path = find_half_surrogate(body)
    except (ValueError, RecursionError):
        path = None
    if path is None:
        return BadRequest(f"The body is not JSON: {error}.")
    place = path or "A name"
    return InvalidField(f"{place} contains half a surrogate pair, which is not a character.", place)


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
