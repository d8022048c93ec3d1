"""Exit codes, and the exception that a signal raises."""

import signal

from userkeep.domain.errors import Forbidden, NotFound, Unauthenticated, UserkeepError
from userkeep.sdk.errors import ConnectionFailed, UnexpectedAnswer

REJECTED = 1
USAGE = 2
PROBLEMS = 3
NOT_FOUND = 4
UNREACHABLE = 5
ACCESS_DENIED = 6
INCONCLUSIVE = 7


class Interrupted(KeyboardInterrupt):
    """A signal has stopped the command."""

    def __init__(self, number: int = signal.SIGINT, detail: str = "Interrupted.") -> None:
        self.number = number
        self.detail = detail
        super().__init__(detail)

    @property
    def code(self) -> int:
        """The exit code that shells use for a signal."""
        return 128 + self.number


def code_of(error: UserkeepError) -> int:
    """Return the exit code of an error."""
    if isinstance(error, NotFound):
        return NOT_FOUND
    if isinstance(error, ConnectionFailed | UnexpectedAnswer):
        return UNREACHABLE
    if isinstance(error, Unauthenticated | Forbidden):
        return ACCESS_DENIED
    return REJECTED
