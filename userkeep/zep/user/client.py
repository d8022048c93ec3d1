"""`client.user`: the people an app talks to."""

import builtins
from collections.abc import AsyncGenerator, Generator

from userkeep.zep.calls import ZepCall, check_id, make_call, one, read_nothing, several
from userkeep.zep.memory.models import Session
from userkeep.zep.sender import Sender
from userkeep.zep.user.models import CreateUserRequest, UpdateUserRequest, User


class UserClient:
    """Users: added, read, changed, listed, and deleted with everything that is theirs.

    A `user_id` is any text. Each method has an awaited form, whose name begins with an `a`.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def add(self, user: CreateUserRequest) -> User:
        """Add a user.

        Raises:
            APIError: there is one with this `user_id` (its `status_code` is 400); a field has a
                value that it cannot have.
            ValueError: the `user_id` is blank.
        """
        return self._sender.call(_add(user))

    async def aadd(self, user: CreateUserRequest) -> User:
        """Add a user; see add."""
        return await self._sender.acall(_add(user))

    def get(self, user_id: str) -> User:
        """Read a user.

        Raises:
            NotFoundError: there is none with this `user_id`.
            ValueError: it is blank.
        """
        return self._sender.call(_get(user_id))

    async def aget(self, user_id: str) -> User:
        """Read a user; see get."""
        return await self._sender.acall(_get(user_id))

    def update(self, user: UpdateUserRequest) -> User:
        """Change the user with this `user_id`: what is None stays, metadata is merged.

        Raises:
            NotFoundError: there is none.
            APIError: a field has a value that it cannot have.
            ValueError: the `user_id` is blank.
        """
        return self._sender.call(_update(user))

    async def aupdate(self, user: UpdateUserRequest) -> User:
        """Change a user; see update."""
        return await self._sender.acall(_update(user))

    def delete(self, user_id: str) -> None:
        """Delete a user, with all sessions and messages.

        Raises:
            NotFoundError: there is none with this `user_id`.
            ValueError: it is blank.
        """
        self._sender.call(_delete(user_id))

    async def adelete(self, user_id: str) -> None:
        """Delete a user; see delete."""
        await self._sender.acall(_delete(user_id))

    def list(self, limit: int | None = None, cursor: int | None = None) -> builtins.list[User]:
        """A page of users, in the order they were added.

        Args:
            limit: at most so many; without one, all.
            cursor: how many to pass over, or the `id` of the last one that was seen.
        """
        return self._sender.call(_list(limit, cursor))

    async def alist(
        self, limit: int | None = None, cursor: int | None = None
    ) -> builtins.list[User]:
        """A page of users; see list."""
        return await self._sender.acall(_list(limit, cursor))

    def list_chunked(
        self,
        chunk_size: int = 100,
        *,
        chunkSize: int | None = None,  # noqa: N803 - so it stands in Zep's own pages
    ) -> Generator[builtins.list[User], None, None]:
        """All users in chunks, each fetched when it is wanted.

        One may delete the users of each chunk: nobody is missed.

        Args:
            chunk_size: so many at once.
            chunkSize: the same.

        Raises:
            ValueError: with the first chunk, where there are none of this size.
        """
        return self._sender.chunks(_list, chunk_size if chunkSize is None else chunkSize)

    def alist_chunked(
        self,
        chunk_size: int = 100,
        *,
        chunkSize: int | None = None,  # noqa: N803
    ) -> AsyncGenerator[builtins.list[User], None]:
        """All users in chunks, for `async for`; see list_chunked."""
        return self._sender.achunks(_list, chunk_size if chunkSize is None else chunkSize)

    def get_sessions(self, user_id: str) -> builtins.list[Session]:
        """A user's sessions; none where there is no such user.

        Raises:
            ValueError: the `user_id` is blank.
        """
        return self._sender.call(_sessions(user_id))

    async def aget_sessions(self, user_id: str) -> builtins.list[Session]:
        """A user's sessions; see get_sessions."""
        return await self._sender.acall(_sessions(user_id))


def _add(user: CreateUserRequest) -> ZepCall[User]:
    check_id(user.user_id, "user_id")
    return make_call("POST", "/user", one(User), body=user.dict(exclude_none=True))


def _get(user_id: str) -> ZepCall[User]:
    return _of_user("GET", user_id)


def _update(user: UpdateUserRequest) -> ZepCall[User]:
    return _of_user("PATCH", user.user_id, user.dict(exclude_none=True))


def _of_user(method: str, user_id: str, body: object = None) -> ZepCall[User]:
    return make_call(
        method,
        "/user/{user_id}",
        one(User),
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
    return make_call("GET", "/user", several(User), query={"limit": limit, "cursor": cursor})


def _sessions(user_id: str) -> ZepCall[list[Session]]:
    return make_call(
        "GET",
        "/user/{user_id}/sessions",
        several(Session),
        ids={"user_id": user_id},
        missing=_missing(user_id),
    )


def _missing(user_id: str) -> str:
    return f"There is no user {user_id!r}"
