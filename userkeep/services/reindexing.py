"""Making the index of words anew, and comparing it with the messages.

It is made anew where there is none yet (after an upgrade, after a port), where it was made by other
rules, and where somebody has found that it does not fit. Both go session by session, in batches;
whoever calls this goes on until nothing is left, and may show how far it is.
"""

from collections.abc import Iterator

import msgspec

from userkeep.domain.errors import StorageError
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.search.entries import IndexEntry, make_entry
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import encode_json
from userkeep.services import indexing

BATCH_MS = 100
"""Nobody is served meanwhile, or readers alone."""

_SESSIONS_AT_ONCE = 50
_MESSAGES_AT_ONCE = 500
_ENTRIES_AT_ONCE = 50_000

ROW_BITS = 34
"""Of a row in the index that is the message's own; those above are its scope. See the migration."""


class IndexedSession(msgspec.Struct):
    """A session as the index sees it; `number` is that of its creation."""

    number: int
    project_id: int
    session_id: str
    search_scope: int
    total_length: int


class _Stored(msgspec.Struct):
    seq: int
    role: str
    role_type: str
    content: str
    word_count: int
    row: int


class _WordsOfMessage(msgspec.Struct):
    seq: int
    words: str | None


class _Entry(msgspec.Struct):
    word: str
    row: int


class Making(msgspec.Struct):
    """An index that is being made, in the instance's own row.

    Attributes:
        version: of the rules by which it is made; see domain.search.analyzer.
        after: the number of the last session that is in it.
    """

    version: str
    after: int = 0


class Entries(msgspec.Struct):
    """Entries of an index, in no order: how many, and a sum that tells them from others.

    The sum is of this process alone: Python's hashes of texts are different in each.
    """

    count: int = 0
    checksum: int = 0

    def add(self, word: str, row: int) -> None:
        """One more."""
        self.count += 1
        self.checksum = (self.checksum + hash((word, row))) & 0xFFFFFFFFFFFFFFFF

    def __iadd__(self, other: "Entries") -> "Entries":
        self.count += other.count
        self.checksum = (self.checksum + other.checksum) & 0xFFFFFFFFFFFFFFFF
        return self


class Progress(msgspec.Struct):
    """How far something is that goes session by session.

    Attributes:
        after: the number of the last session that is done.
        messages: how many messages were done in this batch.
        entries: what the index must have for them, where it is kept apart from them.
        is_done: whether no session is left.
        faults: the `session_id`s of sessions whose messages are not indexed as they should be.
    """

    after: int
    messages: int = 0
    entries: Entries = msgspec.field(default_factory=Entries)
    is_done: bool = False
    faults: list[str] = msgspec.field(default_factory=list)


class Listing(msgspec.Struct):
    """How far a listing of an index is: the word to go on with, and how much of it is done."""

    word: str = ""
    skipped: int = 0
    entries: Entries = msgspec.field(default_factory=Entries)
    is_done: bool = False


def version(tx: Transaction) -> str | None:
    """By which rules the index was made; None where there is none that is whole."""
    return tx.fetch_one("get_index_version", str)


def check_language(tx: Transaction, rules: Rules) -> None:
    """Refuse to search in one language what was indexed in another.

    Raises:
        StorageError: with what to do.
    """
    made_by = version(tx)
    if made_by is None or made_by.partition(" ")[0] == rules.analyzer.language.name:
        return
    raise StorageError(
        f"The messages of this database are indexed as {made_by.partition(' ')[0]}, and "
        f"USERKEEP_SEARCH_LANGUAGE says {rules.analyzer.language.name}. Set it back, or make the "
        "index anew with `userkeep doctor --deep`."
    )


def begin(tx: Transaction, rules: Rules) -> Making:
    """Begin to make the index, or go on with it where that was interrupted."""
    made = tx.fetch_one("get_index_making", str)
    making = msgspec.json.decode(made, type=Making) if made else None
    if making is not None and making.version == rules.analyzer.version:
        return making
    making = Making(rules.analyzer.version)
    tx.defer("drop_index_version")
    tx.defer("empty_index")
    _keep(tx, making)
    return making


def discard(tx: Transaction) -> None:
    """Let there be no index by any rules: whoever makes it begins from the start."""
    tx.defer("drop_index_version")
    tx.defer("drop_index_making")


