"""Users, natively."""

from userkeep.api import wire
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import folded_email
from userkeep.domain.values.metadata import merge_patch
from userkeep.handlers import shapes
from userkeep.handlers.calls import Call, Replayed, StartedJob
from userkeep.handlers.erasures import started_deletion
from userkeep.handlers.once import gone, once
from userkeep.services import erasures, sessions, users
from userkeep.services.idempotency import Made


def add(tx: Transaction, call: Call) -> wire.User | Replayed:
    """See `users.add`."""

    def again(made: Made) -> wire.User:
        user = users.get(tx, made.user_id or "")
        if user.uuid != made.uuid:
            raise gone()
        return shapes.user(user)

    return once(
        tx,
        call,
        perform=lambda: shapes.user(users.add(tx, call.body)),
        made=lambda user: Made(user_id=user.user_id, uuid=user.uuid),
        again=again,
    )


def list_(tx: Transaction, call: Call) -> wire.Page[wire.User]:
    """See `users.list`."""
    query: wire.ListUsers = call.query
    filters = {"email_folded": folded_email(query.email), **shapes.dated_filters(query)}
    asked = shapes.asked_page(query, filters)
    return shapes.page(users.page(tx, asked, **filters), asked, shapes.user, filters)


def get(tx: Transaction, call: Call) -> wire.User:
    """See `users.get`."""
    return shapes.user(users.get(tx, call.ids["user_id"]))


def put(tx: Transaction, call: Call) -> wire.User:
    """See `users.put`."""
    return shapes.user(users.put(tx, call.ids["user_id"], call.body, call.if_revision))


def update(tx: Transaction, call: Call) -> wire.User:
    """See `users.update`."""
    user_id = call.ids["user_id"]
    return shapes.user(
        users.update(tx, user_id, call.body, merge_patch, if_revision=call.if_revision)
    )


def delete(tx: Transaction, call: Call) -> StartedJob:
    """See `users.delete`."""
    return started_deletion(tx, call, erasures.begin_user(tx, call.ids["user_id"]))


def list_sessions(tx: Transaction, call: Call) -> wire.Page[wire.Session]:
    """See `users.sessions`."""
    user = users.get(tx, call.ids["user_id"])
    filters = {"user_id": user.user_id, **shapes.filtered(call.query)}
    asked = shapes.asked_page(call.query, filters)
    return shapes.page(sessions.page(tx, asked, **filters), asked, shapes.session, filters)
