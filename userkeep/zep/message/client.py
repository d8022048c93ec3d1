"""`client.message`: the messages of a session."""

from typing import Any

from userkeep.zep.calls import ZepCall, make_call, read_list, read_object
from userkeep.zep.message.models import Message
from userkeep.zep.transport import ZepTransport


class MessageClient:
    """The messages of a session.

    Each method has an async form, whose name begins with `a`.
    """

    def __init__(self, transport: ZepTransport) -> None:
        self._transport = transport

    def get_session_messages(
        self, session_id: str, limit: int = 100, cursor: int = 1
    ) -> list[Message]:
        """Return a page of the messages of a session, oldest first.

        The list is empty if the session does not exist.

        Args:
            session_id: the session.
            limit: the number of messages of a page. None returns all messages.
            cursor: the number of the page, from 1.

        Raises:
            ValueError: the `session_id` is blank, or limit or cursor is not positive.
        """
        return self._transport.call(_list(session_id, limit, cursor))

    async def aget_session_messages(
        self, session_id: str, limit: int = 100, cursor: int = 1
    ) -> list[Message]:
        """Return a page of messages; the async form of `get_session_messages`."""
        return await self._transport.acall(_list(session_id, limit, cursor))

    def get_session_message(self, session_id: str, message_id: str) -> Message:
        """Return a message.

        Args:
            session_id: the session.
            message_id: the `uuid` of the message.

        Raises:
            NotFoundError: the message does not exist.
            APIError: the id is not a UUID.
            ValueError: an id is blank.
        """
        return self._transport.call(_get(session_id, message_id))

    async def aget_session_message(self, session_id: str, message_id: str) -> Message:
        """Return a message; the async form of `get_session_message`."""
        return await self._transport.acall(_get(session_id, message_id))

    def update_message_metadata(
        self, session_id: str, message_id: str, metadata: dict[str, Any]
    ) -> Message:
        """Merge metadata into the metadata of a message.

        Args:
            session_id: the session.
            message_id: the `uuid` of the message.
            metadata: `{"metadata": {"foo": "bar"}}`, or only `{"foo": "bar"}`.

        Raises:
            NotFoundError: the message does not exist.
            APIError: the id is not a UUID, or the metadata is invalid.
            ValueError: an id is blank.
        """
        return self._transport.call(_update(session_id, message_id, metadata))

    async def aupdate_message_metadata(
        self, session_id: str, message_id: str, metadata: dict[str, Any]
    ) -> Message:
        """Merge metadata of a message; the async form of `update_message_metadata`."""
        return await self._transport.acall(_update(session_id, message_id, metadata))


def _list(session_id: str, limit: int | None, cursor: int | None) -> ZepCall[list[Message]]:
    if limit is None or cursor is None:
        limit = cursor = None
    elif not (_is_positive(limit) and _is_positive(cursor)):
        raise ValueError("limit and cursor must be positive integers")
    return make_call(
        "GET",
        "/sessions/{session_id}/messages",
        read_list(Message, "messages"),
        ids={"session_id": session_id},
        query={"limit": limit, "cursor": cursor},
        missing=f"Session {session_id!r} does not exist",
    )


def _get(session_id: str, message_id: str) -> ZepCall[Message]:
    return _of_message("GET", session_id, message_id)


def _update(session_id: str, message_id: str, metadata: dict[str, Any]) -> ZepCall[Message]:
    body = metadata if "metadata" in metadata else {"metadata": metadata}
    return _of_message("PATCH", session_id, message_id, body)


def _of_message(
    method: str, session_id: str, message_id: str, body: object = None
) -> ZepCall[Message]:
    return make_call(
        method,
        "/sessions/{session_id}/messages/{message_id}",
        read_object(Message),
        ids={"session_id": session_id, "message_id": message_id},
        body=body,
        missing=f"Message {message_id!r} does not exist in session {session_id!r}",
    )


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and value > 0
