"""The cursor of Zep's lists, which its clients read in two ways.

Some take it for an offset (`list_chunked`: 0, 100, 200 …), some for the `id` of the last row they
saw. In a page of ours the `id` is the row's place in the list, so that both mean the same. Places
alone would leave half the users behind when a program deletes each page that it is shown: so the
door remembers, for ten minutes, after which row each next cursor goes on, and nobody is missed or
shown twice. A cursor it does not know (another server gave it out, or it is too old) is an offset.
"""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

REMEMBERED_FOR_S = 600.0
_MOST_REMEMBERED = 10_000
_MOST_OF_A_WALK = 1_000


class Walk(NamedTuple):
    """Who walks through which list in which steps."""

    project_id: int
    client: str
    listed: str
    limit: int


class _Place(NamedTuple):
    number: int
    until: float


class RememberedCursors:
    """After which row a cursor goes on, for those that this process gave out not long ago."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._places: OrderedDict[Walk, dict[int, _Place]] = OrderedDict()
        self._count = 0

    def begin(self, walk: Walk) -> None:
        """Delete a walk: it starts again."""
        self._count -= len(self._places.pop(walk, ()))

    def remember(self, walk: Walk, cursors: set[int], number: int) -> None:
        """Whoever comes back with one of these cursors goes on after this row."""
        place = _Place(number, self._clock() + REMEMBERED_FOR_S)
        places = self._places.setdefault(walk, {})
        before = len(places)
        places.update(dict.fromkeys(cursors, place))
        while len(places) > _MOST_OF_A_WALK:
            del places[next(iter(places))]
        self._count += len(places) - before
        self._places.move_to_end(walk)
        while self._count > _MOST_REMEMBERED and len(self._places) > 1:
            self.begin(next(iter(self._places)))

    def find(self, walk: Walk, cursor: int) -> int | None:
        """The number of the row after which this cursor goes on, or None."""
        place = self._places.get(walk, {}).get(cursor)
        if place is None or place.until < self._clock():
            return None
        return place.number
