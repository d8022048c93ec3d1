"""The memory of a session: its handler."""

from userkeep.api.memory import GetMemory, Memory
from userkeep.domain.transaction import Transaction
from userkeep.handlers.calls import Call, Handler
from userkeep.handlers.messages import serialize_message
from userkeep.services import memory


def get(tx: Transaction, call: Call) -> Memory:
    """Return the memory of a session."""
    query: GetMemory = call.query
    newest = memory.get(tx, call.ids["session_id"], query.last or None)
    return Memory(messages=[serialize_message(message) for message in newest])


HANDLERS: dict[str, Handler] = {"memory.get": get}
