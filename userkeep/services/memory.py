"""Memory: the messages for the next prompt. It is computed, not stored."""

from collections.abc import Iterator

from userkeep.domain.message import Message
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.paging import MAX_LIMIT, MAX_PAGE_BYTES
from userkeep.domain.window import Window, fit
from userkeep.services import messages

_FIRST_BATCH = 50
"""With a limit of tokens, most of the messages that the number allows do not fit."""


def get(
    tx: Transaction, session_id: str, last: int | None = None, max_tokens: int | None = None
) -> Window:
    """Return the newest messages of a session that fit, and with which a prompt can begin.

    Args:
        session_id: the session.
        last: how many messages; by default the instance's memory window, or with `max_tokens` as
            many as fit, at most MAX_LIMIT.
        max_tokens: how many tokens they may have together.

    Raises:
        NotFound: there is no such session. Gone: it is being deleted.
    """
    limit = last or (tx.scope.rules.memory_window if max_tokens is None else MAX_LIMIT)
    newest = _Newest(tx, session_id, limit + 1, is_in_batches=max_tokens is not None)
    window = fit(newest, limit=limit, max_tokens=max_tokens)
    messages.check_session_if_empty(tx, session_id, window.messages)
    return window._replace(is_truncated=window.is_truncated or newest.has_more)


def newest(tx: Transaction, session_id: str, last: int | None = None) -> list[Message]:
    """Return the newest messages of a session, oldest first; of long ones, what fits in a page.

    Args:
        session_id: the session.
        last: how many; by default the instance's memory window.

    Raises:
        NotFound: there is no such session. Gone: it is being deleted.
    """
    limit = tx.scope.rules.memory_window if last is None else last
    found = messages.select(tx, session_id, descending=True, limit=limit).items
    found.reverse()
    messages.check_session_if_empty(tx, session_id, found)
    return found


class _Newest:
    """The newest messages of a session, newest first, up to the size of a page.

    Attributes:
        has_more: whether messages were left out because of their size.
    """

    def __init__(
        self, tx: Transaction, session_id: str, limit: int, *, is_in_batches: bool
    ) -> None:
        self._tx = tx
        self._session_id = session_id
        self._limit = limit
        self._at_once = _FIRST_BATCH if is_in_batches else limit
        self.has_more = False

    def __iter__(self) -> Iterator[Message]:
        left, before, size_bytes = self._limit, None, 0
        while left > 0 and not self.has_more:
            wanted = min(self._at_once, left)
            found, self.has_more = messages.select(
                self._tx, self._session_id, before=before, descending=True, limit=wanted
            )
            yield from found
            if self.has_more or len(found) < wanted:
                return
            left, before = left - wanted, found[-1].seq
            size_bytes += sum(message.size_bytes for message in found)
            self.has_more = size_bytes > MAX_PAGE_BYTES and left > 0
