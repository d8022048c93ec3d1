"""Operations on their way through the writer lane, and how those who wait for them are told."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from userkeep.domain.transaction import Operation

T = TypeVar("T")


class Job(Generic[T]):
    """An operation that waits to be run, its outcome, and who is to be woken with it."""

    __slots__ = ("error", "operation", "value", "waiter")

    def __init__(
        self, operation: Operation[T], waiter: "asyncio.Future[T] | threading.Event"
    ) -> None:
        self.operation = operation
        self.waiter = waiter
        self.value: T | None = None
        self.error: BaseException | None = None

    def outcome(self) -> T:
        """The value; or raises what the operation raised."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


def answer(group: Iterable[Job[Any]]) -> None:
    """Tell those who wait, with one wake-up of each loop."""
    of_loop: dict[asyncio.AbstractEventLoop, list[Job[Any]]] = defaultdict(list)
    for job in group:
        if isinstance(job.waiter, threading.Event):
            job.waiter.set()
        else:
            of_loop[job.waiter.get_loop()].append(job)
    for loop, jobs in of_loop.items():
        _call_soon(loop, _wake, jobs)


def _call_soon(
    loop: asyncio.AbstractEventLoop,
    function: Callable[[list[Job[Any]]], None],
    jobs: list[Job[Any]],
) -> None:
    try:
        loop.call_soon_threadsafe(function, jobs)
    except RuntimeError:
        # The loop was closed while its operations were under way: they are done, nobody waits.
        return


def _wake(jobs: list[Job[Any]]) -> None:
    for job in jobs:
        future = job.waiter
        if isinstance(future, threading.Event) or future.done():
            continue  # whoever waited has left
        if job.error is not None:
            future.set_exception(job.error)
        else:
            future.set_result(job.value)
