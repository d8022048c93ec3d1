"""Opening the deletion ledger of a database: which of the two has what the other has not.

What the ledger lacks is added from the database: a deletion whose process ended between its commit
and its entry. What the database lacks was deleted after the backup that it was restored from: then
it is not used before `jobs.replay` has deleted it again.
"""

import logging
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice, takewhile
from pathlib import Path

from userkeep.domain.errors import StorageError
from userkeep.domain.ledger import (
    Deleted,
    Entry,
    EntryKey,
    LedgerFormat,
    LedgerMark,
    LedgerSubject,
    entry_key,
    ledger_key,
)
from userkeep.domain.values.counts import pluralize
from userkeep.domain.values.times import MAX_CLOCK_ERROR_US, Instant
from userkeep.jobs.steps import Read, Steps, Work, Write
from userkeep.services import ledger
from userkeep.services.ledger import (
    AssignedSession,
    DocumentDeletion,
    Moment,
    RecordedErasure,
    UserToDelete,
    deleted_with_user,
)
from userkeep.storage.engine import Engine
from userkeep.storage.ledger import Ledger, LedgerFile, NoLedger

logger = logging.getLogger(__name__)

_BATCH = 5_000


class DatabaseIsOlder(StorageError):
    """The database lacks erasures which its ledger has: it was restored from a backup."""


NOTHING_SEEN = LedgerMark("", 1, 1, 0, Instant(0))
"""Before the first deletion."""


def ledger_format(engine: Engine) -> LedgerFormat:
    """Return how the ledgers of a database are read and written."""
    found = engine.read(ledger.identity)
    return LedgerFormat(ledger_key(found.key, found.fingerprint), found.created_at)


def find_ledger(engine: Engine, path: Path) -> LedgerFile:
    """Return the ledger of a database at a path, without looking at the file."""
    return LedgerFile(path, ledger_format(engine))


def lost_entries(engine: Engine, file: LedgerFile) -> int:
    """Return how many entries the database knows of that its ledger does not have any more."""
    marks = engine.read(ledger.marks)
    if file.exists():
        mark = marks.get(file.header().ledger_uuid, NOTHING_SEEN)
        return max(mark.length - file.length(), 0)
    # Each of several servers has a ledger of its own, at a place of its own.
    of_place = [mark.length - 1 for mark in marks.values() if mark.place == file.place]
    return max(of_place, default=0)


def check_is_current(engine: Engine, file: LedgerFile) -> None:
    """Reject a database that lacks erasures which its ledger has.

    Raises:
        DatabaseIsOlder: with what to do. StorageError: the file cannot be read.
    """
    if not file.exists():
        return
    mark = engine.read(ledger.marks).get(file.header().ledger_uuid, NOTHING_SEEN)
    missing = {entry.key for entry in file.read(mark.seen)}
    for each in (mark, NOTHING_SEEN):
        # From the beginning: an entry may be written long after its erasure began.
        if missing:
            missing.difference_update(keys_after(engine, file.format, each))
    if missing:
        raise DatabaseIsOlder(
            "This database is older than its deletion ledger, so it was restored from a backup: "
            f"{file.path} has later deletions ({len(missing):,}). Run `userkeep replay-erasures` "
            "with the same settings; it deletes again what was deleted since then. For a copy that "
            "is used beside the original, set USERKEEP_LEDGER_FILE to another path."
        )


def complete_ledger(engine: Engine, file: LedgerFile) -> LedgerMark:
    """Add the erasures of the database that its ledger lacks; return the new mark, which is stored.

    Raises:
        StorageError: the file cannot be read or written.
    """
    marks = engine.read(ledger.marks)
    if not file.exists():
        return _begin(engine, file, marks)
    mark = marks.get(file.header().ledger_uuid, NOTHING_SEEN)
    if file.length() < mark.length:
        logger.error(
            "the deletion ledger %s has lost %s at its end; it is completed from the "
            "database. Replay a copy of it if the database was restored",
            file.path,
            pluralize(mark.length - file.length(), "line"),
        )
        mark = NOTHING_SEEN
    now = engine.read(ledger.moment)
    known = _keys(file.read(mark.seen))
    projects = _keys(_deleted_projects(engine, file.format, mark)) - known
    known |= _find_before(file, mark.seen, projects)
    _add_missing(file, known, _entries(engine, file.format, mark))
    return store_mark(engine, file, now)


def store_mark(engine: Engine, file: LedgerFile, moment: Moment) -> LedgerMark:
    """Let the database remember that it has all that its ledger has now; return the mark.

    Args:
        moment: as it was before the ledger was completed, and while no deletion was running.
    """
    length, uuid = file.length(), file.header().ledger_uuid
    mark = _mark_at(file, length, moment)
    known = engine.read(ledger.marks).get(uuid, NOTHING_SEEN)
    if known._replace(at=mark.at) != mark:
        engine.write(lambda tx: ledger.set_mark(tx, uuid, mark))
    return mark


