"""Where the worker reports the spans of its jobs, if traces are on."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class JobTraces(Protocol):
    """Records spans of jobs."""

    def job(self, kind: str) -> AbstractContextManager[None]:
        """Record a run of a job as a span."""
        ...


class NoTraces:
    """Records nothing."""

    def job(self, kind: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Record nothing."""
        return nullcontext()
