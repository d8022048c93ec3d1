"""Build the full-text index again, and compare it with the messages.

The index is built where there is none (after a copy), where it was built by other rules, and where
a comparison has found that it does not fit. Both go session by session, a batch in each
transaction, and `jobs.index` repeats them until they are done.
"""

from collections.abc import Iterator

import msgspec

from userkeep.domain.errors import StorageError
from userkeep.domain.message import FIRST_SEQ
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.search.entries import IndexEntry, make_entry
from userkeep.domain.search.index import EntryDigest
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import encode_json

BATCH_MS = 100
"""Longer than other batches: there are no other writers during a build."""

_SESSIONS_AT_ONCE = 50
_MESSAGES_AT_ONCE = 500


class IndexedSession(msgspec.Struct):
    """A session as the index needs it."""

    number: int
    project_id: int
    session_id: str
    search_scope: int
    total_length: int


class _Stored(msgspec.Struct):
    seq: int
    name: str
    role: str
    content: str
    word_count: int


class IndexBuild(msgspec.Struct):
    """A build that is under way, as the instance stores it.

    Attributes:
        version: of the rules by which the index is built; see `Analyzer.version`.
        after: the number of the last session that is indexed.
    """

    version: str
    after: int = 0


class Batch(msgspec.Struct):
    """What one batch of a build or of a comparison did.

    Attributes:
        after: the number of the last session that is done.
        messages: how many messages the batch had.
        expected: the entries that the index must have for them, if only the whole index can be
            compared.
        is_done: whether no session is left.
        faults: the `session_id`s of sessions whose messages are not indexed as expected.
    """

    after: int
    messages: int = 0
    expected: EntryDigest = msgspec.field(default_factory=EntryDigest)
    is_done: bool = False
    faults: list[str] = msgspec.field(default_factory=list)


def version(tx: Transaction) -> str | None:
    """Return the rules by which the index was built; None if there is no complete index."""
    return tx.fetch_one("get_index_version", str)


def check_language(tx: Transaction, rules: Rules) -> None:
    """Reject an index that was built for another language.

    Raises:
        StorageError: saying what to do.
    """
    built_by = version(tx)
    if built_by is None or built_by.partition(" ")[0] == rules.analyzer.language.name:
        return
    raise StorageError(
        f"This database is indexed as {built_by.partition(' ')[0]}, but USERKEEP_SEARCH_LANGUAGE "
        f"is {rules.analyzer.language.name}. Change it back, or rebuild the index with `userkeep "
        "doctor --deep`."
    )


def check_version(tx: Transaction, rules: Rules) -> None:
    """Reject an index that is incomplete or was built by other rules; a reader cannot rebuild it.

    Raises:
        StorageError: with what to do.
    """
    if version(tx) != rules.analyzer.version:
        raise StorageError(
            "The search index of this database is incomplete, or was built by another version of "
            "Userkeep. Run `userkeep migrate` to rebuild it."
        )


def begin(tx: Transaction, rules: Rules) -> IndexBuild:
    """Start a build, or return the one that was interrupted."""
    stored = tx.fetch_one("get_index_build", str)
    build = msgspec.json.decode(stored, type=IndexBuild) if stored else None
    if build is not None and build.version == rules.analyzer.version:
        return build
    build = IndexBuild(rules.analyzer.version)
    tx.defer("drop_index_version")
    tx.search_index.clear()
    _store(tx, build)
    return build


def discard(tx: Transaction) -> None:
    """Discard the index and any build of it, so that the next build starts from the beginning."""
    tx.defer("drop_index_version")
    tx.defer("drop_index_build")


def advance(tx: Transaction, rules: Rules, build: IndexBuild) -> Batch:
    """Index a batch of sessions, at least one if any is left."""
    batch = Batch(build.after)
    for session in _sessions(tx, build.after):
        batch.messages += _index(tx.in_scope(Scope(session.project_id, rules)), session)
        batch.after = session.number
        if tx.spent_ms() > BATCH_MS:
            break
    if batch.after == build.after:
        batch.is_done = True
        tx.defer("drop_index_build")
        tx.defer("set_index_version", value=build.version)
    else:
        _store(tx, IndexBuild(build.version, batch.after))
    return batch


def compare(tx: Transaction, rules: Rules, after: int) -> Batch:
    """Compare a batch of sessions with the index, at least one if any is left.

    Args:
        after: the number of the last session that was compared.
    """
    batch = Batch(after)
    for session in _sessions(tx, after):
        if not _is_indexed(tx.in_scope(Scope(session.project_id, rules)), session, batch):
            batch.faults.append(session.session_id)
        batch.after = session.number
        if tx.spent_ms() > BATCH_MS:
            break
    batch.is_done = batch.after == after
    return batch


def _sessions(tx: Transaction, after: int) -> list[IndexedSession]:
    tx.see_all_projects()
    return tx.fetch_all("sessions_to_index", IndexedSession, after=after, limit=_SESSIONS_AT_ONCE)


def _messages(tx: Transaction, session: IndexedSession) -> Iterator[list[_Stored]]:
    next_seq = FIRST_SEQ
    while rows := tx.fetch_all(
        "messages_to_index",
        _Stored,
        session_id=session.session_id,
        from_seq=next_seq,
        limit=_MESSAGES_AT_ONCE,
    ):
        yield rows
        next_seq = rows[-1].seq + 1


def _entries(tx: Transaction, rows: list[_Stored]) -> list[tuple[int, IndexEntry]]:
    analyzer = tx.scope.rules.analyzer
    return [(row.seq, make_entry(analyzer, row.name, row.role, row.content)) for row in rows]


def _length(entries: list[tuple[int, IndexEntry]]) -> int:
    """Return the length for ranking, of which messages that are being deleted are no part."""
    return sum(entry.length for seq, entry in entries if seq > 0)


def _index(tx: Transaction, session: IndexedSession) -> int:
    """Index a session; return how many messages it has."""
    count, total_length = 0, 0
    for rows in _messages(tx, session):
        entries = _entries(tx, rows)
        tx.search_index.put(session.session_id, session.search_scope, entries)
        count += len(entries)
        total_length += _length(entries)
    tx.defer("set_total_length", session_id=session.session_id, total_length=total_length)
    return count


def _is_indexed(tx: Transaction, session: IndexedSession, batch: Batch) -> bool:
    total_length, is_indexed = 0, True
    for rows in _messages(tx, session):
        entries = _entries(tx, rows)
        is_indexed &= tx.search_index.compare(
            session.session_id, session.search_scope, entries, batch.expected
        )
        is_indexed &= [row.word_count for row in rows] == [each.word_count for _, each in entries]
        total_length += _length(entries)
        batch.messages += len(rows)
    return is_indexed and total_length == session.total_length


def _store(tx: Transaction, build: IndexBuild) -> None:
    tx.defer("set_index_build", value=encode_json(build).decode())
