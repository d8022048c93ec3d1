"""Compiling filters to SQL: what both engines have in common.

A compiled filter consists of fixed texts and names of parameters. Every path and every value of a
client is sent as a parameter. The filtered column is called `metadata`. A query includes the filter
as `{filter}`; see `storage.queries`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from userkeep.domain.values.filters import (
    And,
    AnyItem,
    AtRoot,
    Condition,
    IsArray,
    Node,
    Not,
    Or,
    Scalar,
)

_PLACEHOLDER = "{filter}"

SYMBOLS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class FilterCompiler(ABC):
    """Compiles one filter.

    The paths of a node begin at `item`, the SQL name of an item of an array, or at the metadata if
    that is None.

    Attributes:
        values: of the parameters, by name.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._item_count = 0

    def compile(self, node: Node, item: str | None = None) -> str:
        """Compile a filter to a condition that is true or false, never NULL."""
        match node:
            case And(nodes):
                return self._joined(" AND ", nodes, item) or "TRUE"
            case Or(nodes):
                return self._joined(" OR ", nodes, item) or "FALSE"
            case Not(inner):
                return f"(NOT {self.compile(inner, item)})"
            case AtRoot(inner):
                return self.compile(inner)
            case AnyItem():
                self._item_count += 1
                return self.any_item(node, item, f"item_{self._item_count}")
            case IsArray(path):
                return f"(({self.is_array(path, item)}) IS TRUE)"
            case Condition():
                return f"(({self.condition(node, item)}) IS TRUE)"

    @abstractmethod
    def any_item(self, node: AnyItem, item: str | None, name: str) -> str:
        """Compile to EXISTS over the items, with this SQL name for an item."""

    @abstractmethod
    def is_array(self, path: tuple[str | int, ...], item: str | None) -> str:
        """Compile to a condition, which may be NULL."""

    @abstractmethod
    def condition(self, node: Condition, item: str | None) -> str:
        """Compile to a condition, which may be NULL."""

    def parameter(self, value: Scalar) -> str:
        """Add a parameter with this value, and return its SQL."""
        name = f"filter_{len(self.values) + 1}"
        self.values[name] = value
        return f":{name}"

    def _joined(self, word: str, nodes: tuple[Node, ...], item: str | None) -> str:
        joined = word.join(self.compile(each, item) for each in nodes)
        return f"({joined})" if joined else ""


def with_filter(
    text: str, values: Mapping[str, Any], compiler: FilterCompiler
) -> tuple[str, dict[str, Any]]:
    """Compile the filter among the values into a query's text; return the text and all values.

    Raises:
        LookupError: the query accepts no filter. Without it, the query would find too much.
    """
    if _PLACEHOLDER not in text:
        raise LookupError(f"there is no {_PLACEHOLDER} in this query: {text}")
    compiled = compiler.compile(values["filter"])
    return text.replace(_PLACEHOLDER, compiled), {**values, **compiler.values}
