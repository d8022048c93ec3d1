"""Memory: what a reader gets for the next prompt. Computed, not stored."""

from userkeep.domain.message import Message
from userkeep.domain.transaction import Transaction
from userkeep.services import messages


def get(tx: Transaction, session_id: str, last: int | None = None) -> list[Message]:
    """The newest messages of a session, oldest first.

    Args:
        last: how many; the instance's window where it is not said.

    Raises:
        NotFound: there is no such session. Gone: it is being deleted.
    """
    newest = messages.select(
        tx,
        session_id,
        descending=True,
        limit=tx.scope.rules.memory_window if last is None else last,
    )
    newest.reverse()
    return messages.known(tx, session_id, newest)
