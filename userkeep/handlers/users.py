"""Users: handlers, and what is sent of a user."""

from typing import Any

from msgspec.structs import replace

from userkeep.api import users as wire
from userkeep.api.common import Page
from userkeep.api.erasures import MAX_COUNTED
from userkeep.api.sessions import Session
from userkeep.domain.email import fold_email
from userkeep.domain.errors import Conflict
from userkeep.domain.json_web_tokens import sign
from userkeep.domain.search.beginnings import parse_beginnings
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import User
from userkeep.domain.user_token import UserToken
from userkeep.domain.values.metadata import merge_patch
from userkeep.domain.values.times import SECOND, Instant
from userkeep.handlers.calls import Call, Handler, StartedJob
from userkeep.handlers.erasures import started_deletion
from userkeep.handlers.idempotency import IdempotentHandler, gone
from userkeep.handlers.lists import (
    dated_filters,
    page_request,
    serialize_page,
    session_filters,
)
from userkeep.handlers.sessions import list_page
from userkeep.handlers.values import raw_json, time_to_send
from userkeep.services import erasures, sessions, users
from userkeep.services.idempotency import IdempotencyRecord


def add(tx: Transaction, call: Call) -> wire.User:
    """Create a user."""
    return serialize_user(users.add(tx, call.body))


def list_(tx: Transaction, call: Call) -> Page[wire.User]:
    """List users."""
    query: wire.ListUsers = call.query
    filters = {
        "beginnings": parse_beginnings(query.q),
        "email_folded": fold_email(query.email),
        **dated_filters(query),
    }
    request = page_request(query, filters)
    page = serialize_page(users.page(tx, request, **filters), request, serialize_user, filters)
    if query.count:
        page.count = users.count(tx, **filters)
    return page


def get(tx: Transaction, call: Call) -> wire.User:
    """Return a user."""
    return serialize_user(users.get(tx, call.ids["user_id"]))


def put(tx: Transaction, call: Call) -> wire.User:
    """Create or replace a user."""
    return serialize_user(users.put(tx, call.ids["user_id"], call.body, call.if_revision))


def update(tx: Transaction, call: Call) -> wire.User:
    """Update a user."""
    user_id = call.ids["user_id"]
    return serialize_user(
        users.update(tx, user_id, call.body, merge_patch, if_revision=call.if_revision)
    )


def delete(tx: Transaction, call: Call) -> StartedJob:
    """Delete a user."""
    erasure = erasures.begin_user(tx, call.ids["user_id"])
    started = started_deletion(tx, call, erasure)
    count = sessions.count_without_user(tx, MAX_COUNTED)

    def resource(deletion: Any) -> Any:
        return replace(started.resource(deletion), sessions_without_user=count)

    return replace(started, resource=resource)


def list_sessions(tx: Transaction, call: Call) -> Page[Session]:
    """List the sessions of a user."""
    user = users.get(tx, call.ids["user_id"])
    filters = {"user_id": user.user_id, **session_filters(call.query)}
    return list_page(tx, call.query, filters)


def serialize_user(user: User) -> wire.User:
    """Return a user as it is sent."""
    return wire.User(
        user_id=user.user_id,
        uuid=user.uuid,
        email=user.email,
        first_name=user.first_name,
        last_name=user.last_name,
        metadata=raw_json(user.metadata),
        do_not_embed=bool(user.do_not_embed),
        revision=user.revision,
        created_at=time_to_send(user.created_at),
        updated_at=time_to_send(user.updated_at),
    )


def _record(user: wire.User) -> IdempotencyRecord:
    return IdempotencyRecord(user_id=user.user_id, uuid=user.uuid)


def _replay(tx: Transaction, _: Call, record: IdempotencyRecord) -> wire.User:
    user = users.get(tx, record.user_id or "")
    if user.uuid != record.uuid:
        raise gone()
    return serialize_user(user)


def token(tx: Transaction, call: Call) -> wire.UserToken:
    """Make a token of a user."""
    query: wire.TokenQuery = call.query
    if call.scope.key_id is None:
        raise Conflict(
            "A user token belongs to the key that makes it, and this instance is used without one. "
            "Create a key first."
        )
    user = users.get(tx, call.ids["user_id"])
    made = UserToken(
        user_id=user.user_id,
        user_uuid=user.uuid,
        project_id=call.scope.project_id,
        scope=query.scope,
        key_id=call.scope.key_id,
        expires_at=Instant((tx.now // SECOND + query.lifetime_seconds) * SECOND),
    )
    return wire.UserToken(
        token=sign(made, call.scope.rules.token_key, tx.now),
        user_id=made.user_id,
        scope=made.scope,
        expires_at=time_to_send(made.expires_at),
    )


HANDLERS: dict[str, Handler] = {
    "users.add": IdempotentHandler(add, record=_record, replay=_replay),
    "users.list": list_,
    "users.get": get,
    "users.put": put,
    "users.update": update,
    "users.delete": delete,
    "users.token": token,
    "users.sessions": list_sessions,
}
