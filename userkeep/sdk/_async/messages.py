"""`client.message` and `client.memory`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from userkeep.api.erasures import Erasure
from userkeep.api.memory import Memory
from userkeep.api.messages import Message, Omittable
from userkeep.domain.message import GivenRole, Role
from userkeep.domain.values.counts import pluralize
from userkeep.domain.values.paging import Order
from userkeep.sdk._async.lists import AsyncMessagePage, read_list
from userkeep.sdk._async.transport import AsyncTransport
from userkeep.sdk.boundary import raises_at_its_caller
from userkeep.sdk.calls import make_call
from userkeep.sdk.messages import Messages
from userkeep.sdk.requests import (
    MessageInput,
    NewMessage,
    encode_batches,
    encode_message_change,
    encode_messages,
)


@raises_at_its_caller
class AsyncMessageClient:
    """Messages of sessions."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def add(
        self,
        session_id: str,
        messages: MessageInput | Sequence[MessageInput],
        *,
        user_id: str | None = None,
        create: bool = True,
        idempotency_key: str | None = None,
    ) -> Messages:
        """Append messages to a session, all or none.

        Args:
            session_id: the session.
            messages: one message, or up to 1,000: each a NewMessage, or a dict with its fields,
                such as `{"role": "user", "content": "Hi"}`. `add_bulk` appends any number.
            user_id: the owner of the session. A session that does not exist is created for this
                user, and so is the user. Without it, the session must exist.
            create: False never creates the session or the user, such as for the answer of a model
                that arrives after the session was deleted.
            idempotency_key: your key, if you want to repeat the call yourself within 24 hours. By
                default the SDK generates one.

        Returns:
            The messages with their `seq` and `id`, in the same order.

        Raises:
            NotFound: the session does not exist and is not created, or has another owner.
            Conflict: the session has ended.
            AlreadyExists: a message with the same `id` exists.
            InvalidField: a field is invalid, such as `messages[3].content`.
            Gone: the session or its user is being deleted, or was deleted in the last 24 hours. Add
                the session, or the user, to use its id again.
        """
        several = [messages] if isinstance(messages, NewMessage | Mapping) else messages
        body = encode_messages(several, user_id, create=create)
        return await self._append(session_id, body, idempotency_key)

    async def add_bulk(
        self,
        session_id: str,
        messages: Iterable[MessageInput],
        *,
        user_id: str | None = None,
        create: bool = True,
    ) -> int:
        """Append any number of messages, in batches. Each batch is appended as a whole.

        If a batch fails, the batches before it stay. A note on the error gives their number of
        messages. Give messages an `id` to find out which of them were appended.

        Returns:
            The number of appended messages.

        Raises:
            The same errors as `add`.
        """
        count = 0
        try:
            for size, body in encode_batches(messages, user_id, create=create):
                await self._append(session_id, body)
                count += size
        except Exception as error:
            error.add_note(f"Appended before: {pluralize(count, 'message')}.")
            raise
        return count

    async def _append(
        self, session_id: str, body: bytes, idempotency_key: str | None = None
    ) -> Messages:
        ids = {"session_id": session_id}
        call = make_call("messages.append", ids, body=body, idempotency_key=idempotency_key)
        return Messages((await self._transport.send(call)).messages)

    async def get(self, session_id: str, id: str, *, user_id: str | None = None) -> Message:
        """Return a message.

        Args:
            session_id: the session.
            id: the message.
            user_id: only if the session belongs to this user; another's is not found.

        Raises:
            NotFound: the message or the session does not exist.
        """
        ids = {"session_id": session_id, "id": id}
        call = make_call("messages.get", ids, query={"user_id": user_id})
        message: Message = await self._transport.send(call)
        return message

    async def update(
        self,
        session_id: str,
        id: str,
        *,
        role: GivenRole | UnsetType = UNSET,
        name: str | None | UnsetType = UNSET,
        content: str | None | UnsetType = UNSET,
        data: Any = UNSET,
        token_count: int | None | UnsetType = UNSET,
        metadata: dict[str, Any] | None | UnsetType = UNSET,
        user_id: str | None = None,
        if_revision: int | None = None,
    ) -> Message:
        """Update a message: absent fields stay, None removes a value, metadata is merged.

        Args:
            session_id: the session.
            id: the message.
            role: the role for a language model, as in NewMessage.
            name: who speaks.
            content: the text. It can be empty or None if the message has data.
            data: any JSON, in place of the existing data.
            token_count: your count of tokens.
            metadata: merged into the existing metadata. A value of None removes its key.
            user_id: only if the session belongs to this user; another's is not found.
            if_revision: update the message only if this is its `revision`.

        Raises:
            NotFound: the message does not exist.
            RevisionMismatch: the message has another revision.
            InvalidField: a field is invalid.
            Gone: the session is being deleted.
        """
        ids = {"session_id": session_id, "id": id}
        body = encode_message_change(
            role=role,
            name=name,
            content=content,
            data=data,
            token_count=token_count,
            metadata=metadata,
        )
        query = {"user_id": user_id}
        call = make_call("messages.update", ids, query=query, body=body, if_revision=if_revision)
        message: Message = await self._transport.send(call)
        return message

    async def delete(
        self,
        session_id: str,
        id: str,
        *,
        user_id: str | None = None,
        purge: Literal["now"] | None = None,
    ) -> Erasure:
        """Delete a message. The `seq` of other messages does not change.

        Args:
            user_id: only if the session belongs to this user; another's is not found.
            purge: "now" also purges the files, as in `client.user.delete`.

        Raises:
            NotFound: the message does not exist.
            Gone: the session is being deleted.
        """
        ids = {"session_id": session_id, "id": id}
        call = make_call("messages.delete", ids, query={"user_id": user_id, "purge": purge})
        erasure: Erasure = await self._transport.send(call)
        return erasure

    async def delete_after(
        self,
        session_id: str,
        seq: int,
        *,
        user_id: str | None = None,
        purge: Literal["now"] | None = None,
    ) -> Erasure:
        """Delete all messages of a session that come after one: go back to it.

        They disappear immediately, and new messages get greater numbers than they had.

        Args:
            session_id: the session.
            seq: the `seq` of the last message to keep.
            user_id: only if the session belongs to this user; another's is not found.
            purge: "now" also purges the files, as in `client.user.delete`.

        Returns:
            One erasure, with the number of messages in its `counts`.

        Raises:
            NotFound: the session does not exist.
            InvalidField: an argument is invalid.
            Gone: the session is being deleted.
        """
        query = {"after_seq": seq, "user_id": user_id, "purge": purge}
        call = make_call("messages.delete_after", {"session_id": session_id}, query=query)
        erasure: Erasure = await self._transport.send(call)
        return erasure

    async def clear(
        self,
        session_id: str,
        *,
        user_id: str | None = None,
        purge: Literal["now"] | None = None,
    ) -> Erasure:
        """Delete all messages of a session, which stays with its owner, title and metadata.

        The arguments, the result and the errors are those of `delete_after`.
        """
        return await self.delete_after(session_id, 0, user_id=user_id, purge=purge)

    async def list(
        self,
        session_id: str,
        limit: int | None = None,
        cursor: str | int | None = None,
        *,
        order: Order = "created",
        user_id: str | None = None,
        after_seq: int | None = None,
        before_seq: int | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        role: Role | None = None,
        filter: dict[str, Any] | None = None,
        omit: Sequence[Omittable] | str = (),
    ) -> AsyncMessagePage:
        """Return the messages of a session in the order of `seq`: all, or a page with `limit`.

        `client.message.list("s1").to_openai()` is the whole session as a prompt.

        Args:
            session_id: the session.
            limit: the maximum number of items, from 1 to 1,000. Without it, iteration reads all.
            cursor: the `next` of the previous page. None or 0 is the first page.
            order: `created` for oldest first, `-created` for newest first.
            user_id: only if the session belongs to this user; another's is not found.
            after_seq, before_seq: only messages between these numbers, exclusive. `after_seq` with
                the last one that you have returns what is newer; `before_seq` with the first one
                and `order="-created"` returns what is older.
            created_after, created_before: exclusive, with a time zone.
            role: only messages of this role.
            filter: a filter on metadata, such as
                `{"field": "metadata.topic", "op": "eq", "value": "shoes"}`.
            omit: fields of each message to leave out: `content`, `data`, `metadata`. They are
                `msgspec.UNSET` then.

        Raises:
            NotFound: the session does not exist.
            BadRequest: the cursor is invalid, or belongs to another list.
            InvalidField: an argument is invalid.
        """
        query = {
            "limit": limit,
            "cursor": cursor,
            "order": order,
            "user_id": user_id,
            "after_seq": after_seq,
            "before_seq": before_seq,
            "created_after": created_after,
            "created_before": created_before,
            "role": role,
            "filter": filter,
            "omit": omit or None,
        }
        return await read_list(
            AsyncMessagePage, self._transport, "messages.list", {"session_id": session_id}, query
        )


