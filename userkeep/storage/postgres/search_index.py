"""PostgreSQL's full-text index: a GIN index on the column `words` of each message.

The terms are in the message's own row, with a mark for its search scope. So whatever inserts or
deletes the row does the same to its entry, and several methods have nothing to do.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from userkeep.domain.search.entries import IndexEntry
from userkeep.domain.search.index import EntryDigest, EntryScan
from userkeep.storage.search_index import BaseSearchIndex, entry_rows


class _StoredTerms(msgspec.Struct):
    seq: int
    terms: str | None


class PostgresSearchIndex(BaseSearchIndex):
    """The index in one transaction."""

    __slots__ = ()

    file_format: Final = "gin"
    inline_bytes: Final = None

    def add(
        self, session_id: str, search_scope: int, entries: Sequence[tuple[int, IndexEntry]]
    ) -> None:
        """Do nothing: `add_message` has stored the terms."""

    def put(
        self, session_id: str, search_scope: int, entries: Sequence[tuple[int, IndexEntry]]
    ) -> None:
        self._tx.defer_many("set_words", entry_rows(session_id, search_scope, entries))

    def change(self, session_id: str, seq: int, before: IndexEntry, after: IndexEntry) -> None:
        del before
        self.put(session_id, self._search_scope(session_id), [(seq, after)])

    def speaker_counts(
        self,
        terms: Iterable[str],
        search_scope: int | None,
        session_id: str | None,
        *,
        limit: int,
    ) -> dict[str, int]:
        # A query counts so many messages of all its terms together. Where there are more, the most
        # frequent term gets its count, and the others are counted again without it. The tenth is
        # for rarer terms: the most frequent one then still reaches its limit.
        in_all = limit + limit // 10
        to_count, counts = list(terms), dict[str, int]()
        while to_count:
            found = super().speaker_counts(to_count, search_scope, session_id, limit=in_all)
            if sum(found.values()) < in_all:
                return counts | {term: min(count, limit) for term, count in found.items()}
            frequent = max(found, key=found.__getitem__)
            if found[frequent] < limit:
                found = super().speaker_counts([frequent], search_scope, session_id, limit=limit)
            counts[frequent] = min(found[frequent], limit)
            to_count.remove(frequent)
        return counts

    def remove(self, session_id: str, seq: int, entry: IndexEntry) -> None:
        """Do nothing: the terms are deleted with the row."""

    def prepare_removal(self, session_id: str, from_seq: int, before_seq: int) -> None:
        """Do nothing: the terms are deleted with the rows."""

    def remove_range(self, session_id: str, from_seq: int, before_seq: int) -> None:
        """Do nothing: the terms are deleted with the rows."""

    def move(self, session_id: str, from_scope: int, to_scope: int, before_seq: int) -> None:
        self._tx.defer(
            "move_words",
            session_id=session_id,
            from_scope=from_scope,
            to_scope=to_scope,
            before_seq=before_seq,
        )

    def terms_in_use(self, terms: Iterable[str]) -> set[str]:
        """Return none: the rows have them.

        It also keeps the terms of deleted users from the server, which may log its statements.
        """
        del terms
        return set()

    def clear(self) -> None:
        """Do nothing: `put` replaces what is there."""

    def compare(
        self,
        session_id: str,
        search_scope: int,
        expected: Sequence[tuple[int, IndexEntry]],
        digest: EntryDigest,
    ) -> bool:
        del digest
        stored = self._tx.fetch_all(
            "words_of_messages",
            _StoredTerms,
            session_id=session_id,
            from_seq=expected[0][0],
            limit=len(expected),
        )
        mark = f"#{search_scope}"
        return all(
            row.terms is not None and set(row.terms.split()) == {*entry.terms.split(), mark}
            for row, (_seq, entry) in zip(stored, expected, strict=True)
        )

    def scan(self, scan: EntryScan) -> EntryScan:
        """Find nothing: no entry is stored without its message."""
        return EntryScan(digest=scan.digest, is_done=True)

    def start_purge(self) -> None:
        """Do nothing: rewriting a table rewrites its indexes."""

    def continue_purge(self) -> bool:
        return False
