"""Erasures: handlers, and what is sent of an erasure and of its verification."""

import msgspec

from userkeep.api import erasures as wire
from userkeep.api.common import Page
from userkeep.domain.erasure import Erasure, Subject
from userkeep.domain.project import Project
from userkeep.domain.purge import PurgeStatus
from userkeep.domain.search_terms import check_search_terms
from userkeep.domain.transaction import Transaction
from userkeep.domain.verification import Findings, Verification, VerificationRequest
from userkeep.handlers.calls import Call, Handler, StartedJob
from userkeep.handlers.lists import page_request, serialize_page
from userkeep.handlers.values import optional_time, time_to_send
from userkeep.jobs.deletion import Deletion
from userkeep.jobs.verify.job import VerificationJob
from userkeep.services import erasures, purges, verifications


def list_(tx: Transaction, call: Call) -> Page[wire.Erasure]:
    """List erasures, oldest first."""
    request = page_request(call.query)
    status = purges.status(tx)
    return serialize_page(
        erasures.page(tx, request), request, lambda erasure: serialize_erasure(erasure, status)
    )


def get(tx: Transaction, call: Call) -> wire.Erasure:
    """Return an erasure."""
    return serialize_erasure(erasures.get(tx, call.ids["id"]), purges.status(tx))


def purge(tx: Transaction, call: Call) -> StartedJob:
    """Request a purge."""
    erasure = purges.request(tx, erasures.get(tx, call.ids["id"]))
    return _started(tx, erasure, is_recorded=erasure.is_finished)


def verify(tx: Transaction, call: Call) -> StartedJob:
    """Start a verification."""
    body: wire.VerifyErasure = call.body
    search_terms = check_search_terms(body.search_terms, "search_terms")
    erasure = erasures.to_verify(tx, call.ids["id"], body.subject_id)
    verification = verifications.add(tx, erasure)
    request = VerificationRequest(erasure, body.subject_id, search_terms)
    return StartedJob(
        VerificationJob(tx.scope, request, verification),
        location=f"/v1/verifications/{verification.uuid}",
        resource=lambda job: serialize_verification(job.verification, erasure),
    )


def get_verification(tx: Transaction, call: Call) -> wire.Verification:
    """Return a verification."""
    verification = verifications.get(tx, call.ids["id"])
    return serialize_verification(verification, erasures.get(tx, verification.erasure_uuid))


def started_deletion(tx: Transaction, call: Call, erasure: Erasure) -> StartedJob:
    """Return the job of an erasure that a call has begun, with a purge if the call requests one."""
    query: wire.DeleteQuery | wire.DeleteInSessionQuery = call.query
    if query.purge:
        erasure = purges.request(tx, erasure)
    return _started(tx, erasure)


def _started(tx: Transaction, erasure: Erasure, *, is_recorded: bool = False) -> StartedJob:
    return StartedJob(
        Deletion(tx.scope, erasure, is_recorded=is_recorded),
        location=f"/v1/erasures/{erasure.uuid}",
        resource=lambda deletion: serialize_erasure(deletion.erasure, deletion.purge),
    )


def serialize_erasure(erasure: Erasure, status: PurgeStatus | None = None) -> wire.Erasure:
    """Return an erasure as it is sent.

    Args:
        status: the progress of the purge that is running, if one is.
    """
    is_user_gone = erasure.subject == Subject.USER and erasure.is_finished
    return wire.Erasure(
        id=erasure.uuid,
        subject=erasure.subject,  # type: ignore[arg-type]
        subject_id=erasure.subject_id,
        subject_uuid=erasure.subject_uuid,
        state=erasure.state,  # type: ignore[arg-type]
        counts=wire.DeletedCounts(
            users=int(is_user_gone),
            sessions=erasure.session_count,
            messages=erasure.message_count,
            documents=erasure.document_count,
        ),
        started_at=time_to_send(erasure.started_at),
        deleted_at=optional_time(erasure.deleted_at),
        purged_at=optional_time(erasure.purged_at),
        purge=serialize_purge(erasure, status),
    )


def serialize_purge(deleted: Erasure | Project, status: PurgeStatus | None) -> wire.Purge:
    """Return the purge of a deletion as it is sent."""
    is_open = deleted.is_finished and deleted.purged_at is None
    covers = is_open and status is not None and status.purge_uuid == deleted.purge_uuid
    return wire.Purge(
        requested_at=optional_time(deleted.purge_requested_at),
        phase=status.phase if status and covers else None,
        problem=status.problem if status and covers else None,
        skipped_steps=msgspec.json.decode(
            deleted.skipped_steps or "[]", type=list[wire.SkippedStep]
        ),
    )


def serialize_verification(verification: Verification, erasure: Erasure) -> wire.Verification:
    """Return a verification as it is sent.

    Args:
        erasure: the erasure that it verifies.
    """
    is_finished = verification.findings is not None
    found = msgspec.json.decode(verification.findings or "{}", type=Findings)
    return wire.Verification(
        id=verification.uuid,
        state=verification.state,  # type: ignore[arg-type]
        problem=verification.problem,
        started_at=time_to_send(verification.started_at),
        finished_at=optional_time(verification.finished_at),
        erasure=serialize_erasure(erasure),
        found=found.residue_count > 0 if is_finished else None,
        result=found.result.value if is_finished else None,
        hits=[
            wire.Residue(where=each.where, search_term=each.search_term, encoding=each.encoding)
            for each in found.residues
        ],
        hit_count=found.residue_count,
        id_reused=found.id_reused,
        scanned=[
            wire.Scanned(name=each.name, rows=each.rows, size_bytes=each.size_bytes)
            for each in found.scanned
        ],
        skipped=[
            wire.Skipped(name=each.name, reason=each.reason, is_gap=each.is_gap)
            for each in found.skipped
        ],
        short_words=[
            wire.ShortWord(search_term=each.search_term, start=each.start, end=each.end)
            for each in found.short_words
        ],
    )


HANDLERS: dict[str, Handler] = {
    "erasures.list": list_,
    "erasures.get": get,
    "erasures.purge": purge,
    "erasures.verify": verify,
    "verifications.get": get_verification,
}
