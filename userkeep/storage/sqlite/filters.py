"""Filters as SQLite's SQL.

`json_type` gives the type of the value at a path, or NULL if there is none; `json_extract` gives
the value. An item of an array has both as columns, `type` and `value`. Its value is JSON only if it
is an array or an object, and SQLite evaluates paths in JSON only.
"""

from typing import NamedTuple

from userkeep.domain.values.filters import AnyItem, Condition, Path, Scalar
from userkeep.domain.values.metadata import encode_json
from userkeep.storage.filters import SYMBOLS, FilterCompiler

_NUMBER = "'integer', 'real'"


class _Found(NamedTuple):
    """The value at a path, as expressions of SQL.

    Attributes:
        type: its `json_type`.
        value: the value.
        rows: a table of its items if it is an array, to be used after FROM.
    """

    type: str
    value: str
    rows: str


class SqliteFilterCompiler(FilterCompiler):
    """Compiles one filter to SQLite's SQL."""

    def any_item(self, node: AnyItem, item: str | None, name: str) -> str:
        found = self._at(node.path, item)
        rows = found.rows
        if node.or_itself:
            rows = (
                f"(SELECT type, value FROM {found.rows} UNION ALL "
                f"SELECT {found.type}, {found.value} WHERE {found.type} <> 'array')"
            )
        return f"EXISTS (SELECT 1 FROM {rows} AS {name} WHERE {self.compile(node.node, name)})"

    def is_array(self, path: Path, item: str | None) -> str:
        return f"{self._at(path, item).type} = 'array'"

    def condition(self, node: Condition, item: str | None) -> str:
        found, value = self._at(node.path, item), node.value
        match node.op, value:
            case "exists", _:
                return f"{found.type} IS {'NOT NULL' if value else 'NULL'}"
            case "ne", _:
                return f"{found.type} IS NOT NULL AND NOT ({self._equal(found, value)})"
            case "in", tuple():
                return self._is_among(found, value)
            case "contains", _:
                return self._contains(found, value)
            case "starts_with", str():
                prefix = self.parameter(value)
                start = f"substr({found.value}, 1, length({prefix}))"
                return f"{found.type} = 'text' AND {start} = {prefix}"
            case (("gt" | "gte" | "lt" | "lte" as op), (str() | int() | float())):
                types = "'text'" if isinstance(value, str) else _NUMBER
                compared = f"{found.value} {SYMBOLS[op]} {self.parameter(value)}"
                return f"{found.type} IN ({types}) AND {compared}"
            case _:
                return self._equal(found, value)

    def _at(self, path: Path, item: str | None) -> _Found:
        if item is not None and not path:
            json = f"CASE WHEN {item}.type = 'array' THEN {item}.value END"
            return _Found(f"{item}.type", f"{item}.value", f"json_each({json})")
        json = "metadata"
        if item is not None:
            json = f"CASE WHEN {item}.type IN ('array', 'object') THEN {item}.value END"
        return self._below(json, path)

    def _below(self, json: str, path: Path) -> _Found:
        number = next((number for number, step in enumerate(path) if _is_unnameable(step)), None)
        if number is not None:
            return self._below_member(json, path, number)
        at = self.parameter(_path_text(path))
        type_ = f"json_type({json}, {at})"
        array = f"CASE WHEN {type_} = 'array' THEN {json} END"
        return _Found(type_, f"json_extract({json}, {at})", f"json_each({array}, {at})")

    def _below_member(self, json: str, path: Path, number: int) -> _Found:
        """Find a key that a path of SQLite cannot name in its object, and the rest below it."""
        parent, key = self.parameter(_path_text(path[:number])), self.parameter(path[number])
        member = f"json_each({json}, {parent}) WHERE key = {key}"
        if number + 1 < len(path):
            inner = f"(SELECT value FROM {member} AND type IN ('array', 'object'))"
            return self._below(inner, path[number + 1 :])
        array = f"(SELECT value FROM {member} AND type = 'array')"
        return _Found(
            f"(SELECT type FROM {member})", f"(SELECT value FROM {member})", f"json_each({array})"
        )

    def _equal(self, found: _Found, value: object) -> str:
        match value:
            case None:
                return f"{found.type} = 'null'"
            case bool():
                return f"{found.type} = '{'true' if value else 'false'}'"
            case str():
                return f"{found.type} = 'text' AND {found.value} = {self.parameter(value)}"
            case int() | float():
                is_equal = f"{found.value} = {self.parameter(value)}"
                return f"{found.type} IN ({_NUMBER}) AND {is_equal}"
            case _:
                raise TypeError(f"no stored value can be equal to a {type(value).__name__}")

    def _is_among(self, found: _Found, values: tuple[Scalar, ...]) -> str:
        wanted = self.parameter(encode_json(values).decode())
        is_number = f"wanted.type IN ({_NUMBER}) AND {found.type} IN ({_NUMBER})"
        return (
            f"EXISTS (SELECT 1 FROM json_each({wanted}) AS wanted "
            f"WHERE wanted.value IS {found.value} "
            f"AND (wanted.type = {found.type} OR ({is_number})))"
        )

    def _contains(self, found: _Found, value: object) -> str:
        element = _Found("element.type", "element.value", "")
        in_array = (
            f"EXISTS (SELECT 1 FROM {found.rows} AS element WHERE {self._equal(element, value)})"
        )
        if not isinstance(value, str):
            return in_array
        in_text = f"{found.type} = 'text' AND instr({found.value}, {self.parameter(value)}) > 0"
        return f"({in_text}) OR {in_array}"


def _is_unnameable(step: str | int) -> bool:
    return isinstance(step, str) and ('"' in step or "\\" in step)


def _path_text(path: Path) -> str:
    return "$" + "".join(map(_step, path))


def _step(step: str | int) -> str:
    if isinstance(step, str):
        return f'."{step}"'
    return f"[{step}]" if step >= 0 else f"[#{step}]"
