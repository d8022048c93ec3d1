"""The full-text index of messages: the contract between services and engines.

Each engine keeps the terms of messages in its own way: SQLite in a table beside the messages,
PostgreSQL in the messages' own rows. Services give and get terms, and know of neither.

Each session belongs to a *search scope*: the number of its user, or for a session without a user
the session's own number, negative. An index keeps the entries of a scope so that a search within it
reads no entries of others.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

import msgspec

from userkeep.domain.search.entries import IndexEntry
from userkeep.domain.search.ranking import Posting

FileFormat = Literal["fts5", "gin"]
"""How the files of a database store terms: in pages of FTS5, or as keys of a GIN index."""


class EntryDigest(msgspec.Struct):
    """The number of (term, row) pairs of an index, and a checksum of them, in any order.

    It is only comparable within a process: Python hashes texts differently in each.
    """

    count: int = 0
    checksum: int = 0

    def add(self, term: str, row: int) -> None:
        """Add a pair."""
        self.count += 1
        self.checksum = (self.checksum + hash((term, row))) & 0xFFFFFFFFFFFFFFFF

    def __iadd__(self, other: "EntryDigest") -> "EntryDigest":
        self.count += other.count
        self.checksum = (self.checksum + other.checksum) & 0xFFFFFFFFFFFFFFFF
        return self


class EntryScan(msgspec.Struct):
    """How far a scan of all stored entries is.

    Attributes:
        term: to continue with; `skip` of its entries are done.
        digest: of the entries that are done.
        is_done: whether none is left.
    """

    term: str = ""
    skip: int = 0
    digest: EntryDigest = msgspec.field(default_factory=EntryDigest)
    is_done: bool = False


class SearchIndex(Protocol):
    """The index of one engine, in one transaction.

    All but the maintenance of the whole index needs a transaction that is bound to a scope.
    Messages are given as their `seq` with their index entry.
    """

    @property
    def file_format(self) -> FileFormat:
        """How the terms are stored in files, for a search of the files."""
        ...

    def add(
        self, session_id: str, search_scope: int, entries: Sequence[tuple[int, IndexEntry]]
    ) -> None:
        """Index messages that this transaction has inserted.

        The query `add_message` was given each one's terms, as `words`, and the `search_scope`, so
        an engine that keeps them in the message's row has nothing left to do.
        """
        ...

    def put(
        self, session_id: str, search_scope: int, entries: Sequence[tuple[int, IndexEntry]]
    ) -> None:
        """Index stored messages that are not in the index, and store their word counts."""
        ...

    def change(self, session_id: str, seq: int, before: IndexEntry, after: IndexEntry) -> None:
        """Replace the entry of a message, and store its word count.

        Call it before the message is changed.
        """
        ...

    def remove(self, session_id: str, seq: int, entry: IndexEntry) -> None:
        """Remove a message that is about to be deleted."""
        ...

    @property
    def inline_bytes(self) -> int | None:
        """Of how many bytes of content `remove_range` removes the entries without preparation.

        None: of any number.
        """
        ...

    def prepare_removal(self, session_id: str, from_seq: int, before_seq: int) -> None:
        """Prepare `remove_range`, before the transaction changes anything."""
        ...

    def remove_range(self, session_id: str, from_seq: int, before_seq: int) -> None:
        """Remove the messages of a range that are about to be deleted."""
        ...

    def move(self, session_id: str, from_scope: int, to_scope: int, before_seq: int) -> None:
        """Move a session's messages with a lower `seq` to another search scope.

        Call it before the transaction changes anything, where that is possible.
        """
        ...

    def postings(
        self,
        terms: Iterable[str],
        search_scope: int | None,
        session_id: str | None,
        *,
        limit: int,
    ) -> list[Posting]:
        """Return which messages have which of the terms, in any order.

        Args:
            terms: a posting refers to them by ordinal. One that ends with a star stands for all
                that begin like it.
            search_scope: only messages of this scope; None for the whole project.
            session_id: only messages of this session, which is in the scope.
            limit: the greatest number of postings; of more, any are left out.
        """
        ...

    def count_postings(
        self,
        terms: Iterable[str],
        search_scope: int | None,
        session_id: str | None,
        *,
        limit: int,
    ) -> int:
        """Return how many postings there are, but at most `limit`: faster than to read them.

        The arguments are those of `postings`. Those of deleted messages may be counted.
        """
        ...

    def speaker_counts(
        self,
        terms: Iterable[str],
        search_scope: int | None,
        session_id: str | None,
        *,
        limit: int,
    ) -> dict[str, int]:
        """Return those of the terms that are in speakers' names, and of how many messages.

        The arguments are those of `postings`; `limit` is the greatest number for each term.
        """
        ...

    def terms_in_use(self, terms: Iterable[str]) -> set[str]:
        """Return those of the terms that a stored message of any project has.

        Only what the index alone can know: none where the terms are in the messages' rows.
        """
        ...

    def clear(self) -> None:
        """Remove all entries of all projects, before `put` adds them again."""
        ...

    def compare(
        self,
        session_id: str,
        search_scope: int,
        expected: Sequence[tuple[int, IndexEntry]],
        digest: EntryDigest,
    ) -> bool:
        """Return whether consecutive messages of a session have the expected entries.

        Args:
            expected: the entries of messages that follow each other.
            digest: an index that cannot be read by message returns True and adds the expected
                entries here, to be compared with those that `scan` finds.
        """
        ...

    def scan(self, scan: EntryScan) -> EntryScan:
        """Continue a scan of all stored entries, if the index is kept apart from the messages."""
        ...

    def start_purge(self) -> None:
        """Start to remove what deleted entries have left in the index's pages."""
        ...

    def continue_purge(self) -> bool:
        """Do a part of the purge, of 32 ms at most; return whether there was any left to do."""
        ...
