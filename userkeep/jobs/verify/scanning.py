"""Search for texts in the bytes of files, past the database.

A file is read piece by piece, without a snapshot and without a lock. Data that is moved within the
files during the search can be missed; jobs.verify.patterns says what is not found at all.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from userkeep.jobs.verify.finder import Finder
from userkeep.jobs.verify.patterns import Encoding, Pattern
from userkeep.storage.raw_files import OpenFile, PlainFile, RawFile

PIECE_BYTES = 1024 * 1024
"""So much of a file is in memory at a time."""


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
        self._finder = Finder(self._meanings)

    def find(
        self, data: bytes, check: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[int, Pattern]]:
        """Every place where a pattern is, in no order: its offset, and which pattern.

        Where two search terms have a pattern in common, there is one for each. Of a pattern that is
        in more than MAX_MATCHES places, there are so many.

        Args:
            check: called every few milliseconds; what it raises ends the search.
        """
        for offset, found in self._finder.find(data, check):
            for pattern in self._meanings[found]:
                yield offset, pattern

    def scan(
        self,
        file: RawFile,
        progress: Callable[[int], None] = lambda _: None,
        check: Callable[[], None] = lambda: None,
    ) -> Iterator[Found]:
        """Find every occurrence in a file, in no order.

        Args:
            progress: called with the bytes of each piece; what it raises ends the scan.
            check: called every few milliseconds; so does what it raises.

        Raises:
            OSError: the file cannot be read.
        """
        with file.open() as reading:
            for begin, fresh, data in self._pieces(reading):
                for offset, pattern in self.find(data, check):
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
