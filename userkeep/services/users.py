"""Users: create, read, update and list them. `services.erasures` deletes them."""

from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from userkeep.domain.email import fold_email
from userkeep.domain.errors import AlreadyExists, Gone
from userkeep.domain.imports import NEW, Version
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import (
    NewUser,
    State,
    User,
    UserChange,
    UserFields,
    check_names,
    no_such_user,
)
from userkeep.domain.values.ids import check_id
from userkeep.domain.values.metadata import Merge, encode_metadata
from userkeep.domain.values.paging import PageRequest, Rows
from userkeep.domain.values.past import check_past
from userkeep.services import changes, embeddings, tombstones, user_words

AnyUser = TypeVar("AnyUser", bound=User)


def add(tx: Transaction, new: NewUser) -> User:
    """Create a user.

    Raises:
        AlreadyExists: the id is used. Gone: the user with this id is being deleted.
        InvalidField: naming the field.
    """
    user = _add(tx, new)
    if user is None:
        existing = tx.fetch_one("get_user", User, user_id=new.user_id)
        if existing is None or existing.state == State.DELETING:  # None: deleted in the meantime
            raise _being_deleted()
        raise AlreadyExists(f"A user with the user_id {new.user_id!r} already exists.", "user_id")
    return user


def get(tx: Transaction, user_id: str) -> User:
    """Return a user.

    Raises:
        NotFound: there is no such user. Gone: the user is being deleted.
    """
    return _visible(tx, tx.fetch_one("get_user", User, user_id=user_id), user_id)


def update(
    tx: Transaction,
    user_id: str,
    change: UserChange,
    merge: Merge,
    if_revision: int | None = None,
    *,
    touches: bool = False,
) -> User:
    """Update a user. Nothing changes if all fields have their values already.

    Args:
        touches: whether `updated_at` changes in any case, as in Zep.

    Raises:
        NotFound, Gone: as for `get`. RevisionMismatch: `if_revision` is not the current one.
        InvalidField: naming the field.
    """
    check_names(change)
    user = _visible(tx, tx.fetch_one("lock_user", User, user_id=user_id), user_id)
    changes.check_revision(user.revision, if_revision)
    fields: dict[str, Any] = {
        "email": user.email if change.email is UNSET else change.email,
        "first_name": user.first_name if change.first_name is UNSET else change.first_name,
        "last_name": user.last_name if change.last_name is UNSET else change.last_name,
        "metadata": changes.merge_metadata(user.metadata, change.metadata, merge),
        "do_not_embed": _flag(user, change.do_not_embed),
    }
    is_change = any(getattr(user, name) != value for name, value in fields.items())
    if not is_change and not touches:
        return user
    return _set(tx, user, **fields, revision=user.revision + is_change)


def put(
    tx: Transaction,
    user_id: str,
    fields: UserFields,
    if_revision: int | None = None,
) -> User:
    """Create the user, or replace all fields of an existing one; a new user has revision 1.

    Raises:
        Gone: the user is being deleted. RevisionMismatch: `if_revision` is not the current one.
        InvalidField: naming the field.
    """
    check_id(user_id, "user_id")
    check_names(fields)
    user = tx.fetch_one("lock_user", User, user_id=user_id)
    if user is None:
        changes.check_revision(0, if_revision)
        added = _add(tx, new_user(user_id, fields))
        if added is not None:
            return added
        # A concurrent write has created the user: now there is a row to lock.
        user = tx.fetch_one("lock_user", User, user_id=user_id)
        if user is None:
            raise _being_deleted()
    user = _visible(tx, user, user_id)
    changes.check_revision(user.revision, if_revision)
    return _set(
        tx,
        user,
        email=fields.email,
        first_name=fields.first_name,
        last_name=fields.last_name,
        metadata=encode_metadata(fields.metadata),
        do_not_embed=_flag(user, fields.do_not_embed),
        revision=user.revision + 1,
    )


def new_user(user_id: str, fields: UserFields) -> NewUser:
    """Return a user to create, of an id and fields."""
    return NewUser(
        user_id=user_id,
        email=fields.email,
        first_name=fields.first_name,
        last_name=fields.last_name,
        metadata=fields.metadata,
        created_at=fields.created_at,
        do_not_embed=fields.do_not_embed,
    )


