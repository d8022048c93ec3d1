"""Sessions and memory: `from userkeep.zep.memory import Memory, Message, Session`."""

from userkeep.zep.memory.models import (
    Memory,
    MemorySearchPayload,
    MemorySearchResult,
    SearchScope,
    SearchType,
    Session,
    Summary,
)
from userkeep.zep.message.models import Message

__all__ = [
    "Memory",
    "MemorySearchPayload",
    "MemorySearchResult",
    "Message",
    "SearchScope",
    "SearchType",
    "Session",
    "Summary",
]
