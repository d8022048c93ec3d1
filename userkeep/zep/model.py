"""The base of the models of `userkeep.zep`, which behave like the pydantic models of zep-python."""

import json
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform, get_args, get_type_hints
from uuid import UUID

import msgspec

Values = dict[str, Any]


class ValidationError(ValueError):
    """The values of a model are invalid.

    Attributes:
        problems: what is wrong, by field.
    """

    def __init__(self, kind: str, problems: dict[str, str]) -> None:
        self.problems = problems
        fields = "; ".join(f"{field}: {problem}" for field, problem in problems.items())
        super().__init__(f"invalid {kind}: {fields}")


@dataclass_transform(kw_only_default=True)
class Model:
    """A model with named fields, such as `User(user_id="jane", email="jane@example.com")`.

    Unknown fields are ignored. Values are converted to the type of the field: numbers to text, text
    to a UUID or a time, a dict to a model. Models are equal if all fields are, also to a dict.

    Raises:
        ValidationError: a field is missing or invalid.
    """

    __slots__ = ("__dict__", "__fields_set__")

    __converters: ClassVar[dict[str, Callable[[Any], Any]]] = {}
    __defaults: ClassVar[Values] = {}

    __fields_set__: ClassVar[set[str]]
    """The names of the fields that were given."""

    if not TYPE_CHECKING:  # a type checker derives the parameters from the fields

        def __init_subclass__(cls) -> None:
            hints = get_type_hints(cls)
            names = [name for name in hints if not name.startswith("_")]
            cls.__converters = {name: _converter(hints[name]) for name in names}
            cls.__defaults = {name: getattr(cls, name) for name in names if hasattr(cls, name)}

        def __init__(self, /, **given: Any) -> None:
            values, problems = {}, {}
            for name, convert in self.__converters.items():
                if name not in given and name in self.__defaults:
                    values[name] = _copy_default(self.__defaults[name])
                elif name not in given:
                    problems[name] = "is missing"
                else:
                    try:
                        values[name] = convert(given[name])
                    except (ValueError, TypeError) as error:
                        problems[name] = str(error)
            if problems:
                raise ValidationError(type(self).__name__, problems)
            self.__dict__.update(values)
            self.__fields_set__ = given.keys() & values.keys()

        def __setattr__(self, name: str, value: Any) -> None:
            if name in self.__converters:
                self.__fields_set__.add(name)
            elif name != "__fields_set__":
                raise ValueError(f"{type(self).__name__} has no field {name!r}")
            super().__setattr__(name, value)

    @classmethod
    def parse_obj(cls, obj: Any) -> Self:
        """Return the model with the values of a dict.

        Raises:
            ValidationError: the values are invalid.
        """
        if isinstance(obj, Model):
            obj = obj.dict()
        if not isinstance(obj, dict):
            raise ValidationError(
                cls.__name__, {"value": f"must be a dict, not {type(obj).__name__}"}
            )
        return cls(**obj)

    @classmethod
    def parse_raw(cls, b: str | bytes) -> Self:
        """Return the model with the values of a JSON text."""
        try:
            return cls.parse_obj(json.loads(b))
        except json.JSONDecodeError as error:
            raise ValidationError(cls.__name__, {"value": f"is not JSON: {error}"}) from error

    def dict(
        self,
        *,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        by_alias: bool = False,  # noqa: ARG002 - accepted for compatibility; there are no aliases
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
    ) -> Values:
        """Return the fields by name, with those of nested models.

        Args:
            include: only these fields.
            exclude: without these fields.
            by_alias: has no effect.
            exclude_unset: only fields that were given.
            exclude_defaults: only fields that differ from their default.
            exclude_none: only fields that are not None.
        """
        included = [name for name in self.__converters if include is None or name in set(include)]
        excluded = set(exclude or ())
        inner = {
            "exclude_unset": exclude_unset,
            "exclude_defaults": exclude_defaults,
            "exclude_none": exclude_none,
        }
        return {
            name: _plain(value, inner)
            for name in included
            if name not in excluded
            and not (exclude_unset and name not in self.__fields_set__)
            and not (exclude_none and self.__dict__[name] is None)
            and not (exclude_defaults and self.__is_default(name))
            for value in (self.__dict__[name],)
        }

    def json(
        self,
        *,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        by_alias: bool = False,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        **dumps: Any,
    ) -> str:
        """Return the fields as JSON text.

        Args:
            include, exclude, by_alias, exclude_unset, exclude_defaults, exclude_none: as in `dict`.
            dumps: arguments of `json.dumps`, such as `indent=2`.
        """
        values = self.dict(
            include=include,
            exclude=exclude,
            by_alias=by_alias,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )
        return json.dumps(values, **{"default": json_value, **dumps})

    def copy(self, *, update: Values | None = None, deep: bool = False) -> Self:
        """Return a copy.

        Args:
            update: fields with other values, which are not validated.
            deep: whether to copy the values too.
        """
        other = type(self).__new__(type(self))
        other.__dict__.update(deepcopy(self.__dict__) if deep else self.__dict__)
        object.__setattr__(other, "__fields_set__", set(self.__fields_set__))
        for name, value in (update or {}).items():
            setattr(other, name, value)
        return other

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield from self.__dict__.items()

    def __eq__(self, other: object) -> bool:
        return self.dict() == (other.dict() if isinstance(other, Model) else other)

    __hash__ = None  # type: ignore[assignment]  # it is mutable

    def __str__(self) -> str:
        return " ".join(f"{name}={value!r}" for name, value in self)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self)
        return f"{type(self).__name__}({fields})"

    def __is_default(self, name: str) -> bool:
        return name in self.__defaults and bool(self.__defaults[name] == self.__dict__[name])


def json_value(value: Any) -> Any:
    """Return a value that JSON supports instead of one that it does not.

    Raises:
        TypeError: there is none.
    """
    match value:
        case UUID():
            return str(value)
        case datetime():
            return value.isoformat()
        case Model():
            return value.dict()
        case _:
            raise TypeError(f"{type(value).__name__} is not JSON serializable")


def _converter(hint: Any) -> Callable[[Any], Any]:
    """Return the function that converts a given value to the type of a field."""
    is_text = hint is str or str in get_args(hint)
    is_object = any(getattr(each, "__origin__", None) is dict for each in get_args(hint))

    def convert(value: Any) -> Any:
        if isinstance(value, Enum):
            value = value.value
        if is_text and isinstance(value, int | float):
            return str(value)
        if is_object and isinstance(value, dict):
            value = {_text_key(key): each for key, each in value.items()}
        return msgspec.convert(value, hint, strict=False, dec_hook=_convert_nested)

    return convert


def _text_key(key: Any) -> Any:
    return str(key) if isinstance(key, int | float) else key


def _convert_nested(kind: type, value: Any) -> Any:
    if issubclass(kind, Model) and not isinstance(value, kind):
        return kind.parse_obj(value)
    return value


def _copy_default(default: Any) -> Any:
    return list(default) if isinstance(default, list) else default


def _plain(value: Any, choices: Values) -> Any:
    match value:
        case Model():
            return value.dict(**choices)
        case list() | tuple():
            return type(value)(_plain(each, choices) for each in value)
        case dict():
            return {key: _plain(each, choices) for key, each in value.items()}
        case _:
            return value
