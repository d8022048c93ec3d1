"""What a caller sends, read into the types of the table: queries, bodies, revisions.

Everything that comes in passes here, so that a caller in this process is refused what a client of
the server would be refused, in the same words.
"""

import re
from typing import Any

import msgspec

from userkeep.api.common import DatedList
from userkeep.api.operation import Operation
from userkeep.domain.errors import BadRequest, InvalidField, UserkeepError
from userkeep.domain.values.json_text import deeper_than, half_surrogate_at
from userkeep.domain.values.metadata import MAX_DEPTH

_REVISION = re.compile(r'"(\d{1,18})"')
_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?(.*?)(?:\[\.\.\.\])?`$")
_NAMED = re.compile(r"(?:unknown|missing required) field `(.*)`")


def read_query(parameters: list[tuple[str, str]], kind: Any) -> Any:
    """The parameters of a query as one of the table's query types.

    Raises:
        InvalidField: naming the parameter.
    """
    values: dict[str, Any] = {}
    for name, value in parameters:
        if name.startswith("metadata.") and issubclass(kind or object, DatedList):
            values.setdefault("metadata", {})[name.removeprefix("metadata.")] = value
        elif name in values or name == "metadata":
            raise InvalidField(f"{name} cannot be read; see /docs.", name)
        else:
            values[name] = value
    if kind is None:
        raise InvalidField(f"There is no parameter {parameters[0][0]} here.", parameters[0][0])
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error


def read_revision(value: str, operation: Operation) -> int:
    """The revision in an `If-Match` header.

    Raises:
        BadRequest: it is none, or the operation does not look at it.
    """
    if not operation.is_conditional:
        raise BadRequest("If-Match is not understood here.", "If-Match")
    match = _REVISION.fullmatch(value)
    if match is None:
        raise BadRequest('If-Match must be a revision in quotes, such as "3".', "If-Match")
    return int(match[1])


def read_body(body: bytes, decode: Any) -> Any:
    """A JSON body, as `decode` (of a msgspec decoder) reads it.

    Raises:
        BadRequest: it is not JSON. InvalidField: naming the field that cannot be.
    """
    if not body:
        raise BadRequest("A JSON body is needed.")
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except msgspec.DecodeError as error:
        raise _unreadable(body, error) from error
    except UnicodeDecodeError as error:
        raise BadRequest("The body is not UTF-8.") from error
    except RecursionError as error:
        field = deeper_than(body, MAX_DEPTH) or "the body"
        raise InvalidField(f"{field} is nested deeper than {MAX_DEPTH} levels.", field) from error


def _unreadable(body: bytes, error: msgspec.DecodeError) -> UserkeepError:
    try:
        path = half_surrogate_at(body)
    except (ValueError, RecursionError):
        path = None
    if path is None:
        return BadRequest(f"The body is not JSON: {error}.")
    place = path or "A name"
    return InvalidField(f"{place} has half a surrogate pair in it, which is no character.", place)


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
