"""The memory of a session: the types that travel, and the operation."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from userkeep.api.common import SHORT_PAGE
from userkeep.api.messages import Message
from userkeep.api.operation import Operation
from userkeep.domain.values.paging import MAX_LIMIT

Last = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="How many messages at most.")]


class Memory(msgspec.Struct, kw_only=True):
    """What a reader gets for the next prompt: the newest messages, oldest first.

    `summary` is null and `facts` is empty until the server makes them.
    """

    messages: list[Message]
    summary: None = None
    facts: list[str] = []


class GetMemory(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How much memory: the `last` so many messages, or the instance's window."""

    last: Last | UnsetType = UNSET

    @property
    def is_bounded(self) -> bool:
        """Whether an index and a small page bound the work."""
        return self.last is UNSET or self.last <= SHORT_PAGE


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="memory.get",
        method="GET",
        path="/v1/sessions/{session_id}/memory",
        summary="Read the memory of a session",
        description="What the next prompt needs: the newest messages, oldest first.",
        does="read",
        query=GetMemory,
        response=Memory,
    ),
)
