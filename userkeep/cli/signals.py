"""SIGINT, SIGTERM and SIGHUP stop a command with a sentence, and with everything closed."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from userkeep.cli.exits import Interrupted

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
