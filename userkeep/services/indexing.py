"""Keep the full-text index in step with the messages, in the same transaction.

An engine may need a message as it is stored to remove its entry (see `domain.search.index`), so
these functions are called before a message is changed or deleted.
"""

from userkeep.domain.message import Message
from userkeep.domain.search.entries import IndexedText, IndexEntry
from userkeep.domain.search.stored_entries import entries_of_stored
from userkeep.domain.transaction import Transaction


def change(tx: Transaction, session_id: str, before: Message, after: Message) -> None:
    """Index a message that is about to be changed as it will be."""
    texts = [_text(before), _text(after)]
    if texts[0] == texts[1]:
        return
    old, new = entries_of_stored(tx, texts)
    if old == new:
        return
    tx.search_index.change(session_id, before.seq, old, new)
    tx.defer("add_to_total_length", session_id=session_id, length=new.length - old.length)


def remove(tx: Transaction, session_id: str, message: Message) -> IndexEntry:
    """Remove a message that is about to be deleted from the index; return its entry."""
    [entry] = entries_of_stored(tx, [_text(message)])
    tx.search_index.remove(session_id, message.seq, entry)
    return entry


def _text(message: Message) -> IndexedText:
    return IndexedText(message.name, message.role, message.content)
