"""Sessions, the memory of them, and what is searched in it."""

from enum import Enum
from typing import Any

from userkeep.zep.message.models import Message
from userkeep.zep.model import Model, Values


class SearchScope(str, Enum):  # noqa: UP042 - with the texts that it had in Zep's package
    """What a search looks through."""

    messages = "messages"
    summary = "summary"


class SearchType(str, Enum):  # noqa: UP042
    """How a search chooses."""

    similarity = "similarity"
    mmr = "mmr"


class Session(Model):
    """A conversation.

    Attributes:
        uuid: the server's own id.
        id: its place in the list it came in; as a cursor it leads to what follows.
        created_at, updated_at: by the server's clock.
        deleted_at: None; what is deleted is gone.
        session_id: yours, any text of up to 512 characters.
        user_id: the owner, who is a user already.
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
    """A summary of what was said; with an empty `content` while there is none.

    Attributes:
        uuid, created_at: of the summary.
        content: its text.
        recent_message_uuid: the last message that is in it.
        token_count: its length.
    """

    uuid: str = ""
    created_at: str = ""
    content: str = ""
    recent_message_uuid: str = ""
    token_count: int = 0

    def to_dict(self) -> Values:
        """The fields by name."""
        return self.dict()


class Memory(Model):
    """What was said in a session, for the next prompt; or what is to be added to it.

    Attributes:
        messages: oldest first.
        metadata: is not kept.
        summary: of what was said before them.
        uuid, created_at, token_count: are not kept.
    """

    messages: list[Message] = []  # noqa: RUF012 - each object has a list of its own
    metadata: dict[str, Any] | None = None
    summary: Summary | None = None
    uuid: str | None = None
    created_at: str | None = None
    token_count: int | None = None

    def to_dict(self) -> Values:
        """The fields by name, those of messages and summary too."""
        return self.dict()


class MemorySearchPayload(Model):
    """What is searched for.

    Attributes:
        text: words, or a question.
        metadata: a filter: `{"where": {"jsonpath": '$[*] ? (@.foo == "bar")'}}`.
        search_scope: `messages` or `summary`.
        search_type: `similarity` or `mmr`.
        mmr_lambda: is not used.
    """

    text: str | None = None
    metadata: dict[str, Any] | None = None
    search_scope: str | None = "messages"
    search_type: str | None = "similarity"
    mmr_lambda: float | None = None


class MemorySearchResult(Model):
    """Something that was found.

    Attributes:
        message: the fields of a message, or None.
        summary: or None.
        metadata: None.
        dist: the larger, the nearer.
    """

    message: dict[str, Any] | None = None
    summary: Summary | None = None
    metadata: dict[str, Any] | None = None
    dist: float | None = None
