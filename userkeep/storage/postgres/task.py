"""An operation on an event loop, and the future of its result."""

import asyncio
from typing import Any

from userkeep.domain.transaction import Operation


class Task:
    """An operation and the future of its result, which is set once.

    Attributes:
        since: when it was submitted, in the time of the loop.
        locked_since: when it first found a lock of another transaction; None if it has not.
    """

    __slots__ = ("future", "is_write", "locked_since", "operation", "since")

    def __init__(
        self,
        operation: Operation[Any],
        is_write: bool,
        future: "asyncio.Future[Any]",
        since: float,
    ) -> None:
        self.operation = operation
        self.is_write = is_write
        self.future = future
        self.since = since
        self.locked_since: float | None = None

    @property
    def is_needed(self) -> bool:
        """Whether it must run: a write runs even if its caller has left."""
        return self.is_write or not self.future.done()

    def resolve(self, value: Any) -> None:
        """Set the result, unless the caller has left."""
        if not self.future.done():
            self.future.set_result(value)

    def fail(self, error: BaseException) -> None:
        """Set the error, unless the caller has left."""
        if not self.future.done() and not self.future.get_loop().is_closed():
            self.future.set_exception(error)
