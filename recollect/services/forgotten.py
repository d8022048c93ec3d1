"""No ghosts: for a while, the id of what was erased refuses to come back by itself.

An application's thread that still appends after its user was erased would otherwise open the
session again, ownerless, with the person's words. Only implicit creation is refused; who adds a
user or a session on purpose means somebody new, and lifts the mark of that one id.
"""

from typing import Literal, NamedTuple

from recollect.domain.errors import Gone
from recollect.domain.scope import Scope
from recollect.domain.times import Instant
from recollect.domain.transaction import Transaction

Kind = Literal["user", "session"]
_DROPPED_AT_ONCE = 500


class _Mark(NamedTuple):
    subject: str
    id_hash: str


def remember(tx: Transaction, scope: Scope, kind: Kind, id_: str) -> None:
    """Mark an id as forgotten, for as long as the rules say."""
    tx.tell(
        "forget_id",
        project_id=scope.project_id,
        subject=kind,
        id_hash=_hash(scope, kind, id_),
        until_at=Instant(tx.now + scope.rules.forgotten_for_us),
    )


def refuse(tx: Transaction, scope: Scope, kind: Kind, id_: str) -> None:
    """Let nothing be created in passing under an id that was forgotten.

    Raises:
        Gone: the id is marked.
    """
    until_at = tx.one(
        "forgotten_until",
        int,
        project_id=scope.project_id,
        subject=kind,
        id_hash=_hash(scope, kind, id_),
    )
    if until_at is not None and until_at > tx.now:
        raise Gone(
            f"This {kind} was erased. A late write does not bring it back; "
            f"to begin anew under the same id, add the {kind} explicitly."
        )


def lift(tx: Transaction, scope: Scope, kind: Kind, id_: str) -> None:
    """Free an id: somebody new bears it."""
    tx.tell(
        "lift_forgotten",
        project_id=scope.project_id,
        subject=kind,
        id_hash=_hash(scope, kind, id_),
    )


def drop_expired(tx: Transaction, scope: Scope) -> bool:
    """Drop some marks whose time is over; whether there may be more."""
    expired = {"project_id": scope.project_id, "now_at": tx.now}
    marks = tx.all("expired_forgotten", _Mark, limit=_DROPPED_AT_ONCE, **expired)
    tx.tell_many("drop_expired_forgotten", [mark._asdict() | expired for mark in marks])
    return len(marks) == _DROPPED_AT_ONCE


def _hash(scope: Scope, kind: Kind, id_: str) -> str:
    return scope.rules.id_hash(str(scope.project_id), kind, id_)
