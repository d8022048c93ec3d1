"""Search for texts in the bytes of files, past the database.

A file is read piece by piece, without a snapshot and without a lock. Data that is moved within the
files during the search can be missed; jobs.verify.patterns says what is not found at all.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import compress
from pathlib import Path
from typing import NamedTuple

from userkeep.jobs.verify.patterns import Encoding, Pattern
from userkeep.storage.raw_files import OpenFile, PlainFile, RawFile

PIECE_BYTES = 1024 * 1024
"""So much of a file is in memory at a time."""

_AT_ONCE = 1024
"""Groups of bytes that are looked at in one step: no other thread waits for long."""

_GROUP = 4


class Found(NamedTuple):
    """A place in a file where a search term is.

    Attributes:
        file: its name.
        offset: of the first byte.
        search_term: its index in the list.
        encoding: how it is encoded there.
    """

    file: str
    offset: int
    search_term: int
    encoding: Encoding


class Scanner:
    """Looks for patterns in bytes. Any thread may use it."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._meanings: dict[bytes, list[Pattern]] = {}
        for pattern in patterns:
            self._meanings.setdefault(pattern.data, []).append(pattern)
        self._longest = max(map(len, self._meanings), default=0)
        self._finder = _Finder(self._meanings)

    def find(self, data: bytes) -> Iterator[tuple[int, Pattern]]:
        """Every place where a pattern is, in no order: its offset, and which pattern.

        Where two search terms have a pattern in common, there is one for each.
        """
        for offset, found in self._finder.find(data):
            for pattern in self._meanings[found]:
                yield offset, pattern

    def scan(
        self, file: RawFile, progress: Callable[[int], None] = lambda _: None
    ) -> Iterator[Found]:
        """Find every occurrence in a file, in no order.

        Args:
            progress: called with the bytes of each piece; what it raises ends the scan.

        Raises:
            OSError: the file cannot be read.
        """
        with file.open() as reading:
            for begin, fresh, data in self._pieces(reading):
                for offset, pattern in self.find(data):
                    if offset + len(pattern.data) > fresh:
                        yield Found(
                            file.name, begin + offset, pattern.search_term, pattern.encoding
                        )
                progress(len(data) - fresh)

    def _pieces(self, reading: OpenFile) -> Iterator[tuple[int, int, bytes]]:
        """Pieces that overlap, so that each pattern is in one of them whole.

        Each with its offset, and how many of its bytes were in the one before.
        """
        before, end = b"", 0
        while (left := reading.size - end) > 0:
            more = reading.read(end, min(PIECE_BYTES, left))
            if not more:
                return
            data = before + more
            yield end - len(before), len(before), data
            end += len(more)
            before = data[max(0, len(data) - self._longest + 1) :]


def scan_files(paths: Iterable[Path], folder: Path, patterns: Iterable[Pattern]) -> list[Found]:
    """Every place in some files, which are named relative to a folder; those that are gone pass."""
    scanner = Scanner(patterns)
    found: list[Found] = []
    for path in paths:
        with suppress(FileNotFoundError):
            found += scanner.scan(PlainFile(path, str(path.relative_to(folder))))
    return found


class _Finder:
    """Finds patterns in a time that hardly depends on how many they are.

    To look for each by itself takes longer from sixty patterns on, and a single text has thirty to
    a hundred. So the data is cut into groups of four bytes, and each is looked up among those that
    are the first whole group of a pattern, wherever the pattern begins within a group: after 0, 1,
    2 or 3 of its own bytes. In a pattern of six bytes there is no whole group after three; so where
    there is one so short, the data is cut once more, two bytes later.
    """

    def __init__(self, patterns: Iterable[bytes]) -> None:
        self._begins: dict[int, list[tuple[int, bytes]]] = {}
        self._cuts: Sequence[int] = (0,)
        for pattern in patterns:
            if len(pattern) < _GROUP + 3:
                self._cuts = (0, 2)
            for skipped in range(4):
                self._add(pattern, skipped)
        self._groups = frozenset(self._begins)

    def find(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        known: set[tuple[int, bytes]] = set()
        for cut in self._cuts:
            for found in self._find(data, cut):
                if len(self._cuts) == 1:
                    yield found
                elif found not in known:
                    known.add(found)
                    yield found

    def _add(self, pattern: bytes, skipped: int) -> None:
        group = pattern[skipped : skipped + _GROUP]
        if len(group) == _GROUP:
            self._begins.setdefault(_number(group), []).append((skipped, pattern))

    def _find(self, data: bytes, cut: int) -> Iterator[tuple[int, bytes]]:
        whole = (len(data) - cut) // _GROUP * _GROUP
        if whole <= 0:
            return
        groups = memoryview(data)[cut : cut + whole].cast("I")
        for first in range(0, len(groups), _AT_ONCE):
            part = groups[first : first + _AT_ONCE]
            if self._groups.isdisjoint(part):
                continue
            places = range(first, first + len(part))
            for place in compress(places, map(self._begins.__contains__, part)):
                for skipped, pattern in self._begins[groups[place]]:
                    offset = cut + place * _GROUP - skipped
                    if offset >= 0 and data.startswith(pattern, offset):
                        yield offset, pattern


def _number(group: bytes) -> int:
    number: int = memoryview(group).cast("I")[0]
    return number
