"""The index entries of stored messages, for transactions that are about to change or delete them.

To make an entry takes about a millisecond for a kilobyte of text, and all other writers would wait.
So those of long texts are made outside of the transaction.
"""

from collections.abc import Sequence

from userkeep.domain.search.entries import IndexedText, IndexEntry, make_entries
from userkeep.domain.transaction import Transaction

INLINE_CHARACTERS = 4096
"""The texts of so many characters are indexed inside the transaction, in a few milliseconds."""


def entries_of_stored(tx: Transaction, texts: Sequence[IndexedText]) -> list[IndexEntry]:
    """Return the index entries of messages.

    Call it before the transaction changes anything: it may end here and run again.
    """
    analyzer = tx.scope.rules.analyzer
    if sum(len(text.content) for text in texts) <= INLINE_CHARACTERS:
        return make_entries(analyzer, texts)
    return tx.compute_outside(make_entries, analyzer, tuple(texts))
