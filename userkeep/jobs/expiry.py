"""Expiry: tombstones whose time is over, and idempotency keys that are too old or too many."""

from userkeep.domain.scope import Rules
from userkeep.domain.transaction import scoped
from userkeep.jobs.projects import project_scopes
from userkeep.jobs.steps import Read, Sleep, Steps, Write
from userkeep.services import idempotency, tombstones


def delete_expired(rules: Rules, pause_s: float = 0.0) -> Steps[None]:
    """Delete all rows that have expired, in batches.

    Args:
        pause_s: the pause after each batch, for other writers.
    """
    for scope in (yield from project_scopes(rules)):
        for date_batch in (tombstones.shorten_far, idempotency.date_far):
            while (yield Write(scoped(scope, date_batch))):
                yield Sleep(pause_s)
        while (yield Write(scoped(scope, tombstones.delete_expired))):
            yield Sleep(pause_s)
        # It counts all records, so it is not done in a write.
        oldest_at = yield Read(scoped(scope, idempotency.oldest_kept_at), is_bounded=False)
        while (yield Write(scoped(scope, idempotency.delete_old, oldest_at))):
            yield Sleep(pause_s)