class OpenLedger:
    """The ledger of an open database.

    Args:
        file: records deletions.
        mark: what the database knows of it; None if it is not a file.

    Attributes:
        is_database_older: whether the database had turned out to be older when it was last
            compared with its ledger.
    """

    def __init__(self, file: Ledger, mark: LedgerMark | None = None) -> None:
        self.file = file
        self._mark = mark
        self.is_database_older = False

    @property
    def is_off(self) -> bool:
        """Whether there is no ledger: it is turned off, or the database is in memory."""
        return isinstance(self.file, NoLedger)

    def keep_mark(self) -> Steps[None]:
        """Store a new mark, if anything was deleted since the last one.

        The erasures up to a number are in the ledger only when those that had begun by then are
        recorded. So each mark has the number of the moment before it. What is not recorded even
        then is what another server with this ledger has left behind; it is added.

        Raises:
            DatabaseIsOlder: the database was restored from a backup while this process used it.
                Then no mark is stored: it would hide from the next start what has to be replayed.
            StorageError: the file cannot be read or written.
        """
        now: Moment = yield Read(ledger.moment)
        file, last = self.file, self._mark
        if not isinstance(file, LedgerFile) or last is None or not file.exists():
            return
        try:
            yield Work(lambda engine: check_is_current(engine, file))
        except DatabaseIsOlder:
            self.is_database_older = True
            raise
        self.is_database_older = False
        length, uuid = file.length(), file.header().ledger_uuid
        if length == last.length:
            return
        if length < last.length:
            # Now, because nothing would show it once there are as many lines again.
            self._mark = yield Work(lambda engine: complete_ledger(engine, file))
            return
        yield Work(lambda engine: _add_late(engine, file, last))
        mark = last._replace(length=length, seen=last.length)
        yield Write(lambda tx: ledger.set_mark(tx, uuid, mark))
        self._mark = _mark_at(file, length, now)


NO_LEDGER = OpenLedger(NoLedger())


def open_ledger(engine: Engine, path: Path | None, *, is_replayed: bool = True) -> OpenLedger:
    """Open the ledger of a database, and complete it.

    Args:
        path: of the file; None for no ledger.
        is_replayed: whether the database must have all deletions of the ledger. Not for a replay.

    Raises:
        StorageError: the database is older than the ledger, or the file cannot be used.
    """
    if path is None:
        return NO_LEDGER
    file = find_ledger(engine, path)
    if is_replayed:
        check_is_current(engine, file)
        return OpenLedger(file, complete_ledger(engine, file))
    file.may_be_created()
    return OpenLedger(file)


def _begin(engine: Engine, file: LedgerFile, marks: dict[str, LedgerMark]) -> LedgerMark:
    """Begin a ledger where there is none: with its first entry, or with all of the database."""
    file.check_can_be_written()
    file.may_be_created()
    lost = [mark for mark in marks.values() if mark.place == file.place]
    if lost:
        logger.error(
            "the deletion ledger %s is gone; it had %s. A new one is made from the "
            "database. If the database was restored from a backup, those who were deleted since "
            "then are in it again: stop, and replay a copy of the ledger",
            file.path,
            pluralize(max(mark.length for mark in lost) - 1, "entry"),
        )
    now = engine.read(ledger.moment)
    if not now.number and not now.documents and not engine.read(ledger.deleted_projects):
        return LedgerMark(file.place, 0, 0, 0, now.at)
    file.create()
    _add_missing(file, set(), _entries(engine, file.format, NOTHING_SEEN))
    return store_mark(engine, file, now)


def _mark_at(file: LedgerFile, length: int, moment: Moment) -> LedgerMark:
    return LedgerMark(
        file.place, length, length, moment.number, moment.at, documents=moment.documents
    )


def _add_late(engine: Engine, file: LedgerFile, last: LedgerMark) -> None:
    """Add what the ledger lacks of the deletions since the stored mark, up to another mark."""
    mark = engine.read(ledger.marks).get(file.header().ledger_uuid, NOTHING_SEEN)
    known = _keys(file.read(mark.seen))
    erasures = takewhile(
        lambda each: each.number <= last.number, erasures_after(engine, mark.number)
    )
    documents = takewhile(
        lambda each: each.number <= last.documents,
        document_deletions_after(engine, mark.documents),
    )
    entries = chain(
        _entries_of(engine, erasures, file.format), _entries_of_documents(documents, file.format)
    )
    _add_missing(file, known, entries)


def _add_missing(file: LedgerFile, known: set[EntryKey], entries: Iterator[Entry]) -> None:
    """Add the entries that are not known."""
    batch: list[Entry] = []
    for entry in entries:
        if entry.key not in known:
            batch.append(entry)
        if len(batch) == _BATCH:
            file.add(batch)
            batch = []
    if batch or not file.length():
        file.add(batch)


