"""`client.session`."""

from datetime import datetime
from typing import Any, Literal, overload

from msgspec import UNSET, UnsetType

from userkeep.api.erasures import Erasure
from userkeep.api.sessions import Session
from userkeep.domain.values.paging import SessionOrder
from userkeep.sdk._async.lists import AsyncPage, read_list
from userkeep.sdk._async.transport import AsyncTransport
from userkeep.sdk.boundary import raises_at_its_caller
from userkeep.sdk.calls import make_call
from userkeep.sdk.requests import (
    CreateSessionRequest,
    UpdateSessionRequest,
    encode_request,
    request_from,
)


@raises_at_its_caller
class AsyncSessionClient:
    """Sessions: conversations, with or without an owner."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    @overload
    async def add(
        self, request: CreateSessionRequest, /, *, idempotency_key: str | None = None
    ) -> Session: ...

    @overload
    async def add(
        self,
        /,
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        title: str | None = None,
        metadata: dict[str, Any] | None = None,
        created_at: datetime | None = None,
        ended_at: datetime | None = None,
        do_not_embed: bool | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> Session: ...

    async def add(
        self,
        request: CreateSessionRequest | None = None,
        /,
        *,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Session:
        """Create a session: `add(CreateSessionRequest(user_id="jane"))` or `add(user_id="jane")`.

        Args:
            session_id: your id of the session, any text of up to 512 characters. By default the
                server generates one.
            user_id: the owner. It can also be set later, once.
            title: what a list of sessions shows, up to 512 characters.
            metadata: a JSON object of up to 64 KiB.
            created_at, ended_at: for imported history, with a time zone. They
                cannot be in the future.
            do_not_embed: whether no embedding model is given any text of the session. By default
                it is, unless the user or the project is not to be embedded.
            idempotency_key: your key, if you want to repeat the call yourself within 24 hours. By
                default the SDK generates one.

        Raises:
            AlreadyExists: a session with this `session_id` exists.
            NotFound: the user does not exist.
            InvalidField: a field is invalid.
            Gone: the session or its user is being deleted.
        """
        body = encode_request(request_from(request, fields, CreateSessionRequest))
        call = make_call("sessions.add", body=body, idempotency_key=idempotency_key)
        session: Session = await self._transport.send(call)
        return session

    async def get(self, session_id: str, *, user_id: str | None = None) -> Session:
        """Return a session.

        Args:
            session_id: the session.
            user_id: only if the session belongs to this user; another's is not found.

        Raises:
            NotFound: the session does not exist.
        """
        ids = {"session_id": session_id}
        call = make_call("sessions.get", ids, query={"user_id": user_id})
        session: Session = await self._transport.send(call)
        return session

    @overload
    async def update(
        self, request: UpdateSessionRequest, /, *, if_revision: int | None = None
    ) -> Session: ...

    @overload
    async def update(
        self,
        /,
        *,
        session_id: str,
        user_id: str | UnsetType = UNSET,
        title: str | None | UnsetType = UNSET,
        metadata: dict[str, Any] | None | UnsetType = UNSET,
        ended_at: datetime | None | UnsetType = UNSET,
        do_not_embed: bool | UnsetType = UNSET,
        if_revision: int | None = None,
    ) -> Session: ...

    async def update(
        self,
        request: UpdateSessionRequest | None = None,
        /,
        *,
        if_revision: int | None = None,
        **fields: Any,
    ) -> Session:
        """Update a session: its title, its owner if it has none, its metadata (RFC 7396).

        Args:
            session_id: the session.
            user_id: the owner. It is set if the session has none; another's session is not found.
            title: up to 512 characters. None removes it.
            metadata: merged into the existing metadata. A value of None removes its key, and None
                removes all metadata.
            ended_at: when the session ended, for imported history. None reopens it.
            do_not_embed: as in `add`. If it is set, the embeddings of the session are deleted.
            if_revision: update the session only if this is its `revision`.

        Raises:
            NotFound: the session or the user does not exist, or the session has another owner.
            RevisionMismatch: the session has another revision.
            InvalidField: a field is invalid.
            Gone: the session or its user is being deleted.
        """
        change = request_from(request, fields, UpdateSessionRequest)
        body = encode_request(change, "session_id")
        ids = {"session_id": change.session_id}
        call = make_call("sessions.update", ids, body=body, if_revision=if_revision)
        session: Session = await self._transport.send(call)
        return session

    async def end(
        self,
        session_id: str,
        *,
        user_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Session:
        """End a session: no message can be appended afterwards. Ending it again has no effect.

        Args:
            session_id: the session.
            user_id: only if the session belongs to this user; another's is not found.
            idempotency_key: your key, if you want to repeat the call yourself within 24 hours. By
                default the SDK generates one.

        Raises:
            NotFound: the session does not exist.
            Gone: the session is being deleted.
        """
        return await self._post("sessions.end", session_id, user_id, idempotency_key)

    async def reopen(
        self, session_id: str, *, user_id: str | None = None, idempotency_key: str | None = None
    ) -> Session:
        """Undo the end of a session. Without one, it has no effect.

        Args:
            session_id: the session.
            user_id: only if the session belongs to this user; another's is not found.
            idempotency_key: your key, if you want to repeat the call yourself within 24 hours. By
                default the SDK generates one.

        Raises:
            NotFound: the session does not exist.
            Gone: the session is being deleted.
        """
        return await self._post("sessions.reopen", session_id, user_id, idempotency_key)

    async def _post(
        self, name: str, session_id: str, user_id: str | None, idempotency_key: str | None
    ) -> Session:
        ids, query = {"session_id": session_id}, {"user_id": user_id}
        call = make_call(name, ids, query=query, idempotency_key=idempotency_key)
        session: Session = await self._transport.send(call)
        return session

    async def delete(
        self,
        session_id: str,
        *,
        user_id: str | None = None,
        purge: Literal["now"] | None = None,
    ) -> Erasure:
        """Delete a session with all its messages, as `client.user.delete` deletes a user.

        For 24 hours, an append with a `user_id` does not create a session of this id again.

        Args:
            session_id: the session.
            user_id: only if the session belongs to this user; another's is not found.
            purge: "now" also purges the files, as in `client.user.delete`.

        Raises:
            NotFound: the session does not exist.
            Gone: its user is being deleted.
        """
        query = {"user_id": user_id, "purge": purge}
        call = make_call("sessions.delete", {"session_id": session_id}, query=query)
        erasure: Erasure = await self._transport.send(call)
        return erasure

    async def list(
        self,
        limit: int | None = None,
        cursor: str | int | None = None,
        *,
        order: SessionOrder = "created",
        user_id: str | None = None,
        owned: bool | None = None,
        q: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        active_after: datetime | None = None,
        active_before: datetime | None = None,
        metadata: dict[str, Any] | None = None,
        filter: dict[str, Any] | None = None,
        include: Literal["last_message"] | None = None,
        count: bool = False,
    ) -> AsyncPage[Session]:
        """Return the sessions: iterate over them, or read a page with `limit`.

        Args:
            limit: the maximum number of items, from 1 to 1,000. Without it, iteration reads all.
            cursor: the `next` of the previous page. None or 0 is the first page.
            order: `created` for oldest first, `-created` for newest first; `active` and `-active`
                for the order of `active_at`, the time of the last message.
            user_id: only the sessions of this user; none if the user does not exist.
            owned: only sessions that belong to a user (True) or to none (False). Not with
                `user_id`.
            q: each word of it begins a word of the title, without regard to case and accents.
            created_after, created_before: exclusive, with a time zone.
            active_after, active_before: of the last message, in the same way.
            metadata: values by path, such as `{"topic.name": "shoes"}`. Numbers find
                numbers only, texts texts only. A key with a dot is in quotes: `'"a.b".c'`.
            filter: a filter on metadata, such as
                `{"field": "metadata.age", "op": "gte", "value": 18}`.
            include: "last_message" gives each session its newest message, cut at 200 characters.
            count: whether to count all sessions that match, for `page.total`. Counting reads all of
                them; with a `limit`, request it for the first page only.

        Raises:
            BadRequest: the cursor is invalid, or belongs to a list with other filters.
            InvalidField: an argument is invalid.
        """
        query = {
            "limit": limit,
            "cursor": cursor,
            "order": order,
            "user_id": user_id,
            "owned": owned,
            "q": q,
            "created_after": created_after,
            "created_before": created_before,
            "active_after": active_after,
            "active_before": active_before,
            "metadata": metadata,
            "filter": filter,
            "include": include,
            "count": count or None,
        }
        return await read_list(AsyncPage, self._transport, "sessions.list", {}, query)
