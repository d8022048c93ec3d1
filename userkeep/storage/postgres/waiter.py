"""How a connection waits: by blocking its thread, or by suspending its greenlet.

A service is a plain function that calls its transaction and gets a result. On the event loop it
runs in a greenlet. Where it must wait for PostgreSQL, the greenlet is suspended, the loop runs
other things, and the greenlet is resumed when the result is there. Nothing is handed from thread to
thread, which would cost more than the rest of a point read: 86 µs of CPU time a read with
greenlets, 180 µs with threads (32 clients, one statement, without the rest of the product).
"""

import asyncio
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Generic, Protocol, TypeVar

import psycopg
from greenlet import error as greenlet_error
from greenlet import getcurrent, greenlet

from userkeep.domain.deadline import Deadline
from userkeep.storage.postgres.server import unresponsive


class Closable(Protocol):
    """Something with a `close` method."""

    def close(self) -> None:
        """Close it."""
        ...


C = TypeVar("C", bound=Closable)

PROBE_AFTER_S = 0.5
"""A server that is silent for longer than this while we wait for it is probed."""


_CHECK_DEADLINE_EVERY_S = 0.05
_GRACE_S = 0.25


class Waiter(Protocol):
    """Waits for the socket of one connection at a time.

    Attributes:
        is_on_loop: whether operations run on an event loop while they do not wait.
    """

    is_on_loop: bool

    def watch(
        self, socket: int, on_unexpected_input: Callable[[], None], probe: Callable[[], bool]
    ) -> None:
        """Start to watch a new connection's socket.

        Args:
            on_unexpected_input: called when the server sends something that nothing waits for:
                it is closing the connection. A waiter that cannot notice does not call it.
            probe: called, in any thread, when the server has been silent for too long; returns
                whether the server responds to new connections.
        """
        ...

    def unwatch(self, socket: int) -> None:
        """Stop to watch a socket, which will be closed."""
        ...

    def wait_ready(self, socket: int, *, to_write: bool) -> None:
        """Wait until the socket is readable or, if `to_write`, writable.

        Raises:
            psycopg.OperationalError: the server is silent, to new connections too.
        """
        ...

    def sleep(self, seconds: float) -> None:
        """Wait for a time."""
        ...

    def connect(self, connect: Callable[[], C]) -> C:
        """Run a blocking function that connects, and return the connection.

        If the wait is interrupted, the connection is closed as soon as it is there.
        """
        ...


class BlockingWaiter:
    """Blocks the thread."""

    is_on_loop = False

    def __init__(self) -> None:
        self._probe: Callable[[], bool] = lambda: True

    def watch(
        self,
        socket: int,  # noqa: ARG002
        on_unexpected_input: Callable[[], None],  # noqa: ARG002
        probe: Callable[[], bool],
    ) -> None:
        self._probe = probe

    def unwatch(self, socket: int) -> None:
        pass

    def wait_ready(self, socket: int, *, to_write: bool) -> None:
        ready = select.poll()
        ready.register(socket, select.POLLIN | (select.POLLOUT if to_write else 0))
        while not ready.poll(PROBE_AFTER_S * 1000):
            if not self._probe():
                raise unresponsive()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def connect(self, connect: Callable[[], C]) -> C:
        return connect()


class DeadlineWaiter(BlockingWaiter):
    """Blocks the thread, until the deadline of the operation that runs is over.

    A statement is abandoned a moment after that. Until then, the server normally ends it by its own
    time-out, or a transaction is rolled back, and the connection stays usable.
    """

    def __init__(self) -> None:
        super().__init__()
        self.deadline = Deadline()

    def wait_ready(self, socket: int, *, to_write: bool) -> None:
        ready = select.poll()
        ready.register(socket, select.POLLIN | (select.POLLOUT if to_write else 0))
        silent_s = 0.0
        while True:
            # Also if the server never stops to send.
            if self.deadline.left_s < -_GRACE_S:
                raise StatementAbandonedError
            if ready.poll(_CHECK_DEADLINE_EVERY_S * 1000):
                return
            silent_s += _CHECK_DEADLINE_EVERY_S
            if silent_s >= PROBE_AFTER_S:
                silent_s = 0.0
                if not self._probe():
                    raise unresponsive()


class StatementAbandonedError(psycopg.OperationalError):
    """The result of a statement is not waited for any longer; the server must be told."""


