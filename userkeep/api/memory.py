"""The memory of a session: wire types and the operation."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from userkeep.api.common import SHORT_PAGE, SessionQuery
from userkeep.api.messages import Message
from userkeep.api.operation import APIOperation
from userkeep.api.prompts import Prompts
from userkeep.domain.values.paging import MAX_LIMIT

Last = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="The maximum number of messages.")]


class Memory(msgspec.Struct, Prompts, kw_only=True):
    """Context for the next prompt: the newest messages of a session, oldest first.

    `summary` is always null and `facts` always empty in this version.
    """

    messages: list[Message]
    summary: None = None
    facts: list[str] = []

    def _prompt_messages(self) -> Iterable[Message]:
        return self.messages


class GetMemory(SessionQuery, kw_only=True):
    """Parameters of the memory: how many messages; the default is the memory window setting."""

    last: Last | UnsetType = UNSET

    @property
    def is_bounded(self) -> bool:
        """Whether a small number of messages limits the work."""
        return self.last is UNSET or self.last <= SHORT_PAGE


OPERATIONS: tuple[APIOperation, ...] = (
    APIOperation(
        name="memory.get",
        method="GET",
        path="/v1/sessions/{session_id}/memory",
        summary="Get the memory of a session",
        description="Context for the next prompt: the newest messages, oldest first.",
        does="read",
        query=GetMemory,
        response=Memory,
    ),
)
