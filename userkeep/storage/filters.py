"""Filters as SQL: what both engines print alike.

A printed filter is made of texts of ours and of names of parameters; every path and every value of
a caller's travels as a parameter. It speaks of the column as `metadata`, and stands in a query
where `{filter}` is; see queries.
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

_PLACE = "{filter}"

SYMBOLS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class FilterPrinter(ABC):
    """Prints one filter.

    What its paths begin at is the name that the SQL has for an item, or None: the metadata.

    Attributes:
        values: of the parameters that were printed, by name.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._item_count = 0

    def print(self, node: Node, item: str | None = None) -> str:
        """A condition in SQL that is true or false, never NULL."""
        match node:
            case And(nodes):
                return self._joined(" AND ", nodes, item) or "TRUE"
            case Or(nodes):
                return self._joined(" OR ", nodes, item) or "FALSE"
            case Not(inner):
                return f"(NOT {self.print(inner, item)})"
            case AtRoot(inner):
                return self.print(inner)
            case AnyItem():
                self._item_count += 1
                return self.any_item(node, item, f"item_{self._item_count}")
            case IsArray(path):
                return f"(({self.is_array(path, item)}) IS TRUE)"
            case Condition():
                return f"(({self.condition(node, item)}) IS TRUE)"

    @abstractmethod
    def any_item(self, node: AnyItem, item: str | None, name: str) -> str:
        """EXISTS over the items, which are to have this name."""

    @abstractmethod
    def is_array(self, path: tuple[str | int, ...], item: str | None) -> str:
        """A condition in SQL; it may be NULL."""

    @abstractmethod
    def condition(self, node: Condition, item: str | None) -> str:
        """A condition in SQL; it may be NULL."""

    def parameter(self, value: Scalar) -> str:
        """A new parameter with this value."""
        name = f"filter_{len(self.values) + 1}"
        self.values[name] = value
        return f":{name}"

    def _joined(self, word: str, nodes: tuple[Node, ...], item: str | None) -> str:
        printed = word.join(self.print(each, item) for each in nodes)
        return f"({printed})" if printed else ""


def with_filter(
    text: str, values: Mapping[str, Any], printer: FilterPrinter
) -> tuple[str, dict[str, Any]]:
    """A query's text with the filter among the values printed into it, and all its values.

    Raises:
        LookupError: the text has no place for a filter. To go on would be to find too much.
    """
    if _PLACE not in text:
        raise LookupError(f"there is no {_PLACE} in this query: {text}")
    printed = printer.print(values["filter"])
    return text.replace(_PLACE, printed), {**values, **printer.values}
