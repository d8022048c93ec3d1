"""Sessions, natively."""

from userkeep.api import wire
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import merge_patch
from userkeep.handlers import shapes
from userkeep.handlers.calls import Call, Replayed, StartedJob
from userkeep.handlers.erasures import started_deletion
from userkeep.handlers.once import gone, once
from userkeep.services import erasures, sessions
from userkeep.services.idempotency import Made


def add(tx: Transaction, call: Call) -> wire.Session | Replayed:
    """See `sessions.add`."""
    return once(
        tx,
        call,
        perform=lambda: shapes.session(sessions.add(tx, call.body)),
        made=_made,
        again=lambda made: _again(tx, made),
    )


def list_(tx: Transaction, call: Call) -> wire.Page[wire.Session]:
    """See `sessions.list`."""
    query: wire.ListSessions = call.query
    filters = {"user_id": query.user_id, **shapes.dated_filters(query)}
    asked = shapes.asked_page(query, filters)
    return shapes.page(sessions.page(tx, asked, **filters), asked, shapes.session, filters)


def get(tx: Transaction, call: Call) -> wire.Session:
    """See `sessions.get`."""
    return shapes.session(sessions.get(tx, call.ids["session_id"]))


def update(tx: Transaction, call: Call) -> wire.Session:
    """See `sessions.update`."""
    session_id = call.ids["session_id"]
    return shapes.session(sessions.update(tx, session_id, call.body, merge_patch, call.if_revision))


def end(tx: Transaction, call: Call) -> wire.Session | Replayed:
    """See `sessions.end`."""
    return once(
        tx,
        call,
        perform=lambda: shapes.session(sessions.end(tx, call.ids["session_id"])),
        made=_made,
        again=lambda made: _again(tx, made),
    )


def delete(tx: Transaction, call: Call) -> StartedJob:
    """See `sessions.delete`."""
    return started_deletion(tx, call, erasures.begin_session(tx, call.ids["session_id"]))


def _made(session: wire.Session) -> Made:
    return Made(session_id=session.session_id, uuid=session.uuid)


def _again(tx: Transaction, made: Made) -> wire.Session:
    session = sessions.get(tx, made.session_id or "")
    if session.uuid != made.uuid:
        raise gone()
    return shapes.session(session)
