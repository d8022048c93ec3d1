"""The memory of a session: its handler."""

from userkeep.api.memory import GetMemory, Memory
from userkeep.domain.transaction import Transaction
from userkeep.handlers.calls import Call, Handler
from userkeep.handlers.messages import omitted_fields, serialize_message
from userkeep.services import memory


def get(tx: Transaction, call: Call) -> Memory:
    """Return the memory of a session."""
    query: GetMemory = call.query
    session_id = call.ids["session_id"]
    omit = omitted_fields(query.omit)
    window = memory.get(tx, session_id, query.last or None, query.max_tokens or None)
    return Memory(
        messages=[serialize_message(message, omit) for message in window.messages],
        token_count=window.token_count,
        truncated=window.is_truncated,
    )


HANDLERS: dict[str, Handler] = {"memory.get": get}
