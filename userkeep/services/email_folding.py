"""Fold the e-mail addresses of existing users again, where they were folded by other rules.

An instance does it before it serves, batch by batch. It can be interrupted after any batch, and
several processes can do it at once: each address is folded to the same.
"""

import msgspec

from userkeep.domain.email import FOLDING_VERSION, fold_email
from userkeep.domain.errors import StorageError
from userkeep.domain.project import DEFAULT_PROJECT
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import encode_json
from userkeep.services import instance

BATCH_MS = 100
_AT_ONCE = 1_000


class _Address(msgspec.Struct):
    number: int
    user_id: str
    email: str | None
    email_folded: str | None


class _Progress(msgspec.Struct):
    """How far the folding is, as the instance stores it.

    Attributes:
        version: of the rules.
        project_id: the project whose users are folded.
        after: the number of its last user that is folded.
    """

    version: str
    project_id: int = DEFAULT_PROJECT
    after: int = 0


def is_done(tx: Transaction) -> bool:
    """Return whether the addresses of all users are folded by the rules of this version."""
    return _state(tx) == FOLDING_VERSION


def check_is_done(tx: Transaction) -> None:
    """Reject a database whose addresses are folded by other rules; a reader cannot fold them.

    Raises:
        StorageError: with what to do.
    """
    if not is_done(tx):
        raise StorageError(
            "The email addresses of this database are indexed by another version of Userkeep. Run "
            "`userkeep migrate` to index them again."
        )


def advance(tx: Transaction, rules: Rules) -> bool:
    """Fold the addresses of a batch of users; return whether none is left."""
    state = _state(tx)
    if state == FOLDING_VERSION:
        return True
    progress = _progress(state)
    is_last = not (_fold_in_project(tx, rules, progress) or _next_project(tx, progress))
    value = FOLDING_VERSION if is_last else encode_json(progress).decode()
    tx.defer("set_email_folding", value=value)
    return is_last


def _fold_in_project(tx: Transaction, rules: Rules, progress: _Progress) -> bool:
    """Fold the addresses of a batch of a project's users, at least of one if any is left."""
    tx = tx.in_scope(Scope(progress.project_id, rules))
    found = tx.fetch_all("emails_to_fold", _Address, after=progress.after, limit=_AT_ONCE)
    for each in found:
        folded = fold_email(each.email)
        if folded != each.email_folded:
            of_user = {"user_id": each.user_id, "email": each.email}
            tx.defer("set_email_folded", email_folded=folded, **of_user)
        progress.after = each.number
        if tx.spent_ms() > BATCH_MS:
            break
    return bool(found)


def _next_project(tx: Transaction, progress: _Progress) -> bool:
    """Continue with the next project, if there is one."""
    later = [each for each in instance.project_ids(tx) if each > progress.project_id]
    if later:
        progress.project_id, progress.after = later[0], 0
    return bool(later)


def _progress(state: str | None) -> _Progress:
    if state is None or not state.startswith("{"):
        return _Progress(FOLDING_VERSION)
    progress = msgspec.json.decode(state, type=_Progress)
    return progress if progress.version == FOLDING_VERSION else _Progress(FOLDING_VERSION)


def _state(tx: Transaction) -> str | None:
    return tx.fetch_one("get_email_folding", str)
