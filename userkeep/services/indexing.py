"""The index of words: kept with the messages, in the same transaction.

The index holds a message's words (see domain.search.analyzer). SQLite needs them again to remove a
message from the index. They are then made again from the message as it is stored, so whatever
changes or deletes a message calls this module first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from userkeep.domain.message import Message
from userkeep.domain.search.analyzer import Analyzer
from userkeep.domain.search.entries import (
    IndexEntry,
    make_entry,
    speaker_term,
    without_speaker_prefix,
)
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import encode_json

_AT_ONCE = 500


class _Stored(msgspec.Struct):
    seq: int
    role: str
    role_type: str
    content: str


def add(tx: Transaction, rows: Iterable[Mapping[str, Any]], search_scope: int) -> None:
    """Index messages of a session that were just stored.

    Args:
        rows: as they were stored, with their `words`.
        search_scope: of their session; see the queries.
    """
    tx.defer_to_commit("index_message", rows, sort_key=search_scope)


def change(tx: Transaction, session_id: str, before: Message, after: Message) -> None:
    """Index a message that is being edited by what it says from now on."""
    old = make_entry(tx.scope.rules.analyzer, before.role, before.role_type, before.content)
    new = make_entry(tx.scope.rules.analyzer, after.role, after.role_type, after.content)
    if old == new:
        return
    search_scope = _search_scope(tx, session_id)
    _take_out(tx, session_id, search_scope, [(before.seq, old)])
    [row] = _rows(session_id, search_scope, [(after.seq, new)])
    tx.defer("set_words", **row)
    tx.defer_to_commit("index_message", [row], sort_key=search_scope)
    tx.defer(
        "change_length",
        session_id=session_id,
        length=new.length - old.length,
    )


def remove(tx: Transaction, session_id: str, message: Message) -> IndexEntry:
    """Take a message out of the index that is about to be deleted; gives what stood there."""
    old = make_entry(tx.scope.rules.analyzer, message.role, message.role_type, message.content)
    search_scope = _search_scope(tx, session_id)
    _take_out(tx, session_id, search_scope, [(message.seq, old)])
    return old


def remove_range(tx: Transaction, session_id: str, from_seq: int, before_seq: int) -> None:
    """Take the messages out of the index that are about to be deleted, from and before a seq."""
    for rows in _stored(tx, session_id, from_seq, before_seq):
        search_scope = _search_scope(tx, session_id)
        _take_out(tx, session_id, search_scope, _indexed_rows(tx.scope.rules.analyzer, rows))


def move(tx: Transaction, session_id: str, from_scope: int, to_scope: int, last_seq: int) -> None:
    """Let a session's messages be found among those of its new owner."""
    of_session = {"session_id": session_id}
    for rows in _stored(tx, session_id, 0, last_seq + 1):
        known = _indexed_rows(tx.scope.rules.analyzer, rows)
        _take_out(tx, session_id, from_scope, known)
        tx.defer_many("index_message", _rows(session_id, to_scope, known))
    tx.defer("move_words", from_scope=from_scope, to_scope=to_scope, **of_session)


def put(
    tx: Transaction,
    session_id: str,
    search_scope: int,
    entries: Sequence[tuple[int, IndexEntry]],
) -> None:
    """Index messages that are stored and are not in the index: by seq, what it is told of them."""
    rows = _rows(session_id, search_scope, entries)
    tx.defer_many("set_words", rows)
    tx.defer_many("index_message", rows)


def words_in_use(tx: Transaction, words: Iterable[str]) -> set[str]:
    """Of some words, those that a message has which is there, as the index knows.

    None, where an engine keeps them in the messages' own rows.
    """
    asked = [each for word in words for each in (word, speaker_term(word))]
    found = tx.fetch_all("words_in_use", str, words=encode_json(asked).decode())
    return set(map(without_speaker_prefix, found))


def _search_scope(tx: Transaction, session_id: str) -> int:
    found = tx.fetch_one("search_scope", int, session_id=session_id)
    return found or 0


def _stored(
    tx: Transaction, session_id: str, from_seq: int, before_seq: int
) -> Iterator[list[_Stored]]:
    """Messages in batches, where the engine needs their words to take them out."""
    for first in range(from_seq, before_seq, _AT_ONCE):
        rows = tx.fetch_all(
            "messages_to_unindex",
            _Stored,
            session_id=session_id,
            from_seq=first,
            before_seq=min(first + _AT_ONCE, before_seq),
        )
        if rows:
            yield rows


def _indexed_rows(analyzer: Analyzer, rows: Sequence[_Stored]) -> list[tuple[int, IndexEntry]]:
    return [(row.seq, make_entry(analyzer, row.role, row.role_type, row.content)) for row in rows]


def _take_out(
    tx: Transaction,
    session_id: str,
    search_scope: int,
    known: Sequence[tuple[int, IndexEntry]],
) -> None:
    tx.flush()  # what is not in yet cannot be taken out
    tx.defer_many("unindex_message", _rows(session_id, search_scope, known))


def _rows(
    session_id: str, search_scope: int, known: Sequence[tuple[int, IndexEntry]]
) -> list[dict[str, Any]]:
    return [
        {
            "session_id": session_id,
            "seq": seq,
            "search_scope": search_scope,
            "words": each.terms,
            "word_count": each.word_count,
        }
        for seq, each in known
    ]
