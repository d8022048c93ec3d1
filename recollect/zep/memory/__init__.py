"""Sessions and memory: `from recollect.zep.memory import Memory, Message, Session`."""

from recollect.zep.memory.models import (
    Memory,
    MemorySearchPayload,
    MemorySearchResult,
    SearchScope,
    SearchType,
    Session,
    Summary,
)
from recollect.zep.message.models import Message

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
