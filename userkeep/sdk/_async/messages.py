"""`client.message` and `client.memory`: what was said."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from userkeep.api.erasures import Erasure
from userkeep.api.memory import Memory
from userkeep.api.messages import Message
from userkeep.domain.values.paging import Order
from userkeep.sdk._async.callers import AsyncCaller
from userkeep.sdk._async.lists import AsyncPages, AsyncRows, read_page
from userkeep.sdk.calls import make_call
from userkeep.sdk.pages import Page
from userkeep.sdk.requests import NewMessage, batches_of, body_of_messages, body_with

_AT_ONCE = 100


class AsyncMessageClient:
    """Messages: appended, read, edited, listed, deleted."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

    async def add(
        self,
        session_id: str,
        messages: NewMessage | Sequence[NewMessage],
        *,
        user_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> list[Message]:
        """Append messages to a session, all or none.

        Args:
            session_id: which.
            messages: one, or from 1 to 1,000; `add_bulk` takes any number.
            user_id: whose session it is: an unknown session is opened for this user, and an
                unknown user is added. Without it the session must be there.
            idempotency_key: yours, where you want to repeat the call yourself for up to 24 h; one
                is made otherwise.

        Returns:
            The messages, with their `seq` and `uuid`, in their order.

        Raises:
            NotFound: there is no such session, and no `user_id` to open it for.
            Conflict: the session has ended, or another owner.
            AlreadyExists: a message with the same `uuid` is there.
            InvalidField: naming the field, such as `messages[3].content`.
            Gone: the session or its user is being deleted, or was deleted lately.
        """
        several = [messages] if isinstance(messages, NewMessage) else messages
        body = body_of_messages(several, user_id)
        return await self._append(session_id, body, idempotency_key)

    async def add_bulk(
        self, session_id: str, messages: Iterable[NewMessage], *, user_id: str | None = None
    ) -> int:
        """Append any number of messages in their order, in batches that are whole each.

        Where a batch is refused, those before it are there, and a note on the error says how many
        messages they have. Give messages a `uuid` to find out which.

        Returns:
            How many messages were appended.

        Raises:
            What `add` raises.
        """
        count = 0
        try:
            for size, body in batches_of(messages, user_id):
                await self._append(session_id, body)
                count += size
        except Exception as error:
            error.add_note(f"{count} messages had been appended before.")
            raise
        return count

    async def _append(
        self, session_id: str, body: bytes, idempotency_key: str | None = None
    ) -> list[Message]:
        ids = {"session_id": session_id}
        call = make_call("messages.append", ids, body=body, idempotency_key=idempotency_key)
        appended: list[Message] = (await self._caller.call(call)).messages
        return appended

    async def get(self, session_id: str, uuid: str) -> Message:
        """Read a message.

        Raises:
            NotFound: there is none with this `uuid` in the session, or no such session.
        """
        call = make_call("messages.get", {"session_id": session_id, "uuid": uuid})
        message: Message = await self._caller.call(call)
        return message

    async def update(
        self,
        session_id: str,
        uuid: str,
        *,
        role: str | UnsetType = UNSET,
        content: str | UnsetType = UNSET,
        metadata: dict[str, Any] | None | UnsetType = UNSET,
    ) -> Message:
        """Edit a message: what is absent stays, metadata merges (RFC 7396).

        Raises:
            NotFound: there is no such message.
            InvalidField: naming the field.
            Gone: its session is being deleted.
        """
        ids = {"session_id": session_id, "uuid": uuid}
        body = body_with(role=role, content=content, metadata=metadata)
        edited: Message = await self._caller.call(make_call("messages.update", ids, body=body))
        return edited

    async def delete(
        self, session_id: str, uuid: str, *, purge: Literal["now"] | None = None
    ) -> Erasure:
        """Delete a message; the numbers of the others stay.

        Args:
            purge: see `client.user.delete`.

        Raises:
            NotFound: there is no such message.
            Gone: its session is being deleted.
        """
        ids = {"session_id": session_id, "uuid": uuid}
        call = make_call("messages.delete", ids, query={"purge": purge})
        erasure: Erasure = await self._caller.call(call)
        return erasure

    async def list(
        self,
        session_id: str,
        limit: int = 50,
        cursor: str | int | None = None,
        *,
        order: Order = "created",
        filter: dict[str, Any] | None = None,
    ) -> Page[Message]:
        """One page of a session's messages, in their order.

        Args:
            session_id: which.
            limit: how many at most, from 1 to 1,000.
            cursor: the `next` of the page before; None or 0 is the start.
            order: `created`, or `-created` for the newest first.
            filter: a tree of conditions on metadata, such as
                `{"field": "metadata.topic", "op": "eq", "value": "shoes"}`.

        Raises:
            NotFound: there is no such session.
            BadRequest: the cursor is no one's, or belongs to another list.
            InvalidField: naming the argument.
        """
        query = {"limit": limit, "cursor": cursor, "order": order, "filter": filter}
        return await read_page(self._caller, "messages.list", {"session_id": session_id}, query)

    def list_chunked(
        self,
        session_id: str,
        chunk_size: int = 100,
        *,
        order: Order = "created",
        filter: dict[str, Any] | None = None,
    ) -> AsyncIterator[Page[Message]]:
        """All messages of a session, page by page: `list` says what the filter means."""
        query = {"limit": chunk_size, "order": order, "filter": filter}
        return AsyncPages(self._caller, "messages.list", {"session_id": session_id}, query)

    def list_all(
        self,
        session_id: str,
        *,
        order: Order = "created",
        filter: dict[str, Any] | None = None,
    ) -> AsyncIterator[Message]:
        """All messages of a session, one by one: `list` says what the filter means."""
        return AsyncRows(self.list_chunked(session_id, _AT_ONCE, order=order, filter=filter))


class AsyncMemoryClient:
    """Memory: what the next prompt needs of a session."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

    async def get(self, session_id: str, *, last: int | None = None) -> Memory:
        """The newest messages of a session, oldest first.

        Args:
            session_id: which.
            last: how many, from 1 to 1,000; else as many as the instance is set to (12).

        Raises:
            NotFound: there is no such session.
        """
        call = make_call("memory.get", {"session_id": session_id}, query={"last": last})
        memory: Memory = await self._caller.call(call)
        return memory
