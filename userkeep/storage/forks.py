"""A forked process must open its database again: no connection survives a fork."""

import os
from weakref import WeakSet

from userkeep.domain.errors import StorageError


class ForkGuard:
    """Knows whether the process has forked since it was made.

    It is told at the fork, because asking for the process's number at every read costs a system
    call.
    """

    def __init__(self) -> None:
        self.is_forked = False
        _guards.add(self)

    def check(self) -> None:
        """Refuse to go on in a forked process.

        Raises:
            StorageError: saying what to do.
        """
        if self.is_forked:
            raise StorageError(
                "This database was opened before the process forked, and a connection does not "
                "survive a fork. Open it again in the new process."
            )


_guards: WeakSet[ForkGuard] = WeakSet()


def _tell() -> None:
    for guard in _guards:
        guard.is_forked = True


os.register_at_fork(after_in_child=_tell)
