"""A user: a person who uses the app, and the owner of sessions.

The `user_id` is the app's, and identifies the user in requests. The `uuid` is the server's: a user
who is created again under the `user_id` of a deleted user is another user, with another uuid.
"""

from enum import StrEnum
from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from userkeep.domain.embedding import DoNotEmbed
from userkeep.domain.errors import NotFound
from userkeep.domain.values.ids import check_id
from userkeep.domain.values.metadata import MAX_METADATA_BYTES, Metadata
from userkeep.domain.values.past import PastTime
from userkeep.domain.values.text import check_name, utf8_bytes
from userkeep.domain.values.times import Instant


class State(StrEnum):
    """The state of a user or a session."""

    ACTIVE = "active"
    DELETING = "deleting"


class User(msgspec.Struct):
    """A user as stored.

    Attributes:
        number: the order of creation; never reused, with gaps.
        user_id: the app's, unique in the project.
        uuid: of version 7.
        metadata: a JSON object as text, or None if there never was any.
        state: `deleting` hides the user from all readers and writers.
        revision: counts updates, from 1.
        created_at: the server's time, or the app's, for imported history.
        do_not_embed: whether nothing of the user is given to an embedding model; 0 or 1.
    """

    max_size_bytes: ClassVar = MAX_METADATA_BYTES

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
    do_not_embed: int

    @property
    def size_bytes(self) -> int:
        """The bytes of its metadata, which is the only text that can be long."""
        return utf8_bytes(self.metadata)


class NewUser(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A user to create."""

    user_id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    metadata: Metadata | None = None
    created_at: PastTime | None = None
    do_not_embed: DoNotEmbed | UnsetType = UNSET

    def check(self) -> None:
        """Check the fields, except metadata.

        Raises:
            InvalidField: naming the field.
        """
        check_id(self.user_id, "user_id")
        check_names(self)


class UserFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The fields of a user to create or replace; an absent field is null.

    An existing user keeps its `created_at`, and its `do_not_embed` unless that is given.
    """

    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    metadata: Metadata | None = None
    created_at: PastTime | None = None
    do_not_embed: DoNotEmbed | UnsetType = UNSET


class UserChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An update of a user: absent fields stay, null removes a value, metadata is merged."""

    email: str | None | UnsetType = UNSET
    first_name: str | None | UnsetType = UNSET
    last_name: str | None | UnsetType = UNSET
    metadata: Metadata | None | UnsetType = UNSET
    do_not_embed: DoNotEmbed | UnsetType = UNSET


def check_names(fields: NewUser | UserFields | UserChange) -> None:
    """Check names and e-mail addresses.

    Raises:
        InvalidField: naming the field.
    """
    for field in ("email", "first_name", "last_name"):
        value = getattr(fields, field)
        if value is not UNSET:
            check_name(value, field)


def no_such_user(user_id: str) -> NotFound:
    """Return the error about a user who does not exist, or does not for the key of the request."""
    return NotFound(f"There is no user with the user_id {user_id!r}.")
