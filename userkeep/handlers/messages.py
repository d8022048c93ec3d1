"""Messages: handlers, and what is sent of a message."""

from collections.abc import Set
from typing import get_args

import msgspec
from msgspec import UNSET

from userkeep.api import messages as wire
from userkeep.api.common import Page
from userkeep.domain.errors import InvalidField, TooLarge
from userkeep.domain.message import CheckedMessageChange, Message, MessageChange
from userkeep.domain.scope import Rules
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import merge_patch
from userkeep.handlers.calls import Call, Handler, Prepare, StartedJob
from userkeep.handlers.erasures import started_deletion
from userkeep.handlers.idempotency import IdempotentHandler, gone
from userkeep.handlers.lists import metadata_filter, page_request, serialize_page
from userkeep.handlers.values import optional_instant, optional_time, raw_json, time_to_send
from userkeep.services import erasures, messages
from userkeep.services.idempotency import IdempotencyRecord
from userkeep.services.messages import PreparedMessage, Selection

_OMITTABLE: tuple[str, ...] = get_args(wire.Omittable)
_MAX_SHOWN = 100


def prepare_append(rules: Rules, call: Call) -> list[PreparedMessage]:
    """Check messages to append, and make their index entries."""
    body: wire.AppendMessages = call.body
    return messages.prepare(rules.analyzer, body.messages)


def prepare_update(_: Rules, call: Call) -> CheckedMessageChange:
    """Check a change of a message."""
    body: MessageChange = call.body
    return body.checked()


def append(tx: Transaction, call: Call) -> wire.Messages:
    """Append messages to a session."""
    body: wire.AppendMessages = call.body
    session_id = call.ids["session_id"]
    appended = messages.append(
        tx,
        session_id,
        call.prepared,
        user_id=body.user_id,
        may_create=body.create and body.user_id is not None,
    )
    return wire.Messages(
        session_id=session_id, messages=[serialize_message(message) for message in appended]
    )


def list_(tx: Transaction, call: Call) -> Page[wire.Message]:
    """List the messages of a session."""
    session_id = call.ids["session_id"]
    selection = _selection(call.query)
    filters = {"session_id": session_id, **msgspec.structs.asdict(selection)}
    request = page_request(call.query, filters)
    omit = omitted_fields(call.query.omit)
    return serialize_page(
        messages.page(tx, session_id, request, selection),
        request,
        lambda message: serialize_message(message, omit),
        filters,
        number=lambda message: message.seq,
    )


def get(tx: Transaction, call: Call) -> wire.Message:
    """Return a message."""
    return serialize_message(messages.get(tx, call.ids["session_id"], call.ids["id"]))


def update(tx: Transaction, call: Call) -> wire.Message:
    """Update a message."""
    session_id, id_ = call.ids["session_id"], call.ids["id"]
    return serialize_message(
        messages.update(tx, session_id, id_, call.prepared, merge_patch, call.if_revision)
    )


def delete(tx: Transaction, call: Call) -> StartedJob:
    """Delete a message."""
    session_id, id_ = call.ids["session_id"], call.ids["id"]
    return started_deletion(tx, call, erasures.delete_message(tx, session_id, id_))


def delete_after(tx: Transaction, call: Call) -> StartedJob:
    """Delete the messages after a seq."""
    query: wire.DeleteMessagesQuery = call.query
    erasure = erasures.begin_messages(tx, call.ids["session_id"], query.after_seq)
    return started_deletion(tx, call, erasure)


def omitted_fields(text: str) -> frozenset[str]:
    """Return the fields of messages that a query leaves out.

    Raises:
        InvalidField: one cannot be left out.
    """
    names = {name.strip() for name in text.split(",")} - {""}
    unknown = sorted(names.difference(_OMITTABLE))
    if unknown:
        choices = ", ".join(_OMITTABLE)
        raise InvalidField(
            f"omit must have one or more of {choices}, separated by commas; "
            f"got {unknown[0][:_MAX_SHOWN]!r}.",
            "omit",
        )
    return frozenset(names)


def serialize_message(message: Message, omit: Set[str] = frozenset()) -> wire.Message:
    """Return a message as it is sent.

    Args:
        omit: the fields that are left out.
    """
    serialized = _serialize(message)
    for name in omit:
        setattr(serialized, name, UNSET)
    return serialized


def _serialize(message: Message) -> wire.Message:
    return wire.Message(
        seq=message.seq,
        id=message.id,
        role=message.role,  # type: ignore[arg-type]
        name=message.name or None,
        content=message.content,
        data=raw_json(message.data),
        metadata=raw_json(message.metadata),
        token_count=message.token_count,
        created_at=time_to_send(message.created_at),
        edited_at=optional_time(message.edited_at),
        revision=message.revision,
    )


def _selection(query: wire.ListMessages) -> Selection:
    return Selection(
        after_seq=query.after_seq or None,
        before_seq=None if query.before_seq is UNSET else query.before_seq,
        created_after_at=optional_instant(query.created_after or None),
        created_before_at=optional_instant(query.created_before or None),
        role=query.role or None,
        **metadata_filter(query),
    )


def _record(result: wire.Messages) -> IdempotencyRecord:
    return IdempotencyRecord(
        session_id=result.session_id,
        first_seq=result.messages[0].seq,
        message_count=len(result.messages),
    )


def _replay(tx: Transaction, call: Call, record: IdempotencyRecord) -> wire.Messages:
    session_id = call.ids["session_id"]
    first_seq, count = record.first_seq or 0, record.message_count or 0
    found, is_cut = messages.select(tx, session_id, after=first_seq - 1, limit=count)
    if is_cut:
        raise TooLarge("The messages of the first request have grown; list them instead.")
    if len(found) < count or found[-1].seq != first_seq + count - 1:
        raise gone()
    return wire.Messages(
        session_id=session_id, messages=[serialize_message(message) for message in found]
    )


HANDLERS: dict[str, Handler] = {
    "messages.append": IdempotentHandler(append, record=_record, replay=_replay),
    "messages.list": list_,
    "messages.get": get,
    "messages.update": update,
    "messages.delete": delete,
    "messages.delete_after": delete_after,
}

PREPARE: dict[str, Prepare] = {
    "messages.append": prepare_append,
    "messages.update": prepare_update,
}
