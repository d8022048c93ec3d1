"""What a SQL/JSON path finds, as a tree of domain.values.filters.

A path is asked whether it leads to anything at all. In lax mode,

- a key, a filter and a comparison look into an array, at each of its elements, and at what is no
  array itself; so does `[*]`. `[0]` and `[last]` of what is no array are it itself;
- a condition is true, false or unknown: a comparison of different types is unknown, but for null,
  which equals nothing else. One true pair makes a comparison true; else, one unknown pair makes it
  unknown. `!` of unknown is unknown. So a condition has two trees here, for true and for false.
"""

from collections.abc import Callable
from operator import eq, ge, gt, le, lt, ne
from typing import NamedTuple

from userkeep.domain.errors import BadRequest
from userkeep.domain.values import filters
from userkeep.domain.values.filters import NOTHING, And, AnyItem, AtRoot, IsArray, Node, Not, Op, Or
from userkeep.http.compat.json_path.syntax import (
    All,
    Compare,
    Comparison,
    Condition,
    Either,
    Every,
    Exists,
    Filter,
    Index,
    IsUnknown,
    Key,
    Negation,
    Path,
    Scalar,
    StartsWith,
    Step,
    parse,
)

MAX_STEPS = 32

HAS_METADATA = filters.Condition((), "exists", True)


class _Place(NamedTuple):
    """Where a path has come to.

    Attributes:
        path: from the metadata, or from the item that is looked at.
        may_be_array: the metadata itself is an object.
    """

    path: filters.Path
    may_be_array: bool = True


_ROOT = _Place((), may_be_array=False)
_ITEM = _Place(())

_Then = Callable[[_Place], Node]


