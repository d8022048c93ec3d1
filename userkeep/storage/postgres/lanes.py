"""Several lanes: for callers in threads of their own, and for an event loop."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from greenlet import greenlet

from userkeep.domain.errors import Unavailable
from userkeep.domain.transaction import Operation
from userkeep.storage.postgres.lane import Lane, Road
from userkeep.storage.postgres.pipe import Connect, ReadPipe
from userkeep.storage.postgres.task import Task
from userkeep.storage.postgres.waiting import LoopEnded, LoopWaiting, ThreadWaiting
from userkeep.storage.refusals import CLOSED, TOO_MANY, carried

T = TypeVar("T")

_LOOK_EVERY_S = 0.25


class Lanes:
    """The lanes of one kind: some for threads, and as many for each event loop that asks."""

    def __init__(
        self, road: Road, *, count: int, queue_limit: int, connect_pipe: Connect | None = None
    ) -> None:
        self._road = road
        self._count = count
        self._queue_limit = queue_limit
        self._connect_pipe = connect_pipe
        self._of_threads = ThreadLanes(road, count=count, queue_limit=queue_limit)
        self._of_loops: dict[asyncio.AbstractEventLoop, LoopLanes] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def run(self, operation: Operation[T], *, is_write: bool) -> T:
        """Run an operation in this thread: see ThreadLanes."""
        return self._of_threads.run(operation, is_write=is_write)

    def on_loop(self) -> "LoopLanes":
        """The lanes of the loop that runs here.

        Raises:
            Unavailable: all of them are closed.
        """
        loop = asyncio.get_running_loop()
        lanes = self._of_loops.get(loop)
        return lanes or self._new_on_loop(loop)

    def close(self) -> None:
        """Let go of all connections; what is under way on a loop does not happen."""
        with self._lock:
            self._is_closed = True
            for loop, lanes in self._of_loops.items():
                _run_on(loop, lanes.close)
            self._of_loops.clear()
        self._of_threads.close()

    def _new_on_loop(self, loop: asyncio.AbstractEventLoop) -> "LoopLanes":
        with self._lock:
            if self._is_closed:
                raise Unavailable(CLOSED)
            for ended in [each for each in self._of_loops if each.is_closed()]:
                self._of_loops.pop(ended).close()
            lanes = LoopLanes(
                self._road,
                loop,
                count=self._count,
                queue_limit=self._queue_limit,
                connect_pipe=self._connect_pipe,
            )
            self._of_loops[loop] = lanes
            return lanes


def _run_on(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Run a function where a loop runs, if it runs in another thread, and wait for it."""
    if not loop.is_running() or loop is asyncio._get_running_loop():
        function()
        return
    is_done = threading.Event()

    def run() -> None:
        try:
            function()
        finally:
            is_done.set()

    loop.call_soon_threadsafe(run)
    is_done.wait()


class ThreadLanes:
    """Runs operations in the threads that ask, `count` at the same time."""

    def __init__(self, road: Road, *, count: int, queue_limit: int) -> None:
        self._free = [Lane(road, ThreadWaiting()) for _ in range(count)]
        self._turns: deque[_Turn] = deque()
        self._queue_limit = queue_limit
        self._count = count
        self._is_closed = False
        self._all_are_back = threading.Condition()

    def run(self, operation: Operation[T], *, is_write: bool) -> T:
        """Run an operation.

        Raises:
            What it raises. Unavailable: too many are waiting, no lane gets on, or it is closed.
        """
        lane = self._take()
        try:
            return lane.run(operation, is_write=is_write)
        finally:
            self._give_back(lane)

    def close(self) -> None:
        """Let running operations end, then let go of the connections."""
        with self._all_are_back:
            self._is_closed = True
            while self._turns:
                self._turns.popleft().come(None)
            self._all_are_back.wait_for(lambda: len(self._free) == self._count)
            for lane in self._free:
                lane.close()

    def _take(self) -> Lane:
        with self._all_are_back:
            if self._is_closed:
                raise Unavailable(CLOSED)
            if self._free:
                return self._free.pop()
            if len(self._turns) >= self._queue_limit:
                raise Unavailable(TOO_MANY)
            turn = _Turn()
            self._turns.append(turn)
        lane = turn.wait()
        if lane is None:
            raise Unavailable(CLOSED)
        return lane

    def _give_back(self, lane: Lane) -> None:
        with self._all_are_back:
            if self._turns:
                # To whoever has waited longest: a thread that has just had a lane is faster at
                # taking it again than any that must be woken first.
                self._turns.popleft().come(lane)
                return
            self._free.append(lane)
            self._all_are_back.notify_all()


