"""`client.memory`: sessions, their memory, and search."""

from collections.abc import AsyncGenerator, Generator
from typing import Any, TypeVar

from userkeep.sdk.http_client import HTTPResponse
from userkeep.zep.calls import (
    Read,
    ZepCall,
    check_id,
    decode,
    make_call,
    read_list,
    read_object,
    read_text,
)
from userkeep.zep.memory.models import (
    Memory,
    MemorySearchPayload,
    MemorySearchResult,
    SearchScope,
    SearchType,
    Session,
)
from userkeep.zep.model import Model
from userkeep.zep.transport import ZepTransport

T = TypeVar("T")


class MemoryClient:
    """Sessions and their memory.

    A `session_id` is any text. Each method has an async form, whose name begins with `a`.
    """

    def __init__(self, transport: ZepTransport) -> None:
        self._transport = transport

    def get_session(self, session_id: str) -> Session:
        """Return a session.

        Raises:
            NotFoundError: the session does not exist.
            ValueError: the id is blank.
        """
        return self._transport.call(_get_session(session_id))

    async def aget_session(self, session_id: str) -> Session:
        """Return a session; the async form of `get_session`."""
        return await self._transport.acall(_get_session(session_id))

    def add_session(self, session: Session) -> Session:
        """Create a session.

        Raises:
            APIError: a session with this id exists, or the user does not exist (`status_code` is
                400), or a field is invalid.
            ValueError: the id is blank.
        """
        return self._transport.call(_add_session(session))

    async def aadd_session(self, session: Session) -> Session:
        """Create a session; the async form of `add_session`."""
        return await self._transport.acall(_add_session(session))

    def update_session(self, session: Session) -> Session:
        """Merge metadata into the metadata of a session. Other fields do not change.

        Raises:
            NotFoundError: the session does not exist.
            APIError: the metadata is invalid.
            ValueError: the id is blank.
        """
        return self._transport.call(_update_session(session))

    async def aupdate_session(self, session: Session) -> Session:
        """Merge metadata of a session; the async form of `update_session`."""
        return await self._transport.acall(_update_session(session))

    def list_sessions(self, limit: int | None = None, cursor: int | None = None) -> list[Session]:
        """Return a page of sessions, in creation order.

        Args:
            limit: the maximum number of sessions. The default is all.
            cursor: the number of sessions to skip, or the `id` of the last session of the previous
                page.
        """
        return self._transport.call(_list_sessions(limit, cursor))

    async def alist_sessions(
        self, limit: int | None = None, cursor: int | None = None
    ) -> list[Session]:
        """Return a page of sessions; the async form of `list_sessions`."""
        return await self._transport.acall(_list_sessions(limit, cursor))

    def list_all_sessions(self, chunk_size: int = 100) -> Generator[list[Session], None, None]:
        """Iterate over all sessions in chunks. Each is requested when it is needed.

        Raises:
            ValueError: at the first chunk, if the size is not positive.
        """
        return self._transport.chunks(_list_sessions, chunk_size)

    def alist_all_sessions(self, chunk_size: int = 100) -> AsyncGenerator[list[Session], None]:
        """Iterate over all sessions in chunks; the async form of `list_all_sessions`."""
        return self._transport.achunks(_list_sessions, chunk_size)

    def get_memory(self, session_id: str, lastn: int | None = None) -> Memory:
        """Return the newest messages of a session, as context for the next prompt.

        The memory is empty if the session does not exist.

        Args:
            session_id: the session.
            lastn: the number of messages. The default is the server's setting.

        Raises:
            APIError: lastn is negative.
            ValueError: the id is blank.
        """
        return self._transport.call(_get_memory(session_id, lastn))

    async def aget_memory(self, session_id: str, lastn: int | None = None) -> Memory:
        """Return the memory of a session; the async form of `get_memory`."""
        return await self._transport.acall(_get_memory(session_id, lastn))

    def add_memory(self, session_id: str, memory_messages: Memory) -> str:
        """Append messages to a session, which is created if it does not exist.

        Returns:
            `OK`.

        Raises:
            NotFoundError: the session was deleted recently, with its user.
            APIError: a message is invalid.
            ValueError: the id is blank.
        """
        return self._transport.call(_add_memory(session_id, memory_messages))

    async def aadd_memory(self, session_id: str, memory_messages: Memory) -> str:
        """Append messages to a session; the async form of `add_memory`."""
        return await self._transport.acall(_add_memory(session_id, memory_messages))

    def delete_memory(self, session_id: str) -> str:
        """Delete a session and all its messages.

        Returns:
            `OK`.

        Raises:
            NotFoundError: the session does not exist.
            ValueError: the id is blank.
        """
        return self._transport.call(_delete_memory(session_id))

    async def adelete_memory(self, session_id: str) -> str:
        """Delete a session and all its messages; the async form of `delete_memory`."""
        return await self._transport.acall(_delete_memory(session_id))

    def search_memory(
        self, session_id: str, search_payload: MemorySearchPayload, limit: int | None = None
    ) -> list[MemorySearchResult]:
        """Search the messages of a session: best results first, or without a text newest first.

        Args:
            session_id: the session. Without results if it does not exist.
            search_payload: the search. Summaries are not supported yet. `mmr` returns the same
                results as `similarity`.
            limit: the maximum number of results, up to 1,000. The default is 10.

        Raises:
            APIError: there is neither text nor metadata, no text for `mmr`, or an invalid filter
                (`status_code` is 400).
            ValueError: the id is blank, or the scope or type of search is unknown.
        """
        return self._transport.call(_search(session_id, search_payload, limit))

    async def asearch_memory(
        self, session_id: str, search_payload: MemorySearchPayload, limit: int | None = None
    ) -> list[MemorySearchResult]:
        """Search the messages of a session; the async form of `search_memory`."""
        return await self._transport.acall(_search(session_id, search_payload, limit))


