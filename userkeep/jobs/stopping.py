"""How a job is stopped before its end."""

from userkeep.domain.errors import UserkeepError


class Stopped(UserkeepError):
    """The job was stopped before its end."""

    code = "stopped"


class Stoppable:
    """A job that another thread, or a signal handler, can stop."""

    _is_stopping = False

    def stop(self) -> None:
        """Let `run` raise Stopped after the batch it is at."""
        self._is_stopping = True

    def _check_stop(self) -> None:
        if self._is_stopping:
            raise Stopped