class PathReader:
    """Reads the paths of one filter, which together have a bound."""

    def __init__(self) -> None:
        self._conditions = 0
        self._steps = 0

    def read(self, text: str, field: str) -> Node:
        """Whether a path leads to anything in a row's metadata; in a row without, it does not.

        Args:
            text: the path.
            field: where it stands, for errors.

        Raises:
            BadRequest: naming the field, and the position or the construct.
        """
        expression = parse(text, field)
        self._field = field
        if not isinstance(expression, Path):
            return HAS_METADATA  # a condition or a value leads to itself, even to `false`
        return self._some(expression.steps, _ROOT, self._is_there)

    def _some(self, steps: tuple[Step, ...], at: _Place, then: _Then) -> Node:
        """Of what the steps lead to, something is as `then` says."""
        if not steps:
            return then(at)
        self._steps += 1
        if self._steps > MAX_STEPS:
            sentence = f"{self._field} has more than {MAX_STEPS} steps within each other"
            raise BadRequest(sentence, self._field)
        node = self._next(steps[0], steps[1:], at, then)
        self._steps -= 1
        return node

    def _next(self, step: Step, rest: tuple[Step, ...], at: _Place, then: _Then) -> Node:
        match step:
            case Key(name):
                return self._each(
                    at, lambda item: self._some(rest, _Place((*item.path, name)), then)
                )
            case Every():
                return self._each(at, lambda item: self._some(rest, item, then))
            case Index(place):
                return self._indexed(place, rest, at, then)
            case Filter(condition):
                return self._each(
                    at,
                    lambda item: And((self._true(condition, item), self._some(rest, item, then))),
                )

    def _each(self, at: _Place, then: _Then) -> Node:
        if not at.may_be_array:
            return then(at)
        return AnyItem(at.path, then(_ITEM), or_itself=True)

    def _indexed(self, place: int, rest: tuple[Step, ...], at: _Place, then: _Then) -> Node:
        element: Node = NOTHING
        if at.may_be_array:
            element = self._some(rest, _Place((*at.path, place)), then)
        if place > 0:
            return element
        itself = self._some(rest, _Place(at.path, may_be_array=False), then)
        if not at.may_be_array:
            return itself
        self._count()
        return Or((element, And((Not(IsArray(at.path)), itself))))

    # Conditions.

    def _true(self, condition: Condition, at: _Place) -> Node:
        match condition:
            case Compare(path, comparison, value):
                return self._reached(path, at, lambda item: self._is(item, comparison, value))
            case StartsWith(path, prefix):
                return self._reached(path, at, lambda item: self._starts(item, prefix))
            case Exists(path):
                return self._from(path, at, self._is_there)
            case All(conditions):
                return And(tuple([self._true(each, at) for each in conditions]))
            case Either(conditions):
                return Or(tuple([self._true(each, at) for each in conditions]))
            case Negation(inner):
                return self._false(inner, at)
            case IsUnknown(inner):
                return And((Not(self._true(inner, at)), Not(self._false(inner, at))))

    def _false(self, condition: Condition, at: _Place) -> Node:
        match condition:
            case Compare(path, comparison, value):
                return self._never(path, at, lambda item: self._is_not(item, comparison, value))
            case StartsWith(path, prefix):
                return self._never(path, at, lambda item: self._starts_otherwise(item, prefix))
            case All(conditions):
                return Or(tuple([self._false(each, at) for each in conditions]))
            case Either(conditions):
                return And(tuple([self._false(each, at) for each in conditions]))
            case Negation(inner):
                return self._true(inner, at)
            case Exists() | IsUnknown():
                return Not(self._true(condition, at))

    def _reached(self, path: Path, at: _Place, then: _Then) -> Node:
        """Of what a path leads to, looking into arrays, something is as `then` says."""
        return self._from(path, at, lambda place: self._each(place, then))

    def _never(self, path: Path, at: _Place, is_false: _Then) -> Node:
        """Of all that a path leads to, nothing is anything but false."""
        return Not(
            self._reached(path, at, lambda item: And((self._is_there(item), Not(is_false(item)))))
        )

    def _from(self, path: Path, at: _Place, then: _Then) -> Node:
        if path.is_from_root:
            return AtRoot(self._some(path.steps, _ROOT, then))
        return self._some(path.steps, at, then)

    # One item.

    def _is(self, item: _Place, comparison: Comparison, value: Scalar) -> Node:
        """The comparison is true of it."""
        if value is None:
            return self._is_as_null(item, comparison)
        if isinstance(value, bool):
            found = [each for each in (False, True) if _PYTHON[comparison](each, value)]
            null = [None] if comparison == "!=" else []
            return self._asked(item, "in", (*found, *null))
        if comparison != "!=":
            return self._asked(item, _OP[comparison], value)
        is_other = [self._asked(item, "lt", value), self._asked(item, "gt", value)]
        return Or((*is_other, self._asked(item, "eq", None)))

    def _is_as_null(self, item: _Place, comparison: Comparison) -> Node:
        if comparison == "!=":
            return self._asked(item, "ne", None)
        return NOTHING if comparison in {"<", ">"} else self._asked(item, "eq", None)

    def _is_not(self, item: _Place, comparison: Comparison, value: Scalar) -> Node:
        """The comparison is false of it, and not unknown."""
        if value is None:
            return And((self._is_there(item), Not(self._is_as_null(item, comparison))))
        opposite = self._is(item, _OPPOSITE[comparison], value)
        if comparison in {"==", "!="}:
            return opposite
        return Or((opposite, self._asked(item, "eq", None)))

    def _starts(self, item: _Place, prefix: str) -> Node:
        return self._asked(item, "starts_with", prefix)

    def _starts_otherwise(self, item: _Place, prefix: str) -> Node:
        is_text = self._asked(item, "gte", "")
        return And((is_text, Not(self._starts(item, prefix))))

    def _is_there(self, item: _Place) -> Node:
        return self._asked(item, "exists", True)

    def _asked(self, item: _Place, op: Op, value: Scalar | tuple[Scalar, ...]) -> Node:
        self._count()
        return filters.Condition(item.path, op, value)

    def _count(self) -> None:
        self._conditions += 1
        if self._conditions > filters.MAX_CONDITIONS:
            sentence = f"{self._field} takes more than {filters.MAX_CONDITIONS} conditions to say"
            raise BadRequest(sentence, self._field)


_OP: dict[Comparison, Op] = {"==": "eq", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_OPPOSITE: dict[Comparison, Comparison] = {
    "==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"
}  # fmt: skip
_PYTHON = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
