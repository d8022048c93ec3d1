"""Embeddings of messages: what is to be embedded, what is stored, and what must not be there.

The sessions are the work list: one whose `embedded_seq` is less than its `last_seq` has messages
that were not looked at. Whatever adds or changes messages leaves it so; `jobs.embedding` works it
off. A vector is made from one message alone, and is deleted in the transaction that deletes or
changes the message.
"""

from typing import NamedTuple

from userkeep.domain.embedding import ModelState, Quantized, RecordedModel
from userkeep.domain.session import NewSession
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import User

LOOK_AGAIN = -1
DELETE_VECTORS = -2
"""Values of `embedded_seq`, see the migration."""


class StoredVector(NamedTuple):
    """The vector of a message, as it is stored; see `domain.embedding.Quantized`."""

    session_id: str
    seq: int
    scale: float
    vector: bytes

    @property
    def quantized(self) -> Quantized:
        """The vector itself."""
        return Quantized(self.scale, self.vector)


class _SessionFlags(NamedTuple):
    do_not_embed: int
    user_id: str | None


def models(tx: Transaction) -> list[RecordedModel]:
    """Return the models whose vectors the database has, the oldest first."""
    return tx.fetch_all("embedding_models", RecordedModel)


def searched_model(tx: Transaction) -> RecordedModel | None:
    """Return the model whose vectors are searched; None if nothing was ever embedded."""
    found = (each for each in models(tx) if each.state == ModelState.CURRENT)
    return next(found, None)


def vectors_of_session(tx: Transaction, session_id: str, model_id: int) -> list[StoredVector]:
    """Return the vectors of a session, in the order of its messages."""
    return tx.fetch_all(
        "embeddings_of_session", StoredVector, session_id=session_id, model_id=model_id
    )


def vectors_of_user(tx: Transaction, user_id: str, model_id: int) -> list[StoredVector]:
    """Return the vectors of a user, session by session."""
    return tx.fetch_all("embeddings_of_user", StoredVector, user_id=user_id, model_id=model_id)


def vectors_of_project(tx: Transaction, model_id: int) -> list[StoredVector]:
    """Return all vectors of the project, session by session."""
    return tx.fetch_all("embeddings_of_project", StoredVector, model_id=model_id)


def may_embed_query(tx: Transaction, user_id: str | None, session_id: str | None) -> bool:
    """Return whether a query may be given to the embedding model.

    Not where the project, the user or the session that is searched, or the owner of this session,
    is not to be embedded.
    """
    if tx.fetch_one("must_not_embed_project", int):
        return False
    if session_id is not None:
        session = tx.fetch_one("embedding_flags_of_session", _SessionFlags, session_id=session_id)
        if session is not None and session.do_not_embed:
            return False
        user_id = session.user_id if session is not None else user_id
    return user_id is None or not tx.fetch_one("must_not_embed_user", int, user_id=user_id)


def first_seq(tx: Transaction, new: NewSession) -> int | None:
    """Return the `embedded_seq` of a session that is created."""
    return 0 if tx.scope.rules.has_embedder and new.do_not_embed is not True else None


def reviewed_seq(tx: Transaction, before: int, after: int, new_owner: User | None) -> int | None:
    """Return the `embedded_seq` that a change of a session sets; None if it stays.

    Args:
        before, after: its `do_not_embed`.
        new_owner: the user to whom it is assigned; None without a change.
    """
    is_owner_left_out = new_owner is not None and bool(new_owner.do_not_embed)
    if after > before or is_owner_left_out:
        return DELETE_VECTORS
    return LOOK_AGAIN if before > after and tx.scope.rules.has_embedder else None


def change_user(tx: Transaction, user: User) -> None:
    """Put the sessions of a user on the work list, whose `do_not_embed` has changed."""
    if user.do_not_embed:
        tx.defer("stop_embedding_sessions_of_user", user_id=user.user_id)
    elif tx.scope.rules.has_embedder:
        tx.defer("embed_sessions_of_user", user_id=user.user_id)


def remove_message(tx: Transaction, session_id: str, seq: int) -> None:
    """Delete the vectors of a message, which is deleted or changed in this transaction."""
    remove_range(tx, session_id, seq, seq + 1)


def remove_range(tx: Transaction, session_id: str, from_seq: int, before_seq: int) -> None:
    """Delete the vectors of messages that are deleted in this transaction.

    Args:
        session_id: the session, which is locked.
        from_seq, before_seq: the range; negative for messages that are hidden.
    """
    if before_seq <= 0:  # hidden ones have the negative of the number that their vectors have
        from_seq, before_seq = 1 - before_seq, 1 - from_seq
    tx.defer("delete_embeddings", session_id=session_id, from_seq=from_seq, before_seq=before_seq)


def remove_session(tx: Transaction, session_id: str) -> None:
    """Delete all vectors of a session, whose messages have been deleted."""
    tx.defer("delete_embeddings", session_id=session_id, from_seq=0, before_seq=_NO_SEQ)


def embed_again(tx: Transaction, session_id: str, seq: int) -> None:
    """Put a session on the work list, because this message of it has changed."""
    tx.defer("embed_again", session_id=session_id, before_seq=seq - 1)


_NO_SEQ = 2**62
