"""Sessions, natively."""

from recollect.api import wire
from recollect.domain.erasure import Erasure
from recollect.domain.metadata import merge_patch
from recollect.domain.scope import Scope
from recollect.domain.transaction import Transaction
from recollect.native import shapes
from recollect.native.calls import Call, Replayed
from recollect.native.erasures import begun
from recollect.native.once import gone, once
from recollect.services import erasures, sessions
from recollect.services.idempotency import Made


def add(tx: Transaction, scope: Scope, call: Call) -> wire.Session | Replayed:
    """See `sessions.add`."""
    return once(
        tx,
        scope,
        call,
        perform=lambda: shapes.session(sessions.add(tx, scope, call.body)),
        made=_made,
        again=lambda made: _again(tx, scope, made),
    )


def list_(tx: Transaction, scope: Scope, call: Call) -> wire.Page[wire.Session]:
    """See `sessions.list`."""
    query: wire.ListSessions = call.query
    filters = {"user_id": query.user_id, **shapes.dated_filters(query)}
    asked = shapes.asked_page(query, filters)
    return shapes.page(sessions.page(tx, scope, asked, **filters), asked, shapes.session, filters)


def get(tx: Transaction, scope: Scope, call: Call) -> wire.Session:
    """See `sessions.get`."""
    return shapes.session(sessions.get(tx, scope, call.ids["session_id"]))


def update(tx: Transaction, scope: Scope, call: Call) -> wire.Session:
    """See `sessions.update`."""
    session_id = call.ids["session_id"]
    return shapes.session(
        sessions.update(tx, scope, session_id, call.body, merge_patch, call.if_revision)
    )


def end(tx: Transaction, scope: Scope, call: Call) -> wire.Session | Replayed:
    """See `sessions.end`."""
    return once(
        tx,
        scope,
        call,
        perform=lambda: shapes.session(sessions.end(tx, scope, call.ids["session_id"])),
        made=_made,
        again=lambda made: _again(tx, scope, made),
    )


def erase(tx: Transaction, scope: Scope, call: Call) -> Erasure:
    """See `sessions.erase`."""
    return begun(tx, scope, call, erasures.begin_session(tx, scope, call.ids["session_id"]))


def _made(session: wire.Session) -> Made:
    return Made(session_id=session.session_id, uuid=session.uuid)


def _again(tx: Transaction, scope: Scope, made: Made) -> wire.Session:
    session = sessions.get(tx, scope, made.session_id or "")
    if session.uuid != made.uuid:
        raise gone()
    return shapes.session(session)
