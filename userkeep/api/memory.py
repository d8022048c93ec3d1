"""The memory of a session: wire types and the operation."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from userkeep.api.common import SHORT_PAGE, SessionQuery
from userkeep.api.encoding import Encodable
from userkeep.api.messages import Message, OmitText
from userkeep.api.operation import APIOperation
from userkeep.api.prompts import Prompts
from userkeep.domain.message import MAX_TOKEN_COUNT
from userkeep.domain.values.paging import MAX_LIMIT

Last = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_LIMIT,
        description="The maximum number of messages. The default is the setting of the memory "
        "window, or with max_tokens as many as fit.",
    ),
]

MaxTokens = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_TOKEN_COUNT,
        description="The maximum number of tokens of all messages together.",
    ),
]

_SMALL_PROMPT = 32_000
"""In tokens: so many messages are read and serialized in a few milliseconds."""


class Memory(Encodable, msgspec.Struct, Prompts, kw_only=True):
    """Context for the next prompt: the newest messages of a session, oldest first.

    They do not begin with the result of a tool whose call was left out, nor end with some of the
    results of a message's calls, of which others are missing.

    `summary` is always null and `facts` always empty in this version.
    """

    messages: list[Message]
    summary: None = None
    facts: list[str] = []
    token_count: Annotated[
        int,
        Meta(
            description="The tokens of the messages: of each its token_count, or if it has none, a "
            "quarter of the UTF-8 bytes of its content (of its data, if the content is empty)."
        ),
    ]
    truncated: Annotated[
        bool, Meta(description="Whether the session has messages that were left out.")
    ]

    def _prompt_messages(self) -> Iterable[Message]:
        return self.messages


class GetMemory(SessionQuery, kw_only=True):
    """Parameters of the memory: how many messages, of how many tokens."""

    last: Last | UnsetType = UNSET
    max_tokens: MaxTokens | UnsetType = UNSET
    omit: OmitText = ""

    @property
    def is_bounded(self) -> bool:
        """Whether a small number of messages limits the work."""
        if self.last is UNSET:
            return self.max_tokens is UNSET or self.max_tokens <= _SMALL_PROMPT
        return self.last <= SHORT_PAGE


OPERATIONS: tuple[APIOperation, ...] = (
    APIOperation(
        name="memory.get",
        method="GET",
        path="/v1/sessions/{session_id}/memory",
        summary="Get the memory of a session",
        description=(
            "Context for the next prompt: the newest messages that fit both limits, oldest first. "
            "If the newest message alone has more than max_tokens, there are none."
        ),
        does="read",
        scope="read",
        is_for_users=True,
        query=GetMemory,
        response=Memory,
    ),
)
