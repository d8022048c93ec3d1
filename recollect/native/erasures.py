"""Erasures, natively."""

from recollect.api import wire
from recollect.domain.canaries import check_canaries
from recollect.domain.erasure import Erasure
from recollect.domain.scope import Scope
from recollect.domain.transaction import Transaction
from recollect.domain.verification import Wanted
from recollect.native import shapes
from recollect.native.calls import Call
from recollect.services import erasures, scrubs


def list_(tx: Transaction, scope: Scope, call: Call) -> wire.Page[wire.Erasure]:
    """See `erasures.list`."""
    asked = shapes.asked_page(call.query)
    step = scrubs.step(tx)
    return shapes.page(
        erasures.page(tx, scope, asked), asked, lambda stored: shapes.erasure(stored, step)
    )


def get(tx: Transaction, scope: Scope, call: Call) -> wire.Erasure:
    """See `erasures.get`."""
    return shapes.erasure(erasures.get(tx, scope, call.ids["id"]), scrubs.step(tx))


def scrub(tx: Transaction, scope: Scope, call: Call) -> Erasure:
    """See `erasures.scrub`."""
    return scrubs.ask(tx, scope, call.ids["id"])


def verify(tx: Transaction, scope: Scope, call: Call) -> Wanted:
    """See `erasures.verify`."""
    body: wire.VerifyErasure = call.body
    canaries = check_canaries(body.canaries, "canaries")
    erasure = erasures.to_verify(tx, scope, call.ids["id"], body.subject_id)
    return Wanted(erasure, body.subject_id, canaries)


def begun(tx: Transaction, scope: Scope, call: Call, erasure: Erasure) -> Erasure:
    """An erasure that a call has begun, with its scrub asked for if the call asks for it."""
    query: wire.Erase = call.query
    return scrubs.ask(tx, scope, erasure.uuid) if query.scrub else erasure
