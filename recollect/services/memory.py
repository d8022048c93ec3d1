"""Memory: what a reader gets for the next prompt. Computed, not stored."""

from recollect.domain.message import Message
from recollect.domain.scope import Scope
from recollect.domain.transaction import Transaction
from recollect.services import messages


def get(tx: Transaction, scope: Scope, session_id: str, last: int | None = None) -> list[Message]:
    """The newest messages of a session, oldest first.

    Args:
        last: how many; the installation's window where it is not said.

    Raises:
        NotFound: there is no such session. Gone: it is being erased.
    """
    newest = messages.select(
        tx,
        scope,
        session_id,
        descending=True,
        limit=scope.rules.memory_window if last is None else last,
    )
    newest.reverse()
    return messages.known(tx, scope, session_id, newest)
