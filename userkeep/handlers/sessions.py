"""Sessions, natively."""

from userkeep.api import wire
from userkeep.domain.erasure import Erasure
from userkeep.domain.metadata import merge_patch
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Transaction
from userkeep.handlers import shapes
from userkeep.handlers.calls import Call, Replayed
from userkeep.handlers.erasures import begun
from userkeep.handlers.once import gone, once
from userkeep.services import erasures, sessions
from userkeep.services.idempotency import Made


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


def delete(tx: Transaction, scope: Scope, call: Call) -> Erasure:
    """See `sessions.delete`."""
    return begun(tx, scope, call, erasures.begin_session(tx, scope, call.ids["session_id"]))


def _made(session: wire.Session) -> Made:
    return Made(session_id=session.session_id, uuid=session.uuid)


def _again(tx: Transaction, scope: Scope, made: Made) -> wire.Session:
    session = sessions.get(tx, scope, made.session_id or "")
    if session.uuid != made.uuid:
        raise gone()
    return shapes.session(session)
