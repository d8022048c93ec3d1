"""Errors of PostgreSQL, and what they mean to a client."""

from userkeep.domain.errors import Unavailable

UNREACHABLE = "The database is unreachable; retry."
LOCKED = "Another transaction holds a lock that this request needs; nothing was changed. Retry."
LOCK_NOT_AVAILABLE = "55P03"


class SqlError(Exception):
    """PostgreSQL rejected a statement.

    Attributes:
        sqlstate: the five-character error code. Compare this, not the message: messages differ
            between versions and between the nodes of a cluster.
    """

    def __init__(self, sqlstate: str, message: str) -> None:
        self.sqlstate = sqlstate
        super().__init__(f"{message.strip()} ({sqlstate})")


class ConnectionLostError(Exception):
    """The connection broke.

    Attributes:
        is_committing: whether a COMMIT was in flight. Its outcome is then unknown.
    """

    def __init__(self, message: str, *, is_committing: bool = False) -> None:
        self.is_committing = is_committing
        super().__init__(message.strip())


class NotConnected(Unavailable):
    """The database is unreachable; retry."""


class LockedError(Exception):
    """Another transaction holds a lock that the operation needs. It was rolled back."""


# By code, or by its first two characters, the class of the error.
_UNAVAILABLE = {
    "53": "The database has run out of space, memory or connections; nothing was changed.",
    "54": "The statement is too large for the database; nothing was changed.",
    "57": "The operation was interrupted; nothing was changed.",
    "58": "The database's disk failed; nothing was changed.",
    "40": "Write conflict; retry.",
    "08": UNREACHABLE,
    LOCK_NOT_AVAILABLE: LOCKED,
    "25006": "The database is read-only at the moment; retry.",
    "55": "The database is locked for maintenance; retry.",
}


def translate_error(error: SqlError) -> Unavailable | None:
    """Map a database error to a client-facing error; None if it is a bug."""
    detail = _UNAVAILABLE.get(error.sqlstate) or _UNAVAILABLE.get(error.sqlstate[:2])
    return None if detail is None else Unavailable(detail)