def _get_session(session_id: str) -> ZepCall[Session]:
    return _of_session("GET", "", session_id, read_object(Session))


def _add_session(session: Session) -> ZepCall[Session]:
    _check_given(session, "session")
    check_id(session.session_id, "session_id")
    return make_call(
        "POST", "/sessions", read_object(Session), body=session.dict(exclude_none=True)
    )


def _update_session(session: Session) -> ZepCall[Session]:
    _check_given(session, "session")
    body = session.dict(exclude_none=True)
    return _of_session("PATCH", "", session.session_id, read_object(Session), body=body)


def _list_sessions(limit: int | None, cursor: int | None) -> ZepCall[list[Session]]:
    query = {"limit": limit, "cursor": cursor}
    return make_call("GET", "/sessions", read_list(Session), query=query)


def _get_memory(session_id: str, lastn: int | None) -> ZepCall[Memory]:
    return _of_session("GET", "/memory", session_id, _read_memory, query={"lastn": lastn})


def _read_memory(response: HTTPResponse) -> Memory:
    return decode(
        response, lambda value: Memory(messages=value["messages"], summary=value.get("summary"))
    )


def _add_memory(session_id: str, memory: Memory) -> ZepCall[str]:
    _check_given(memory, "memory_messages")
    body = memory.dict(exclude_none=True)
    return _of_session("POST", "/memory", session_id, read_text, body=body)


def _delete_memory(session_id: str) -> ZepCall[str]:
    return _of_session("DELETE", "/memory", session_id, read_text)


def _search(
    session_id: str, payload: MemorySearchPayload, limit: int | None
) -> ZepCall[list[MemorySearchResult]]:
    _check_given(payload, "search_payload")
    _check_choice(payload.search_type, "search_type", SearchType.__members__)
    _check_choice(payload.search_scope, "search_scope", SearchScope.__members__)
    return _of_session(
        "POST",
        "/search",
        session_id,
        read_list(MemorySearchResult),
        query={"limit": limit},
        body=payload.dict(),
    )


def _of_session(method: str, path: str, session_id: str, read: Read[T], **parts: Any) -> ZepCall[T]:
    return make_call(
        method,
        "/sessions/{session_id}" + path,
        read,
        ids={"session_id": session_id},
        missing=f"Session {session_id!r} does not exist",
        **parts,
    )


def _check_given(value: Model | None, name: str) -> None:
    if value is None:
        raise ValueError(f"{name} is required")


def _check_choice(value: str | None, name: str, choices: Any) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}")