def _keys(entries: Iterable[Entry]) -> set[EntryKey]:
    """Return by what the erasures of entries are recognized.

    Without those of sessions that come before their user's entry: the process may have ended there.
    """
    return {entry.key for entry in entries if not entry.is_of_user}


def _find_before(file: LedgerFile, line: int, wanted: set[EntryKey]) -> set[EntryKey]:
    """Return which entries are above a line; from there upwards, because most are near it."""
    found: set[EntryKey] = set()
    while found != wanted and line > 1:
        first = max(line - _BATCH, 1)
        found |= _keys(islice(file.read(first), line - first)) & wanted
        line = first
    return found


def _entries(engine: Engine, format_: LedgerFormat, mark: LedgerMark) -> Iterator[Entry]:
    """Iterate over the entries that a complete ledger has, of what was deleted after a mark."""
    yield from _deleted_projects(engine, format_, mark)
    yield from _entries_of(engine, erasures_after(engine, mark.number), format_)
    yield from _entries_of_documents(document_deletions_after(engine, mark.documents), format_)


def _entries_of(
    engine: Engine, erasures: Iterable[RecordedErasure], format_: LedgerFormat
) -> Iterator[Entry]:
    rest = iter(erasures)
    while page := list(islice(rest, ledger.PAGE)):
        first, last = page[0].number, page[-1].number
        find = partial(ledger.erasures_with_deleted_sessions, first=first, last=last)
        with_sessions = set(engine.read(find))
        for erasure in page:
            if not erasure.has_entry:
                continue
            is_running = erasure.user is not None
            if is_running or erasure.number in with_sessions:
                for uuid in _sessions_of(engine, erasure):
                    deleted = deleted_with_user(uuid, erasure.subject_uuid, erasure.started_at)
                    yield format_.entry(deleted)
            subject = LedgerSubject(erasure.subject)
            yield format_.entry(Deleted(subject, erasure.subject_uuid, erasure.started_at))


def _entries_of_documents(
    deletions: Iterable[DocumentDeletion], format_: LedgerFormat
) -> Iterator[Entry]:
    return (format_.entry(each.deleted) for each in deletions if each.has_entry)


def _sessions_of(engine: Engine, erasure: RecordedErasure) -> Iterator[str]:
    """Iterate over the uuids of sessions that began without a user and are deleted with theirs."""
    if erasure.user is not None:
        yield from (session.uuid for session in assigned_sessions(engine, erasure.user))
    # After those that are there, because they are being deleted.
    uuid = ledger.FIRST_UUID
    find = partial(ledger.deleted_sessions_after, number=erasure.number)
    while page := engine.read(partial(find, uuid=uuid)):
        yield from page
        uuid = page[-1]


def _deleted_projects(engine: Engine, format_: LedgerFormat, mark: LedgerMark) -> Iterator[Entry]:
    """Iterate over the entries of projects, also of those of another server's late clock."""
    for project in engine.read(ledger.deleted_projects):
        if project.started_at > mark.at - MAX_CLOCK_ERROR_US or mark is NOTHING_SEEN:
            deleted = Deleted(LedgerSubject.PROJECT, project.uuid, project.started_at)
            yield format_.entry(deleted)


def assigned_sessions(engine: Engine, user: UserToDelete) -> Iterator[AssignedSession]:
    """Iterate over the sessions of a user that began without one, as far as they are there."""
    number = 0
    find = partial(ledger.assigned_sessions_after, user=user)
    while page := engine.read(partial(find, number=number)):
        yield from page
        number = page[-1].number


def erasures_after(engine: Engine, number: int) -> Iterator[RecordedErasure]:
    """Iterate over the erasures of all projects after a number."""
    while page := engine.read(partial(ledger.erasures_after, number=number)):
        yield from page
        number = page[-1].number


def document_deletions_after(engine: Engine, number: int) -> Iterator[DocumentDeletion]:
    """Iterate over the deletions of documents and collections of all projects after a number."""
    while page := engine.read(partial(ledger.document_deletions_after, number=number)):
        yield from page
        number = page[-1].number


def keys_after(engine: Engine, format_: LedgerFormat, mark: LedgerMark) -> Iterator[EntryKey]:
    """Iterate over the keys of deleted projects, and of what was deleted after a mark."""
    for project in engine.read(ledger.deleted_projects):
        yield entry_key(LedgerSubject.PROJECT, format_.hash_of(project.uuid), project.started_at)
    for erasure in erasures_after(engine, mark.number):
        hashed = format_.hash_of(erasure.subject_uuid)
        yield entry_key(erasure.subject, hashed, erasure.started_at)
    for deletion in document_deletions_after(engine, mark.documents):
        yield format_.entry(deletion.deleted).key
