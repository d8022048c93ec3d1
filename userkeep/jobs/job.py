"""What a request starts: a job that a client can poll."""

from typing import Protocol

from userkeep.jobs.steps import Steps

NOT_RECORDED = (
    "The deletion has begun and its data is hidden. It waits, because it could not be recorded in "
    "the deletion ledger yet; the log says why. It continues when that is possible. Repeat the "
    "request; 404 then means that the data is still hidden, or deleted by now."
)
"""The error of a job that is not accepted yet."""


class Job(Protocol):
    """Work that a request starts and that may outlive it; a client may poll it from the start."""

    @property
    def kind(self) -> str:
        """What it does, in a word or two."""
        ...

    @property
    def key(self) -> str:
        """Identifies the job: two jobs with the same key are the same work."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        ...

    @property
    def ends_with_client(self) -> bool:
        """Whether the job is of no use if the client disconnects before it gets a response."""
        ...

    @property
    def may_respond(self) -> bool:
        """Whether a client may get a response that the job is accepted."""
        ...

    def stop(self) -> None:
        """Make blocking work of the job end soon, from any thread. The job can continue later."""
        ...

    def steps(self) -> Steps[None]:
        """Continue from where the job is. After an error, call this again."""
        ...


class DeletionJob:
    """What the jobs of all deletions have in common."""

    @property
    def kind(self) -> str:
        """Its name."""
        return "deletion"

    @property
    def ends_with_client(self) -> bool:
        """A deletion that was accepted is completed."""
        return False

    def stop(self) -> None:
        """Do nothing: no step of a deletion takes long."""
