"""Messages: handlers, and what is sent of a message."""

from userkeep.api import messages as wire
from userkeep.api.common import Page
from userkeep.domain.errors import TooLarge
from userkeep.domain.message import Message
from userkeep.domain.scope import Rules
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import merge_patch
from userkeep.domain.values.times import to_datetime
from userkeep.handlers.calls import Call, Handler, Prepare, StartedJob
from userkeep.handlers.erasures import started_deletion
from userkeep.handlers.idempotency import IdempotentHandler, gone
from userkeep.handlers.lists import metadata_filter, page_request, serialize_page
from userkeep.handlers.values import raw_json
from userkeep.services import erasures, messages
from userkeep.services.idempotency import IdempotencyRecord
from userkeep.services.messages import PreparedMessage


def prepare_append(rules: Rules, call: Call) -> list[PreparedMessage]:
    """Check messages to append, and make their index entries."""
    body: wire.AppendMessages = call.body
    return messages.prepare(rules.analyzer, body.messages)


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
    filtered = metadata_filter(call.query)
    filters = {"session_id": session_id, **filtered}
    request = page_request(call.query, filters)
    return serialize_page(
        messages.page(tx, session_id, request, **filtered),
        request,
        serialize_message,
        filters,
        number=lambda message: message.seq,
    )


def get(tx: Transaction, call: Call) -> wire.Message:
    """Return a message."""
    return serialize_message(messages.get(tx, call.ids["session_id"], call.ids["uuid"]))


def update(tx: Transaction, call: Call) -> wire.Message:
    """Update a message."""
    session_id, uuid = call.ids["session_id"], call.ids["uuid"]
    return serialize_message(messages.update(tx, session_id, uuid, call.body, merge_patch))


def delete(tx: Transaction, call: Call) -> StartedJob:
    """Delete a message."""
    session_id, uuid = call.ids["session_id"], call.ids["uuid"]
    return started_deletion(tx, call, erasures.delete_message(tx, session_id, uuid))


def serialize_message(message: Message) -> wire.Message:
    """Return a message as it is sent."""
    return wire.Message(
        seq=message.seq,
        uuid=message.uuid,
        role=message.role,
        role_type=message.role_type,  # type: ignore[arg-type]
        content=message.content,
        metadata=raw_json(message.metadata),
        data=raw_json(message.data),
        token_count=message.token_count,
        created_at=to_datetime(message.created_at),
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
}

PREPARE: dict[str, Prepare] = {"messages.append": prepare_append}
