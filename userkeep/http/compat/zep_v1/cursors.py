"""The cursors of Zep's lists.

Zep's clients read a cursor in two ways: as an offset (`list_chunked`: 0, 100, 200 …) or as the `id`
of the last row they received. Here the `id` in a page is the row's position in the list, so both
give the same page. But positions shift when a program deletes the rows of each page it receives,
and the next offset would then skip rows. So the API remembers for ten minutes after which row each
next cursor starts. No row is skipped or repeated. An unknown cursor (expired, or given by another
server) is an offset.
"""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

CURSOR_TTL_S = 600.0
_MAX_CURSORS = 10_000
_MAX_CURSORS_PER_SESSION = 1_000


class PagingSession(NamedTuple):
    """A client that pages through one list with one limit."""

    project_id: int
    client: str
    list_name: str
    limit: int


class _Position(NamedTuple):
    number: int
    expires_at: float


class CursorCache:
    """The rows after which the recent cursors of this process start."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._sessions: OrderedDict[PagingSession, dict[int, _Position]] = OrderedDict()
        self._count = 0

    def reset(self, session: PagingSession) -> None:
        """Drop the cursors of a session that starts again."""
        self._count -= len(self._sessions.pop(session, ()))

    def add(self, session: PagingSession, cursors: set[int], number: int) -> None:
        """Let cursors of a session start after the row with this number."""
        position = _Position(number, self._clock() + CURSOR_TTL_S)
        positions = self._sessions.setdefault(session, {})
        before = len(positions)
        positions.update(dict.fromkeys(cursors, position))
        while len(positions) > _MAX_CURSORS_PER_SESSION:
            del positions[next(iter(positions))]
        self._count += len(positions) - before
        self._sessions.move_to_end(session)
        # The least recently used sessions go first.
        while self._count > _MAX_CURSORS and len(self._sessions) > 1:
            self.reset(next(iter(self._sessions)))

    def find(self, session: PagingSession, cursor: int) -> int | None:
        """Return the number of the row after which a cursor starts; None if it is unknown."""
        position = self._sessions.get(session, {}).get(cursor)
        if position is None or position.expires_at < self._clock():
            return None
        return position.number
