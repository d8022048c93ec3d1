"""An operation on an event loop, and the future by which it is answered."""

import asyncio
from typing import Any, NamedTuple

from userkeep.domain.transaction import Operation


class Task(NamedTuple):
    """An operation that somebody waits for; whoever runs it answers it once."""

    operation: Operation[Any]
    is_write: bool
    future: "asyncio.Future[Any]"

    def succeed(self, value: Any) -> None:
        """Answer whoever waits, if they have not left."""
        if not self.future.done():
            self.future.set_result(value)

    def fail(self, error: BaseException) -> None:
        """Tell whoever waits, if they have not left."""
        if not self.future.done() and not self.future.get_loop().is_closed():
            self.future.set_exception(error)
