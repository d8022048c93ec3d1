"""Translate a SQL/JSON path into a filter of domain.values.filters.

A row matches if the path returns any item. In lax mode,

- keys, filters, comparisons and `[*]` apply to each element of an array, or to the item itself if
  it is not an array. `[0]` and `[last]` of an item that is not an array are the item itself;
- a condition is true, false or unknown. A comparison of different types is unknown, except with
  null, which differs from every other value. A comparison is true if it is true for one item, else
  unknown if it is unknown for one item. `!` of unknown is unknown. So a condition translates into
  two filters: where it is true, and where it is false.
"""

from collections.abc import Callable
from operator import eq, ge, gt, le, lt, ne
from typing import NamedTuple

from userkeep.domain.errors import BadRequest
from userkeep.domain.values import filters
from userkeep.domain.values.filters import NOTHING, And, AnyItem, AtRoot, IsArray, Node, Not, Op, Or
from userkeep.http.compat.json_path.parser import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Exists,
    Filter,
    Index,
    IsUnknown,
    Key,
    Negation,
    Operator,
    Path,
    Scalar,
    StartsWith,
    Step,
    Wildcard,
    parse,
)

MAX_STEPS = 32

HAS_METADATA = filters.Condition((), "exists", True)


class _Location(NamedTuple):
    """A location that the steps of a path lead to.

    Attributes:
        path: from the metadata, or from the current element of an array.
        may_be_array: whether the item can be an array; metadata is always an object.
    """

    path: filters.Path
    may_be_array: bool = True


_ROOT = _Location((), may_be_array=False)
_ITEM = _Location(())

_Predicate = Callable[[_Location], Node]


