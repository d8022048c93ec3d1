"""Detecting forks: no database connection survives one, so a child process must open its own."""

import os
from weakref import WeakSet

from userkeep.domain.errors import StorageError


class ForkGuard:
    """Knows whether the process has forked since this was created.

    A hook is called at the fork, because comparing process ids would cost a system call a read.
    """

    def __init__(self) -> None:
        self.is_forked = False
        _guards.add(self)

    def check(self) -> None:
        """Check that this is the process that opened the database.

        Raises:
            StorageError: it is a fork of that process; the message explains what to do.
        """
        if self.is_forked:
            raise StorageError(
                "This database was opened before the process forked, and a connection does not "
                "survive a fork. Open it again in the new process."
            )


_guards: WeakSet[ForkGuard] = WeakSet()


def _mark_forked() -> None:
    for guard in _guards:
        guard.is_forked = True


os.register_at_fork(after_in_child=_mark_forked)