def make(tx: Transaction, rules: Rules, making: Making) -> Progress:
    """Index some sessions more, at least one, if any is left."""
    progress = Progress(making.after)
    for session in _sessions(tx, making.after):
        progress.messages += _index(tx.in_scope(Scope(session.project_id, rules)), session)
        progress.after = session.number
        if tx.spent_ms() > BATCH_MS:
            break
    if progress.after == making.after:
        progress.is_done = True
        tx.defer("drop_index_making")
        tx.defer("set_index_version", value=making.version)
    else:
        _keep(tx, Making(making.version, progress.after))
    return progress


def compare(tx: Transaction, rules: Rules, after: int) -> Progress:
    """Compare some sessions more with the index, at least one, if any is left.

    Args:
        after: the number of the last session that was compared.
    """
    progress = Progress(after)
    for session in _sessions(tx, after):
        if not _is_indexed(tx.in_scope(Scope(session.project_id, rules)), session, progress):
            progress.faults.append(session.session_id)
        progress.after = session.number
        if tx.spent_ms() > BATCH_MS:
            break
    progress.is_done = progress.after == after
    return progress


def listed(tx: Transaction, listing: Listing) -> Listing:
    """Some entries more of an index that is kept apart from the messages; none where none is."""
    rows = tx.fetch_all(
        "index_entries",
        _Entry,
        word=listing.word,
        skipped=listing.skipped,
        limit=_ENTRIES_AT_ONCE,
    )
    entries = Entries(listing.entries.count, listing.entries.checksum)
    for row in rows:
        entries.add(row.word, row.row)
    if len(rows) < _ENTRIES_AT_ONCE:
        return Listing(entries=entries, is_done=True)
    word = rows[-1].word
    of_word = sum(row.word == word for row in rows)
    skipped = listing.skipped + of_word if word == listing.word else of_word
    return Listing(word, skipped, entries)


def _sessions(tx: Transaction, after: int) -> list[IndexedSession]:
    return tx.fetch_all("sessions_to_index", IndexedSession, after=after, limit=_SESSIONS_AT_ONCE)


def _messages(tx: Transaction, session: IndexedSession) -> Iterator[list[_Stored]]:
    next_seq = 0
    while rows := tx.fetch_all(
        "messages_to_index",
        _Stored,
        session_id=session.session_id,
        from_seq=next_seq,
        limit=_MESSAGES_AT_ONCE,
    ):
        yield rows
        next_seq = rows[-1].seq + 1


def _index(tx: Transaction, session: IndexedSession) -> int:
    """Index a session; how many messages it has."""
    count, total_length = 0, 0
    for rows in _messages(tx, session):
        entries = [
            (row.seq, make_entry(tx.scope.rules.analyzer, row.role, row.role_type, row.content))
            for row in rows
        ]
        indexing.put(tx, session.session_id, session.search_scope, entries)
        count += len(entries)
        total_length += sum(entry.length for _seq, entry in entries)
    tx.defer(
        "set_total_length",
        session_id=session.session_id,
        total_length=total_length,
    )
    return count


def _is_indexed(tx: Transaction, session: IndexedSession, progress: Progress) -> bool:
    total_length, is_indexed = 0, True
    for rows in _messages(tx, session):
        expected = [
            make_entry(tx.scope.rules.analyzer, row.role, row.role_type, row.content)
            for row in rows
        ]
        stored = tx.fetch_all(
            "words_of_messages",
            _WordsOfMessage,
            session_id=session.session_id,
            from_seq=rows[0].seq,
            limit=len(rows),
        )
        if stored:
            is_indexed &= _have_their_words(session, stored, expected)
        else:
            _expect(progress.entries, session, rows, expected)
        is_indexed &= [row.word_count for row in rows] == [each.word_count for each in expected]
        total_length += sum(each.length for each in expected)
        progress.messages += len(rows)
    return is_indexed and total_length == session.total_length


def _have_their_words(
    session: IndexedSession, stored: list[_WordsOfMessage], expected: list[IndexEntry]
) -> bool:
    mark = f"#{session.search_scope}"
    return all(
        row.words is not None and set(row.words.split()) == {*each.terms.split(), mark}
        for row, each in zip(stored, expected, strict=True)
    )


def _expect(
    entries: Entries, session: IndexedSession, rows: list[_Stored], expected: list[IndexEntry]
) -> None:
    for row, each in zip(rows, expected, strict=True):
        in_index = session.search_scope << ROW_BITS | row.row
        for word in each.terms.split():
            entries.add(word, in_index)


def _keep(tx: Transaction, making: Making) -> None:
    tx.defer("set_index_making", value=encode_json(making).decode())
