"""A project: a tenant of the instance. Every row of the database belongs to one.

A project is identified by its name, or by the uuid that the server assigns. A deleted project keeps
its uuid, and its name can be used again.
"""

import re
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from userkeep.domain.embedding import DoNotEmbed
from userkeep.domain.errors import InvalidField
from userkeep.domain.values.ids import is_uuid
from userkeep.domain.values.times import Instant

DEFAULT_PROJECT = 1
"""The number of the project that every instance has."""

DEFAULT_NAME = "default"

MAX_PROJECT_ID = 2**15 - 1
"""Numbers are not reused: it is how many projects an instance can have in its life."""

_MAX_QUOTA = 2**63 - 1
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

Name = Annotated[
    str,
    Meta(
        description="Up to 63 of a-z, 0-9, `-` and `_`, the first a letter or a digit. Not a uuid.",
        extra_json_schema={"pattern": f"^{_NAME.pattern}$"},
    ),
]


def _quota(description: str) -> Meta:
    return Meta(
        description=f"{description} Null: no limit.",
        extra_json_schema={"minimum": 1, "maximum": _MAX_QUOTA},
    )


MaxMessages = Annotated[int | None, _quota("The most messages that a user can have.")]
MaxBytes = Annotated[int | None, _quota("The most bytes that the texts of a user can have.")]
MaxDocuments = Annotated[int | None, _quota("The most documents that a user can have.")]
QUOTAS = ("max_messages_per_user", "max_bytes_per_user", "max_documents_per_user")


class ProjectState(StrEnum):
    """The state of a project."""

    ACTIVE = "active"
    DELETING = "deleting"
    DELETED = "deleted"


class Project(msgspec.Struct):
    """A project as stored.

    Attributes:
        number: the project_id: the order of creation; never reused.
        name: unique; None once `deleted`.
        uuid: unique, and kept.
        state: see ProjectState. A project that is not `active` can be neither read nor written.
        max_messages_per_user, max_bytes_per_user, max_documents_per_user: quotas; None: no limit.
        user_count, session_count, message_count, document_count: how many its deletion has
            deleted so far.
        started_at, deleted_at: when its deletion was requested, and when the last row was deleted.
        lease_expires_at: until when the process that deletes it has exclusive access; None in any
            other process.
        purge_requested_at, purge_uuid, skipped_steps, purged_at: as in an erasure.
        do_not_embed: whether nothing of it is given to an embedding model; 0 or 1.
    """

    number: int
    name: str | None
    uuid: str
    state: str
    max_messages_per_user: int | None
    max_bytes_per_user: int | None
    max_documents_per_user: int | None
    user_count: int
    session_count: int
    message_count: int
    document_count: int
    created_at: Instant
    updated_at: Instant
    started_at: Instant | None
    deleted_at: Instant | None
    lease_expires_at: Instant | None
    purge_requested_at: Instant | None
    purge_uuid: str | None
    skipped_steps: str | None
    purged_at: Instant | None
    do_not_embed: int

    @property
    def is_finished(self) -> bool:
        """Whether it is deleted to the last row."""
        return self.state == ProjectState.DELETED

    @property
    def waits_for_purge(self) -> bool:
        """Whether a client requested its purge, and it is not purged yet."""
        return self.purge_requested_at is not None and self.purged_at is None


class NewProject(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A project to create."""

    name: Name
    max_messages_per_user: MaxMessages = None
    max_bytes_per_user: MaxBytes = None
    max_documents_per_user: MaxDocuments = None

    def check(self) -> None:
        """Check the fields.

        Raises:
            InvalidField: naming the field.
        """
        check_project_name(self.name)
        check_quotas(self)


class ProjectChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An update of a project: absent fields stay, null removes a quota."""

    name: Name | UnsetType = UNSET
    max_messages_per_user: MaxMessages | UnsetType = UNSET
    max_bytes_per_user: MaxBytes | UnsetType = UNSET
    max_documents_per_user: MaxDocuments | UnsetType = UNSET
    do_not_embed: DoNotEmbed | UnsetType = UNSET

    def check(self) -> None:
        """Check the fields.

        Raises:
            InvalidField: naming the field.
        """
        if not isinstance(self.name, UnsetType):
            check_project_name(self.name)
        check_quotas(self)


def is_project_name(text: str) -> bool:
    """Return whether a project can have this name."""
    return _NAME.fullmatch(text) is not None and not is_uuid(text)


def check_project_name(name: str) -> None:
    """Check the name of a project.

    Raises:
        InvalidField: with the name.
    """
    if not _NAME.fullmatch(name):
        raise InvalidField(
            "name must have 1 to 63 of a-z, 0-9, - and _, the first a letter or a digit; "
            f"got {name!r}.",
            "name",
        )
    if is_uuid(name):
        raise InvalidField(
            f"name cannot be a uuid, because uuids identify projects too; got {name!r}.", "name"
        )


def check_quotas(fields: NewProject | ProjectChange) -> None:
    """Check the quotas.

    Raises:
        InvalidField: naming the field, with its value.
    """
    for field in QUOTAS:
        value = getattr(fields, field)
        if isinstance(value, int) and not 1 <= value <= _MAX_QUOTA:
            raise InvalidField(
                f"{field} must be an integer from 1 to {_MAX_QUOTA}, or null; got {value}.", field
            )
