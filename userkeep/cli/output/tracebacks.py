"""Tracebacks for the log: where an error was raised, without what it says.

The text of an unexpected error may have what a user wrote: PostgreSQL quotes the row that violates
a constraint, Python the text that is not a number. The log must not have it.
"""

from collections.abc import Iterator
from traceback import format_tb

_LED_TO = "\nThe error above led to this one:\n\n"


def format_traceback(error: BaseException) -> str:
    """Return the tracebacks of an error and of those that led to it, as Python shows them.

    Instead of the text of an error, it has the reason of one of the operating system, and the
    SQLSTATE of one of a database.
    """
    return "".join(_parts(error, set())).rstrip("\n")


def _parts(error: BaseException, known: set[int]) -> Iterator[str]:
    known.add(id(error))
    earlier = error.__cause__
    if earlier is None and not error.__suppress_context__:
        earlier = error.__context__
    if earlier is not None and id(earlier) not in known:
        yield from _parts(earlier, known)
        yield _LED_TO
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from format_tb(error.__traceback__)
    yield f"{_name(error)}{_reason(error)}\n"
    if isinstance(error, BaseExceptionGroup):
        for number, each in enumerate(error.exceptions, 1):
            yield f"\nError {number} of the group:\n"
            yield from _parts(each, known)


def _name(error: BaseException) -> str:
    kind = type(error)
    is_built_in = kind.__module__ == "builtins"
    return kind.__qualname__ if is_built_in else f"{kind.__module__}.{kind.__qualname__}"


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f": {error.strerror}"
    sqlstate = getattr(error, "sqlstate", None)
    return f": SQLSTATE {sqlstate}" if isinstance(sqlstate, str) else ""
