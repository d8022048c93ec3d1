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
        is_committing: whether the statement was COMMIT.
    """

    def __init__(self, sqlstate: str, message: str, primary: str = "") -> None:
        """Make an error of its code, its whole message and the first line of that."""
        self.sqlstate = sqlstate
        self.is_committing = False
        self._primary = primary
        super().__init__(f"{message.strip()} ({sqlstate})")

    @property
    def reason(self) -> str:
        """What is wrong, for an operator: it names tables and columns, and has no values."""
        if self._primary and self.sqlstate in _ABOUT_NAMES:
            return self._primary
        return f"error {self.sqlstate}"

    @property
    def is_rolled_back(self) -> bool:
        """Whether it is known that its transaction was rolled back, even if it was COMMIT.

        A cluster may report at COMMIT that one of its nodes did not answer.
        """
        return self.sqlstate != "40003" and self.sqlstate[:2] in _ROLLED_BACK

    @property
    def is_operators(self) -> bool:
        """Whether it lasts until an operator does something."""
        return self.sqlstate[:2] in _FOR_OPERATORS or self.sqlstate == "25006"


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


# The classes of errors that end a transaction before it is committed.
_ROLLED_BACK = frozenset({"22", "23", "25", "40", "42", "53", "54", "55", "57"})
_OF_SCHEMA = frozenset({"3F", "42"})
_FOR_OPERATORS = _OF_SCHEMA | {"53"}
# Missing tables, columns and schemas, missing privileges, and what has run out.
_ABOUT_NAMES = frozenset({"42P01", "42703", "42501", "3F000", "53000", "53100", "53200", "53300"})

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
    "42P01": "A table that Userkeep needs is missing in the database",
    "42501": "The database role lacks a privilege that Userkeep needs",
    "42": "The schema of the database does not fit this version of Userkeep",
    "3F": "The schema with Userkeep's tables is missing in the database",
    "55": "The database is locked for maintenance; retry.",
}


def translate_error(error: SqlError) -> Unavailable | None:
    """Map a database error to a client-facing error; None if it is a bug."""
    detail = _UNAVAILABLE.get(error.sqlstate) or _UNAVAILABLE.get(error.sqlstate[:2])
    if detail is None:
        return None
    if error.sqlstate[:2] in _OF_SCHEMA:
        detail += f" ({error.reason}); nothing was changed."
    return Unavailable(detail)
