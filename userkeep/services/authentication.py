"""Authentication: the key of a request, whichever project it belongs to."""

from collections.abc import Iterable
from typing import NamedTuple

from userkeep.domain.key import StoredKey
from userkeep.domain.quota import Quota
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.times import Instant

_MAX_ENDED_USERS = 1_000


class KeyUse(NamedTuple):
    """When a key was used last."""

    project_id: int
    key_id: str
    used_at: Instant


def find_key(tx: Transaction, key_id: str) -> StoredKey | None:
    """Return the key with an id; None if there is none."""
    tx.see_all_projects()
    return tx.fetch_one("find_key", StoredKey, id=key_id)


def ended_users(tx: Transaction, project_id: int) -> list[str]:
    """Return the uuids of the users of a project who were deleted last, the newest first."""
    tx.see_all_projects()
    return tx.fetch_all("ended_users", str, project_id=project_id, limit=_MAX_ENDED_USERS)


def quota_of(tx: Transaction, project_id: int) -> Quota | None:
    """Return the quota of a project; None if it has none."""
    quota = tx.fetch_one("get_quota", Quota, project_id=project_id)
    return quota if quota is not None and quota.is_limited else None


def is_required(tx: Transaction) -> bool:
    """Return whether requests need a key: whether a key was ever created."""
    return tx.fetch_one("get_authentication", str) is not None


def require(tx: Transaction) -> None:
    """Record that a key was created: from now on, requests need one."""
    tx.defer("require_authentication")


def record_uses(tx: Transaction, uses: Iterable[KeyUse]) -> None:
    """Record when keys were used last."""
    tx.see_all_projects()
    for use in uses:
        values = {"id": use.key_id, "used_at": use.used_at}
        tx.defer("record_key_use", project_id=use.project_id, **values)
