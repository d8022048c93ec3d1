"""Users: adding, reading, changing and listing them. Forgetting them is in `erasures`."""

from typing import Any

from msgspec import UNSET

from recollect.domain.errors import AlreadyExists, Gone, NotFound
from recollect.domain.ids import check_id
from recollect.domain.metadata import Merge, stored_metadata
from recollect.domain.paging import Page
from recollect.domain.scope import Scope
from recollect.domain.transaction import Transaction
from recollect.domain.user import (
    NewUser,
    State,
    User,
    UserChange,
    UserFields,
    check_names,
    folded_email,
)
from recollect.services import changes, forgotten


def add(tx: Transaction, scope: Scope, new: NewUser) -> User:
    """Add a user.

    Raises:
        AlreadyExists: the id is taken. Gone: its former bearer is still being erased.
        InvalidField: naming the field.
    """
    user = _add(tx, scope, new)
    if user is None:
        existing = tx.one("get_user", User, project_id=scope.project_id, user_id=new.user_id)
        if existing is None or existing.state == State.ERASING:  # or was so until a moment ago
            raise _being_erased()
        raise AlreadyExists(f"There is a user with the user_id {new.user_id!r} already.", "user_id")
    return user


def get(tx: Transaction, scope: Scope, user_id: str) -> User:
    """A user by id.

    Raises:
        NotFound: there is none. Gone: the user is being erased.
    """
    return _visible(tx.one("get_user", User, project_id=scope.project_id, user_id=user_id))


def update(
    tx: Transaction,
    scope: Scope,
    user_id: str,
    change: UserChange,
    merge: Merge,
    if_revision: int | None = None,
) -> User:
    """Change a user; a change that names no field moves `updated_at` and nothing else.

    Raises:
        NotFound, Gone: as for `get`. RevisionMismatch: `if_revision` is not the present one.
        InvalidField: naming the field.
    """
    check_names(change)
    user = _visible(tx.one("lock_user", User, project_id=scope.project_id, user_id=user_id))
    changes.check_revision(user.revision, if_revision)
    names_a_field = any(getattr(change, field) is not UNSET for field in change.__struct_fields__)
    return _set(
        tx,
        scope,
        user_id,
        email=user.email if change.email is UNSET else change.email,
        first_name=user.first_name if change.first_name is UNSET else change.first_name,
        last_name=user.last_name if change.last_name is UNSET else change.last_name,
        metadata=changes.merged(user.metadata, change.metadata, merge),
        revision=user.revision + names_a_field,
    )


def put(
    tx: Transaction,
    scope: Scope,
    user_id: str,
    fields: UserFields,
    if_revision: int | None = None,
) -> User:
    """Create the user, or replace all that is said of them; a new one has revision 1.

    Raises:
        Gone: the user is being erased. RevisionMismatch: `if_revision` is not the present one.
        InvalidField: naming the field.
    """
    check_id(user_id, "user_id")
    check_names(fields)
    user = tx.one("lock_user", User, project_id=scope.project_id, user_id=user_id)
    if user is None:
        changes.check_revision(0, if_revision)
        added = _add(tx, scope, new_user(user_id, fields))
        if added is not None:
            return added
        # Another writer has added them since we looked: their row is there to be locked now.
        user = tx.one("lock_user", User, project_id=scope.project_id, user_id=user_id)
        if user is None:
            raise _being_erased()
    user = _visible(user)
    changes.check_revision(user.revision, if_revision)
    return _set(
        tx,
        scope,
        user_id,
        email=fields.email,
        first_name=fields.first_name,
        last_name=fields.last_name,
        metadata=stored_metadata(fields.metadata),
        revision=user.revision + 1,
    )


def new_user(user_id: str, fields: UserFields) -> NewUser:
    """The fields, with the id that they are about."""
    return NewUser(
        user_id=user_id,
        email=fields.email,
        first_name=fields.first_name,
        last_name=fields.last_name,
        metadata=fields.metadata,
    )


def page(tx: Transaction, scope: Scope, page: Page, **filters: Any) -> list[User]:
    """Users in the order of their creation: one more than the page's limit where more are left.

    Args:
        filters: `email_folded`, `created_after_at`, `created_before_at`, `filter`;
            those that are None do not count.
    """
    return tx.all("list_users", User, project_id=scope.project_id, **page.values, **filters)


def skip(tx: Transaction, scope: Scope, offset: int) -> int | None:
    """The number after which a list begins that skips `offset` users; None: nothing is left."""
    return tx.one("skip_users", int, project_id=scope.project_id, skipped=offset - 1)


def hold(tx: Transaction, scope: Scope, user_id: str) -> User:
    """A user whom nobody can erase before this transaction ends: the fence of what becomes theirs.

    Raises:
        NotFound: there is none. Gone: the user is being erased.
    """
    return _visible(tx.one("hold_user", User, project_id=scope.project_id, user_id=user_id))


def hold_or_add(tx: Transaction, scope: Scope, user_id: str) -> User:
    """As `hold`, but an unknown user is added, unless an erasure forbids it.

    Raises:
        Gone: the user is being erased, or was erased not long ago.
    """
    user = tx.one("hold_user", User, project_id=scope.project_id, user_id=user_id)
    if user is not None:
        return _visible(user)
    new = NewUser(user_id=user_id)
    new.check()
    added = _insert(tx, scope, new)
    if added is None:
        return hold(tx, scope, user_id)
    # Only now: till the row was ours, the id could be used and forgotten.
    forgotten.refuse(tx, scope, "user", user_id)
    return added


def _add(tx: Transaction, scope: Scope, new: NewUser) -> User | None:
    """Add a user on purpose; None where the id is taken."""
    new.check()
    user = _insert(tx, scope, new)
    if user is not None:
        forgotten.lift(tx, scope, "user", new.user_id)
    return user


def _insert(tx: Transaction, scope: Scope, new: NewUser) -> User | None:
    return tx.one(
        "add_user",
        User,
        project_id=scope.project_id,
        user_id=new.user_id,
        uuid=tx.new_uuid(),
        email=new.email,
        email_folded=folded_email(new.email),
        first_name=new.first_name,
        last_name=new.last_name,
        metadata=stored_metadata(new.metadata),
        now_at=tx.now,
    )


def _set(tx: Transaction, scope: Scope, user_id: str, **fields: Any) -> User:
    user = tx.one(
        "set_user",
        User,
        project_id=scope.project_id,
        user_id=user_id,
        email_folded=folded_email(fields["email"]),
        now_at=tx.now,
        **fields,
    )
    return _visible(user)


def _visible(user: User | None) -> User:
    if user is None:
        raise NotFound("There is no user with this user_id.")
    if user.state == State.ERASING:
        raise _being_erased()
    return user


def _being_erased() -> Gone:
    return Gone("This user is being erased.")
