"""API keys of a project: create, list, rotate and revoke them.

The first key of an instance closes it: from then on, a server asks every request for a key. It
stays closed even if all keys are revoked.
"""

import re

from userkeep.domain.errors import Conflict, InvalidField, NotFound
from userkeep.domain.key import Key, KeyText, NewKey
from userkeep.domain.project import DEFAULT_PROJECT
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.paging import PageRequest, Rows
from userkeep.domain.values.times import HOUR, Instant, from_datetime
from userkeep.services import authentication, users

_BATCH = 500

_ID = re.compile(r"[0-9a-f]{1,16}")
_UNKNOWN = "There is no key with this id."


def add(tx: Transaction, new: NewKey, text: KeyText) -> Key:
    """Create a key.

    Args:
        text: its id, and the hash that is stored.

    Raises:
        NotFound: there is no such user. Gone: the user is being deleted.
        InvalidField: naming the field.
    """
    new.check(tx.now)
    _check_first(tx, new)
    # Locked, so that a deletion of the user that runs at the same time sees the key.
    user = None if new.user_id is None else users.lock_shared(tx, new.user_id)
    key = tx.fetch_one(
        "add_key",
        Key,
        id=text.id,
        name=new.name,
        scope=new.scope,
        user_id=user.user_id if user else None,
        user_uuid=user.uuid if user else None,
        hash=text.hash,
        now_at=tx.now,
        expires_at=None if new.expires_at is None else from_datetime(new.expires_at),
    )
    authentication.require(tx)
    return _found(key, text.id)


def get(tx: Transaction, id_: str) -> Key:
    """Return a key, even a revoked one.

    Raises:
        NotFound: there is no such key.
    """
    return _found(tx.fetch_one("get_key", Key, id=id_), id_)


def page(tx: Transaction, page: PageRequest) -> Rows[Key]:
    """Return a page of keys, in the order of their creation."""
    return page.cut(Rows(tx.fetch_all("list_keys", Key, **page.values), has_more=False))


def rotate(tx: Transaction, id_: str, text: KeyText, overlap_hours: int) -> Key:
    """Give a key a new text. The one before stays valid for some hours, any older one does not.

    Raises:
        NotFound: there is no such key. Conflict: it is revoked or has expired.
    """
    key = _found(tx.fetch_one("lock_key", Key, id=id_), id_)
    if key.revoked_at is not None:
        raise Conflict("This key is revoked. Create another one.")
    if key.expires_at is not None and key.expires_at <= tx.now:
        raise Conflict("This key has expired. Create another one.")
    former_expires_at = Instant(tx.now + overlap_hours * HOUR)
    values = {"hash": text.hash, "former_expires_at": former_expires_at}
    return _found(tx.fetch_one("rotate_key", Key, id=id_, **values), id_)


def revoke(tx: Transaction, id_: str) -> Key:
    """Revoke a key for good. Revoking it again changes nothing.

    Raises:
        NotFound: there is no such key.
    """
    key = _found(tx.fetch_one("lock_key", Key, id=id_), id_)
    if key.revoked_at is not None:
        return key
    return _found(tx.fetch_one("revoke_key", Key, id=id_, now_at=tx.now), id_)


def remove_user(tx: Transaction, user_id: str) -> None:
    """Delete the keys that are bound to a user."""
    tx.defer("delete_keys_of_user", user_id=user_id)


def remove_any(tx: Transaction) -> bool:
    """Delete a batch of the keys of a deleted project; return whether there may be more."""
    found = tx.fetch_all("some_keys", str, limit=_BATCH)
    tx.execute_many("delete_key", [{"id": id_} for id_ in found])
    return len(found) == _BATCH


def _check_first(tx: Transaction, new: NewKey) -> None:
    """Check that the first key can create the others, or its creator would lock themselves out."""
    is_first = tx.scope.key_id is None and not authentication.is_required(tx)
    is_admin = new.scope == "admin" and tx.scope.project_id == DEFAULT_PROJECT
    if is_first and not is_admin:
        raise InvalidField(
            "The first key must have the scope admin, in the project default: from then on, the "
            "server asks for a key, and only such a key can create others.",
            "scope",
        )


def _found(key: Key | None, id_: str) -> Key:
    if key is None:
        # What is no id may be the text of a key, which no error may have.
        raise NotFound(f"There is no key with the id {id_!r}." if _ID.fullmatch(id_) else _UNKNOWN)
    return key
