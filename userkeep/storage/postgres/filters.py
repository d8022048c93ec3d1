"""Filters as PostgreSQL's SQL.

Paths are strict, because a lax path searches the elements of arrays too, and silent, so that a path
at which there is nothing gives NULL. No cast can fail, because the values that are cast are encoded
here too.
"""

from userkeep.domain.values.filters import AnyItem, Condition, Path
from userkeep.domain.values.metadata import encode_json
from userkeep.storage.filters import SYMBOLS, FilterCompiler


class PostgresFilterCompiler(FilterCompiler):
    """Compiles one filter to PostgreSQL's SQL."""

    def any_item(self, node: AnyItem, item: str | None, name: str) -> str:
        # Of a value that is no array, [*] gives nothing in a strict path, the value in a lax one.
        mode = "lax" if node.or_itself else "strict"
        items = f"jsonb_path_query({self._at(node.path, item)}, '{mode} $[*]', '{{}}', true)"
        inner = self.compile(node.node, name)
        return f"EXISTS (SELECT 1 FROM {items} AS {name}(value) WHERE {inner})"

    def is_array(self, path: Path, item: str | None) -> str:
        return f"jsonb_typeof({self._at(path, item)}) = 'array'"

    def condition(self, node: Condition, item: str | None) -> str:
        found, value = self._at(node.path, item), node.value
        match node.op, value:
            case "exists", _:
                return f"{found} IS {'NOT NULL' if value else 'NULL'}"
            case "ne", _:
                return f"{found} <> {self._json(value)}"
            case "in", _:
                # Not of arrays, because an array contains every array of some of its elements.
                is_among = f"{self._json(value)} @> {found}"
                return f"jsonb_typeof({found}) NOT IN ('array', 'object') AND {is_among}"
            case "contains", _:
                return self._contains(found, value)
            case "starts_with", str():
                return f"{_is_text(found)} AND starts_with({_text(found)}, {self.parameter(value)})"
            case (("gt" | "gte" | "lt" | "lte" as op), str()):
                compared = f"{_text(found)} {SYMBOLS[op]} {self.parameter(value)}"
                return f"{_is_text(found)} AND {compared}"
            case (("gt" | "gte" | "lt" | "lte" as op), _):
                compared = f"{found} {SYMBOLS[op]} {self._json(value)}"
                return f"jsonb_typeof({found}) = 'number' AND {compared}"
            case _:
                return f"{found} = {self._json(value)}"

    def _at(self, path: Path, item: str | None) -> str:
        start = "metadata" if item is None else f"{item}.value"
        if not path:
            return start
        at = self.parameter(_path_text(path))
        return f"jsonb_path_query_first({start}, CAST({at} AS jsonpath), '{{}}', true)"

    def _json(self, value: object) -> str:
        return f"CAST({self.parameter(encode_json(value).decode())} AS jsonb)"

    def _contains(self, found: str, value: object) -> str:
        in_array = f"jsonb_typeof({found}) = 'array' AND {found} @> {self._json(value)}"
        if not isinstance(value, str):
            return in_array
        in_text = f"{_is_text(found)} AND strpos({_text(found)}, {self.parameter(value)}) > 0"
        return f"({in_text}) OR ({in_array})"


def _is_text(found: str) -> str:
    return f"jsonb_typeof({found}) = 'string'"


def _text(found: str) -> str:
    return f"({found} #>> '{{}}') COLLATE \"C\""


def _path_text(path: Path) -> str:
    return "strict $" + "".join(map(_step, path))


def _step(step: str | int) -> str:
    if isinstance(step, str):
        key = step.replace("\\", "\\\\").replace('"', '\\"')
        return f'."{key}"'
    return f"[{step}]" if step >= 0 else f"[last{step + 1 or ''}]"
