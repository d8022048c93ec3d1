"""Plain numbers about background jobs, for those who watch them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, time


class JobFigures:
    """What has become of one kind of job in this process.

    Attributes:
        runs: how often it has succeeded.
        failures: how often it has failed; it was then repeated.
        restarts: how often it was started again after an error.
        busy_s: how many seconds it has run.
        succeeded_at_s: when it succeeded last, as Unix time; 0 if it has not.
        due_at_s: when it is to run next, or was to run if it has not since then, on the monotonic
            clock; None for a job that has no schedule.
    """

    __slots__ = ("busy_s", "due_at_s", "failures", "restarts", "runs", "succeeded_at_s")

    def __init__(self) -> None:
        self.runs = 0
        self.failures = 0
        self.restarts = 0
        self.busy_s = 0.0
        self.succeeded_at_s = 0.0
        self.due_at_s: float | None = None

    @property
    def lag_s(self) -> float | None:
        """How many seconds ago its next run should have ended; None without a schedule."""
        return None if self.due_at_s is None else max(monotonic() - self.due_at_s, 0.0)

    @contextmanager
    def run(self) -> Iterator[None]:
        """Count a run."""
        began_s = monotonic()
        try:
            yield
        except asyncio.CancelledError:
            raise  # the server stops
        except BaseException:
            self.failures += 1
            raise
        else:
            self.runs += 1
            self.succeeded_at_s = time()
        finally:
            self.busy_s += monotonic() - began_s
