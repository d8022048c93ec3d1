"""Read requests as leniently as the servers that older clients were written for.

Only the first JSON value of a body is read. Field names match in any case. Unknown fields are
ignored, because clients send whole objects back. Null means absent. The content type is ignored.
A known field of a wrong type is still rejected.
"""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from userkeep.api.parsing import describe_mark
from userkeep.domain.errors import BadRequest, TooLarge
from userkeep.domain.values.json_text import MAX_VALUES, TOO_MANY_VALUES, has_more_values

T = TypeVar("T")

_INTEGER = re.compile(r"([+-]?)0*([0-9]{1,19})")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.IGNORECASE)
MAX_INT64 = 2**63 - 1


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_reject_constant)


class Fields:
    """The fields of a JSON object, by name in any case.

    All methods return None if the field is absent or null.

    Raises (all methods):
        BadRequest: the field has another type. The sentence and `fields` name it.
    """

    def __init__(self, value: dict[str, Any], path: str = "") -> None:
        self._values = {name.lower(): item for name, item in value.items()}
        self._path = path

    def text(self, name: str) -> str | None:
        """Return a text; unpaired surrogates in it are replaced, as Zep does."""
        value = self._typed(name, str)
        if value is None or value.isascii():
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def object(self, name: str) -> dict[str, Any] | None:
        """Return an object."""
        return self._typed(name, dict)

    def objects(self, name: str, *, at_most: int) -> "list[Fields]":
        """Return a list of objects; empty if absent. A null in it is an object without fields."""
        items = self._typed(name, list) or []
        if len(items) > at_most:
            raise self._error(name, f"has {len(items):,} items, more than {at_most:,}; split it")
        return [
            self._item({} if item is None else item, f"{name}[{index}]")
            for index, item in enumerate(items)
        ]

    def _item(self, item: Any, name: str) -> "Fields":
        return Fields(self._checked(item, dict, name), self.path_of(name))

    def array(self, name: str) -> list[Any] | None:
        """Return a list of any values."""
        return self._typed(name, list)

    def texts(self, name: str) -> list[str] | None:
        """Return a list of texts."""
        values = self._typed(name, list)
        if values is None:
            return None
        return [self._checked(value, str, f"{name}[{index}]") for index, value in enumerate(values)]

    def boolean(self, name: str) -> bool | None:
        """Return true or false."""
        value = self._values.get(name)
        if not isinstance(value, bool | None):
            raise self._error(name, "must be true or false")
        return value

    def number(self, name: str) -> float | None:
        """Return a number."""
        self.check_number(name)
        return self._values.get(name)

    def integer(self, name: str) -> int | None:
        """Return a whole number."""
        return self._typed(name, int)

    def uuid(self, name: str) -> str | None:
        """Return a uuid in canonical form; any spelling is accepted."""
        value = self._typed(name, str)
        if value is None:
            return None
        try:
            return str(UUID(value))
        except ValueError as error:
            raise self._error(name, "must be a uuid") from error

    def check_time(self, name: str) -> None:
        """Check a field that is ignored, but must be a time (RFC 3339)."""
        value = self._typed(name, str)
        if value is not None and not is_rfc3339(value):
            raise self._error(name, "must be a time such as 2026-11-22T11:22:02Z")

    def check_number(self, name: str) -> None:
        """Check a field that is ignored, but must be a number."""
        value = self._values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            raise self._error(name, "must be a number")

    def _typed(self, name: str, kind: type[T]) -> T | None:
        value = self._values.get(name)
        return None if value is None else self._checked(value, kind, name)

    def _checked(self, value: Any, kind: type[T], name: str) -> T:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._error(name, f"must be {_TYPE_NAMES[kind]}")
        return value

    def path_of(self, name: str) -> str:
        """Return the path of a field, for errors."""
        return f"{self._path}.{name}" if self._path else name

    def _error(self, name: str, what: str) -> BadRequest:
        field = self.path_of(name)
        return BadRequest(f"{field} {what}", field)


_TYPE_NAMES = {
    str: "a string",
    dict: "an object",
    list: "an array",
    int: "a whole number",
}


def read_object(body: bytes) -> Fields:
    """Read the object at the start of a body; `null` is an object without fields.

    Raises:
        BadRequest: the body is empty, is not JSON, or starts with another value.
        TooLarge: it has too many values.
    """
    if has_more_values(body, MAX_VALUES):
        raise TooLarge(TOO_MANY_VALUES)
    value = _read_first(body)
    if value is None:
        return Fields({})
    if not isinstance(value, dict):
        raise BadRequest("the body must be a JSON object")
    return Fields(value)


def read_array(body: bytes) -> list[Any]:
    """Read the array at the start of a body, however many numbers it has; `null` is an empty one.

    Raises:
        BadRequest: the body is empty, is not JSON, or starts with another value.
    """
    value = _read_first(body)
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadRequest("the body must be a JSON array")
    return value


def read_objects(body: bytes, name: str, *, at_most: int) -> list[Fields]:
    """Read the array of objects at the start of a body.

    Args:
        name: of the array, for errors.

    Raises:
        BadRequest: as for `read_array`; there are more than `at_most`, or not only objects.
    """
    return Fields({name: read_array(body)}).objects(name, at_most=at_most)


def _read_first(body: bytes) -> Any:
    """Return the first JSON value of a body."""
    marked = describe_mark(body)
    if marked is not None:
        raise BadRequest(marked)
    try:
        text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
        value, _end = _decoder.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON" if body else "the body is empty") from error
    return value


def query_integer(parameters: Sequence[tuple[str, str]], name: str) -> int:
    """Read an integer of the query. The first parameter of a name counts; absent or empty is 0.

    Raises:
        BadRequest: the value is not a decimal integer of 64 bits.
    """
    value = next((value for given, value in parameters if given == name), "")
    if not value:
        return 0
    match = _INTEGER.fullmatch(value)
    number = int(match[1] + match[2]) if match else MAX_INT64 + 1
    if abs(number) > MAX_INT64:
        raise BadRequest(f"{name} must be an integer of 64 bits: {value[:40]!r}", name)
    return number


def is_rfc3339(value: str) -> bool:
    """Return whether a text is a time in RFC 3339."""
    if not _RFC3339.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