@raises_at_its_caller
class AsyncMemoryClient:
    """The memory of a session: context for the next prompt."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def get(
        self,
        session_id: str,
        *,
        last: int | None = None,
        max_tokens: int | None = None,
        user_id: str | None = None,
        omit: Sequence[Omittable] | str = (),
    ) -> Memory:
        """Return the newest messages of a session that fit, oldest first: a prompt for a model.

        `client.memory.get("s1", max_tokens=4000).to_openai()` is a list of messages for OpenAI.

        Args:
            session_id: the session.
            last: the number of messages, from 1 to 1,000. The default is the setting
                `memory_window` of the instance (12), or with `max_tokens` as many as fit.
            max_tokens: how many tokens they may have together. A message has its `token_count`;
                without one, a quarter of the bytes of its content (of its data, if the content is
                empty).
            user_id: only if the session belongs to this user; another's is not found.
            omit: fields of each message to leave out: `content`, `data`, `metadata`. They are
                `msgspec.UNSET` then.

        Returns:
            The messages, with their `token_count`, and whether older ones were left out
            (`truncated`). There are none if the newest alone has more tokens.

        Raises:
            NotFound: the session does not exist.
            InvalidField: an argument is invalid.
        """
        query = {
            "last": last,
            "max_tokens": max_tokens,
            "user_id": user_id,
            "omit": omit or None,
        }
        call = make_call("memory.get", {"session_id": session_id}, query=query)
        memory: Memory = await self._transport.send(call)
        return memory
