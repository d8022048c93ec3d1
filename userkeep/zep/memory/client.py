"""`client.memory`: sessions, what was said in them, and the search for it."""

from collections.abc import AsyncGenerator, Generator
from typing import Any, TypeVar

from userkeep.sdk.http_client import HTTPResponse
from userkeep.zep.calls import (
    Read,
    ZepCall,
    check_id,
    make_call,
    one,
    read_text,
    several,
    understood,
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
from userkeep.zep.sender import Sender

T = TypeVar("T")


class MemoryClient:
    """Sessions and their memory.

    A `session_id` is any text. Each method has an awaited form, whose name begins with an `a`.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def get_session(self, session_id: str) -> Session:
        """Read a session.

        Raises:
            NotFoundError: there is none with this id.
            ValueError: it is blank.
        """
        return self._sender.call(_get_session(session_id))

    async def aget_session(self, session_id: str) -> Session:
        """Read a session; see get_session."""
        return await self._sender.acall(_get_session(session_id))

    def add_session(self, session: Session) -> Session:
        """Open a session.

        Raises:
            APIError: there is one with this id, or no user with this `user_id` (`status_code` is
                400); a field has a value that it cannot have.
            ValueError: the id is blank.
        """
        return self._sender.call(_add_session(session))

    async def aadd_session(self, session: Session) -> Session:
        """Open a session; see add_session."""
        return await self._sender.acall(_add_session(session))

    def update_session(self, session: Session) -> Session:
        """Merge metadata into a session's; nothing else of it changes.

        Raises:
            NotFoundError: there is none with this id.
            APIError: this cannot be metadata.
            ValueError: the id is blank.
        """
        return self._sender.call(_update_session(session))

    async def aupdate_session(self, session: Session) -> Session:
        """Merge metadata into a session's; see update_session."""
        return await self._sender.acall(_update_session(session))

    def list_sessions(self, limit: int | None = None, cursor: int | None = None) -> list[Session]:
        """A page of sessions, in the order they were opened.

        Args:
            limit: at most so many; without one, all.
            cursor: how many to pass over, or the `id` of the last one that was seen.
        """
        return self._sender.call(_list_sessions(limit, cursor))

    async def alist_sessions(
        self, limit: int | None = None, cursor: int | None = None
    ) -> list[Session]:
        """A page of sessions; see list_sessions."""
        return await self._sender.acall(_list_sessions(limit, cursor))

    def list_all_sessions(self, chunk_size: int = 100) -> Generator[list[Session], None, None]:
        """All sessions in chunks of this size, each fetched when it is wanted.

        Raises:
            ValueError: with the first chunk, where there are none of this size.
        """
        return self._sender.chunks(_list_sessions, chunk_size)

    def alist_all_sessions(self, chunk_size: int = 100) -> AsyncGenerator[list[Session], None]:
        """All sessions in chunks, for `async for`; see list_all_sessions."""
        return self._sender.achunks(_list_sessions, chunk_size)

    def get_memory(self, session_id: str, lastn: int | None = None) -> Memory:
        """What was said in a session, for the next prompt; empty where there is no such session.

        Args:
            session_id: which.
            lastn: the newest so many messages; without it, so many as the server is set to.

        Raises:
            APIError: lastn is negative.
            ValueError: the id is blank.
        """
        return self._sender.call(_get_memory(session_id, lastn))

    async def aget_memory(self, session_id: str, lastn: int | None = None) -> Memory:
        """What was said in a session; see get_memory."""
        return await self._sender.acall(_get_memory(session_id, lastn))

    def add_memory(self, session_id: str, memory_messages: Memory) -> str:
        """Append messages to a session, which is opened where there is none.

        Returns:
            `OK`.

        Raises:
            NotFoundError: the session was deleted with its user, and is not brought back so.
            APIError: a message has a value that it cannot have.
            ValueError: the id is blank.
        """
        return self._sender.call(_add_memory(session_id, memory_messages))

    async def aadd_memory(self, session_id: str, memory_messages: Memory) -> str:
        """Append messages to a session; see add_memory."""
        return await self._sender.acall(_add_memory(session_id, memory_messages))

    def delete_memory(self, session_id: str) -> str:
        """Delete a session and all its messages.

        Returns:
            `OK`.

        Raises:
            NotFoundError: there is none with this id.
            ValueError: it is blank.
        """
        return self._sender.call(_delete_memory(session_id))

    async def adelete_memory(self, session_id: str) -> str:
        """Delete a session and all its messages; see delete_memory."""
        return await self._sender.acall(_delete_memory(session_id))

    def search_memory(
        self, session_id: str, search_payload: MemorySearchPayload, limit: int | None = None
    ) -> list[MemorySearchResult]:
        """Search what was said in a session: nearest first, or without a text the newest.

        Args:
            session_id: which; in one that there is not, nothing is found.
            search_payload: what is searched for. There are no summaries to be found yet; `mmr`
                finds what `similarity` does.
            limit: at most so many, up to 1,000; without one, 10.

        Raises:
            APIError: there is neither text nor metadata, no text for `mmr`, or a filter that
                cannot be (`status_code` is 400).
            ValueError: the id is blank; there is no such scope or type of search.
        """
        return self._sender.call(_search(session_id, search_payload, limit))

    async def asearch_memory(
        self, session_id: str, search_payload: MemorySearchPayload, limit: int | None = None
    ) -> list[MemorySearchResult]:
        """Search what was said in a session; see search_memory."""
        return await self._sender.acall(_search(session_id, search_payload, limit))


def _get_session(session_id: str) -> ZepCall[Session]:
    return _of_session("GET", "", session_id, one(Session))


def _add_session(session: Session) -> ZepCall[Session]:
    _check_given(session, "session")
    check_id(session.session_id, "session_id")
    return make_call("POST", "/sessions", one(Session), body=session.dict(exclude_none=True))


def _update_session(session: Session) -> ZepCall[Session]:
    _check_given(session, "session")
    body = session.dict(exclude_none=True)
    return _of_session("PATCH", "", session.session_id, one(Session), body=body)


def _list_sessions(limit: int | None, cursor: int | None) -> ZepCall[list[Session]]:
    query = {"limit": limit, "cursor": cursor}
    return make_call("GET", "/sessions", several(Session), query=query)


def _get_memory(session_id: str, lastn: int | None) -> ZepCall[Memory]:
    return _of_session("GET", "/memory", session_id, _read_memory, query={"lastn": lastn})


def _read_memory(reply: HTTPResponse) -> Memory:
    return understood(
        reply, lambda told: Memory(messages=told["messages"], summary=told.get("summary"))
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
        several(MemorySearchResult),
        query={"limit": limit},
        body=payload.dict(),
    )


def _of_session(method: str, below: str, session_id: str, read: Read[T], **sent: Any) -> ZepCall[T]:
    return make_call(
        method,
        "/sessions/{session_id}" + below,
        read,
        ids={"session_id": session_id},
        missing=f"There is no session {session_id!r}",
        **sent,
    )


def _check_given(value: Model | None, name: str) -> None:
    if value is None:
        raise ValueError(f"{name} must be given")


def _check_choice(value: str | None, name: str, choices: Any) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}")
