"""Where the errors of the SDK are raised: at the line that called it.

A traceback that ends with a dozen lines of the SDK, of its HTTP library or of the engine hides the
line that the app's developer has to look at. So the methods of clients and of pages drop what is
below them from the traceback of an expected error, and of a mistake. Unexpected ones keep theirs.
"""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from userkeep.domain.errors import UserkeepError

C = TypeVar("C")
E = TypeVar("E", TypeError, RuntimeError)

_MARK = "is_mistake_of_caller"

_SPECIAL = frozenset(("__init__", "__iter__", "__next__", "__aiter__", "__anext__", "__getitem__"))


def raises_at_its_caller(
    kind: type[C], expected: tuple[type[Exception], ...] = (UserkeepError,)
) -> type[C]:
    """Decorate a class: what its public methods raise has a traceback that ends with their caller.

    The cause of an error stays, without its traceback.

    Args:
        kind: the class, which is changed.
        expected: the errors that its methods document.
    """
    for name, member in list(vars(kind).items()):
        if name.startswith("_") and name not in _SPECIAL:
            continue
        if isinstance(member, classmethod):
            setattr(kind, name, classmethod(_bounded(member.__func__, expected)))
        elif callable(member) and hasattr(member, "__code__"):
            setattr(kind, name, _bounded(member, expected))
    return kind


def mistake(error: E) -> E:
    """Mark a built-in error as the caller's: a wrong argument, or the use of a closed client."""
    setattr(error, _MARK, True)
    return error


def _bounded(
    method: Callable[..., Any], expected: tuple[type[Exception], ...]
) -> Callable[..., Any]:
    if iscoroutinefunction(method):

        @wraps(method)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            try:
                return await method(*args, **kwargs)
            except Exception as error:
                _cut_if(error, expected)
                raise  # with no argument it does not add this line to the traceback

        return awaited

    @wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except Exception as error:
            _cut_if(error, expected)
            raise

    return called


def _cut_if(error: Exception, expected: tuple[type[Exception], ...]) -> None:
    if isinstance(error, expected) or getattr(error, _MARK, False):
        _cut(error)


def _cut(error: Exception) -> None:
    """Remove the traceback of an error and of its cause, and what it was raised from otherwise."""
    error.__traceback__ = None
    error.__suppress_context__ = True
    if error.__cause__ is not None:
        error.__cause__.__traceback__ = None
        error.__cause__.__cause__ = None
        error.__cause__.__suppress_context__ = True
