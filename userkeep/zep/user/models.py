"""Users, and the requests about them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from userkeep.zep.model import Model


class User(Model):
    """A user, as the server returns it.

    Attributes:
        uuid: assigned by the server.
        id: the position in a list. As a cursor, it leads to the next users.
        created_at, updated_at: the server's times.
        deleted_at: always None: deleted users are not returned.
        user_id: your id of the user.
        email, first_name, last_name: None if not set.
        metadata: None if not set.
    """

    uuid: UUID | None = None
    id: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    deleted_at: datetime | None = None
    user_id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    metadata: dict[str, Any] | None = None


class CreateUserRequest(Model):
    """A user to create.

    Attributes:
        user_id: your id of the user: a user name, an email address, a UUID, or any other text of
            up to 512 characters.
        email, first_name, last_name: up to 512 characters each.
        metadata: a JSON object of up to 64 KiB.
    """

    user_id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    metadata: dict[str, Any] | None = None


class UpdateUserRequest(Model):
    """An update of a user: fields that are None or empty stay.

    Attributes:
        uuid: not used; the user is selected by `user_id`.
        user_id: the user.
        email, first_name, last_name: up to 512 characters each.
        metadata: merged recursively into the existing metadata; values of None are stored.
    """

    uuid: UUID | None = None
    user_id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    metadata: dict[str, Any] | None = None
