"""How an instance is copied, whichever engines are at the two ends.

Each table is read once from the source, in the order of its key, and written in batches, each of
them whole or not at all: so the target always holds the beginning of every table. A port that was
interrupted reads the source again from the start, for the checksums, and writes what comes after
the last key that the target has.

From its first change to its last the target bears a mark, with which nobody opens it. The mark goes
when the target, read from end to end, has turned out to hold what the source held.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from userkeep.domain.errors import StorageError
from userkeep.storage.porting.checksums import Checksum, Summing
from userkeep.storage.porting.tables import MARK, PEOPLES, TABLES, Key, Row, Table

FINGERPRINT = "secret_fingerprint"

MOST_ROWS = 2_000
MOST_CHARACTERS = 2 * 1024 * 1024
"""A batch is full with so many rows, or with so many characters in its long texts."""

START_ANEW = "Empty the target (a new file, a new database or schema) and port again."


class Readable(Protocol):
    """A database that can be read; all of it as it was at one moment.

    Each method raises StorageError, with a sentence.
    """

    place: str

    def instance(self, name: str) -> str | None:
        """What the instance knows of itself under a name."""
        ...

    def count(self, table: Table) -> int:
        """How many rows a table has."""
        ...

    def rows(self, table: Table) -> Iterable[Row]:
        """All rows of a table, in the order of its key, one after another."""
        ...

    def greatest_numbers(self) -> dict[str, int]:
        """For each table with row numbers, by name: the greatest that was ever given."""
        ...


class Writable(Readable, Protocol):
    """A database that can be filled; each change is whole, or has not happened."""

    def begin(self, source: str) -> None:
        """Mark it as an unfinished port of this source, and drop what it knew of itself."""
        ...

    def last_key(self, table: Table) -> Key | None:
        """The greatest key of a table; None where it is empty."""
        ...

    def write(self, table: Table, rows: Iterable[Row]) -> None:
        """Add rows. Raises StorageError also where they do not fit with those that are there."""
        ...

    def go_on_after(self, numbers: Mapping[str, int]) -> None:
        """Give no row a number that is not greater than these, by table."""
        ...

    def finish(self) -> None:
        """Take the mark away: what is there counts."""
        ...


class Progress(Protocol):
    """Somebody who is told how far it is."""

    def begin(self, rows: int) -> None:
        """So many rows will be handled in all."""
        ...

    def enter(self, doing: str, table: str) -> None:
        """A table is begun: `copying` or `verifying`."""
        ...

    def advance(self, rows: int) -> None:
        """So many rows more were handled."""
        ...

    def leave(self) -> None:
        """The table is done."""
        ...


class Ported(NamedTuple):
    """A table at both ends."""

    name: str
    source: Checksum
    target: Checksum

    @property
    def is_equal(self) -> bool:
        """Whether both hold the same."""
        return self.source == self.target


def port(source: Readable, target: Writable, progress: Progress) -> list[Ported]:
    """Copy all tables, or go on with it; then compare both ends, and let the target be used.

    Where the ends differ, the target keeps its mark.

    Raises:
        StorageError: the source is no instance that can be copied, the target is in use or
            holds something else, or one of them failed.
    """
    target.begin(_checked_source(source, target))
    # As many to write and as many to read again.
    progress.begin(2 * sum(source.count(table) for table in TABLES))
    read = [_copy(table, source, target, progress) for table in TABLES]
    target.go_on_after(source.greatest_numbers())
    ported = [
        Ported(table.name, checksum, _verify(table, target, progress))
        for table, checksum in zip(TABLES, read, strict=True)
    ]
    if all(table.is_equal for table in ported):
        target.finish()
    return ported


def _checked_source(source: Readable, target: Writable) -> str:
    """What identifies the source in the target's mark."""
    fingerprint = source.instance(FINGERPRINT)
    if source.instance(MARK) is not None:
        raise StorageError(
            f"{source.place} is an unfinished port itself: finish that one first, by running the "
            "command that began it."
        )
    if fingerprint is None:
        raise StorageError(
            f"{source.place} has never been opened with a secret: there is nothing to copy."
        )
    mark = target.instance(MARK)
    if mark is None:
        _check_is_empty(target)
    elif mark != fingerprint:
        raise StorageError(
            f"{target.place} is an unfinished port of another instance. Run that port again, "
            "or name another target."
        )
    return fingerprint


def _check_is_empty(target: Writable) -> None:
    if target.instance(FINGERPRINT) is None:
        found = next((table.name for table in PEOPLES if target.last_key(table)), None)
    else:
        found = "a secret of its own"
    if found:
        raise StorageError(
            f"{target.place} is not empty: it has {found}. A port goes into a new database alone; "
            "nothing was changed."
        )


def _copy(table: Table, source: Readable, target: Writable, progress: Progress) -> Checksum:
    progress.enter("copying", table.name)
    summing = Summing(table)
    last = target.last_key(table)
    for batch in _batches(table, source.rows(table)):
        summing.add(batch)
        missing = _after(last, table, batch)
        if missing:
            target.write(table, missing)
        progress.advance(len(batch))
    progress.leave()
    return summing.checksum


def _verify(table: Table, target: Readable, progress: Progress) -> Checksum:
    progress.enter("verifying", table.name)
    summing = Summing(table)
    for batch in _batches(table, target.rows(table)):
        summing.add(batch)
        progress.advance(len(batch))
    progress.leave()
    return summing.checksum


def _after(last: Key | None, table: Table, batch: list[Row]) -> list[Row]:
    # Text keys compare by code points, which is the order of their bytes in both engines.
    if last is None or table.key_of(batch[0]) > last:
        return batch
    return [row for row in batch if table.key_of(row) > last]


def _batches(table: Table, rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    characters = 0
    for row in rows:
        batch.append(row)
        for at in table.long_at:
            characters += len(row[at] or "")  # type: ignore[arg-type]  # a long text is a text
        if len(batch) >= MOST_ROWS or characters >= MOST_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
