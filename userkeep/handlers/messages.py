"""Messages and the memory made of them, natively."""

from userkeep.api import wire
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.filters import read_filter
from userkeep.domain.values.metadata import merge_patch
from userkeep.handlers import shapes
from userkeep.handlers.calls import Call, Replayed, StartedJob
from userkeep.handlers.erasures import started_deletion
from userkeep.handlers.once import gone, once
from userkeep.services import erasures, memory, messages
from userkeep.services.idempotency import Made
from userkeep.services.search import Asked, find


def append(tx: Transaction, call: Call) -> wire.Messages | Replayed:
    """See `messages.append`."""
    body: wire.AppendMessages = call.body
    session_id = call.ids["session_id"]

    def perform() -> wire.Messages:
        appended = messages.append(
            tx,
            session_id,
            body.messages,
            user_id=body.user_id,
            may_open_session=body.user_id is not None,
        )
        return wire.Messages(
            session_id=session_id, messages=[shapes.message(message) for message in appended]
        )

    def again(made: Made) -> wire.Messages:
        first_seq, count = made.first_seq or 0, made.message_count or 0
        found = messages.select(tx, session_id, after=first_seq - 1, limit=count)
        if len(found) < count or found[-1].seq != first_seq + count - 1:
            raise gone()
        return wire.Messages(
            session_id=session_id, messages=[shapes.message(message) for message in found]
        )

    return once(tx, call, perform=perform, made=_made, again=again)


def list_(tx: Transaction, call: Call) -> wire.Page[wire.Message]:
    """See `messages.list`."""
    session_id = call.ids["session_id"]
    filtered = shapes.filtered(call.query)
    filters = {"session_id": session_id, **filtered}
    asked = shapes.asked_page(call.query, filters)
    return shapes.page(
        messages.page(tx, session_id, asked, **filtered),
        asked,
        shapes.message,
        filters,
        number=lambda message: message.seq,
    )


def get(tx: Transaction, call: Call) -> wire.Message:
    """See `messages.get`."""
    return shapes.message(messages.get(tx, call.ids["session_id"], call.ids["uuid"]))


def update(tx: Transaction, call: Call) -> wire.Message:
    """See `messages.update`."""
    session_id, uuid = call.ids["session_id"], call.ids["uuid"]
    return shapes.message(messages.update(tx, session_id, uuid, call.body, merge_patch))


def delete(tx: Transaction, call: Call) -> StartedJob:
    """See `messages.delete`."""
    session_id, uuid = call.ids["session_id"], call.ids["uuid"]
    return started_deletion(tx, call, erasures.delete_message(tx, session_id, uuid))


def search(tx: Transaction, call: Call) -> wire.Hits:
    """See `messages.search`."""
    body: wire.Search = call.body
    asked = Asked(
        query=body.query,
        user_id=body.user_id,
        session_id=body.session_id,
        roles=body.roles,
        role_weights={str(role): weight for role, weight in body.role_weights.items()},
        created_after_at=shapes.instant(body.created_after),
        created_before_at=shapes.instant(body.created_before),
        filter=None if body.filter is None else read_filter(body.filter),
        limit=body.limit,
        explain=body.explain,
    )
    hits = find(tx, asked)
    return wire.Hits(items=[shapes.hit(each, explain=body.explain) for each in hits])


def get_memory(tx: Transaction, call: Call) -> wire.Memory:
    """See `memory.get`."""
    query: wire.GetMemory = call.query
    newest = memory.get(tx, call.ids["session_id"], query.last or None)
    return wire.Memory(messages=[shapes.message(message) for message in newest])


def _made(result: wire.Messages) -> Made:
    return Made(
        session_id=result.session_id,
        first_seq=result.messages[0].seq,
        message_count=len(result.messages),
    )
