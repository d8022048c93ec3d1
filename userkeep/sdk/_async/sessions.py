"""`client.session`: conversations."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Literal, overload

from msgspec import UNSET, UnsetType

from userkeep.api.erasures import Erasure
from userkeep.api.sessions import Session
from userkeep.domain.values.paging import Order
from userkeep.sdk._async.callers import AsyncCaller
from userkeep.sdk._async.lists import AsyncPages, AsyncRows, read_page
from userkeep.sdk.calls import make_call
from userkeep.sdk.pages import Page
from userkeep.sdk.requests import (
    CreateSessionRequest,
    UpdateSessionRequest,
    body_of,
    only_request,
)

_AT_ONCE = 100


class AsyncSessionClient:
    """Sessions: opened, read, changed, ended, listed, and deleted with their messages."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

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
        metadata: dict[str, Any] | None = None,
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
        """Open a session: `add(CreateSessionRequest(user_id="jane"))` or `add(user_id="jane")`.

        Args:
            session_id: yours, any text of up to 512 characters; without one the server makes it.
            user_id: the owner; without one it may be given later, once.
            metadata: a JSON object of up to 64 KiB.
            idempotency_key: yours, where you want to repeat the call yourself for up to 24 h; one
                is made otherwise.

        Raises:
            AlreadyExists: there is a session with this `session_id`.
            NotFound: there is no such user.
            InvalidField: naming the field.
            Gone: the session or its user is being deleted.
        """
        body = body_of(only_request(request, fields, CreateSessionRequest))
        call = make_call("sessions.add", body=body, idempotency_key=idempotency_key)
        opened: Session = await self._caller.call(call)
        return opened

    async def get(self, session_id: str) -> Session:
        """Read a session.

        Raises:
            NotFound: there is none with this `session_id`.
        """
        call = make_call("sessions.get", {"session_id": session_id})
        session: Session = await self._caller.call(call)
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
        metadata: dict[str, Any] | None | UnsetType = UNSET,
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
        """Change a session: give it an owner where it has none, merge its metadata (RFC 7396).

        Args:
            session_id: which.
            user_id: the owner.
            metadata: merged into what is there; a None in it removes that key, None all of it.
            if_revision: change only the session whose `revision` this is.

        Raises:
            NotFound: there is no such session, or no such user.
            Conflict: the session has another owner.
            RevisionMismatch: the session has changed since.
            InvalidField: naming the field.
            Gone: the session or its user is being deleted.
        """
        change = only_request(request, fields, UpdateSessionRequest)
        body = body_of(change, "session_id")
        ids = {"session_id": change.session_id}
        call = make_call("sessions.update", ids, body=body, if_revision=if_revision)
        changed: Session = await self._caller.call(call)
        return changed

    async def end(self, session_id: str, *, idempotency_key: str | None = None) -> Session:
        """End a session: nothing can be appended after. To end it again changes nothing.

        Raises:
            NotFound: there is no such session.
            Gone: it is being deleted.
        """
        ids = {"session_id": session_id}
        call = make_call("sessions.end", ids, idempotency_key=idempotency_key)
        ended: Session = await self._caller.call(call)
        return ended

    async def delete(self, session_id: str, *, purge: Literal["now"] | None = None) -> Erasure:
        """Delete a session with all its messages; `purge` and more: see `client.user.delete`.

        Raises:
            NotFound: there is no such session.
            Gone: its user is being deleted.
        """
        call = make_call("sessions.delete", {"session_id": session_id}, query={"purge": purge})
        erasure: Erasure = await self._caller.call(call)
        return erasure

    async def list(
        self,
        limit: int = 50,
        cursor: str | int | None = None,
        *,
        order: Order = "created",
        user_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        metadata: dict[str, Any] | None = None,
        filter: dict[str, Any] | None = None,
    ) -> Page[Session]:
        """One page of the sessions, in the order of their creation.

        Args:
            limit: how many at most, from 1 to 1,000.
            cursor: the `next` of the page before; None or 0 is the start.
            order: `created`, or `-created` for the newest first.
            user_id: of this owner alone; of an unknown one there are none.
            created_after, created_before: exclusive; without a zone they are UTC.
            metadata: conditions by path, such as `{"topic.name": "shoes"}`.
            filter: a tree of conditions on metadata, such as
                `{"field": "metadata.age", "op": "gte", "value": 18}`.

        Raises:
            BadRequest: the cursor is no one's, or belongs to a list with other filters.
            InvalidField: naming the argument.
        """
        query = {
            "limit": limit,
            "cursor": cursor,
            "order": order,
            "user_id": user_id,
            "created_after": created_after,
            "created_before": created_before,
            "metadata": metadata,
            "filter": filter,
        }
        return await read_page(self._caller, "sessions.list", {}, query)

    def list_chunked(
        self,
        chunk_size: int = 100,
        *,
        order: Order = "created",
        user_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        metadata: dict[str, Any] | None = None,
        filter: dict[str, Any] | None = None,
    ) -> AsyncIterator[Page[Session]]:
        """All sessions, page by page: `list` says what the filters mean."""
        query = {
            "limit": chunk_size,
            "order": order,
            "user_id": user_id,
            "created_after": created_after,
            "created_before": created_before,
            "metadata": metadata,
            "filter": filter,
        }
        return AsyncPages(self._caller, "sessions.list", {}, query)

    def list_all(
        self,
        *,
        order: Order = "created",
        user_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        metadata: dict[str, Any] | None = None,
        filter: dict[str, Any] | None = None,
    ) -> AsyncIterator[Session]:
        """All sessions, one by one: `list` says what the filters mean."""
        pages = self.list_chunked(
            _AT_ONCE,
            order=order,
            user_id=user_id,
            created_after=created_after,
            created_before=created_before,
            metadata=metadata,
            filter=filter,
        )
        return AsyncRows(pages)
