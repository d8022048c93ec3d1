"""The public surface as a list, so that a change of it is visible in review.

python -m tests.sdk.test_surface    writes the list again
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_overloads, get_type_hints

import msgspec

import userkeep
from userkeep.sdk._async import client as awaited
from userkeep.sdk._sync import client as waiting

LIST = Path(__file__).with_name("surface.txt")
MODULES = re.compile(r"\b(?:userkeep(?:\.\w+)*|typing|datetime|collections\.abc|os|msgspec)\.")
PARTS = ("user", "session", "message", "memory", "collection", "document", "erasure")


def surface() -> str:
    """Return everything that an app may rely on, one per line."""
    lines: list[str] = []
    for name in sorted(userkeep.__all__):
        lines += described(name, getattr(userkeep, name))
    for part in PARTS:
        lines += methods(f"Userkeep.{part}", class_of(waiting.Client, part))
    return "".join(f"{MODULES.sub('', line)}\n" for line in lines)


def class_of(client: type[Any], part: str) -> type[Any]:
    """Return the class of a part of the client, such as `client.user`."""
    return type(getattr(client(None), part))


def described(name: str, value: Any) -> Iterator[str]:
    """Return the lines of a name of the package."""
    if not isinstance(value, type):
        yield f"{name}: {type(value).__name__}"
        return
    if issubclass(value, Exception):
        yield f"{name}({value.__mro__[1].__name__}): {getattr(value, 'code', 'no code')}"
    elif issubclass(value, msgspec.Struct):
        yield name
        hints = get_type_hints(value)
        for field, kind in ((each, hints[each]) for each in value.__struct_fields__):
            need = "needed" if is_needed(value, field) else "optional"
            yield f"  {field}: {text_of(kind)}, {need}"
        yield from methods(name, value)
    else:
        yield f"{name}{inspect.signature(value)}"
        yield from methods(name, value)


def is_needed(struct: type[msgspec.Struct], field: str) -> bool:
    """Return whether a field is required."""
    return field in {each.name for each in msgspec.structs.fields(struct) if each.required}


def text_of(kind: Any) -> str:
    """Return a type as it is written in code."""
    if get_origin(kind) in {Union, UnionType}:
        return " | ".join(map(text_of, get_args(kind)))
    if kind is NoneType:
        return "None"
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def methods(name: str, value: type[Any]) -> Iterator[str]:
    """Return the methods of a class, with all overloads."""
    for method, function in sorted(inspect.getmembers(value, callable)):
        is_of_list = inspect.ismethoddescriptor(function) or inspect.isbuiltin(function)
        if method.startswith("_") or is_of_list or is_internal(function):
            continue
        for form in get_overloads(function) or [function]:
            yield f"{name}.{method}{inspect.signature(form)}"


def is_internal(function: Any) -> bool:
    """Return whether a method is of the inside, such as the check of a new message."""
    return str(getattr(function, "__module__", "")).startswith("userkeep.domain")


def test_the_public_surface_is_as_listed() -> None:
    assert surface() == LIST.read_text(), "python -m tests.sdk.test_surface writes it again"


def test_all_lists_every_public_name() -> None:
    ours = {
        name
        for name, value in vars(userkeep).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert ours | {"__version__"} == set(userkeep.__all__)


def test_both_clients_have_the_same_methods_and_arguments() -> None:
    for part in PARTS:
        sync, async_ = class_of(waiting.Client, part), class_of(awaited.AsyncClient, part)
        names = [name for name in vars(sync) if not name.startswith("_")]
        assert names == [name for name in vars(async_) if not name.startswith("_")]
        for name in names:
            one, other = (inspect.signature(getattr(kind, name)) for kind in (sync, async_))
            assert one.parameters == other.parameters, (part, name)


def test_every_class_and_method_has_a_docstring() -> None:
    for name in userkeep.__all__:
        assert name == "__version__" or inspect.getdoc(getattr(userkeep, name)), name
    for part in PARTS:
        for name, function in inspect.getmembers(class_of(waiting.Client, part), callable):
            assert name.startswith("_") or function.__doc__, (part, name)


def test_every_error_can_be_caught_as_one() -> None:
    others = {"SettingError", "UnauthenticatedServerWarning"}
    for name in set(userkeep.__all__) - others:
        value = getattr(userkeep, name)
        if isinstance(value, type) and issubclass(value, Exception):
            assert issubclass(value, userkeep.UserkeepError), name


if __name__ == "__main__":
    LIST.write_text(surface())
