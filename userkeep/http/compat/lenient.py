"""Reading requests as leniently as the servers that old clients were written for.

The first JSON value of a body counts and what follows it does not; field names match in any case;
unknown fields are ignored, because clients echo whole objects; null means absent; the content type
is never looked at. A known field of a wrong type is still refused.
"""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from userkeep.domain.errors import BadRequest

T = TypeVar("T")

_INTEGER = re.compile(r"([+-]?)0*([0-9]{1,19})")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.IGNORECASE)
GREATEST = 2**63 - 1
"""The greatest integer of 64 bits."""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)


class Fields:
    """The fields of a JSON object, by name in any case.

    Every reader gives None where the field is absent or null.

    Raises (all readers):
        BadRequest: the field has another type; the sentence and `fields` name it.
    """

    def __init__(self, value: dict[str, Any], path: str = "") -> None:
        self._values = {name.lower(): item for name, item in value.items()}
        self._path = path

    def text(self, name: str) -> str | None:
        """A text; half a surrogate pair in it is replaced, as it always was."""
        value = self._typed(name, str)
        if value is None or value.isascii():
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def object(self, name: str) -> dict[str, Any] | None:
        """An object."""
        return self._typed(name, dict)

    def objects(self, name: str) -> "list[Fields]":
        """A list of objects; none where it is absent. A null among them has no fields."""
        items = self._typed(name, list) or []
        return [
            self._item({} if item is None else item, f"{name}[{place}]")
            for place, item in enumerate(items)
        ]

    def _item(self, item: Any, name: str) -> "Fields":
        return Fields(self._checked(item, dict, name), self.place(name))

    def integer(self, name: str) -> int | None:
        """A whole number."""
        return self._typed(name, int)

    def uuid(self, name: str) -> str | None:
        """A uuid in any of its spellings, in canonical form."""
        value = self._typed(name, str)
        if value is None:
            return None
        try:
            return str(UUID(value))
        except ValueError as error:
            raise self._wrong(name, "must be a uuid") from error

    def check_time(self, name: str) -> None:
        """A time that nobody needs must still be one (RFC 3339)."""
        value = self._typed(name, str)
        if value is not None and not is_rfc3339(value):
            raise self._wrong(name, "must be a time such as 2026-11-22T11:22:02Z")

    def check_number(self, name: str) -> None:
        """A number that nobody needs must still be one."""
        value = self._values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            raise self._wrong(name, "must be a number")

    def _typed(self, name: str, kind: type[T]) -> T | None:
        value = self._values.get(name)
        return None if value is None else self._checked(value, kind, name)

    def _checked(self, value: Any, kind: type[T], name: str) -> T:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._wrong(name, f"must be {_NAME_OF[kind]}")
        return value

    def place(self, name: str) -> str:
        """How errors name a field."""
        return f"{self._path}.{name}" if self._path else name

    def _wrong(self, name: str, what: str) -> BadRequest:
        field = self.place(name)
        return BadRequest(f"{field} {what}", field)


_NAME_OF = {
    str: "a string",
    dict: "an object",
    list: "an array",
    int: "a whole number",
}


def read_object(body: bytes) -> Fields:
    """The object that a body begins with; `null` has no fields.

    Raises:
        BadRequest: the body is empty, is not JSON, or begins with something else.
    """
    try:
        text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
        value, _end = _decoder.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON" if body else "the body is empty") from error
    if value is None:
        return Fields({})
    if not isinstance(value, dict):
        raise BadRequest("the body must be a JSON object")
    return Fields(value)


def query_integer(parameters: Sequence[tuple[str, str]], name: str) -> int:
    """An integer of the query: the first of its name counts, absent and empty mean 0.

    Raises:
        BadRequest: it is not a decimal integer of 64 bits.
    """
    value = next((value for given, value in parameters if given == name), "")
    if not value:
        return 0
    match = _INTEGER.fullmatch(value)
    number = int(match[1] + match[2]) if match else GREATEST + 1
    if abs(number) > GREATEST:
        raise BadRequest(f"{name} must be an integer of 64 bits: {value[:40]!r}", name)
    return number


def is_rfc3339(value: str) -> bool:
    """Whether a text is a time of RFC 3339."""
    if not _RFC3339.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
