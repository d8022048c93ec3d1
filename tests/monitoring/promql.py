"""What a PromQL expression names, by a parser of the language."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import promql_parser
from promql_parser import AggregateExpr, MatchOp, MatrixSelector, VectorSelector

_PARTS = ("expr", "lhs", "rhs", "args", "param")


class Selector(NamedTuple):
    """A metric that an expression names.

    Attributes:
        labels: the labels that it compares; with a value if it must be equal to one.
    """

    name: str
    labels: dict[str, str | None]


class Expression:
    """A parsed expression.

    Raises:
        ValueError: it is not valid.
    """

    def __init__(self, text: str) -> None:
        nodes = list(_nodes(promql_parser.parse(text)))
        self.selectors = [_selector(node) for node in nodes if isinstance(node, VectorSelector)]
        self.grouped_by = {
            label
            for node in nodes
            if isinstance(node, AggregateExpr) and node.modifier is not None
            for label in node.modifier.labels
        }


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    if isinstance(node, MatrixSelector):
        yield node.vector_selector
    for name in _PARTS:
        part = getattr(node, name, None)
        for each in part if isinstance(part, list) else [part]:
            if isinstance(each, promql_parser.Expr):
                yield from _nodes(each)


def _selector(node: VectorSelector) -> Selector:
    matchers = node.matchers.matchers
    labels = {each.name: each.value if each.op == MatchOp.Equal else None for each in matchers}
    return Selector(node.name or "", labels)
