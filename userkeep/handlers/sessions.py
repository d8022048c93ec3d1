"""Sessions: handlers, and what is sent of a session."""

from typing import Any

import msgspec

from userkeep.api import sessions as wire
from userkeep.api.common import Page
from userkeep.domain.errors import InvalidField
from userkeep.domain.session import Session
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import merge_patch
from userkeep.handlers.calls import Call, Handler, StartedJob
from userkeep.handlers.erasures import started_deletion
from userkeep.handlers.idempotency import IdempotentHandler, gone
from userkeep.handlers.lists import page_request, serialize_page, session_filters
from userkeep.handlers.values import optional_time, raw_json, time_to_send
from userkeep.services import erasures, sessions
from userkeep.services.idempotency import IdempotencyRecord


def add(tx: Transaction, call: Call) -> wire.Session:
    """Create a session."""
    return serialize_session(sessions.add(tx, call.body))


def list_(tx: Transaction, call: Call) -> Page[wire.Session]:
    """List sessions."""
    query: wire.ListSessions = call.query
    # For a key that is bound to a user, the user_id is that of the key.
    if query.owned is not None and query.user_id is not None and not call.scope.is_bound:
        raise InvalidField("owned cannot be combined with user_id. Leave one of them out.", "owned")
    filters = {"user_id": query.user_id, **session_filters(query)}
    if query.owned is not None:
        filters["has_user" if query.owned else "has_no_user"] = True
    return list_page(tx, query, filters)


def list_page(
    tx: Transaction, query: wire.SessionList, filters: dict[str, Any]
) -> Page[wire.Session]:
    """Return a page of sessions, with what the query includes."""
    request = page_request(query, filters)
    has_messages = query.include == "last_message"
    rows = sessions.page(tx, request, last_message=has_messages or None, **filters)
    serialize = _serialize_with_message if has_messages else serialize_session
    page = serialize_page(rows, request, serialize, filters)
    if query.count:
        page.count = sessions.count(tx, **filters)
    return page


def get(tx: Transaction, call: Call) -> wire.Session:
    """Return a session."""
    return serialize_session(sessions.get(tx, call.ids["session_id"]))


def update(tx: Transaction, call: Call) -> wire.Session:
    """Update a session."""
    session_id = call.ids["session_id"]
    return serialize_session(
        sessions.update(tx, session_id, call.body, merge_patch, call.if_revision)
    )


def end(tx: Transaction, call: Call) -> wire.Session:
    """End a session."""
    return serialize_session(sessions.end(tx, call.ids["session_id"]))


def reopen(tx: Transaction, call: Call) -> wire.Session:
    """Undo the end of a session."""
    return serialize_session(sessions.reopen(tx, call.ids["session_id"]))


def delete(tx: Transaction, call: Call) -> StartedJob:
    """Delete a session."""
    return started_deletion(tx, call, erasures.begin_session(tx, call.ids["session_id"]))


def serialize_session(session: Session) -> wire.Session:
    """Return a session as it is sent."""
    return wire.Session(
        session_id=session.session_id,
        uuid=session.uuid,
        user_id=session.user_id,
        title=session.title,
        metadata=raw_json(session.metadata),
        message_count=session.message_count,
        ended_at=optional_time(session.ended_at),
        active_at=time_to_send(session.active_at),
        do_not_embed=bool(session.do_not_embed),
        revision=session.revision,
        created_at=time_to_send(session.created_at),
        updated_at=time_to_send(session.updated_at),
    )


def _serialize_with_message(session: Session) -> wire.Session:
    serialized = serialize_session(session)
    serialized.last_message = None
    if session.last_message is not None:
        seq, id_, role, name, content, created_at = msgspec.json.decode(session.last_message)
        serialized.last_message = wire.LastMessage(
            seq=seq,
            id=id_,
            role=role,
            name=name or None,
            content=content,
            created_at=time_to_send(created_at),
        )
    return serialized


def _record(session: wire.Session) -> IdempotencyRecord:
    return IdempotencyRecord(session_id=session.session_id, uuid=session.uuid)


def _replay(tx: Transaction, _: Call, record: IdempotencyRecord) -> wire.Session:
    session = sessions.get(tx, record.session_id or "")
    if session.uuid != record.uuid:
        raise gone()
    return serialize_session(session)


HANDLERS: dict[str, Handler] = {
    "sessions.add": IdempotentHandler(add, record=_record, replay=_replay),
    "sessions.list": list_,
    "sessions.get": get,
    "sessions.update": update,
    "sessions.end": IdempotentHandler(end, record=_record, replay=_replay),
    "sessions.reopen": IdempotentHandler(reopen, record=_record, replay=_replay),
    "sessions.delete": delete,
}
