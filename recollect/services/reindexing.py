"""Making the index of words anew, and comparing it with the messages.

It is made anew where there is none yet (after an upgrade, after a port), where it was made by other
rules, and where somebody has found that it does not fit. Both go session by session, in batches;
whoever calls this goes on until nothing is left, and may show how far it is.
"""

from collections.abc import Iterator

import msgspec

from recollect.domain.errors import StorageError
from recollect.domain.metadata import encode_json
from recollect.domain.scope import Rules, Scope
from recollect.domain.transaction import Transaction
from recollect.services import indexing

BATCH_MS = 100
"""Nobody is served meanwhile, or readers alone."""

_SESSIONS_AT_ONCE = 50
_MESSAGES_AT_ONCE = 500


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


class Making(msgspec.Struct):
    """An index that is being made, in the installation's own row.

    Attributes:
        version: of the rules by which it is made; see domain.words.
        after: the number of the last session that is in it.
    """

    version: str
    after: int = 0


class Progress(msgspec.Struct):
    """How far something is that goes session by session.

    Attributes:
        after: the number of the last session that is done.
        messages: how many messages were done in this batch.
        entries: how many entries the index must have for them.
        is_done: whether no session is left.
        faults: sessions whose index does not fit, as `session_id`s.
    """

    after: int
    messages: int = 0
    entries: int = 0
    is_done: bool = False
    faults: list[str] = []


def version(tx: Transaction) -> str | None:
    """By which rules the index was made; None where there is none that is whole."""
    return tx.one("get_index_version", str)


def check_language(tx: Transaction, rules: Rules) -> None:
    """Refuse to search in one language what was indexed in another.

    Raises:
        StorageError: with what to do.
    """
    made_by = version(tx)
    if made_by is None or made_by.partition(" ")[0] == rules.words.language.name:
        return
    raise StorageError(
        f"The messages of this database are indexed as {made_by.partition(' ')[0]}, and "
        f"RECOLLECT_SEARCH_LANGUAGE says {rules.words.language.name}. Set it back, or make the "
        "index anew with `recollect doctor --deep`."
    )


def begin(tx: Transaction, rules: Rules) -> Making:
    """Begin to make the index, or go on with it where that was interrupted."""
    made = tx.one("get_index_making", str)
    making = msgspec.json.decode(made, type=Making) if made else None
    if making is not None and making.version == rules.words.version:
        return making
    making = Making(rules.words.version)
    tx.tell("drop_index_version")
    tx.tell("empty_index")
    _keep(tx, making)
    return making


def make(tx: Transaction, rules: Rules, making: Making) -> Progress:
    """Index some sessions more, at least one, if any is left."""
    progress = Progress(making.after)
    for session in _sessions(tx, making.after):
        progress.messages += _index(tx, Scope(session.project_id, rules), session)
        progress.after = session.number
        if tx.spent_ms() > BATCH_MS:
            break
    if progress.after == making.after:
        progress.is_done = True
        tx.tell("drop_index_making")
        tx.tell("set_index_version", value=making.version)
    else:
        _keep(tx, Making(making.version, progress.after))
    return progress


def compare(tx: Transaction, rules: Rules, after: int) -> Progress:
    """Compare some sessions more with the index, at least one, if any is left.

    Args:
        after: the number of the last session that was compared.
    """
    progress = Progress(after, faults=[])
    for session in _sessions(tx, after):
        if not _is_indexed(tx, Scope(session.project_id, rules), session, progress):
            progress.faults.append(session.session_id)
        progress.after = session.number
        if tx.spent_ms() > BATCH_MS:
            break
    progress.is_done = progress.after == after
    return progress


def entry_count(tx: Transaction) -> int | None:
    """How many entries the index has; None on an engine whose entries cannot outlive a message."""
    counted = tx.all("count_index_entries", int)
    return counted[0] if counted else None


def _sessions(tx: Transaction, after: int) -> list[IndexedSession]:
    return tx.all("sessions_to_index", IndexedSession, after=after, limit=_SESSIONS_AT_ONCE)


def _messages(tx: Transaction, session: IndexedSession) -> Iterator[list[_Stored]]:
    next_seq = 0
    while rows := tx.all(
        "messages_to_index",
        _Stored,
        project_id=session.project_id,
        session_id=session.session_id,
        from_seq=next_seq,
        limit=_MESSAGES_AT_ONCE,
    ):
        yield rows
        next_seq = rows[-1].seq + 1


def _index(tx: Transaction, scope: Scope, session: IndexedSession) -> int:
    """Index a session; how many messages it has."""
    count, total_length = 0, 0
    for rows in _messages(tx, session):
        entries = [
            (row.seq, indexing.indexed(scope, row.role, row.role_type, row.content)) for row in rows
        ]
        indexing.put(tx, scope, session.session_id, session.search_scope, entries)
        count += len(entries)
        total_length += sum(entry.length for _seq, entry in entries)
    tx.tell(
        "set_total_length",
        project_id=session.project_id,
        session_id=session.session_id,
        total_length=total_length,
    )
    return count


def _is_indexed(tx: Transaction, scope: Scope, session: IndexedSession, progress: Progress) -> bool:
    total_length, is_indexed = 0, True
    for rows in _messages(tx, session):
        for row in rows:
            entry = indexing.indexed(scope, row.role, row.role_type, row.content)
            words = entry.words.split()
            found = tx.one(
                "count_indexed_words",
                int,
                project_id=session.project_id,
                session_id=session.session_id,
                seq=row.seq,
                search_scope=session.search_scope,
                words=encode_json(words).decode(),
                word_count=len(words),
            )
            is_indexed &= found == len(words) and row.word_count == entry.word_count
            total_length += entry.length
            progress.entries += len(words)
        progress.messages += len(rows)
    return is_indexed and total_length == session.total_length


def _keep(tx: Transaction, making: Making) -> None:
    tx.tell("set_index_making", value=encode_json(making).decode())
