"""Deprecated methods of the client, which are methods of `client.memory` now."""

import warnings

from userkeep.zep.memory.client import MemoryClient
from userkeep.zep.memory.models import Memory, MemorySearchPayload, MemorySearchResult, Session

_STACKLEVEL = 3


class MemoryFacade:
    """Methods that call the method of `client.memory` with the same name, with a warning."""

    memory: MemoryClient

    def get_session(self, session_id: str) -> Session:
        """Call `client.memory.get_session`."""
        _warn("get_session")
        return self.memory.get_session(session_id)

    async def aget_session(self, session_id: str) -> Session:
        """Call `client.memory.get_session`."""
        _warn("aget_session")
        return await self.memory.aget_session(session_id)

    def add_session(self, session: Session) -> Session:
        """Call `client.memory.add_session`."""
        _warn("add_session")
        return self.memory.add_session(session)

    async def aadd_session(self, session: Session) -> Session:
        """Call `client.memory.add_session`."""
        _warn("aadd_session")
        return await self.memory.aadd_session(session)

    def get_memory(self, session_id: str, lastn: int | None = None) -> Memory:
        """Call `client.memory.get_memory`."""
        _warn("get_memory")
        return self.memory.get_memory(session_id, lastn)

    async def aget_memory(self, session_id: str, lastn: int | None = None) -> Memory:
        """Call `client.memory.get_memory`."""
        _warn("aget_memory")
        return await self.memory.aget_memory(session_id, lastn)

    def add_memory(self, session_id: str, memory_messages: Memory) -> str:
        """Call `client.memory.add_memory`."""
        _warn("add_memory")
        return self.memory.add_memory(session_id, memory_messages)

    async def aadd_memory(self, session_id: str, memory_messages: Memory) -> str:
        """Call `client.memory.add_memory`."""
        _warn("aadd_memory")
        return await self.memory.aadd_memory(session_id, memory_messages)

    def delete_memory(self, session_id: str) -> str:
        """Call `client.memory.delete_memory`."""
        _warn("delete_memory")
        return self.memory.delete_memory(session_id)

    async def adelete_memory(self, session_id: str) -> str:
        """Call `client.memory.delete_memory`."""
        _warn("adelete_memory")
        return await self.memory.adelete_memory(session_id)

    def search_memory(
        self, session_id: str, search_payload: MemorySearchPayload, limit: int | None = None
    ) -> list[MemorySearchResult]:
        """Call `client.memory.search_memory`."""
        _warn("search_memory")
        return self.memory.search_memory(session_id, search_payload, limit)

    async def asearch_memory(
        self, session_id: str, search_payload: MemorySearchPayload, limit: int | None = None
    ) -> list[MemorySearchResult]:
        """Call `client.memory.search_memory`."""
        _warn("asearch_memory")
        return await self.memory.asearch_memory(session_id, search_payload, limit)


def _warn(name: str) -> None:
    warnings.warn(
        f"{name} is a method of client.memory now", DeprecationWarning, stacklevel=_STACKLEVEL
    )
