"""How a command ends: its exit code, and the sentence that says why."""

import signal

from userkeep.domain.errors import NotFound, UserkeepError
from userkeep.sdk.errors import ConnectionFailed, UnexpectedAnswer

REFUSED = 1
USAGE = 2
PROBLEMS = 3
NOT_FOUND = 4
UNREACHABLE = 5


class Interrupted(KeyboardInterrupt):
    """A signal has told the command to stop."""

    def __init__(self, number: int = signal.SIGINT, detail: str = "Interrupted.") -> None:
        self.number = number
        self.detail = detail
        super().__init__(detail)

    @property
    def code(self) -> int:
        """What a shell makes of a signal."""
        return 128 + self.number


def code_of(error: UserkeepError) -> int:
    """The exit code of an error."""
    if isinstance(error, NotFound):
        return NOT_FOUND
    if isinstance(error, ConnectionFailed | UnexpectedAnswer):
        return UNREACHABLE
    return REFUSED
