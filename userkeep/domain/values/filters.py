"""Filters on metadata: a tree of conditions that each row of a list or a search meets or does not.

As JSON, a node is one of

    {"and": [node, …]}    {"or": [node, …]}    {"not": node}
    {"field": "metadata.topic", "op": "eq", "value": "shoes"}
    {"field": "metadata.orders", "any": node}

- A field is `metadata`, or a path of keys below it. In `any`, which is true where the field is an
  array with an element for which the node is, fields begin at the element, and `.` is the element.
- A condition is true or false, never unknown: about a field that is not there it is false, `ne`
  included; `not` turns that round. So `not` finds what lacks the field, and `ne` does not.
- `eq`, `ne` and `in` compare with texts, numbers, true, false and null. Numbers compare by value
  (1 is 1.0); nothing else is equal across types (true is not 1, "5" is not 5). `in` has a list.
- `gt`, `gte`, `lt` and `lte` compare numbers with numbers, and texts with texts by code points.
- `contains`: a text that has the text in it, or an array with an element that equals the value.
  `starts_with`: a text that does.
- `exists`: the field is there, be it null; with the value false, it is not there.

The same tree says what Zep's SQL/JSON paths say, which takes more than callers can write: indexes
in a path, `AnyItem.or_itself`, `IsArray`, `AtRoot`.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET

from userkeep.domain.errors import InvalidField
from userkeep.domain.values.json_text import half_surrogate_at
from userkeep.domain.values.metadata import MAX_DEPTH, check_json, decode_json
from userkeep.domain.values.text import check_characters

Scalar = str | int | float | bool | None
Path = tuple[str | int, ...]
"""Keys, and indexes of arrays from 0, or from -1 at the end; none: the metadata, or the item."""

Op = Literal[
    "eq", "ne", "gt", "gte", "lt", "lte", "in", "exists", "contains", "starts_with"
]  # fmt: skip

MAX_CONDITIONS = 100
MAX_LEVELS = 16
MAX_GROUP = 100


class Condition(msgspec.Struct, frozen=True, tag=True):
    """What is asked of one field."""

    path: Path
    op: Op
    value: Scalar | tuple[Scalar, ...]


class And(msgspec.Struct, frozen=True, tag=True):
    """All of them; true where there are none."""

    nodes: "tuple[Node, ...]"


class Or(msgspec.Struct, frozen=True, tag=True):
    """At least one of them; false where there are none."""

    nodes: "tuple[Node, ...]"


class Not(msgspec.Struct, frozen=True, tag=True):
    """The contrary."""

    node: "Node"


class AnyItem(msgspec.Struct, frozen=True, tag=True):
    """An element of the array at `path` is as `node` says, whose paths begin at the element.

    `or_itself`: what is no array is looked at as if it were the only element of one.
    """

    path: Path
    node: "Node"
    or_itself: bool = False


class IsArray(msgspec.Struct, frozen=True, tag=True):
    """There is an array at `path`."""

    path: Path


class AtRoot(msgspec.Struct, frozen=True, tag=True):
    """Within an AnyItem: paths begin at the metadata again."""

    node: "Node"


Node = Condition | And | Or | Not | AnyItem | IsArray | AtRoot

NOTHING = Or(())
"""The filter that no row meets."""


def read_filter(value: Any, field: str = "filter") -> Node:
    """A filter as JSON says it.

    Args:
        value: what the JSON holds; see the head of this module.
        field: where it stands, for errors.

    Raises:
        InvalidField: naming the place, such as `filter.and[0].op`.
    """
    check_json(value, field)
    return _Reader().node(value, field)


def read_list_filter(text: str | None, wanted: dict[str, str]) -> Node | None:
    """What a list's address says: `filter=<JSON>` and `metadata.address.city=Paris`, or None.

    What follows `metadata.<path>=` is JSON where it parses (`5`, `true`, `null`, `"5"`), else text.
    `null` finds a key that is there and null.

    Args:
        text: of `filter`.
        wanted: path (`address.city`) to value, as they came.

    Raises:
        InvalidField: naming `metadata.<path>`, or the place in the filter.
    """
    reader = _Reader()
    nodes = [reader.equality(path, value) for path, value in wanted.items()]
    if text is not None:
        value = _decoded(text)
        check_json(value, "filter")
        nodes.append(reader.node(value, "filter"))
    return And(tuple(nodes)) if nodes else None


class _Reader:
    """Reads one filter, and counts its conditions."""

    def __init__(self) -> None:
        self._conditions = 0

    def node(self, value: Any, place: str, level: int = 1, *, is_item: bool = False) -> Node:
        """A node that stands at a place; `is_item`: its fields begin at an element."""
        if not isinstance(value, dict):
            raise InvalidField(f"{place} must be an object, such as {_EXAMPLE}.", place)
        if level > MAX_LEVELS:
            raise InvalidField(f"{place} is nested deeper than {MAX_LEVELS} levels.", place)
        form = next((name for name in _FORMS if name in value), "")
        if not form:
            raise InvalidField(f"{place} must have one of {', '.join(_FORMS)}.", place)
        if form == "field":
            return self._about_field(value, place, level, is_item=is_item)
        _check_keys(value, {form}, place)
        inner, inside = value[form], f"{place}.{form}"
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
        """The condition of `metadata.<path>=<text>`."""
        field = f"metadata.{path}"
        keys = _keys(path, field)
        value = _json_or_text(text)
        if not _is_scalar(value):
            raise InvalidField(f"{field} can be compared with {_SCALAR}.", field)
        if isinstance(value, str):
            check_characters(value, field)
        self._count("metadata")
        try:
            return Condition(keys, "eq", _as_stored(value))
        except OverflowError:  # no metadata holds such a number
            return NOTHING

    def _about_field(self, value: dict[str, Any], place: str, level: int, *, is_item: bool) -> Node:
        path = _path(value["field"], f"{place}.field", is_item=is_item)
        if "any" in value:
            _check_keys(value, {"field", "any"}, place)
            inner = self.node(value["any"], f"{place}.any", level + 1, is_item=True)
            return AnyItem(path, inner)
        _check_keys(value, {"field", "op", "value"}, place)
        self._count(place)
        op = value.get("op")
        if not isinstance(op, str) or op not in _ACCEPTED:
            raise InvalidField(f"{place}.op must be one of {', '.join(_ACCEPTED)}.", f"{place}.op")
        wanted = value.get("value", True if op == "exists" else UNSET)
        is_accepted, what = _ACCEPTED[op]
        if not is_accepted(wanted):
            raise InvalidField(f"{place}.value must be {what} with {op}.", f"{place}.value")
        return Condition(path, op, tuple(wanted) if op == "in" else wanted)  # type: ignore[arg-type]

    def _count(self, place: str) -> None:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise InvalidField(
                f"{place} is one too many: a filter has at most {MAX_CONDITIONS} conditions.", place
            )


_EXAMPLE = '{"field": "metadata.topic", "op": "eq", "value": "shoes"}'
_FORMS = ("and", "or", "not", "field")
_SCALAR = "a text, a number, true, false or null"


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
"""By operator: whether it can be asked with a value, and what it can be asked with."""


def _check_keys(value: dict[str, Any], known: set[str], place: str) -> None:
    for key in value:
        if key not in known:
            names = ", ".join(sorted(known))
            raise InvalidField(f"{place} can have {names} and not {key!r}.", f"{place}.{key}")


def _path(field: Any, place: str, *, is_item: bool) -> Path:
    if is_item and isinstance(field, str):
        return () if field == "." else _keys(field, place)
    if field == "metadata":
        return ()
    if not isinstance(field, str) or not field.startswith("metadata."):
        what = "a path of keys in the element, or ." if is_item else "metadata, or metadata.<path>"
        raise InvalidField(f"{place} must be {what}.", place)
    return _keys(field.removeprefix("metadata."), place)


def _keys(path: str, place: str) -> Path:
    keys = path.split(".")
    if not all(keys) or any(character in path for character in '"\\'):
        raise InvalidField(
            f'{place} must name keys separated by dots, without quotes (") or backslashes.', place
        )
    check_characters(path, place)
    # Nothing is stored so deep that the rest would matter; databases limit how long a path may be.
    return tuple(keys[: MAX_DEPTH + 1])


def _as_stored(value: Scalar) -> Scalar:
    """A number as metadata can hold it: a double, where it has more than 64 bits."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value)
    return value


def _json_or_text(text: str) -> Any:
    try:
        return decode_json(text)
    except msgspec.DecodeError:
        return text
    except RecursionError:
        return []  # nested beyond all bounds: refused like any other array


def _decoded(text: str) -> Any:
    try:
        return decode_json(text)
    except RecursionError as error:
        raise InvalidField(
            f"filter is nested deeper than {MAX_LEVELS} levels.", "filter"
        ) from error
    except UnicodeEncodeError as error:
        raise InvalidField("filter has half a surrogate pair in it.", "filter") from error
    except msgspec.DecodeError as error:
        place = _place_of_half_surrogate(text)
        if place is None:
            raise InvalidField(f"filter is not JSON: {error}.", "filter") from error
        raise InvalidField(
            f"{place} has half a surrogate pair in it, which is no character.", place
        ) from error


def _place_of_half_surrogate(text: str) -> str | None:
    try:
        path = half_surrogate_at(text.encode())
    except (ValueError, RecursionError):
        return None
    if path is None:
        return None
    return f"filter.{path}" if path else "filter"