class PathTranslator:
    """Translate the paths of one filter, whose conditions are limited in total."""

    def __init__(self) -> None:
        self._conditions = 0
        self._steps = 0

    def translate(self, text: str, field: str) -> Node:
        """Return the filter of a path. A row without metadata never matches.

        Args:
            text: the path.
            field: the name of its field, for errors.

        Raises:
            BadRequest: with the field, and the position or the unsupported syntax.
        """
        self._field = field
        expression = parse(text, field)
        if not isinstance(expression, Path):
            # A condition or a constant returns an item, even if that is `false`.
            self._count()
            return HAS_METADATA
        return self._any(expression.steps, _ROOT, self._exists)

    def _any(self, steps: tuple[Step, ...], at: _Location, predicate: _Predicate) -> Node:
        """Require that at least one item at the end of the steps matches the predicate."""
        if not steps:
            return predicate(at)
        self._steps += 1
        if self._steps > MAX_STEPS:
            sentence = f"{self._field} has more than {MAX_STEPS} nested steps"
            raise BadRequest(sentence, self._field)
        node = self._step(steps[0], steps[1:], at, predicate)
        self._steps -= 1
        return node

    def _step(
        self, step: Step, rest: tuple[Step, ...], at: _Location, predicate: _Predicate
    ) -> Node:
        match step:
            case Key(name):
                return self._each(
                    at, lambda item: self._any(rest, _Location((*item.path, name)), predicate)
                )
            case Wildcard():
                return self._each(at, lambda item: self._any(rest, item, predicate))
            case Index(position):
                return self._indexed(position, rest, at, predicate)
            case Filter(condition):
                return self._each(
                    at,
                    lambda item: And(
                        (self._true(condition, item), self._any(rest, item, predicate))
                    ),
                )

    def _each(self, at: _Location, predicate: _Predicate) -> Node:
        if not at.may_be_array:
            return predicate(at)
        return AnyItem(at.path, predicate(_ITEM), or_itself=True)

    def _indexed(
        self, position: int, rest: tuple[Step, ...], at: _Location, predicate: _Predicate
    ) -> Node:
        element: Node = NOTHING
        if at.may_be_array:
            element = self._any(rest, _Location((*at.path, position)), predicate)
        if position > 0:
            return element
        itself = self._any(rest, _Location(at.path, may_be_array=False), predicate)
        if not at.may_be_array:
            return itself
        self._count()
        return Or((element, And((Not(IsArray(at.path)), itself))))

    # Conditions.

    def _true(self, condition: Condition, at: _Location) -> Node:
        match condition:
            case Comparison(path, operator, value):
                return self._any_item(path, at, lambda item: self._compare(item, operator, value))
            case StartsWith(path, prefix):
                return self._any_item(path, at, lambda item: self._starts_with(item, prefix))
            case Exists(path):
                return self._from(path, at, self._exists)
            case AllOf(conditions):
                return And(tuple([self._true(each, at) for each in conditions]))
            case AnyOf(conditions):
                return Or(tuple([self._true(each, at) for each in conditions]))
            case Negation(inner):
                return self._false(inner, at)
            case IsUnknown(inner):
                return And((Not(self._true(inner, at)), Not(self._false(inner, at))))

    def _false(self, condition: Condition, at: _Location) -> Node:
        match condition:
            case Comparison(path, operator, value):
                return self._all_false(
                    path, at, lambda item: self._compare_false(item, operator, value)
                )
            case StartsWith(path, prefix):
                return self._all_false(path, at, lambda item: self._starts_with_false(item, prefix))
            case AllOf(conditions):
                return Or(tuple([self._false(each, at) for each in conditions]))
            case AnyOf(conditions):
                return And(tuple([self._false(each, at) for each in conditions]))
            case Negation(inner):
                return self._true(inner, at)
            case Exists() | IsUnknown():
                return Not(self._true(condition, at))

    def _any_item(self, path: Path, at: _Location, predicate: _Predicate) -> Node:
        """Require that at least one item of a path, or one of its elements, matches."""
        return self._from(path, at, lambda location: self._each(location, predicate))

    def _all_false(self, path: Path, at: _Location, is_false: _Predicate) -> Node:
        """Require that the condition is false, not unknown, for every item of a path."""
        return Not(
            self._any_item(path, at, lambda item: And((self._exists(item), Not(is_false(item)))))
        )

    def _from(self, path: Path, at: _Location, predicate: _Predicate) -> Node:
        if path.is_from_root:
            return AtRoot(self._any(path.steps, _ROOT, predicate))
        return self._any(path.steps, at, predicate)

    # Conditions on one item.

    def _compare(self, item: _Location, operator: Operator, value: Scalar) -> Node:
        """Require that the comparison is true."""
        if value is None:
            return self._compare_null(item, operator)
        if isinstance(value, bool):
            values = [each for each in (False, True) if _PYTHON[operator](each, value)]
            null = [None] if operator == "!=" else []
            return self._condition(item, "in", (*values, *null))
        if operator != "!=":
            return self._condition(item, _OP[operator], value)
        is_other = [self._condition(item, "lt", value), self._condition(item, "gt", value)]
        return Or((*is_other, self._condition(item, "eq", None)))

    def _compare_null(self, item: _Location, operator: Operator) -> Node:
        if operator == "!=":
            return self._condition(item, "ne", None)
        return NOTHING if operator in {"<", ">"} else self._condition(item, "eq", None)

    def _compare_false(self, item: _Location, operator: Operator, value: Scalar) -> Node:
        """Require that the comparison is false, not unknown."""
        if value is None:
            return And((self._exists(item), Not(self._compare_null(item, operator))))
        opposite = self._compare(item, _OPPOSITE[operator], value)
        if operator in {"==", "!="}:
            return opposite
        return Or((opposite, self._condition(item, "eq", None)))

    def _starts_with(self, item: _Location, prefix: str) -> Node:
        return self._condition(item, "starts_with", prefix)

    def _starts_with_false(self, item: _Location, prefix: str) -> Node:
        is_text = self._condition(item, "gte", "")
        return And((is_text, Not(self._starts_with(item, prefix))))

    def _exists(self, item: _Location) -> Node:
        return self._condition(item, "exists", True)

    def _condition(self, item: _Location, op: Op, value: Scalar | tuple[Scalar, ...]) -> Node:
        self._count()
        return filters.Condition(item.path, op, value)

    def _count(self) -> None:
        self._conditions += 1
        if self._conditions > filters.MAX_CONDITIONS:
            sentence = f"{self._field} needs more than {filters.MAX_CONDITIONS} conditions"
            raise BadRequest(sentence, self._field)


_OP: dict[Operator, Op] = {"==": "eq", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_OPPOSITE: dict[Operator, Operator] = {
    "==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"
}  # fmt: skip
_PYTHON = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