def page(
    tx: Transaction, page: PageRequest, beginnings: tuple[str, ...] = (), **filters: Any
) -> Rows[User]:
    """Return a page of users, in the order of their numbers.

    Args:
        page: which rows.
        beginnings: each of them begins a word of the user.
        filters: `email_folded`, `created_after_at`, `created_before_at`, `filter`; None for no
            filter.
    """
    if beginnings:
        return user_words.page(tx, page, beginnings, filters)
    return page.cut(tx.fetch_page("list_users", User, **page.values, **filters))


def count(tx: Transaction, beginnings: tuple[str, ...] = (), **filters: Any) -> int:
    """Return the number of users that match the filters of `page`."""
    if beginnings:
        return user_words.count(tx, beginnings, filters)
    return tx.fetch_one("count_users", int, **filters) or 0


def skip(tx: Transaction, offset: int) -> int | None:
    """Return the number after which a list starts that skips `offset` users, or None."""
    return tx.fetch_one("skip_users", int, skipped=offset - 1)


def lock_shared(tx: Transaction, user_id: str) -> User:
    """Return a user, locked against deletion until this transaction ends.

    Whatever adds data of the user calls it first, so that nothing is added to a deleted user.

    Raises:
        NotFound: there is no such user. Gone: the user is being deleted.
    """
    return _visible(tx, tx.fetch_one("lock_user_shared", User, user_id=user_id), user_id)


def get_or_create_locked(tx: Transaction, user_id: str) -> User:
    """Return a user, locked as by `lock_shared`; create an unknown one, if no tombstone forbids it.

    Raises:
        Gone: the user is being deleted, or was deleted not long ago.
    """
    user = tx.fetch_one("lock_user_shared", User, user_id=user_id)
    if user is not None:
        return _visible(tx, user, user_id)
    new = NewUser(user_id=user_id)
    new.check()
    added = insert(tx, new)
    if added is None:
        return lock_shared(tx, user_id)
    # Only now: before the insert, the user could be created and deleted by others.
    tombstones.check(tx, "user", user_id)
    return added


def insert(tx: Transaction, new: NewUser, version: Version = NEW) -> User | None:
    """Insert a user; return None if the id is used. Whether a tombstone forbids it is not checked.

    Raises:
        InvalidField: a time is in the future, or metadata is invalid.
    """
    created_at = new.created_at
    user = tx.fetch_one(
        "add_user",
        user_words.WrittenUser,
        user_id=new.user_id,
        uuid=version.uuid or tx.new_uuid(),
        email=new.email,
        email_folded=fold_email(new.email),
        first_name=new.first_name,
        last_name=new.last_name,
        metadata=encode_metadata(new.metadata),
        revision=version.revision,
        created_at=tx.now if created_at is None else check_past(created_at, "created_at", tx.now),
        updated_at=tx.now if version.updated_at is None else version.updated_at,
        do_not_embed=int(new.do_not_embed is True),
    )
    if user is not None:
        user_words.add(tx, user)
    return user


def _add(tx: Transaction, new: NewUser) -> User | None:
    """Create a user explicitly; return None if the id is used."""
    new.check()
    user = insert(tx, new)
    if user is not None:
        tombstones.remove(tx, "user", new.user_id)
    return user


def _set(tx: Transaction, before: User, **fields: Any) -> User:
    user = tx.fetch_one(
        "set_user",
        user_words.WrittenUser,
        user_id=before.user_id,
        email_folded=fold_email(fields["email"]),
        now_at=tx.now,
        **fields,
    )
    user = _visible(tx, user, before.user_id)
    user_words.change(tx, before, user)
    if user.do_not_embed != before.do_not_embed:
        embeddings.change_user(tx, user)
    return user


def _flag(user: User, given: bool | UnsetType) -> int:
    return user.do_not_embed if isinstance(given, UnsetType) else int(given)


def _visible(tx: Transaction, user: AnyUser | None, user_id: str) -> AnyUser:
    if user is None or tx.scope.user_uuid not in {None, user.uuid}:
        raise no_such_user(user_id)
    if user.state == State.DELETING:
        raise _being_deleted()
    return user


def _being_deleted() -> Gone:
    return Gone("This user is being deleted.")
