"""Stopping a server by a signal, within a limit of time."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from userkeep.cli.exits import REJECTED, Interrupted

logger = logging.getLogger(__name__)

LIMIT_S = 10.0

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
# Programs that rotate logs or look into processes send them; by default they end the process.
_IGNORED = (signal.SIGUSR1, signal.SIGUSR2)


class Stop:
    """What a signal does: it ends the start, or stops the server."""

    def __init__(self) -> None:
        self._is_begun = False
        self._stop_server: Callable[[], None] | None = None

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Stop what the block does when a signal arrives."""
        previous = {each: signal.getsignal(each) for each in (*_SIGNALS, *_IGNORED)}
        for each in _SIGNALS:
            if each != signal.SIGHUP or previous[each] is not signal.SIG_IGN:  # set by nohup
                signal.signal(each, self._begin)
        for each in _IGNORED:
            signal.signal(each, signal.SIG_IGN)
        try:
            yield
        except Interrupted:
            logger.warning("stopped by a signal before the server was ready")
        finally:
            # A signal while the interpreter ends must not change the exit code.
            for each, handler in previous.items():
                signal.signal(each, signal.SIG_IGN if self._is_begun else handler)

    def call(self, stop_server: Callable[[], None]) -> None:
        """Call a function at the signal, in place of raising Interrupted."""
        self._stop_server = stop_server

    def _begin(self, number: int, _: FrameType | None) -> None:
        if self._is_begun:
            return
        self._is_begun = True  # from now on there is a time limit
        threading.Thread(target=_exit_at_limit, name="stop limit", daemon=True).start()
        if self._stop_server is None:
            raise Interrupted(number)
        self._stop_server()


def _exit_at_limit() -> None:
    """End the process at the limit of a stop, if it has not ended.

    Only a thread that hangs can be the reason: the requests have got their responses. Ending is
    safe, because the database survives a crash.
    """
    threading.Event().wait(LIMIT_S)
    logger.error("the stop took longer than %.0f s; ending without waiting", LIMIT_S)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(REJECTED)
