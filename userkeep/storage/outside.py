"""Computing outside of transactions what an operation needs of stored data.

While the writer computes, all other writes wait; and a read that waits for another service keeps a
snapshot and one of few threads. So an operation that must compute for long with
what it has read says so (`compute_outside`): it ends, the computation runs in another thread, and
the operation runs again from its beginning with the result. If the data has changed meanwhile, the
arguments are others, and it starts over; after some tries it computes inside of its transaction.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from userkeep.domain.transaction import Operation
from userkeep.storage.transaction import Computed, ComputedKey, NeedsComputingError

T = TypeVar("T")

_MAX_TRIES = 10

_threads = ThreadPoolExecutor(1, thread_name_prefix="userkeep-compute")


def run(engine_run: Callable[[Operation[T]], T], operation: Operation[T]) -> T:
    """Run an operation; what it needs is computed in this thread."""
    try:
        return engine_run(operation)
    except NeedsComputingError as error:
        needed = error
    computed: Computed = {}
    for _ in range(_MAX_TRIES):
        computed[needed.key] = _result(needed.key)
        try:
            return engine_run(partial(_with_computed, operation, computed))
        except NeedsComputingError as error:
            needed = error
    return engine_run(partial(_with_computed, operation, _ComputedInside(computed)))


async def run_async(
    engine_run: Callable[[Operation[T]], Awaitable[T]], operation: Operation[T]
) -> T:
    """Run an operation; what it needs is computed in a thread."""
    try:
        return await engine_run(operation)
    except NeedsComputingError as error:
        needed = error
    return await run_again_async(engine_run, operation, needed)


async def run_again_async(
    engine_run: Callable[[Operation[T]], Awaitable[T]],
    operation: Operation[T],
    needed: NeedsComputingError,
) -> T:
    """Run an operation again that has ended; what it needs is computed in a thread."""
    computed: Computed = {}
    loop = asyncio.get_running_loop()
    for _ in range(_MAX_TRIES):
        computed[needed.key] = await loop.run_in_executor(
            needed.threads or _threads, _result, needed.key
        )
        try:
            return await engine_run(partial(_with_computed, operation, computed))
        except NeedsComputingError as error:
            needed = error
    return await engine_run(partial(_with_computed, operation, _ComputedInside(computed)))


class _ComputedInside(Computed):
    """Computes what is missing inside of the transaction: the data changes too often."""

    def __missing__(self, key: ComputedKey) -> Any:
        self[key] = _result(key)
        return self[key]


def _result(key: ComputedKey) -> Any:
    function, arguments = key
    return function(*arguments)


def _with_computed(operation: Operation[T], computed: Computed, tx: Any) -> T:
    tx.computed = computed
    return operation(tx)
