"""Keep the full-text index in step with the messages, in the same transaction.

An engine may need a message as it is stored to remove its entry (see `domain.search.index`), so
these functions are called before a message is changed or deleted.
"""

from userkeep.domain.message import Message
from userkeep.domain.search.entries import IndexEntry, make_entry
from userkeep.domain.transaction import Transaction


def entry_of(tx: Transaction, message: Message) -> IndexEntry:
    """Return the index entry of a message."""
    return make_entry(tx.scope.rules.analyzer, message.role, message.role_type, message.content)


def change(tx: Transaction, session_id: str, before: Message, after: Message) -> None:
    """Index a message that is about to be changed as it will be."""
    old, new = entry_of(tx, before), entry_of(tx, after)
    if old == new:
        return
    tx.search_index.change(session_id, before.seq, old, new)
    tx.defer("add_to_total_length", session_id=session_id, length=new.length - old.length)


def remove(tx: Transaction, session_id: str, message: Message) -> IndexEntry:
    """Remove a message that is about to be deleted from the index; return its entry."""
    entry = entry_of(tx, message)
    tx.search_index.remove(session_id, message.seq, entry)
    return entry
