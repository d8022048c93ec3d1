"""The instance itself: its secret's fingerprint, its projects."""

from typing import NamedTuple

from userkeep.domain.errors import StorageError
from userkeep.domain.transaction import Transaction

IF_IT_IS_LOST = (
    "If it is lost, `userkeep secret rotate --lost` makes a new one, and says what is given up."
)

_MISMATCH = (
    "This database was created with another secret. With this one, deleted ids and idempotency "
    "keys would not be recognized. Set USERKEEP_SECRET or USERKEEP_SECRET_FILE to the secret that "
    f"it was created with. {IF_IT_IS_LOST}"
)

_NEWER_SCHEMA = (
    "The schema was migrated by a newer Userkeep. Replace this server by one of that version."
)


def check_is_complete(tx: Transaction) -> None:
    """Reject a database that is the target of an unfinished copy.

    Raises:
        StorageError: with what to do.
    """
    if tx.fetch_one("get_copy_source", str) is not None:
        raise StorageError(
            "This database is an incomplete copy: some data is missing or not verified. Run the "
            "same `userkeep copy` again; it continues where it stopped."
        )


def secret_fingerprint(tx: Transaction) -> str | None:
    """Return the fingerprint of the secret that the database is bound to, if it is to one."""
    return tx.fetch_one("get_secret_fingerprint", str)


def check_secret(tx: Transaction, fingerprint: str) -> None:
    """Bind the database to its secret on the first start; later, reject any other secret.

    Raises:
        StorageError: the database was created with another secret.
    """
    known = tx.fetch_one("get_secret_fingerprint", str)
    if known is None:
        tx.execute("set_secret_fingerprint", value=fingerprint)
    elif known != fingerprint:
        raise StorageError(_MISMATCH)


def check_secret_matches(tx: Transaction, fingerprint: str) -> None:
    """Reject a secret with which the database was not created.

    Raises:
        StorageError: it was created with another secret.
    """
    known = tx.fetch_one("get_secret_fingerprint", str)
    if known is not None and known != fingerprint:
        raise StorageError(_MISMATCH)


class ReadinessProblem(NamedTuple):
    """Why requests cannot be performed.

    Attributes:
        check: what it is about: `database`, `schema` or `rights`.
        detail: a sentence for operators.
    """

    check: str
    detail: str


def readiness_problems(tx: Transaction, newest_migration: int) -> list[ReadinessProblem]:
    """Return why requests cannot be performed: missing tables and rights, a newer schema.

    Args:
        newest_migration: the number of the newest one that this program knows.
    """
    problems = tx.fetch_all("readiness_problems", ReadinessProblem)
    if problems:
        return problems
    if (tx.fetch_one("newest_migration", int) or 0) > newest_migration:
        problems.append(ReadinessProblem("schema", _NEWER_SCHEMA))
    if not project_ids(tx):
        problems.append(ReadinessProblem("database", "The database has no project."))
    return problems


MOST_COUNTED = 10_000
"""Users, sessions and projects are counted up to this number."""


class Contents(NamedTuple):
    """How many users and sessions all projects have, at most MOST_COUNTED each."""

    users: int
    sessions: int


def count_contents(tx: Transaction) -> Contents:
    """Count users and sessions, of all projects, in a few milliseconds however many there are."""
    tx.see_all_projects()
    found = Contents(0, 0)
    for project_id in project_ids(tx)[:MOST_COUNTED]:
        values = {"project_id": project_id, "limit": MOST_COUNTED}
        found = Contents(
            found.users + (tx.fetch_one("count_first_users", int, **values) or 0),
            found.sessions + (tx.fetch_one("count_first_sessions", int, **values) or 0),
        )
        if min(found) >= MOST_COUNTED:
            break
    return found


def project_ids(tx: Transaction) -> list[int]:
    """Return the numbers of the projects that are not deleted or being deleted."""
    return tx.fetch_all("project_ids", int)


def unpurged_project_ids(tx: Transaction) -> list[int]:
    """Return the numbers of the projects in which something may wait for a purge."""
    return tx.fetch_all("unpurged_project_ids", int)


def count_sessions_without_user(tx: Transaction, limit: int) -> int:
    """Return the number of sessions of all projects that belong to no user.

    Args:
        limit: up to how many of a project are counted.
    """
    tx.see_all_projects()
    return sum(
        tx.fetch_one("count_sessions_without_user", int, project_id=number, limit=limit) or 0
        for number in project_ids(tx)
    )
