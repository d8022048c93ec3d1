"""Threads for computation that takes longer the larger its input is.

Parsing and checking a body of 5 MiB, or making words of it, takes up to a second. On the event loop
every other request would wait for it. Python runs one thread at a time, but changes between them
every half millisecond.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from userkeep.domain.errors import Unavailable

T = TypeVar("T")

_THREADS = 2
_MAX_WAITING = 64
_BUSY = "Too many large requests are being read; retry."


class ComputeThreads:
    """Runs functions whose input is large, beside the event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="userkeep-compute")
        self._waiting = 0

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Return `function(*args)`.

        Args:
            function: reads or makes values, and nothing else: it may run after its caller has left.

        Raises:
            What the function raises. Unavailable: too many others wait.
        """
        if self._waiting >= _MAX_WAITING:
            raise Unavailable(_BUSY)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Stop the threads; what waits is not run."""
        self._threads.shutdown(wait=False, cancel_futures=True)
