"""Find many patterns in bytes, in a time that hardly depends on how many they are, or how alike."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from typing import NamedTuple

MAX_MATCHES = 1000
"""Of a pattern in one piece of data; further ones say nothing new, and take time."""

_GROUP = 4
_AT_ONCE = 1024
"""Groups that are looked at in one step: no other thread waits for long."""

_FEW = 4


class _Place(NamedTuple):
    """Where a group is in a pattern: so many bytes after its begin, or before its end."""

    distance: int
    is_from_end: bool


class Finder:
    """Finds patterns of at least six bytes.

    To look for each by itself takes longer from sixty patterns on, and a single text has thirty to
    a hundred. So the data is cut into groups of four bytes, and each is looked up among the groups
    of the patterns: one for each of the cuts of a pattern: after 0, 1, 2 or 3 of its
    bytes. In a pattern of six bytes there is no whole group after three; so where there is one so
    short, the data is cut once more, two bytes later.

    A group is taken from the begin of a pattern or from its end, whichever is less uniform: data
    has many runs of spaces. Patterns with the same group in the same place are sorted, so that all
    that begin (or end) alike are compared in one binary search.
    """

    def __init__(self, patterns: Iterable[bytes]) -> None:
        places: dict[int, dict[_Place, list[bytes]]] = {}
        self._cuts: Sequence[int] = (0,)
        for pattern in patterns:
            if len(pattern) < _GROUP + 3:
                self._cuts = (0, 2)
            for skipped in range(min(_GROUP, len(pattern) - _GROUP + 1)):
                group, place = _distinctive_group(pattern, skipped)
                places.setdefault(_number(group), {}).setdefault(place, []).append(pattern)
        self._families = {
            group: [_Family(place, members) for place, members in of_group.items()]
            for group, of_group in places.items()
        }
        self._groups = frozenset(self._families)

    def find(
        self, data: bytes, check: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield the matches with their offsets, each once, up to MAX_MATCHES of each pattern.

        Args:
            check: called every few milliseconds; what it raises ends the search.
        """
        known: set[tuple[int, bytes]] = set()
        counts: Counter[bytes] = Counter()
        for cut in self._cuts:
            for found in self._find(data, cut, counts, check):
                if len(self._cuts) > 1:
                    if found in known:
                        continue
                    known.add(found)
                counts[found[1]] += 1
                yield found

    def _find(
        self, data: bytes, cut: int, counts: Counter[bytes], check: Callable[[], None]
    ) -> Iterator[tuple[int, bytes]]:
        whole = (len(data) - cut) // _GROUP * _GROUP
        if whole <= 0:
            return
        groups = memoryview(data)[cut : cut + whole].cast("I")
        for first in range(0, len(groups), _AT_ONCE):
            check()
            part = groups[first : first + _AT_ONCE]
            if self._groups.isdisjoint(part):
                continue
            places = range(first, first + len(part))
            for place in compress(places, map(self._families.__contains__, part)):
                for family in self._families[groups[place]]:
                    for offset, pattern in family.find(data, cut + place * _GROUP):
                        if counts[pattern] < MAX_MATCHES:
                            yield offset, pattern


class _Family:
    """Patterns that have the same group in the same place."""

    def __init__(self, place: _Place, members: Sequence[bytes]) -> None:
        self._place = place
        self._longest = max(map(len, members))
        self._members = tuple(members) if len(members) <= _FEW else ()
        # Of those at whose end the group is, ends are compared: they are sorted back to front.
        keys = [member[::-1] if place.is_from_end else member for member in members]
        self._keys = sorted(keys)
        self._chains = _chains(self._keys)

    def find(self, data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
        """Yield the members of which the group at an offset is a part, with their offsets."""
        if self._members:
            return self._find_each(data, at)
        if self._place.is_from_end:
            return self._find_before(data, at + self._place.distance)
        return self._find_from(data, at - self._place.distance)

    def _find_each(self, data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
        distance, is_from_end = self._place
        for pattern in self._members:
            offset = at + distance - len(pattern) if is_from_end else at - distance
            if offset >= 0 and data.startswith(pattern, offset):
                yield offset, pattern

    def _find_before(self, data: bytes, end: int) -> Iterator[tuple[int, bytes]]:
        if end <= len(data):
            for key in self._prefixes(data[max(0, end - self._longest) : end][::-1]):
                yield end - len(key), key[::-1]

    def _find_from(self, data: bytes, begin: int) -> Iterator[tuple[int, bytes]]:
        if begin >= 0:
            for key in self._prefixes(data[begin : begin + self._longest]):
                yield begin, key

    def _prefixes(self, text: bytes) -> Sequence[bytes]:
        """Return the keys that a text begins with.

        The longest of them, and all that follow it up to the text itself, begin alike. So it is the
        last key that is not greater than the text, or one that this key begins with.
        """
        index = bisect_right(self._keys, text)
        if index == 0:
            return ()
        chain = self._chains[index - 1]
        for number, key in enumerate(chain):
            if text.startswith(key):
                return chain[number:]
        return ()


def _chains(keys: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """Return for each of the sorted keys itself and all keys that it begins with, longest first."""
    chains: list[tuple[bytes, ...]] = []
    for key in keys:
        before = chains[-1] if chains else ()
        chains.append((key, *(each for each in before if key.startswith(each))))
    return chains


def _distinctive_group(pattern: bytes, skipped: int) -> tuple[bytes, _Place]:
    """Return the less uniform of the first and the last whole group after some bytes."""
    first = pattern[skipped : skipped + _GROUP]
    last_at = skipped + (len(pattern) - skipped - _GROUP) // _GROUP * _GROUP
    last = pattern[last_at : last_at + _GROUP]
    if len(set(last)) > len(set(first)):
        return last, _Place(len(pattern) - last_at, is_from_end=True)
    return first, _Place(skipped, is_from_end=False)


def _number(group: bytes) -> int:
    number: int = memoryview(group).cast("I")[0]
    return number
