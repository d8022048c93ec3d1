"""Memory: the messages for the next prompt. It is computed, not stored."""

from collections.abc import Iterator

from userkeep.domain.message import Message
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.paging import MAX_LIMIT, MAX_PAGE_BYTES
from userkeep.domain.window import Window, after_cut, fit
from userkeep.services import messages

_FIRST_BATCH = 50
"""With a limit of tokens, most of the messages that the number allows do not fit."""

_MAX_INCOMPLETE = 100
"""How many calls and results at the end are passed over, where some results are still missing.

Small, because a short window is read on the event loop.
"""


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
    at_once = limit + 1 if max_tokens is None else min(limit + 1, _FIRST_BATCH)
    newest = _Newest(tx, session_id, limit + 1 + _MAX_INCOMPLETE, at_once)
    window = fit(newest, limit=limit, max_tokens=max_tokens)
    messages.check_session_if_empty(tx, session_id, window.messages)
    return after_cut(window) if newest.has_more else window


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
    """The newest messages of a session, newest first, up to a number and the size of a page.

    Attributes:
        has_more: whether older messages were left out for one of these limits.
    """

    def __init__(self, tx: Transaction, session_id: str, limit: int, at_once: int) -> None:
        self._tx = tx
        self._session_id = session_id
        self._limit = limit
        self._at_once = at_once
        self.has_more = False

    def __iter__(self) -> Iterator[Message]:
        left, before, size_bytes = self._limit, None, 0
        wanted = self._at_once
        while not self.has_more:
            found, is_too_large = messages.select(
                self._tx, self._session_id, before=before, descending=True, limit=wanted
            )
            left -= len(found)
            size_bytes += sum(message.size_bytes for message in found)
            is_last = len(found) < wanted and not is_too_large
            yield from found
            if is_last:
                return
            self.has_more = is_too_large or size_bytes > MAX_PAGE_BYTES or left <= 0
            wanted, before = min(max(wanted, _FIRST_BATCH), left), found[-1].seq
