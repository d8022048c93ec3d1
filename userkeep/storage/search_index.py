"""What the full-text indexes of both engines have in common: their SQL differs, not how it is used.

The contract is `domain.search.index.SearchIndex`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from userkeep.domain.search.entries import IndexEntry, speaker_term
from userkeep.domain.search.ranking import Posting
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import encode_json


class BaseSearchIndex:
    """The index in one transaction."""

    __slots__ = ("_tx",)

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def postings(
        self,
        terms: Iterable[str],
        search_scope: int | None,
        session_id: str | None,
        *,
        limit: int,
    ) -> list[Posting]:
        return self._tx.fetch_all(
            "postings",
            _posting,
            terms=as_json(terms),
            search_scope=search_scope,
            session_id=session_id,
            limit=limit,
        )

    def count_postings(
        self,
        terms: Iterable[str],
        search_scope: int | None,
        session_id: str | None,
        *,
        limit: int,
    ) -> int:
        count = self._tx.fetch_one(
            "count_postings",
            int,
            terms=as_json(terms),
            search_scope=search_scope,
            session_id=session_id,
            limit=limit,
        )
        return count or 0

    def speaker_counts(
        self,
        terms: Iterable[str],
        search_scope: int | None,
        session_id: str | None,
        *,
        limit: int,
    ) -> dict[str, int]:
        by_ordinal = list(terms)
        found = self._tx.fetch_all(
            "speaker_counts",
            _count,
            terms=as_json(map(speaker_term, by_ordinal)),
            search_scope=search_scope,
            session_id=session_id,
            limit=limit,
        )
        return {by_ordinal[ordinal]: count for ordinal, count in found if count}

    def _search_scope(self, session_id: str) -> int:
        return self._tx.fetch_one("search_scope", int, session_id=session_id) or 0


def entry_rows(
    session_id: str, search_scope: int, entries: Iterable[tuple[int, IndexEntry]]
) -> Sequence[dict[str, Any]]:
    """Return entries as the values that the index's queries expect."""
    return [
        {
            "session_id": session_id,
            "search_scope": search_scope,
            "seq": seq,
            "words": entry.terms,
            "word_count": entry.word_count,
        }
        for seq, entry in entries
    ]


def _posting(term: int, session_id: str, seq: int, word_count: int) -> Posting:
    return term, session_id, seq, word_count


def _count(ordinal: int, count: int) -> tuple[int, int]:
    return ordinal, count


def as_json(terms: Iterable[str]) -> str:
    """Return terms as the JSON array that queries expect."""
    return encode_json(list(terms)).decode()
