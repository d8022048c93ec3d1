"""`client.user`."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Literal, overload

from msgspec import UNSET, UnsetType

from userkeep.api.erasures import Erasure
from userkeep.api.sessions import Session
from userkeep.api.users import User, UserToken
from userkeep.domain.user_token import DEFAULT_LIFETIME_S, TokenScope
from userkeep.domain.values.paging import Order, SessionOrder
from userkeep.sdk._async.lists import AsyncChunks, AsyncPage, AsyncSource, read_list
from userkeep.sdk._async.transport import AsyncTransport
from userkeep.sdk.boundary import raises_at_its_caller
from userkeep.sdk.calls import make_call
from userkeep.sdk.requests import CreateUserRequest, UpdateUserRequest, encode_request, request_from


@raises_at_its_caller
class AsyncUserClient:
    """The users of your app."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    @overload
    async def add(
        self, request: CreateUserRequest, /, *, idempotency_key: str | None = None
    ) -> User: ...

    @overload
    async def add(
        self,
        /,
        *,
        user_id: str,
        email: str | None = None,
        first_name: str | None = None,
        last_name: str | None = None,
        metadata: dict[str, Any] | None = None,
        created_at: datetime | None = None,
        do_not_embed: bool | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> User: ...

    async def add(
        self,
        request: CreateUserRequest | None = None,
        /,
        *,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> User:
        """Create a user: `add(CreateUserRequest(user_id="jane"))` or `add(user_id="jane")`.

        Args:
            user_id: your id of the user, any text of up to 512 characters.
            email, first_name, last_name: up to 512 characters each.
            metadata: a JSON object of up to 64 KiB.
            created_at: for an imported user, with a time zone. It cannot be in the
                future.
            do_not_embed: whether no embedding model is given any text of the user. By default it
                is.
            idempotency_key: your key, if you want to repeat the call yourself within 24 hours. By
                default the SDK generates one.

        Raises:
            AlreadyExists: a user with this `user_id` exists.
            InvalidField: a field is invalid.
            Gone: a user with this `user_id` is being deleted.
        """
        user = request_from(request, fields, CreateUserRequest)
        body = encode_request(user)
        call = make_call("users.add", body=body, idempotency_key=idempotency_key)
        created: User = await self._transport.send(call)
        return created

    async def get(self, user_id: str) -> User:
        """Return a user.

        Raises:
            NotFound: the user does not exist.
        """
        user: User = await self._transport.send(make_call("users.get", {"user_id": user_id}))
        return user

    async def token(
        self,
        user_id: str,
        *,
        scope: TokenScope = "write",
        lifetime_seconds: int = DEFAULT_LIFETIME_S,
    ) -> UserToken:
        """Make a token with which the user's browser can call the server itself.

        The token permits what a key that is bound to the user does. It ends with the key of this
        client, and with the user.

        Args:
            user_id: the user.
            scope: `read`, or `write` (which includes `read`).
            lifetime_seconds: for how long it is valid, up to a day.

        Raises:
            NotFound: the user does not exist. Gone: the user is being deleted.
            Conflict: this client has no key, or its server asks for none.
        """
        query = {"scope": scope, "lifetime_seconds": lifetime_seconds}
        call = make_call("users.token", {"user_id": user_id}, query=query)
        token: UserToken = await self._transport.send(call)
        return token

    @overload
    async def put(
        self, request: CreateUserRequest, /, *, if_revision: int | None = None
    ) -> User: ...

    @overload
    async def put(
        self,
        /,
        *,
        user_id: str,
        email: str | None = None,
        first_name: str | None = None,
        last_name: str | None = None,
        metadata: dict[str, Any] | None = None,
        created_at: datetime | None = None,
        do_not_embed: bool | UnsetType = UNSET,
        if_revision: int | None = None,
    ) -> User: ...

    async def put(
        self,
        request: CreateUserRequest | None = None,
        /,
        *,
        if_revision: int | None = None,
        **fields: Any,
    ) -> User:
        """Create a user, or replace all fields of an existing one.

        Args:
            user_id, email, first_name, last_name, metadata: as in `add`. An absent field becomes
                None.
            created_at: of a user that is created. An existing one keeps its own.
            do_not_embed: as in `add`. By default, an existing user keeps it.
            if_revision: replace the user only if this is its `revision`.

        Raises:
            RevisionMismatch: the user has another revision, or does not exist.
            InvalidField: a field is invalid.
            Gone: the user is being deleted.
        """
        user = request_from(request, fields, CreateUserRequest)
        body = encode_request(user, "user_id")
        ids = {"user_id": user.user_id}
        call = make_call("users.put", ids, body=body, if_revision=if_revision)
        replaced: User = await self._transport.send(call)
        return replaced

    @overload
    async def update(
        self, request: UpdateUserRequest, /, *, if_revision: int | None = None
    ) -> User: ...

    @overload
    async def update(
        self,
        /,
        *,
        user_id: str,
        email: str | None | UnsetType = UNSET,
        first_name: str | None | UnsetType = UNSET,
        last_name: str | None | UnsetType = UNSET,
        metadata: dict[str, Any] | None | UnsetType = UNSET,
        do_not_embed: bool | UnsetType = UNSET,
        if_revision: int | None = None,
    ) -> User: ...

    async def update(
        self,
        request: UpdateUserRequest | None = None,
        /,
        *,
        if_revision: int | None = None,
        **fields: Any,
    ) -> User:
        """Update a user: absent fields stay, None removes a value, metadata is merged (RFC 7396).

        Args:
            user_id: the user.
            email, first_name, last_name: up to 512 characters each.
            metadata: merged into the existing metadata. A value of None removes its key.
            do_not_embed: as in `add`. If it is set, the embeddings of the user are deleted.
            if_revision: update the user only if this is its `revision`.

        Raises:
            NotFound: the user does not exist.
            RevisionMismatch: the user has another revision.
            InvalidField: a field is invalid.
            Gone: the user is being deleted.
        """
        change = request_from(request, fields, UpdateUserRequest)
        body = encode_request(change, "user_id")
        ids = {"user_id": change.user_id}
        call = make_call("users.update", ids, body=body, if_revision=if_revision)
        updated: User = await self._transport.send(call)
        return updated

    async def delete(self, user_id: str, *, purge: Literal["now"] | None = None) -> Erasure:
        """Delete a user with all sessions and messages.

        When this returns, nothing of the user can be read. If the deletion takes a server longer
        than 5 seconds, it continues there: `client.erasure.get(erasure.id)` returns its progress.

        Args:
            user_id: the user.
            purge: "now" also purges the database files, so that they contain nothing of the user. A
                server does so later, on its schedule.

        Returns:
            The erasure, in the state `deleted`, or `deleting` while the deletion continues, or
            `purged` after a purge.

        Raises:
            NotFound: the user does not exist.
        """
        call = make_call("users.delete", {"user_id": user_id}, query={"purge": purge})
        erasure: Erasure = await self._transport.send(call)
        return erasure

    async def list(
        self,
        limit: int | None = None,
        cursor: str | int | None = None,
        *,
        order: Order = "created",
        email: str | None = None,
        q: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        metadata: dict[str, Any] | None = None,
        filter: dict[str, Any] | None = None,
        count: bool = False,
    ) -> AsyncPage[User]:
        """Return the users: iterate over them, or read a page with `limit`.

        Concurrent inserts and deletes never cause skipped or duplicate users.

        Args:
            limit: the maximum number of items, from 1 to 1,000. Without it, iteration reads all.
            cursor: the `next` of the previous page. None or 0 is the first page.
            order: `created` for oldest first, `-created` for newest first.
            email: only users with this address. Ignores case, blanks around it,
                and how accents are composed.
            q: each word of it begins a word of the user_id, the address or the names, without
                regard to case and accents.
            created_after, created_before: exclusive, with a time zone.
            metadata: values by path, such as `{"address.city": "Paris"}`. Numbers find
                numbers only, texts texts only. A key with a dot is in quotes: `'"a.b".c'`.
            filter: a filter on metadata, such as
                `{"field": "metadata.age", "op": "gte", "value": 18}`.
            count: whether to count all users that match, for `page.total`. Counting reads all of
                them; with a `limit`, request it for the first page only.

        Raises:
            BadRequest: the cursor is invalid, or belongs to a list with other filters.
            InvalidField: an argument is invalid.
        """
        query = {
            "limit": limit,
            "cursor": cursor,
            "order": order,
            "email": email,
            "q": q,
            "created_after": created_after,
            "created_before": created_before,
            "metadata": metadata,
            "filter": filter,
            "count": count or None,
        }
        return await read_list(AsyncPage, self._transport, "users.list", {}, query)

    def list_chunked(self, chunk_size: int = 100) -> AsyncIterator[AsyncPage[User]]:
        """Iterate over all users, by page.

        Args:
            chunk_size: the number of users in a page, from 1 to 1,000.
        """
        return AsyncChunks(AsyncSource(self._transport, "users.list", {}, {"limit": chunk_size}))

    async def get_sessions(
        self,
        user_id: str,
        limit: int | None = None,
        cursor: str | int | None = None,
        *,
        order: SessionOrder = "created",
        active_after: datetime | None = None,
        active_before: datetime | None = None,
        q: str | None = None,
        filter: dict[str, Any] | None = None,
        include: Literal["last_message"] | None = None,
        count: bool = False,
    ) -> AsyncPage[Session]:
        """Return the sessions of a user: iterate over them, or read a page with `limit`.

        Args:
            user_id: the user.
            limit, cursor, filter: as in `list`.
            order, active_after, active_before, q, include, count: as in `client.session.list`.

        Raises:
            NotFound: the user does not exist.
        """
        query = {
            "limit": limit,
            "cursor": cursor,
            "order": order,
            "active_after": active_after,
            "active_before": active_before,
            "q": q,
            "filter": filter,
            "include": include,
            "count": count or None,
        }
        ids = {"user_id": user_id}
        return await read_list(AsyncPage, self._transport, "users.sessions", ids, query)
