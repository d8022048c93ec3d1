"""`client.user`."""

import builtins
from collections.abc import AsyncGenerator, Generator

from userkeep.zep.calls import ZepCall, check_id, make_call, read_list, read_nothing, read_object
from userkeep.zep.memory.models import Session
from userkeep.zep.transport import ZepTransport
from userkeep.zep.user.models import CreateUserRequest, UpdateUserRequest, User


class UserClient:
    """The users of an app.

    A `user_id` is any text. Each method has an async form, whose name begins with `a`.
    """

    def __init__(self, transport: ZepTransport) -> None:
        self._transport = transport

    def add(self, user: CreateUserRequest) -> User:
        """Create a user.

        Raises:
            APIError: a user with this `user_id` exists (the `status_code` is 400), or a field is
                invalid.
            ValueError: the `user_id` is blank.
        """
        return self._transport.call(_add(user))

    async def aadd(self, user: CreateUserRequest) -> User:
        """Create a user; the async form of `add`."""
        return await self._transport.acall(_add(user))

    def get(self, user_id: str) -> User:
        """Return a user.

        Raises:
            NotFoundError: the user does not exist.
            ValueError: the `user_id` is blank.
        """
        return self._transport.call(_get(user_id))

    async def aget(self, user_id: str) -> User:
        """Return a user; the async form of `get`."""
        return await self._transport.acall(_get(user_id))

    def update(self, user: UpdateUserRequest) -> User:
        """Update the user with this `user_id`: fields that are None stay, metadata is merged.

        Raises:
            NotFoundError: the user does not exist.
            APIError: a field is invalid.
            ValueError: the `user_id` is blank.
        """
        return self._transport.call(_update(user))

    async def aupdate(self, user: UpdateUserRequest) -> User:
        """Update a user; the async form of `update`."""
        return await self._transport.acall(_update(user))

    def delete(self, user_id: str) -> None:
        """Delete a user with all sessions and messages.

        Raises:
            NotFoundError: the user does not exist.
            ValueError: the `user_id` is blank.
        """
        self._transport.call(_delete(user_id))

    async def adelete(self, user_id: str) -> None:
        """Delete a user; the async form of `delete`."""
        await self._transport.acall(_delete(user_id))

    def list(self, limit: int | None = None, cursor: int | None = None) -> builtins.list[User]:
        """Return a page of users, in creation order.

        Args:
            limit: the maximum number of users. The default is all.
            cursor: the number of users to skip, or the `id` of the last user of the previous page.
        """
        return self._transport.call(_list(limit, cursor))

    async def alist(
        self, limit: int | None = None, cursor: int | None = None
    ) -> builtins.list[User]:
        """Return a page of users; the async form of `list`."""
        return await self._transport.acall(_list(limit, cursor))

    def list_chunked(
        self,
        chunk_size: int = 100,
        *,
        chunkSize: int | None = None,  # noqa: N803 - the name in the documentation of Zep
    ) -> Generator[builtins.list[User], None, None]:
        """Iterate over all users in chunks. Each is requested when it is needed.

        Users can be deleted while iterating: none is skipped.

        Args:
            chunk_size: the number of users in a chunk.
            chunkSize: another name of `chunk_size`.

        Raises:
            ValueError: at the first chunk, if the size is not positive.
        """
        return self._transport.chunks(_list, chunk_size if chunkSize is None else chunkSize)

    def alist_chunked(
        self,
        chunk_size: int = 100,
        *,
        chunkSize: int | None = None,  # noqa: N803
    ) -> AsyncGenerator[builtins.list[User], None]:
        """Iterate over all users in chunks; the async form of `list_chunked`."""
        return self._transport.achunks(_list, chunk_size if chunkSize is None else chunkSize)

    def get_sessions(self, user_id: str) -> builtins.list[Session]:
        """Return the sessions of a user; an empty list if the user does not exist.

        Raises:
            ValueError: the `user_id` is blank.
        """
        return self._transport.call(_sessions(user_id))

    async def aget_sessions(self, user_id: str) -> builtins.list[Session]:
        """Return the sessions of a user; the async form of `get_sessions`."""
        return await self._transport.acall(_sessions(user_id))


def _add(user: CreateUserRequest) -> ZepCall[User]:
    check_id(user.user_id, "user_id")
    return make_call("POST", "/user", read_object(User), body=user.dict(exclude_none=True))


def _get(user_id: str) -> ZepCall[User]:
    return _of_user("GET", user_id)


def _update(user: UpdateUserRequest) -> ZepCall[User]:
    return _of_user("PATCH", user.user_id, user.dict(exclude_none=True))


def _of_user(method: str, user_id: str, body: object = None) -> ZepCall[User]:
    return make_call(
        method,
        "/user/{user_id}",
        read_object(User),
        ids={"user_id": user_id},
        body=body,
        missing=_missing(user_id),
    )


def _delete(user_id: str) -> ZepCall[None]:
    return make_call(
        "DELETE",
        "/user/{user_id}",
        read_nothing,
        ids={"user_id": user_id},
        missing=_missing(user_id),
    )


def _list(limit: int | None, cursor: int | None) -> ZepCall[list[User]]:
    return make_call("GET", "/user", read_list(User), query={"limit": limit, "cursor": cursor})


def _sessions(user_id: str) -> ZepCall[list[Session]]:
    return make_call(
        "GET",
        "/user/{user_id}/sessions",
        read_list(Session),
        ids={"user_id": user_id},
        missing=_missing(user_id),
    )


def _missing(user_id: str) -> str:
    return f"User {user_id!r} does not exist"
