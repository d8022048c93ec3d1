"""What the objects of `userkeep.zep` have in common: the habits of those that Zep's users know."""

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
    """An object cannot be made of what was given.

    Attributes:
        problems: what is wrong, by field.
    """

    def __init__(self, kind: str, problems: dict[str, str]) -> None:
        self.problems = problems
        told = "; ".join(f"{field}: {problem}" for field, problem in problems.items())
        super().__init__(f"no {kind} can be made of this: {told}")


@dataclass_transform(kw_only_default=True)
class Model:
    """An object made of named fields, as `User(user_id="jane", email="jane@example.com")`.

    Fields that it does not have are passed over. Values become what the field is (an id given as
    a number its text, a UUID or a time given as text the object, a dict the object it describes).
    Two are equal where all fields are, also with a dict of them.

    Raises:
        ValidationError: a field is missing, or has a value that it cannot have.
    """

    __slots__ = ("__dict__", "__fields_set__")

    __readers: ClassVar[dict[str, Callable[[Any], Any]]] = {}
    __defaults: ClassVar[Values] = {}

    __fields_set__: ClassVar[set[str]]
    """Names of the fields that were given, not left at their default."""

    if not TYPE_CHECKING:  # a type checker derives the parameters from the fields

        def __init_subclass__(cls) -> None:
            hints = get_type_hints(cls)
            names = [name for name in hints if not name.startswith("_")]
            cls.__readers = {name: _reader_of(hints[name]) for name in names}
            cls.__defaults = {name: getattr(cls, name) for name in names if hasattr(cls, name)}

        def __init__(self, /, **given: Any) -> None:
            values, problems = {}, {}
            for name, read in self.__readers.items():
                if name not in given and name in self.__defaults:
                    values[name] = _fresh(self.__defaults[name])
                elif name not in given:
                    problems[name] = "is missing"
                else:
                    try:
                        values[name] = read(given[name])
                    except (ValueError, TypeError) as error:
                        problems[name] = str(error)
            if problems:
                raise ValidationError(type(self).__name__, problems)
            self.__dict__.update(values)
            self.__fields_set__ = given.keys() & values.keys()

        def __setattr__(self, name: str, value: Any) -> None:
            if name in self.__readers:
                self.__fields_set__.add(name)
            elif name != "__fields_set__":
                raise ValueError(f"a {type(self).__name__} has no field {name!r}")
            super().__setattr__(name, value)

    @classmethod
    def parse_obj(cls, obj: Any) -> Self:
        """The object that a dict describes.

        Raises:
            ValidationError: it describes none.
        """
        if isinstance(obj, Model):
            obj = obj.dict()
        if not isinstance(obj, dict):
            raise ValidationError(cls.__name__, {"it": f"is no dict, but {type(obj).__name__}"})
        return cls(**obj)

    @classmethod
    def parse_raw(cls, b: str | bytes) -> Self:
        """The object that a JSON text describes; see parse_obj."""
        try:
            return cls.parse_obj(json.loads(b))
        except json.JSONDecodeError as error:
            raise ValidationError(cls.__name__, {"it": f"is no JSON: {error}"}) from error

    def dict(
        self,
        *,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        by_alias: bool = False,  # noqa: ARG002 - there are no aliases; callers give it all the same
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
    ) -> Values:
        """The fields by name, those of objects inside too.

        Args:
            include: these and no others.
            exclude: these not.
            by_alias: means nothing here.
            exclude_unset: only those that were given.
            exclude_defaults: only those that differ from their default.
            exclude_none: only those that are not None.
        """
        shown = [name for name in self.__readers if include is None or name in set(include)]
        left_out = set(exclude or ())
        inner = {
            "exclude_unset": exclude_unset,
            "exclude_defaults": exclude_defaults,
            "exclude_none": exclude_none,
        }
        return {
            name: _plain(value, inner)
            for name in shown
            if name not in left_out
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
        """The fields as a JSON text.

        Args:
            include, exclude, by_alias, exclude_unset, exclude_defaults, exclude_none: see dict.
            dumps: for `json.dumps`, such as `indent=2`.
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
        """Another one with the same values.

        Args:
            update: fields that have others, taken as they are.
            deep: whether what is inside is copied too.
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

    __hash__ = None  # type: ignore[assignment]  # it can change

    def __str__(self) -> str:
        return " ".join(f"{name}={value!r}" for name, value in self)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self)
        return f"{type(self).__name__}({fields})"

    def __is_default(self, name: str) -> bool:
        return name in self.__defaults and bool(self.__defaults[name] == self.__dict__[name])


def json_value(value: Any) -> Any:
    """What stands in JSON for a value that JSON does not have.

    Raises:
        TypeError: nothing does.
    """
    match value:
        case UUID():
            return str(value)
        case datetime():
            return value.isoformat()
        case Model():
            return value.dict()
        case _:
            raise TypeError(f"{type(value).__name__} is nothing that JSON has")


def _reader_of(hint: Any) -> Callable[[Any], Any]:
    """What makes a field's value of what is given."""
    is_text = hint is str or str in get_args(hint)
    is_object = any(getattr(each, "__origin__", None) is dict for each in get_args(hint))

    def read(value: Any) -> Any:
        if isinstance(value, Enum):
            value = value.value
        if is_text and isinstance(value, int | float):
            return str(value)
        if is_object and isinstance(value, dict):
            value = {_key(key): each for key, each in value.items()}
        return msgspec.convert(value, hint, strict=False, dec_hook=_inner)

    return read


def _key(key: Any) -> Any:
    return str(key) if isinstance(key, int | float) else key


def _inner(kind: type, value: Any) -> Any:
    if issubclass(kind, Model) and not isinstance(value, kind):
        return kind.parse_obj(value)
    return value


def _fresh(default: Any) -> Any:
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
