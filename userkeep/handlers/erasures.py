"""Erasures, natively."""

from userkeep.api import wire
from userkeep.domain.canaries import check_canaries
from userkeep.domain.erasure import Erasure
from userkeep.domain.transaction import Transaction
from userkeep.domain.verification import Wanted
from userkeep.handlers import shapes
from userkeep.handlers.calls import Call
from userkeep.services import erasures, purges


def list_(tx: Transaction, call: Call) -> wire.Page[wire.Erasure]:
    """See `erasures.list`."""
    asked = shapes.asked_page(call.query)
    step = purges.step(tx)
    return shapes.page(erasures.page(tx, asked), asked, lambda stored: shapes.erasure(stored, step))


def get(tx: Transaction, call: Call) -> wire.Erasure:
    """See `erasures.get`."""
    return shapes.erasure(erasures.get(tx, call.ids["id"]), purges.step(tx))


def purge(tx: Transaction, call: Call) -> Erasure:
    """See `erasures.purge`."""
    return purges.ask(tx, call.ids["id"])


def verify(tx: Transaction, call: Call) -> Wanted:
    """See `erasures.verify`."""
    body: wire.VerifyErasure = call.body
    canaries = check_canaries(body.canaries, "canaries")
    erasure = erasures.to_verify(tx, call.ids["id"], body.subject_id)
    return Wanted(erasure, body.subject_id, canaries)


def begun(tx: Transaction, call: Call, erasure: Erasure) -> Erasure:
    """An erasure that a call has begun, with its purge asked for if the call asks for it."""
    query: wire.DeleteQuery = call.query
    return purges.ask(tx, erasure.uuid) if query.purge else erasure
