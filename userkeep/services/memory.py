"""Memory: the messages for the next prompt. It is computed, not stored."""

from userkeep.domain.message import Message
from userkeep.domain.transaction import Transaction
from userkeep.services import messages


def get(tx: Transaction, session_id: str, last: int | None = None) -> list[Message]:
    """Return the newest messages of a session, oldest first; of long ones, what fits in a page.

    Args:
        session_id: the session.
        last: how many; by default the instance's memory window.

    Raises:
        NotFound: there is no such session. Gone: it is being deleted.
    """
    newest = messages.select(
        tx,
        session_id,
        descending=True,
        limit=tx.scope.rules.memory_window if last is None else last,
    ).items
    newest.reverse()
    messages.check_session_if_empty(tx, session_id, newest)
    return newest
