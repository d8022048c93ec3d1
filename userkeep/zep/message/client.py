"""`client.message`: the messages of a session."""

from typing import Any

from userkeep.zep.calls import ZepCall, make_call, one, several
from userkeep.zep.message.models import Message
from userkeep.zep.sender import Sender


class MessageClient:
    """Messages: listed, read, annotated.

    Each method has an awaited form, whose name begins with an `a`.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def get_session_messages(
        self, session_id: str, limit: int = 100, cursor: int = 1
    ) -> list[Message]:
        """A page of a session's messages, oldest first; none where there is no such session.

        Args:
            session_id: which.
            limit: so many to a page; None, and all come at once.
            cursor: the page's number, from 1.

        Raises:
            ValueError: the session's id is blank; limit or cursor is not positive.
        """
        return self._sender.call(_list(session_id, limit, cursor))

    async def aget_session_messages(
        self, session_id: str, limit: int = 100, cursor: int = 1
    ) -> list[Message]:
        """A page of a session's messages; see get_session_messages."""
        return await self._sender.acall(_list(session_id, limit, cursor))

    def get_session_message(self, session_id: str, message_id: str) -> Message:
        """Read a message.

        Args:
            session_id: which.
            message_id: the message's `uuid`.

        Raises:
            NotFoundError: there is none.
            APIError: the id is no UUID.
            ValueError: an id is blank.
        """
        return self._sender.call(_get(session_id, message_id))

    async def aget_session_message(self, session_id: str, message_id: str) -> Message:
        """Read a message; see get_session_message."""
        return await self._sender.acall(_get(session_id, message_id))

    def update_message_metadata(
        self, session_id: str, message_id: str, metadata: dict[str, Any]
    ) -> Message:
        """Merge metadata into a message's.

        Args:
            session_id: which.
            message_id: the message's `uuid`.
            metadata: `{"metadata": {"foo": "bar"}}`, or `{"foo": "bar"}` by itself.

        Raises:
            NotFoundError: there is no such message.
            APIError: the id is no UUID; this cannot be metadata.
            ValueError: an id is blank.
        """
        return self._sender.call(_update(session_id, message_id, metadata))

    async def aupdate_message_metadata(
        self, session_id: str, message_id: str, metadata: dict[str, Any]
    ) -> Message:
        """Merge metadata into a message's; see update_message_metadata."""
        return await self._sender.acall(_update(session_id, message_id, metadata))


def _list(session_id: str, limit: int | None, cursor: int | None) -> ZepCall[list[Message]]:
    if limit is None or cursor is None:
        limit = cursor = None
    elif not (_is_positive(limit) and _is_positive(cursor)):
        raise ValueError("limit and cursor must be positive integers")
    return make_call(
        "GET",
        "/sessions/{session_id}/messages",
        several(Message, "messages"),
        ids={"session_id": session_id},
        query={"limit": limit, "cursor": cursor},
        missing=f"There is no session {session_id!r}",
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
        one(Message),
        ids={"session_id": session_id, "message_id": message_id},
        body=body,
        missing=f"There is no message {message_id!r} in session {session_id!r}",
    )


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and value > 0
