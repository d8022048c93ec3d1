"""Verifications in the database: which runs, and what each found.

The texts that a verification searches for are not stored. So one whose process ended cannot
continue: when its lease has expired, it has failed.
"""

from typing import cast

from userkeep.domain.erasure import Erasure
from userkeep.domain.errors import NotFound
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.ids import is_uuid
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.values.times import MAX_CLOCK_ERROR_US, SECOND, Instant
from userkeep.domain.verification import Findings, Verification, VerificationState

LEASE_US = 30 * SECOND
"""A verification that has not renewed its lease for this long was interrupted."""

_INTERRUPTED = "The verification was interrupted. Start it again."


def add(tx: Transaction, erasure: Erasure) -> Verification:
    """Record that a verification of an erasure has started."""
    added = tx.fetch_one(
        "add_verification",
        Verification,
        uuid=tx.new_uuid(),
        erasure_uuid=erasure.uuid,
        now_at=tx.now,
        expires_at=Instant(tx.now + LEASE_US),
    )
    return cast("Verification", added)


def get(tx: Transaction, uuid: str) -> Verification:
    """Return a verification.

    Raises:
        NotFound: there is no such verification.
    """
    found = None
    if is_uuid(uuid):
        found = tx.fetch_one("get_verification", Verification, uuid=uuid.lower())
    if found is None:
        raise NotFound(f"There is no verification with the id {uuid!r}.")
    latest_at = tx.now + LEASE_US + MAX_CLOCK_ERROR_US  # later ones are of a wrong clock
    has_lease = tx.now <= found.lease_expires_at <= latest_at
    if found.state == VerificationState.RUNNING and not has_lease:
        found.state, found.problem = VerificationState.FAILED, _INTERRUPTED
    return found


def renew(tx: Transaction, uuid: str) -> None:
    """Renew the lease of a verification that runs."""
    tx.defer("renew_verification", uuid=uuid, expires_at=Instant(tx.now + LEASE_US))


def finish(tx: Transaction, uuid: str, findings: Findings) -> Verification:
    """Record the findings of a verification."""
    return _set(tx, uuid, VerificationState.FINISHED, findings=encode_json(findings).decode())


def fail(tx: Transaction, uuid: str, problem: str) -> Verification:
    """Record that a verification could not be finished, and why."""
    return _set(tx, uuid, VerificationState.FAILED, problem=problem)


def _set(
    tx: Transaction,
    uuid: str,
    state: VerificationState,
    *,
    problem: str | None = None,
    findings: str | None = None,
) -> Verification:
    changed = tx.fetch_one(
        "set_verification",
        Verification,
        uuid=uuid,
        state=state,
        finished_at=tx.now,
        problem=problem,
        findings=findings,
    )
    return changed or get(tx, uuid)
