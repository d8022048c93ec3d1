"""A user: one of the people an app talks to, the owner of their sessions.

The caller's own `user_id` is the address; the `uuid` is the server's and distinguishes namesakes:
who is deleted and added again under the same `user_id` is somebody else and gets another uuid.
"""

from enum import StrEnum

import msgspec
from msgspec import UNSET, UnsetType

from userkeep.domain.values.ids import check_id
from userkeep.domain.values.metadata import Metadata
from userkeep.domain.values.text import check_name
from userkeep.domain.values.times import Instant


class State(StrEnum):
    """Where a user or a session stands."""

    ACTIVE = "active"
    DELETING = "deleting"


class User(msgspec.Struct):
    """A user as stored.

    Attributes:
        number: order of creation; never reused, gaps allowed.
        user_id: the caller's own, unique in the project.
        uuid: version 7.
        metadata: a JSON object as text, or None where none was ever given.
        state: `deleting` once the erasure is accepted; the user is not visible from then on.
        revision: counts changes of these fields, from 1.
    """

    number: int
    user_id: str
    uuid: str
    email: str | None
    first_name: str | None
    last_name: str | None
    metadata: str | None
    state: str
    revision: int
    created_at: Instant
    updated_at: Instant


class NewUser(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A user to create."""

    user_id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    metadata: Metadata | None = None

    def check(self) -> None:
        """Refuse what cannot be stored.

        Raises:
            InvalidField: naming the field.
        """
        check_id(self.user_id, "user_id")
        check_names(self)


class UserFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The fields of a user to create or replace; an absent field is null."""

    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    metadata: Metadata | None = None


class UserChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An update of a user: absent fields stay, null removes a value, metadata is merged."""

    email: str | None | UnsetType = UNSET
    first_name: str | None | UnsetType = UNSET
    last_name: str | None | UnsetType = UNSET
    metadata: Metadata | None | UnsetType = UNSET


def check_names(fields: NewUser | UserFields | UserChange) -> None:
    """Refuse names and e-mail addresses that cannot be stored.

    Raises:
        InvalidField: naming the field.
    """
    for field in ("email", "first_name", "last_name"):
        value = getattr(fields, field)
        if value is not UNSET:
            check_name(value, field)


def folded_email(email: str | None) -> str | None:
    """What an e-mail address is compared by: without regard to case."""
    return None if email is None else email.casefold()