def is_readable(socket: int) -> bool:
    """Return whether a socket has unread input, or is at its end."""
    ready = select.poll()
    ready.register(socket, select.POLLIN)
    return bool(ready.poll(0))


class LoopClosed(BaseException):
    """The event loop has ended, or the pool was closed, while an operation was running."""


class AbandonableConnect(Generic[C]):
    """Connects in another thread; once abandoned, the connection is closed when it is there."""

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._connection: C | None = None
        self._is_abandoned = False
        self._lock = threading.Lock()

    def run(self) -> C:
        """Connect; to be called in that thread."""
        connection = self._connect()
        with self._lock:
            self._connection = connection
            if self._is_abandoned:
                connection.close()
        return connection

    def abandon(self) -> None:
        """Close the connection now, or as soon as it is there."""
        with self._lock:
            self._is_abandoned = True
            if self._connection is not None:
                self._connection.close()


class GreenletWaiter:
    """Suspends the greenlet that waits, for the event loop on which this was made."""

    is_on_loop = True

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._hub = getcurrent()
        self._suspended: greenlet | None = None
        self._waits_for_socket = False
        self._socket = -1
        self._is_closed = False
        self._on_unexpected_input: Callable[[], None] | None = None
        self._probe: Callable[[], bool] = lambda: True
        self._waiting_since = 0.0
        self._is_probing = False

    def watch(
        self, socket: int, on_unexpected_input: Callable[[], None], probe: Callable[[], bool]
    ) -> None:
        self._socket = socket
        self._on_unexpected_input = on_unexpected_input
        self._probe = probe
        self._loop.add_reader(socket, self._on_ready)

    def unwatch(self, socket: int) -> None:
        if not self._loop.is_closed():
            self._loop.remove_reader(socket)

    def wait_ready(self, socket: int, *, to_write: bool) -> None:
        if to_write:
            self._loop.add_writer(socket, self._on_ready)
        self._waits_for_socket = True
        self._waiting_since = self._loop.time()
        try:
            self.suspend()
        finally:
            self._waits_for_socket = False
            if to_write and not self._loop.is_closed():
                self._loop.remove_writer(socket)

    def sleep(self, seconds: float) -> None:
        self._loop.call_later(seconds, self.resume)
        self.suspend()

    def connect(self, connect: Callable[[], C]) -> C:
        attempt = AbandonableConnect(connect)
        connected = self._loop.run_in_executor(None, attempt.run)
        connected.add_done_callback(lambda _: self.resume())
        try:
            self.suspend()
        except BaseException:
            attempt.abandon()
            raise
        return connected.result()

    def suspend(self) -> None:
        """Switch to the event loop until `resume` is called there.

        Raises:
            LoopClosed: the loop has ended, or the waiter was closed.
        """
        if self._is_closed or self._loop.is_closed():
            raise LoopClosed
        self._suspended = getcurrent()
        self._hub.switch()

    def resume(self) -> None:
        """Switch to the suspended greenlet; returns when it is suspended again."""
        if self._suspended is not None:
            self._suspended.switch()

    def check_timeout(self) -> None:
        """Probe the server if it has been silent for too long; to be called periodically."""
        if not self._waits_for_socket:
            return
        # uvloop reports a socket that was reset once (POLLERR), when the server's last bytes have
        # arrived, and never that it is at its end. So the socket is polled here too.
        if is_readable(self._socket):
            self.resume()
            return
        is_late = self._loop.time() - self._waiting_since > PROBE_AFTER_S
        if is_late and not self._is_probing:
            self._is_probing = True
            probed = self._loop.run_in_executor(None, self._probe)
            probed.add_done_callback(partial(self._on_probed, self._waiting_since))

    def close(self, waiting: greenlet) -> None:
        """Interrupt a waiting greenlet with LoopClosed; nothing can wait here any more."""
        self._is_closed = True
        # A greenlet of a thread that has ended cannot be switched to, and stays suspended.
        with suppress(greenlet_error):
            if waiting and not waiting.dead:
                waiting.throw(LoopClosed())

    def _on_probed(self, since: float, probed: "asyncio.Future[bool]") -> None:
        self._is_probing = False
        still_waits = self._waits_for_socket and self._waiting_since == since
        if probed.cancelled() or probed.result() or not still_waits:
            return
        if self._suspended is not None:
            self._suspended.throw(unresponsive())

    def _on_ready(self) -> None:
        if self._waits_for_socket:
            self.resume()
        elif self._on_unexpected_input:
            self._on_unexpected_input()
