"""SIGINT, SIGTERM and SIGHUP stop a command with a sentence, and with everything closed."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from userkeep.cli.exits import Interrupted
from userkeep.jobs.stopping import Stopped

T = TypeVar("T")

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def raise_on_signal() -> Iterator[None]:
    """Raise Interrupted in the block when a signal arrives."""

    def stop(number: int) -> None:
        raise Interrupted(number)

    with call_on_signal(stop):
        yield


@contextmanager
def call_on_signal(stop: Callable[[int], None]) -> Iterator[None]:
    """Call a function with the number of each signal that arrives during the block."""

    def handle(number: int, _: FrameType | None) -> None:
        stop(number)

    previous = {each: signal.getsignal(each) for each in _STOP_SIGNALS}
    for each, handler in previous.items():
        if handler is not signal.SIG_IGN:  # set by nohup, or by a shell for background commands
            signal.signal(each, handle)
    try:
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


def run_until_signal(run: Callable[[], T], stop: Callable[[], None], sentence: str) -> T:
    """Run a job; the first signal stops it after the batch that it is at, another immediately.

    Args:
        run, stop: of the job.
        sentence: what a stopped job has left.

    Raises:
        Interrupted: a signal has stopped it.
    """
    received: list[int] = []

    def handle(number: int) -> None:
        if received:
            raise Interrupted(number)
        received.append(number)
        stop()

    try:
        with call_on_signal(handle):
            return run()
    except Stopped as stopped:
        raise Interrupted(received[0], sentence) from stopped
