"""Blocking work of the server in threads that do not keep the process from exiting."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def run_in_daemon_thread(function: Callable[[], T], name: str) -> T:
    """Run a function in a daemon thread, for which the exit of the process does not wait.

    If the caller is cancelled, the function runs to its end: it must be stopped in another way.
    """
    ended: Future[T] = Future()
    ended.set_running_or_notify_cancel()  # it runs to its end even if the waiter is cancelled

    def work() -> None:
        try:
            result = function()
        except BaseException as error:
            ended.set_exception(error)
        else:
            ended.set_result(result)

    threading.Thread(target=work, name=name, daemon=True).start()
    return await asyncio.wrap_future(ended)
