"""Erasures, natively."""

from userkeep.api import wire
from userkeep.domain.canaries import check_canaries
from userkeep.domain.erasure import Erasure
from userkeep.domain.transaction import Transaction
from userkeep.domain.verification import Wanted
from userkeep.handlers import shapes
from userkeep.handlers.calls import Call, StartedJob
from userkeep.jobs.deletion import Deletion
from userkeep.services import erasures, purges


def list_(tx: Transaction, call: Call) -> wire.Page[wire.Erasure]:
    """See `erasures.list`."""
    asked = shapes.asked_page(call.query)
    step = purges.step(tx)
    return shapes.page(erasures.page(tx, asked), asked, lambda stored: shapes.erasure(stored, step))


def get(tx: Transaction, call: Call) -> wire.Erasure:
    """See `erasures.get`."""
    return shapes.erasure(erasures.get(tx, call.ids["id"]), purges.step(tx))


def purge(tx: Transaction, call: Call) -> StartedJob:
    """See `erasures.purge`."""
    return _started(tx, purges.ask(tx, call.ids["id"]))


def verify(tx: Transaction, call: Call) -> Wanted:
    """See `erasures.verify`."""
    body: wire.VerifyErasure = call.body
    canaries = check_canaries(body.canaries, "canaries")
    erasure = erasures.to_verify(tx, call.ids["id"], body.subject_id)
    return Wanted(erasure, body.subject_id, canaries)


def started_deletion(tx: Transaction, call: Call, erasure: Erasure) -> StartedJob:
    """Return the job of an erasure that a call has begun, with a purge if the call requests one."""
    query: wire.DeleteQuery = call.query
    return _started(tx, purges.ask(tx, erasure.uuid) if query.purge else erasure)


def _started(tx: Transaction, erasure: Erasure) -> StartedJob:
    return StartedJob(
        Deletion(tx.scope, erasure),
        location=f"/v1/erasures/{erasure.uuid}",
        resource=lambda deletion: shapes.erasure(deletion.erasure, deletion.purge),
    )
