"""Erasures, natively."""

from recollect.api import wire
from recollect.domain.scope import Scope
from recollect.domain.transaction import Transaction
from recollect.native import shapes
from recollect.native.calls import Call
from recollect.services import erasures


def list_(tx: Transaction, scope: Scope, call: Call) -> wire.Page[wire.Erasure]:
    """See `erasures.list`."""
    asked = shapes.asked_page(call.query)
    return shapes.page(erasures.page(tx, scope, asked), asked, shapes.erasure)


def get(tx: Transaction, scope: Scope, call: Call) -> wire.Erasure:
    """See `erasures.get`."""
    return shapes.erasure(erasures.get(tx, scope, call.ids["id"]))
