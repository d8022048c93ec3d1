"""Users, and what is asked about them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from userkeep.zep.model import Model


class User(Model):
    """A user as the server has it.

    Attributes:
        uuid: the server's own id.
        id: its place in the list it came in; as a cursor it leads to what follows.
        created_at, updated_at: by the server's clock.
        deleted_at: None; who is deleted is gone.
        user_id: yours.
        email, first_name, last_name: None where there is none.
        metadata: None where there is none.
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
    """A user to add.

    Attributes:
        user_id: yours: a username, an e-mail address, a UUID, any text of up to 512 characters.
        email, first_name, last_name: up to 512 characters each.
        metadata: a JSON object of up to 64 KiB.
    """

    user_id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    metadata: dict[str, Any] | None = None


class UpdateUserRequest(Model):
    """A change of a user: what is None or empty stays as it is.

    Attributes:
        uuid: the server's id; it chooses nothing, `user_id` does.
        user_id: whose.
        email, first_name, last_name: up to 512 characters each.
        metadata: merged into what is there, object into object; a None in it is stored.
    """

    uuid: UUID | None = None
    user_id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    metadata: dict[str, Any] | None = None
