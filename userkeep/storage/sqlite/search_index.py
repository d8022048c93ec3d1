"""SQLite's full-text index: the FTS5 table `message_words`, which stores no texts.

An entry's rowid is its search scope and the number of its message, packed (see the migration). FTS5
must be given an entry's terms again to remove it. They are made from the message as it is stored,
so an entry is removed before its message is changed or deleted.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec

from userkeep.domain.message import FIRST_SEQ
from userkeep.domain.search.entries import (
    IndexedText,
    IndexEntry,
    speaker_term,
    without_speaker_prefix,
)
from userkeep.domain.search.index import EntryDigest, EntryScan
from userkeep.domain.search.stored_entries import INLINE_CHARACTERS, entries_of_stored
from userkeep.domain.transaction import Transaction
from userkeep.storage.search_index import BaseSearchIndex, as_json, entry_rows

PURGED_PAGES = 64
"""How many pages FTS5 merges in one transaction: 32 ms at most."""

_NUMBER_BITS = 34
"""The lower bits of a rowid are the message's number, the others its search scope."""

_ENTRIES_AT_ONCE = 50_000

_LEAST_ROW = -(2**63)
_PAGE_BYTES = 4096
# No message has terms like these, or a row so low.
_PADDING = (
    {"row": _LEAST_ROW + 2, "words": f"@{'a' * _PAGE_BYTES} @{'b' * _PAGE_BYTES}"},
    {"row": _LEAST_ROW + 1, "words": "@"},
    {"row": _LEAST_ROW, "words": "@"},
)


class _Transaction(Transaction, Protocol):
    """A transaction on SQLite; see SqliteTransaction."""

    def defer_to_commit(
        self, query: str, rows: Iterable[dict[str, Any]], /, *, sort_key: int
    ) -> None: ...

    def flush(self) -> None: ...


class _Message(msgspec.Struct):
    seq: int
    name: str
    role: str
    content: str


class _Entry(msgspec.Struct):
    term: str
    row: int


class SqliteSearchIndex(BaseSearchIndex):
    """The index in one transaction."""

    __slots__ = ()

    _tx: _Transaction

    file_format: Final = "fts5"
    inline_bytes: Final = INLINE_CHARACTERS

    def add(
        self, session_id: str, search_scope: int, entries: Sequence[tuple[int, IndexEntry]]
    ) -> None:
        rows = entry_rows(session_id, search_scope, entries)
        self._tx.defer_to_commit("index_message", rows, sort_key=search_scope)

    def put(
        self, session_id: str, search_scope: int, entries: Sequence[tuple[int, IndexEntry]]
    ) -> None:
        rows = entry_rows(session_id, search_scope, entries)
        self._tx.defer_many("set_words", rows)
        self._tx.defer_many("index_message", rows)

    def change(self, session_id: str, seq: int, before: IndexEntry, after: IndexEntry) -> None:
        search_scope = self._search_scope(session_id)
        self._remove(session_id, search_scope, [(seq, before)])
        rows = entry_rows(session_id, search_scope, [(seq, after)])
        self._tx.defer_many("set_words", rows)
        self._tx.defer_to_commit("index_message", rows, sort_key=search_scope)

    def remove(self, session_id: str, seq: int, entry: IndexEntry) -> None:
        self._remove(session_id, self._search_scope(session_id), [(seq, entry)])

    def prepare_removal(self, session_id: str, from_seq: int, before_seq: int) -> None:
        self._entries(session_id, from_seq, before_seq)

    def remove_range(self, session_id: str, from_seq: int, before_seq: int) -> None:
        entries = self._entries(session_id, from_seq, before_seq)
        self._remove(session_id, self._search_scope(session_id), entries)

    def move(self, session_id: str, from_scope: int, to_scope: int, before_seq: int) -> None:
        entries = self._entries(session_id, FIRST_SEQ, before_seq)
        self._remove(session_id, from_scope, entries)
        self._tx.defer_many("index_message", entry_rows(session_id, to_scope, entries))

    def terms_in_use(self, terms: Iterable[str]) -> set[str]:
        wanted = [each for term in terms for each in (term, speaker_term(term))]
        found = self._tx.fetch_all("terms_in_use", str, terms=as_json(wanted))
        return set(map(without_speaker_prefix, found))

    def clear(self) -> None:
        self._tx.defer("clear_index")

    def compare(
        self,
        session_id: str,
        search_scope: int,
        expected: Sequence[tuple[int, IndexEntry]],
        digest: EntryDigest,
    ) -> bool:
        numbers = self._tx.fetch_all(
            "message_numbers",
            int,
            session_id=session_id,
            from_seq=expected[0][0],
            limit=len(expected),
        )
        for number, (_seq, entry) in zip(numbers, expected, strict=True):
            row = search_scope << _NUMBER_BITS | number
            for term in entry.terms.split():
                digest.add(term, row)
        return True

    def scan(self, scan: EntryScan) -> EntryScan:
        rows = self._tx.fetch_all(
            "index_entries", _Entry, term=scan.term, skip=scan.skip, limit=_ENTRIES_AT_ONCE
        )
        digest = EntryDigest(scan.digest.count, scan.digest.checksum)
        for row in rows:
            digest.add(row.term, row.row)
        if len(rows) < _ENTRIES_AT_ONCE:
            return EntryScan(digest=digest, is_done=True)
        term = rows[-1].term
        of_term = sum(row.term == term for row in rows)
        skip = scan.skip + of_term if term == scan.term else of_term
        return EntryScan(term, skip, digest)

    def start_purge(self) -> None:
        """Pad the index, and start to merge it into one segment, twice.

        Only a merge into a new level drops the terms of removed entries, and FTS5 adds a level only
        where there are segments on two. After the first merge all is in one segment, larger than a
        page because of the long terms of the padding. Then the second padding is a segment on
        another level, whatever the levels were before.
        """
        first, between, second = _PADDING
        self._tx.defer("pad_index", **first)
        # A lower row than the last one makes FTS5 write the last one as a segment.
        self._tx.defer("pad_index", **between)
        self._merge(-PURGED_PAGES)
        self._tx.defer("pad_index", **second)
        self._merge(-PURGED_PAGES)
        for padding in _PADDING:
            self._tx.defer("unpad_index", **padding)

    def continue_purge(self) -> bool:
        return self._merge(PURGED_PAGES)

    def _merge(self, pages: int) -> bool:
        """Merge about so many pages, and return whether there were any; a negative number starts.

        FTS5 counts one change for its own bookkeeping.
        """
        return self._tx.execute_many("merge_index", [{"pages": pages}]) > 1

    def _entries(
        self, session_id: str, from_seq: int, before_seq: int
    ) -> list[tuple[int, IndexEntry]]:
        """Return the entries of a range of stored messages."""
        messages = self._tx.fetch_all(
            "messages_to_unindex",
            _Message,
            session_id=session_id,
            from_seq=from_seq,
            before_seq=before_seq,
        )
        texts = [IndexedText(each.name, each.role, each.content) for each in messages]
        entries = entries_of_stored(self._tx, texts)
        return [(message.seq, entry) for message, entry in zip(messages, entries, strict=True)]

    def _remove(
        self, session_id: str, search_scope: int, entries: Sequence[tuple[int, IndexEntry]]
    ) -> None:
        # An entry that was left for the end of the transaction must be there to be removed.
        self._tx.flush()
        self._tx.defer_many("unindex_message", entry_rows(session_id, search_scope, entries))
