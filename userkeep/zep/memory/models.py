"""Sessions, memory and search."""

from enum import Enum
from typing import Any

from userkeep.zep.message.models import Message
from userkeep.zep.model import Model, Values


class SearchScope(str, Enum):  # noqa: UP042 - as in zep-python
    """What is searched."""

    messages = "messages"
    summary = "summary"


class SearchType(str, Enum):  # noqa: UP042
    """How results are ranked."""

    similarity = "similarity"
    mmr = "mmr"


class Session(Model):
    """A conversation.

    Attributes:
        uuid: assigned by the server.
        id: the position in a list. As a cursor, it leads to the next sessions.
        created_at, updated_at: the server's times.
        deleted_at: always None: deleted sessions are not returned.
        session_id: your id of the session, any text of up to 512 characters.
        user_id: the owner, which must exist.
        metadata: a JSON object of up to 64 KiB.
    """

    uuid: str | None = None
    id: int | None = None
    created_at: str | None = None
    updated_at: str | None = None
    deleted_at: str | None = None
    session_id: str
    user_id: str | None = None
    metadata: dict[str, Any] | None = None


class Summary(Model):
    """A summary of messages; `content` is empty if there is none.

    Attributes:
        uuid, created_at: the uuid and the time of the summary.
        content: the text.
        recent_message_uuid: the last message in the summary.
        token_count: the length of the text.
    """

    uuid: str = ""
    created_at: str = ""
    content: str = ""
    recent_message_uuid: str = ""
    token_count: int = 0

    def to_dict(self) -> Values:
        """Return the fields by name."""
        return self.dict()


class Memory(Model):
    """The memory of a session; or messages to append to it.

    Attributes:
        messages: oldest first.
        metadata: not stored.
        summary: the summary of earlier messages.
        uuid, created_at, token_count: not stored.
    """

    messages: list[Message] = []  # noqa: RUF012 - each object gets its own list
    metadata: dict[str, Any] | None = None
    summary: Summary | None = None
    uuid: str | None = None
    created_at: str | None = None
    token_count: int | None = None

    def to_dict(self) -> Values:
        """Return the fields by name, with those of messages and summary."""
        return self.dict()


class MemorySearchPayload(Model):
    """A search.

    Attributes:
        text: words or a question.
        metadata: a filter: `{"where": {"jsonpath": '$[*] ? (@.foo == "bar")'}}`.
        search_scope: `messages` or `summary`.
        search_type: `similarity` or `mmr`.
        mmr_lambda: not used.
    """

    text: str | None = None
    metadata: dict[str, Any] | None = None
    search_scope: str | None = "messages"
    search_type: str | None = "similarity"
    mmr_lambda: float | None = None


class MemorySearchResult(Model):
    """A result of a search.

    Attributes:
        message: the fields of the message, or None.
        summary: the summary, or None.
        metadata: always None.
        dist: the score; higher is better.
    """

    message: dict[str, Any] | None = None
    summary: Summary | None = None
    metadata: dict[str, Any] | None = None
    dist: float | None = None
