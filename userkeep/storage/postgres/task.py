"""An operation on an event loop, and the future of its result."""

import asyncio
from typing import Any, NamedTuple

from userkeep.domain.transaction import Operation


class Task(NamedTuple):
    """An operation and the future of its result, which is set once."""

    operation: Operation[Any]
    is_write: bool
    future: "asyncio.Future[Any]"

    def resolve(self, value: Any) -> None:
        """Set the result, unless the caller has left."""
        if not self.future.done():
            self.future.set_result(value)

    def fail(self, error: BaseException) -> None:
        """Set the error, unless the caller has left."""
        if not self.future.done() and not self.future.get_loop().is_closed():
            self.future.set_exception(error)
