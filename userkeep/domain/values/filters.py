"""Filters on metadata: trees of conditions, which a row of a list or a search meets or not.

In JSON, a node is one of

    {"and": [node, …]}    {"or": [node, …]}    {"not": node}
    {"field": "metadata.topic", "op": "eq", "value": "shoes"}
    {"field": "metadata.orders", "any": node}

- A field is `metadata`, or a path of keys below it, as in `metadata_paths`. `any` is true if the
  field is an array with an element that meets the node; in it, fields are relative to the element,
  and `.` is the element.
- A condition is true or false, never unknown. If the field is missing it is false, even with `ne`;
  `not` inverts that. So `not` finds rows without the field, and `ne` does not.
- `eq`, `ne` and `in` compare with texts, numbers, true, false and null. Numbers compare by value
  (1 is 1.0); values of other types are never equal (true is not 1, "5" is not 5). `in` has a list.
- `gt`, `gte`, `lt` and `lte` compare numbers with numbers, and texts with texts by code points.
- `contains`: a text that contains the value, or an array with an element that equals the value.
  `starts_with`: a text that starts with the value.
- `exists`: the field exists, even if it is null; with the value false, it does not exist.

Zep's SQL/JSON paths become the same trees. They need more than the JSON form offers: indexes in a
path, `AnyItem.or_itself`, `IsArray`, `AtRoot`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from userkeep.domain.errors import InvalidField
from userkeep.domain.values.json_text import find_half_surrogate
from userkeep.domain.values.metadata import check_json, decode_json
from userkeep.domain.values.metadata_paths import parse_path
from userkeep.domain.values.text import check_characters

Scalar = str | int | float | bool | None
Path = tuple[str | int, ...]
"""Keys, and indexes of arrays from 0, or from -1 at the end. Empty: the metadata or the element."""

Op = Literal[
    "eq", "ne", "gt", "gte", "lt", "lte", "in", "exists", "contains", "starts_with"
]  # fmt: skip

MAX_CONDITIONS = 100
MAX_LEVELS = 16
MAX_GROUP = 100


class Condition(msgspec.Struct, frozen=True, tag=True):
    """A condition on one field."""

    path: Path
    op: Op
    value: Scalar | tuple[Scalar, ...]


class And(msgspec.Struct, frozen=True, tag=True):
    """All nodes are true; true without nodes."""

    nodes: "tuple[Node, ...]"


class Or(msgspec.Struct, frozen=True, tag=True):
    """At least one node is true; false without nodes."""

    nodes: "tuple[Node, ...]"


class Not(msgspec.Struct, frozen=True, tag=True):
    """The node is false."""

    node: "Node"


class AnyItem(msgspec.Struct, frozen=True, tag=True):
    """An element of the array at `path` meets `node`, whose paths are relative to the element.

    `or_itself`: a value that is not an array is treated as an array with one element.
    """

    path: Path
    node: "Node"
    or_itself: bool = False


class IsArray(msgspec.Struct, frozen=True, tag=True):
    """The value at `path` is an array."""

    path: Path


class AtRoot(msgspec.Struct, frozen=True, tag=True):
    """Within an AnyItem: a node with paths relative to the metadata."""

    node: "Node"


Node = Condition | And | Or | Not | AnyItem | IsArray | AtRoot

NOTHING = Or(())
"""A filter that no row meets."""


def parse_filter(value: Any, field: str = "filter") -> Node:
    """Parse a filter.

    Args:
        value: the decoded JSON; see the module.
        field: its path in the request, for errors.

    Raises:
        InvalidField: naming the field, by its path (`filter.and[0].op`).
    """
    check_json(value, field)
    return _Parser().node(value, field)


def parse_list_filter(text: str | None, wanted: Mapping[str, Sequence[str]]) -> Node | None:
    """Parse the query parameters `filter=<JSON>` and `metadata.address.city=Paris` of a list.

    A value in an address has no type. So `metadata.zip=12345` finds the number and the text, as
    do `true`, `false` and `null`. In quotes (`"12345"`) it is JSON, and finds only the text.

    Args:
        text: the value of `filter`.
        wanted: path (`address.city`) to values, as sent. All of them are required.

    Returns:
        A filter that requires all of them; None without parameters.

    Raises:
        InvalidField: naming `metadata.<path>`, or the field of the filter by its path.
    """
    parser = _Parser()
    nodes = [parser.equality(path, value) for path, values in wanted.items() for value in values]
    if text is not None:
        value = _decoded(text)
        check_json(value, "filter")
        nodes.append(parser.node(value, "filter"))
    return And(tuple(nodes)) if nodes else None


def as_stored(value: Scalar) -> Scalar:
    """Return a number as metadata stores it: as a double, if it has more than 64 bits.

    Raises:
        OverflowError: it is greater than any double.
    """
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value)
    return value


def values_in_address(text: str, field: str) -> tuple[Scalar, ...]:
    """Return the values that the text of a condition can stand for, in an address or a command.

    Args:
        text: the condition's value, as sent.
        field: the name of the condition, for errors.

    Raises:
        InvalidField: the text is an array or an object, or cannot be stored.
    """
    value = _json_or_text(text)
    if not _is_scalar(value):
        raise InvalidField(f"{field} must be {_SCALAR}.", field)
    if isinstance(value, str):
        return (check_characters(value, field),)
    try:
        return as_stored(value), text
    except OverflowError:  # no metadata has such a number
        return (text,)


class _Parser:
    """Parses one filter, and counts its conditions."""

    def __init__(self) -> None:
        self._conditions = 0

    def node(self, value: Any, at: str, level: int = 1, *, is_item: bool = False) -> Node:
        """Parse the node at a path; `is_item`: its fields are relative to an element."""
        if not isinstance(value, dict):
            raise InvalidField(f"{at} must be an object, such as {_EXAMPLE}.", at)
        if level > MAX_LEVELS:
            raise InvalidField(f"{at} is nested deeper than {MAX_LEVELS} levels.", at)
        form = next((name for name in _FORMS if name in value), "")
        if not form:
            raise InvalidField(f"{at} must have one of {', '.join(_FORMS)}.", at)
        if form == "field":
            return self._about_field(value, at, level, is_item=is_item)
        _check_keys(value, {form}, at)
        inner, inside = value[form], f"{at}.{form}"
        if form == "not":
            return Not(self.node(inner, inside, level + 1, is_item=is_item))
        if not isinstance(inner, list) or not 1 <= len(inner) <= MAX_GROUP:
            raise InvalidField(f"{inside} must be a list of 1 to {MAX_GROUP} filters.", inside)
        nodes = [
            self.node(each, f"{inside}[{index}]", level + 1, is_item=is_item)
            for index, each in enumerate(inner)
        ]
        return And(tuple(nodes)) if form == "and" else Or(tuple(nodes))

    def equality(self, path: str, text: str) -> Node:
        """Return the condition for `metadata.<path>=<text>`."""
        field = f"metadata.{path}"
        keys = parse_path(path, field)
        self._count("metadata")
        nodes = [Condition(keys, "eq", value) for value in values_in_address(text, field)]
        return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))

    def _about_field(self, value: dict[str, Any], at: str, level: int, *, is_item: bool) -> Node:
        path = _path(value["field"], f"{at}.field", is_item=is_item)
        if "any" in value:
            _check_keys(value, {"field", "any"}, at)
            inner = self.node(value["any"], f"{at}.any", level + 1, is_item=True)
            return AnyItem(path, inner)
        _check_keys(value, {"field", "op", "value"}, at)
        self._count(at)
        op = value.get("op")
        if not isinstance(op, str) or op not in _ACCEPTED:
            given = f"; got {_shown(op)}" if isinstance(op, str) else ""
            choices = ", ".join(_ACCEPTED)
            raise InvalidField(f"{at}.op must be one of {choices}{given}.", f"{at}.op")
        wanted = value.get("value", True if op == "exists" else UNSET)
        is_accepted, what = _ACCEPTED[op]
        if not is_accepted(wanted):
            raise InvalidField(f"{at}.value must be {what} for {op}.", f"{at}.value")
        return Condition(path, op, tuple(wanted) if op == "in" else wanted)  # type: ignore[arg-type]

    def _count(self, at: str) -> None:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise InvalidField(
                f"{at} exceeds the limit of {MAX_CONDITIONS} conditions in a filter.", at
            )


_EXAMPLE = '{"field": "metadata.topic", "op": "eq", "value": "shoes"}'
_MAX_SHOWN = 100
_FORMS = ("and", "or", "not", "field")
_SCALAR = "a text, a number, true, false or null"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _is_ordered(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _is_choice(value: Any) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= MAX_GROUP and all(map(_is_scalar, value))


_ACCEPTED = {
    "eq": (_is_scalar, _SCALAR),
    "ne": (_is_scalar, _SCALAR),
    "gt": (_is_ordered, "a text or a number"),
    "gte": (_is_ordered, "a text or a number"),
    "lt": (_is_ordered, "a text or a number"),
    "lte": (_is_ordered, "a text or a number"),
    "in": (_is_choice, f"a list of 1 to {MAX_GROUP} texts, numbers, true, false or null"),
    "exists": (lambda value: isinstance(value, bool), "true or false"),
    "contains": (_is_scalar, _SCALAR),
    "starts_with": (lambda value: isinstance(value, str), "a text"),
}
"""By operator: whether it accepts a value, and what it accepts."""


def _check_keys(value: dict[str, Any], known: set[str], at: str) -> None:
    for key in value:
        if key not in known:
            names = ", ".join(sorted(known))
            raise InvalidField(f"{at} can only have {names}; got {key!r}.", f"{at}.{key}")


def _path(field: Any, at: str, *, is_item: bool) -> Path:
    if is_item and isinstance(field, str):
        return () if field == "." else parse_path(field, at)
    if field == "metadata":
        return ()
    if not isinstance(field, str) or not field.startswith("metadata."):
        accepted = "a path of keys, or `.`" if is_item else "`metadata`, or `metadata.<path>`"
        raise InvalidField(f"{at} must be {accepted}.", at)
    return parse_path(field.removeprefix("metadata."), at)


def _json_or_text(text: str) -> Any:
    try:
        return decode_json(text)
    except msgspec.DecodeError:
        return text
    except RecursionError:
        return []  # nested too deep to parse; rejected like any other array


def _decoded(text: str) -> Any:
    try:
        return decode_json(text)
    except RecursionError as error:
        raise InvalidField(
            f"filter is nested deeper than {MAX_LEVELS} levels.", "filter"
        ) from error
    except UnicodeEncodeError as error:
        raise InvalidField("filter contains half a surrogate pair.", "filter") from error
    except msgspec.DecodeError as error:
        at = _path_of_half_surrogate(text)
        if at is None:
            raise InvalidField(f"filter is not JSON: {error}.", "filter") from error
        raise InvalidField(
            f"{at} contains half a surrogate pair, which is not a character.", at
        ) from error


def _path_of_half_surrogate(text: str) -> str | None:
    try:
        path = find_half_surrogate(text.encode())
    except (ValueError, RecursionError):
        return None
    if path is None:
        return None
    return f"filter.{path}" if path else "filter"
