"""Messages."""

from typing import Any
from uuid import UUID

from userkeep.zep.model import Model, Values


class Message(Model):
    """A message of a conversation.

    Attributes:
        role: the author, any text: `user`, `human`, `ai` …
        content: the text, up to 1 MiB.
        uuid: assigned by the server, or yours.
        created_at: when the server received it.
        token_count: your count, or 0. The server does not count tokens.
        metadata: a JSON object of up to 64 KiB.
    """

    role: str = ""
    content: str = ""
    uuid: str | None = None
    created_at: str | None = None
    token_count: int | None = None
    metadata: dict[str, Any] | None = None

    def to_dict(self) -> Values:
        """Return the fields by name."""
        return self.dict()


class UpdateMessageMetadataRequest(Model):
    """An update of the metadata of a message.

    Attributes:
        uuid: the `uuid` of the message.
        session_id: the session.
        metadata: merged into the existing metadata.
    """

    uuid: UUID
    session_id: str
    metadata: dict[str, Any]