class _Turn:
    """A thread that waits for a lane."""

    def __init__(self) -> None:
        self._has_come = threading.Event()
        self._lane: Lane | None = None

    def come(self, lane: Lane | None) -> None:
        """Give it a lane, or None: there will be none."""
        self._lane = lane
        self._has_come.set()

    def wait(self) -> Lane | None:
        """The lane, when it comes."""
        self._has_come.wait()
        return self._lane


class LoopLanes:
    """Runs operations on an event loop, `count` at the same time, each in a greenlet.

    Reads first try a pipe, if there is one: see ReadPipe.
    """

    def __init__(
        self,
        road: Road,
        loop: asyncio.AbstractEventLoop,
        *,
        count: int,
        queue_limit: int,
        connect_pipe: Connect | None,
    ) -> None:
        """Make the lanes; to be called on the loop."""
        self._loop = loop
        self._queue_limit = queue_limit
        self._tasks: deque[Task] = deque()
        self._idle: list[_LoopLane] = []
        self._is_looking = False
        self._is_closed = False
        self._pipe = (
            ReadPipe(connect_pipe, road.queries, loop, self._enqueue) if connect_pipe else None
        )
        self._lanes = [_LoopLane(road, loop, self._next_task) for _ in range(count)]
        for lane in self._lanes:
            lane.go_on()

    def submit(self, operation: Operation[T], *, is_write: bool) -> "asyncio.Future[T]":
        """Begin an operation, or queue it; whoever waits for the future may leave.

        Raises:
            Unavailable: too many are waiting, or the lanes are closed.
        """
        if self._is_closed:
            raise Unavailable(CLOSED)
        if len(self._tasks) + self._in_pipe() >= self._queue_limit:
            raise Unavailable(TOO_MANY)
        future: asyncio.Future[T] = self._loop.create_future()
        task = Task(operation, is_write, future)
        if is_write or self._pipe is None or not self._pipe.take(task):
            self._enqueue(task)
        if not self._is_looking:
            self._is_looking = True
            self._loop.call_later(_LOOK_EVERY_S, self._look)
        return future

    def close(self) -> None:
        """Let go of the connections; what is under way on them does not happen."""
        self._is_closed = True
        while self._tasks:
            self._tasks.popleft().fail(Unavailable(CLOSED))
        if self._pipe is not None:
            self._pipe.close()
        for lane in self._lanes:
            lane.close()

    def _enqueue(self, task: Task) -> None:
        if self._is_closed:
            task.fail(Unavailable(CLOSED))
            return
        self._tasks.append(task)
        if self._idle:
            self._idle.pop().go_on()

    def _in_pipe(self) -> int:
        return 0 if self._pipe is None else self._pipe.waiting

    def _next_task(self, lane: "_LoopLane") -> Task | None:
        if self._tasks:
            return self._tasks.popleft()
        self._idle.append(lane)
        return None

    def _look(self) -> None:
        # The server may have stopped answering in the middle of statements.
        for lane in self._lanes:
            lane.look()
        if self._pipe is not None:
            self._pipe.look()
        is_pipe_busy = self._pipe is not None and self._pipe.is_busy
        is_busy = is_pipe_busy or len(self._idle) < len(self._lanes)
        self._is_looking = is_busy and not self._is_closed
        if self._is_looking:
            self._loop.call_later(_LOOK_EVERY_S, self._look)


class _LoopLane:
    """A greenlet that takes one task after another, and steps aside while there is none."""

    def __init__(
        self,
        road: Road,
        loop: asyncio.AbstractEventLoop,
        next_task: "Callable[[_LoopLane], Task | None]",
    ) -> None:
        self._waiting = LoopWaiting(loop)
        self._lane = Lane(road, self._waiting)
        self._next_task = next_task
        self._greenlet = greenlet(self._work)

    def go_on(self) -> None:
        """Begin, or take the next task."""
        self._greenlet.switch()

    def close(self) -> None:
        """Leave what is under way, and let go of the connection."""
        self._waiting.end(self._greenlet)
        self._lane.close()

    def look(self) -> None:
        """See LoopWaiting."""
        self._waiting.look()

    def _work(self) -> None:
        with suppress(LoopEnded):
            while True:
                task = self._next_task(self)
                if task is None:
                    self._waiting.step_aside()
                else:
                    self._perform(task)

    def _perform(self, task: Task) -> None:
        try:
            value = self._lane.run(task.operation, is_write=task.is_write)
        except LoopEnded:
            task.fail(Unavailable(CLOSED))
            raise
        except Exception as error:
            task.fail(carried(error))
        else:
            task.succeed(value)
