"""How an instance is copied, whichever engines the source and the target have.

Each table is read once from the source, in the order of its key, and written in batches, each in a
transaction: so the target always has the beginning of every table. A copy that is continued reads
the source again from the start, for the checksums, and writes only what comes after the last key
that the target has.

From its first change to its last the target has a marker, and no instance opens it. The marker is
removed when the target, read from end to end, has turned out to be equal to the source.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from userkeep.domain.errors import StorageError
from userkeep.jobs.copy.checksums import Checksum, Checksummer
from userkeep.jobs.copy.tables import INCOMPLETE_MARKER, TABLES, USER_TABLES, Key, Row, Table
from userkeep.jobs.stopping import Stoppable

FINGERPRINT = "secret_fingerprint"

MAX_BATCH_ROWS = 2_000
MAX_BATCH_CHARACTERS = 2 * 1024 * 1024
"""Of long texts in a batch."""

START_AGAIN = "Empty the target (use a new file, database or schema) and copy again."


class Source(Protocol):
    """A database that is read, all of it as of one moment.

    Each method raises StorageError if the database fails.
    """

    place: str

    def instance_value(self, name: str) -> str | None:
        """Return a value of the table `instance`."""
        ...

    def count(self, table: Table) -> int:
        """Return the number of rows of a table."""
        ...

    def rows(self, table: Table) -> Iterable[Row]:
        """Iterate over all rows of a table, in the order of its key."""
        ...

    def sequences(self) -> dict[str, int]:
        """Return the greatest number that was ever assigned, for each numbered table."""
        ...


class Target(Source, Protocol):
    """A database that is filled; each change is one transaction."""

    def start(self, source: str) -> None:
        """Mark it as an incomplete copy of this source, and empty the table `instance`."""
        ...

    def last_key(self, table: Table) -> Key | None:
        """Return the greatest key of a table, or None if it is empty."""
        ...

    def write(self, table: Table, rows: Iterable[Row]) -> None:
        """Add rows. Raises StorageError also if they conflict with existing ones."""
        ...

    def advance_sequences(self, numbers: Mapping[str, int]) -> None:
        """Let new rows have greater numbers than these, for each table."""
        ...

    def finish(self) -> None:
        """Remove the marker: the copy is complete."""
        ...


class CopyReporter(Protocol):
    """Receives the progress of a copy, in the thread of the job."""

    def start(self, rows: int) -> None:
        """Report the number of rows that will be copied and verified in all."""
        ...

    def start_table(self, step: str, table: str) -> None:
        """Report the start of a table; the step is `copying` or `verifying`."""
        ...

    def advance(self, rows: int) -> None:
        """Report that this many more rows are done."""
        ...

    def end_table(self) -> None:
        """Report the end of the table."""
        ...


class CopiedTable(NamedTuple):
    """The checksums of a table in the source and in the target."""

    name: str
    source: Checksum
    target: Checksum

    @property
    def is_equal(self) -> bool:
        """Whether both have the same rows."""
        return self.source == self.target


class Copy(Stoppable):
    """One copy."""

    def __init__(self, source: Source, target: Target, reporter: CopyReporter) -> None:
        self._source = source
        self._target = target
        self._reporter = reporter

    def run(self) -> list[CopiedTable]:
        """Copy all tables, or continue an interrupted copy; then compare both databases.

        If they differ, the target keeps its marker.

        Raises:
            StorageError: the source cannot be copied, the target is not empty, or one of them
                failed.
            Stopped: `stop` was called; another copy into the same target continues this one.
        """
        source, target = self._source, self._target
        target.start(_check(source, target))
        # Each row is read from the source, and read again from the target.
        self._reporter.start(2 * sum(source.count(table) for table in TABLES))
        checksums = [self._copy(table) for table in TABLES]
        target.advance_sequences(source.sequences())
        tables = [
            CopiedTable(table.name, checksum, self._verify(table))
            for table, checksum in zip(TABLES, checksums, strict=True)
        ]
        if all(table.is_equal for table in tables):
            target.finish()
        return tables

    def _copy(self, table: Table) -> Checksum:
        self._reporter.start_table("copying", table.name)
        checksummer = Checksummer(table)
        last = self._target.last_key(table)
        for batch in self._batches(table, self._source.rows(table)):
            checksummer.add(batch)
            missing = _after(last, table, batch)
            if missing:
                self._target.write(table, missing)
            self._reporter.advance(len(batch))
        self._reporter.end_table()
        return checksummer.checksum

    def _verify(self, table: Table) -> Checksum:
        self._reporter.start_table("verifying", table.name)
        checksummer = Checksummer(table)
        for batch in self._batches(table, self._target.rows(table)):
            checksummer.add(batch)
            self._reporter.advance(len(batch))
        self._reporter.end_table()
        return checksummer.checksum

    def _batches(self, table: Table, rows: Iterable[Row]) -> Iterator[list[Row]]:
        for batch in _split(table, rows):
            self._check_stop()
            yield batch


def _check(source: Source, target: Target) -> str:
    """Check that the copy can start or continue; return what identifies the source."""
    fingerprint = source.instance_value(FINGERPRINT)
    if source.instance_value(INCOMPLETE_MARKER) is not None:
        raise StorageError(
            f"{source.place} is itself an incomplete copy. Complete it first, with the command "
            "that started it."
        )
    if fingerprint is None:
        raise StorageError(
            f"{source.place} was never opened with a secret: there is nothing to copy."
        )
    marker = target.instance_value(INCOMPLETE_MARKER)
    if marker is None:
        _check_is_empty(target)
    elif marker != fingerprint:
        raise StorageError(
            f"{target.place} is an incomplete copy of another instance. Continue that copy, or "
            "name another target."
        )
    return fingerprint


def _check_is_empty(target: Target) -> None:
    if target.instance_value(FINGERPRINT) is None:
        found = next((table.name for table in USER_TABLES if target.last_key(table)), None)
    else:
        found = "a secret of its own"
    if found:
        raise StorageError(
            f"{target.place} is not empty: it has {found}. The target of a copy must be a new "
            "database; nothing was changed."
        )


def _after(last: Key | None, table: Table, batch: list[Row]) -> list[Row]:
    # Text keys compare by code points, which is the order of their bytes in both engines.
    if last is None or table.key_of(batch[0]) > last:
        return batch
    return [row for row in batch if table.key_of(row) > last]


def _split(table: Table, rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    characters = 0
    for row in rows:
        batch.append(row)
        for at in table.long_at:
            characters += len(row[at] or "")  # type: ignore[arg-type]  # a long text is a text
        if len(batch) >= MAX_BATCH_ROWS or characters >= MAX_BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
