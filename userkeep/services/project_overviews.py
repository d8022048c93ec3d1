"""What admins see of a project at a glance: what it has, and how much of a quota is used."""

from typing import NamedTuple

from userkeep.domain.project import Project
from userkeep.domain.quota import Use
from userkeep.domain.transaction import Transaction
from userkeep.services import authentication, overviews, quotas
from userkeep.services.overviews import COUNTED

_USERS_COMPARED = 20
_MESSAGES_MEASURED = 100
_DELETED_PROJECTS = 50


class Contents(NamedTuple):
    """What goes with a project, each counted up to COUNTED or one more.

    Attributes:
        messages: those of the sessions that are counted.
    """

    users: int
    sessions: int
    messages: int
    collections: int
    documents: int


class _Collections(NamedTuple):
    total: int
    documents: int


def contents(tx: Transaction) -> Contents:
    """Return what the project has."""
    some = overviews.counts(tx)
    messages = tx.fetch_one("count_some_messages", int, limit=COUNTED) or 0
    found = tx.fetch_one("totals_of_collections", _Collections, limit=COUNTED)
    collections = found or _Collections(0, 0)
    return Contents(*some, messages, collections.total, collections.documents)


def greatest_use(tx: Transaction) -> Use | None:
    """Return the greatest use of the project's quota by one of the users who were active last.

    None without a quota.
    """
    quota = authentication.quota_of(tx, tx.scope.project_id)
    if quota is None:
        return None
    active = overviews.users_by_activity(tx, _USERS_COMPARED).users
    uses = [quotas.use_of_user(tx, each.user.user_id, quota, _MESSAGES_MEASURED) for each in active]
    sizes = [use.size_bytes for use in uses if use.size_bytes is not None]
    return Use(
        messages=max((use.messages for use in uses), default=0),
        documents=max((use.documents for use in uses), default=0),
        size_bytes=max(sizes, default=None if uses else 0),
    )


def deleted_projects(tx: Transaction) -> list[Project]:
    """Return the newest projects that were deleted, the newest first."""
    return tx.fetch_all("newest_deleted_projects", Project, limit=_DELETED_PROJECTS)
