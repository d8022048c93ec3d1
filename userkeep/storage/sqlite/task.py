"""An operation that waits to run in the writer, and its result."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from userkeep.domain.transaction import Operation

T = TypeVar("T")


class Task(Generic[T]):
    """An operation, its result, and the event or future that its caller waits for."""

    __slots__ = ("completion", "error", "operation", "value")

    def __init__(
        self, operation: Operation[T], completion: "asyncio.Future[T] | threading.Event"
    ) -> None:
        self.operation = operation
        self.completion = completion
        self.value: T | None = None
        self.error: BaseException | None = None

    def result(self) -> T:
        """Return the value, or raise the error, of an operation that has run."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


def complete(tasks: Iterable[Task[Any]]) -> None:
    """Wake the callers of tasks that have run, with one wake-up of each event loop."""
    of_loop: dict[asyncio.AbstractEventLoop, list[Task[Any]]] = defaultdict(list)
    for task in tasks:
        if isinstance(task.completion, threading.Event):
            task.completion.set()
        else:
            of_loop[task.completion.get_loop()].append(task)
    for loop, loop_tasks in of_loop.items():
        _call_soon(loop, _resolve_futures, loop_tasks)


def _call_soon(
    loop: asyncio.AbstractEventLoop,
    function: Callable[[list[Task[Any]]], None],
    tasks: list[Task[Any]],
) -> None:
    try:
        loop.call_soon_threadsafe(function, tasks)
    except RuntimeError:
        # The loop was closed while its operations were running: no caller is left.
        return


def _resolve_futures(tasks: list[Task[Any]]) -> None:
    for task in tasks:
        future = task.completion
        if isinstance(future, threading.Event) or future.done():
            continue  # the caller has left
        if task.error is not None:
            future.set_exception(task.error)
        else:
            future.set_result(task.value)
