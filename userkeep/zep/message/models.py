"""Messages."""

from typing import Any
from uuid import UUID

from userkeep.zep.model import Model, Values


class Message(Model):
    """One turn of a conversation.

    Attributes:
        role: who said it, any text: `user`, `human`, `ai` …
        content: what was said, up to 1 MiB.
        uuid: the server's, or yours.
        created_at: when the server got it.
        token_count: yours, else 0; the server counts no tokens.
        metadata: a JSON object of up to 64 KiB.
    """

    role: str = ""
    content: str = ""
    uuid: str | None = None
    created_at: str | None = None
    token_count: int | None = None
    metadata: dict[str, Any] | None = None

    def to_dict(self) -> Values:
        """The fields by name."""
        return self.dict()


class UpdateMessageMetadataRequest(Model):
    """A change of a message's metadata.

    Attributes:
        uuid: the message's.
        session_id: the session it is in.
        metadata: merged into what is there.
    """

    uuid: UUID
    session_id: str
    metadata: dict[str, Any]
