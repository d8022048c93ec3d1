"""Recovery: what an earlier process left, completed when an embedded database is opened."""

from userkeep.domain.scope import Rules
from userkeep.jobs.deletion import interrupted_deletions, release_leases
from userkeep.jobs.expiry import delete_expired
from userkeep.jobs.steps import Steps


def recover(rules: Rules, *, is_shared: bool) -> Steps[None]:
    """Complete interrupted deletions and delete what has expired.

    Args:
        is_shared: whether other processes may use the same database.
    """
    if not is_shared:
        yield from release_leases(rules)
    for deletion in (yield from interrupted_deletions(rules)):
        yield from deletion.delete()
    yield from delete_expired(rules)
