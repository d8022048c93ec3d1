"""Expiry: tombstones and idempotency keys whose time is over."""

from userkeep.domain.scope import Rules
from userkeep.domain.transaction import scoped
from userkeep.jobs.projects import project_scopes
from userkeep.jobs.steps import Sleep, Steps, Write
from userkeep.services import idempotency, tombstones


def delete_expired(rules: Rules, pause_s: float = 0.0) -> Steps[None]:
    """Delete all rows that have expired, in batches.

    Args:
        pause_s: the pause after each batch, for other writers.
    """
    for scope in (yield from project_scopes(rules)):
        for delete_batch in (tombstones.delete_expired, idempotency.delete_expired):
            while (yield Write(scoped(scope, delete_batch))):
                yield Sleep(pause_s)
