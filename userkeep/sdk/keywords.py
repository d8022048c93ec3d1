"""Request types that are created with keywords, and whose errors say what to write."""

import difflib
import re
from typing import TYPE_CHECKING, Any

import msgspec

from userkeep.sdk.boundary import mistake

_POSITIONAL = "Extra positional arguments provided"
_UNKNOWN = re.compile(r"Unexpected keyword argument '(.*)'", re.DOTALL)
_MISSING = re.compile(r"Missing required argument '(.*)'")


class TakesKeywords(msgspec.StructMeta):
    """The metaclass of a request: a wrong call raises a TypeError that names the right one.

    A class has the arguments of an example in `_example`.
    """

    if not TYPE_CHECKING:  # type checkers have the signature of the fields

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - of a metaclass
            """Create a request."""
            try:
                return super().__call__(*args, **kwargs)
            except TypeError as error:
                sentence = _sentence(cls, str(error))
                if sentence is not None:
                    mistake(error).args = (sentence,)
                    error.__traceback__ = None
                raise  # with no argument it does not add this line to the traceback


def example_of(kind: Any) -> str:
    """Return a call that creates a request: `NewMessage(role="user", content="hi")`."""
    return f"{kind.__name__}({kind._example})"


def _sentence(kind: Any, error: str) -> str | None:
    """Return what is wrong with a call, and what to write; None if the error is another one."""
    if error == _POSITIONAL:
        return f"{kind.__name__} takes keywords: {example_of(kind)}"
    missing = _MISSING.fullmatch(error)
    if missing:
        return f"{kind.__name__} needs {missing[1]}: {example_of(kind)}"
    unknown = _UNKNOWN.fullmatch(error)
    if not unknown:
        return None
    near = difflib.get_close_matches(unknown[1], kind.__struct_fields__, 1)
    if near:
        return f"{kind.__name__} has no field {unknown[1]!r}; did you mean {near[0]}?"
    fields = ", ".join(kind.__struct_fields__)
    return f"{kind.__name__} has no field {unknown[1]!r}; it has {fields}"
